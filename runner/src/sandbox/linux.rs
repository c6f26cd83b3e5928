//! Landlock, a filter of system calls, and a limit of processes.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, getuid};

use super::{Spec, calls};

/// Processes and threads that the user may have more than when it began.
const MORE_PROCESSES: u64 = 512;

/// This very program, whatever was put in its place since.
pub(crate) fn program() -> &'static OsStr {
    OsStr::new("/proc/self/exe")
}

/// Gives up the rights, for good; then the shell is run as it is.
pub(super) fn held(spec: &Spec, shell: &OsStr) -> Result<Command, String> {
    super::limit(Resource::Nproc, processes().saturating_add(MORE_PROCESSES))?;
    hold(spec)?;
    Ok(Command::new(shell))
}

/// How many processes and threads this user has.
fn processes() -> u64 {
    let own = getuid().as_raw();
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let threads = |entry: std::fs::DirEntry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        (entry.metadata().ok()?.uid() == own).then_some(())?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may hold anything: the number of threads is the 18th word there.
        stat.rsplit_once(')')?.1.split_whitespace().nth(17)?.parse::<u64>().ok()
    };
    entries.flatten().filter_map(threads).sum()
}

/// Gives up all rights but those of the spec, for this thread and all that it starts.
///
/// # Errors
/// Why this system cannot, as part of a sentence. Some rights may be gone nevertheless.
fn hold(spec: &Spec) -> Result<(), String> {
    let failed = |error: &dyn std::error::Error| format!("this system cannot hold it to reading: {error}");
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let status = Ruleset::default()
        // Before the third version (Linux 6.2) a file could still be emptied.
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V3))
        .map(|ruleset| ruleset.set_compatibility(CompatLevel::BestEffort))
        .and_then(|ruleset| ruleset.handle_access(AccessFs::from_all(ABI::V5)))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&spec.read, look)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&spec.run, look | AccessFs::Execute)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(["/dev/null"], device)))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| failed(&error))?;
    let abi = match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _)
        | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => {
            return Err(
                "this kernel has no Landlock (it takes Linux 6.2), or it was switched off at boot".into()
            );
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi,
    };
    calls::restrict(abi >= ABI::V6).map_err(|error| failed(&error))
}

/// Tries whether this system holds it.
///
/// # Errors
/// Why not, as part of a sentence.
pub(crate) fn tried(spec: &Spec) -> Result<(), String> {
    let spec = spec.clone();
    std::thread::spawn(move || hold(&spec)).join().unwrap_or_else(|_| Err("trying it failed".into()))
}
