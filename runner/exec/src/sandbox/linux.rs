//! Landlock, a filter of system calls, and a limit of processes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::process::{Resource, getuid};

use super::calls;
use super::limit::limit;
use super::spec::Spec;

/// Processes and threads that the user may have more than when it began.
const MORE_PROCESSES: u64 = 512;
const MISSING: &str = "this kernel has no Landlock (it takes Linux 6.2), or it was switched off at boot";

/// This very program, whatever was put in its place since.
pub(super) fn program() -> &'static OsStr {
    OsStr::new(crate::host::PROGRAM)
}

/// Gives up the rights, for good; then the shell is run as it is.
pub(super) fn held(spec: &Spec, shell: &OsStr) -> Result<Command, String> {
    limit(Resource::Nproc, processes().saturating_add(MORE_PROCESSES))?;
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
        // Behind the name, which may hold anything: the number of threads is the 18th field there.
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
        .map_err(|_| MISSING.to_owned())?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(beneath(&spec.read, look)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&spec.run, look | AccessFs::Execute)))
        .and_then(|ruleset| ruleset.add_rules(beneath(&["/dev/null".into()], device)))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| failed(&error))?;
    let abi = match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _)
        | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => {
            return Err(MISSING.into());
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi,
    };
    calls::restrict(abi >= ABI::V6).map_err(|error| failed(&error))
}

/// Rules for real paths: what was put in the place of one since, or of a folder above it, is passed over if
/// it is a link.
fn beneath(
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<OwnedFd>, RulesetError>> {
    paths.iter().filter_map(move |path| {
        let how = OFlags::PATH | OFlags::CLOEXEC;
        let there = openat2(CWD, path, how, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
        let kind = FileType::from_raw_mode(fstat(&there).ok()?.st_mode);
        let fits = if kind == FileType::Directory { access } else { access & AccessFs::from_file(ABI::V5) };
        Some(Ok(PathBeneath::new(there, fits)))
    })
}

/// Tries whether this system holds it.
///
/// # Errors
/// Why not, as part of a sentence.
pub fn tried(spec: &Spec) -> Result<(), String> {
    let spec = spec.clone();
    std::thread::spawn(move || hold(&spec)).join().unwrap_or_else(|_| Err("trying it failed".into()))
}
