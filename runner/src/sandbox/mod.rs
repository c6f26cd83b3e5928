//! `read_only`: what runs without a question, held by the kernel to reading.
//!
//! The shim starts `meanwhile __sandbox SHELL -c COMMAND`, one process that gives up its rights for good and then becomes
//! the shell, in this order: limits (no file may grow, no core, processor time, processes), Landlock (reads the paths of a
//! [`Spec`], runs programs from some of them, writes `/dev/null`; no TCP, no abstract socket, no signal to anybody outside),
//! and last a list of the system calls that reading takes ([`calls`]); whatever is not on it does not exist. If one of them
//! fails, the command does not run. The runner tries the same once at its start, on a thread that ends at once, and offers
//! `read_only` only where that went well.

mod calls;
mod spec;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getuid, setrlimit};

pub(crate) use spec::{Spec, environment};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__sandbox";
/// Holds the [`Spec`], as JSON, until the command begins.
pub(crate) const VARIABLE: &str = "MEANWHILE_SANDBOX";
/// As a shell says that it could not run something.
const NOT_RUN: u8 = 126;
/// Seconds of processor time that a process may use.
const PROCESSOR_S: u64 = 600;
/// Processes and threads that the user may have more than when it began.
const MORE_PROCESSES: u64 = 512;

/// Gives up the rights and becomes the command. Comes back only if that failed.
#[must_use]
pub fn main() -> ExitCode {
    let why = become_command();
    // Its error output is the task's output; if nobody reads that, nobody need know.
    let _unread = writeln!(std::io::stderr(), "It was not started: {why}.");
    ExitCode::from(NOT_RUN)
}

fn become_command() -> String {
    let mut words = std::env::args_os().skip(2);
    let Some(shell) = words.next() else { return "the sandbox was given no command".into() };
    let spec = std::env::var(VARIABLE).unwrap_or_default();
    let spec: Spec = match serde_json::from_str(&spec) {
        Ok(spec) => spec,
        Err(error) => return format!("the sandbox was given no paths: {error}"),
    };
    let words: Vec<OsString> = words.collect();
    if let Err(why) = limit().and_then(|()| hold(&spec)) {
        return why;
    }
    let error = Command::new(&shell).args(words).env_remove(VARIABLE).exec();
    format!("{} could not be run: {error}", shell.to_string_lossy())
}

fn limit() -> Result<(), String> {
    let limits = [
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Cpu, PROCESSOR_S),
        (Resource::Nproc, processes().saturating_add(MORE_PROCESSES)),
    ];
    for (resource, most) in limits {
        // A lower limit that is there already stays.
        let now = rustix::process::getrlimit(resource);
        let most = now.maximum.map_or(most, |maximum| most.min(maximum));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| format!("its limits could not be set: {error}"))?;
    }
    Ok(())
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
pub(crate) fn hold(spec: &Spec) -> Result<(), String> {
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
