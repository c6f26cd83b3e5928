//! `read_only`: what runs without a question, held by the system to reading.
//!
//! The shim starts `meanwhile __sandbox SHELL -c COMMAND`, one process that gives up its rights for good and then becomes
//! the shell. On Linux, in this order: limits (no file may grow, no core, processor time, processes), Landlock (reads the
//! paths of a [`Spec`], runs programs from some of them, writes `/dev/null`; no TCP, no abstract socket, no signal to anybody
//! outside), and last a list of the system calls that reading takes ([`calls`]); whatever is not on it does not exist. On
//! macOS limits, and then `sandbox-exec` with a profile. If one of them fails, the command does not run. The runner tries
//! the same once at its start, on a thread or in a process that ends at once, and offers `read_only` only where that went well.

#[cfg(target_os = "linux")]
mod calls;
mod git;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(any(not(target_os = "linux"), test))]
mod profile;
mod spec;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, setrlimit};

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use macos as system;
pub(crate) use spec::{Ground, Spec};
pub(crate) use system::{program, tried};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__sandbox";
/// Holds the [`Spec`], as JSON, until the command begins.
pub(crate) const VARIABLE: &str = "MEANWHILE_SANDBOX";
/// As a shell says that it could not run something.
const NOT_RUN: u8 = 126;
/// Seconds of processor time that a process may use.
const PROCESSOR_S: u64 = 600;

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
    let limits = [(Resource::Fsize, 0), (Resource::Core, 0), (Resource::Cpu, PROCESSOR_S)];
    let mut command = match limits
        .into_iter()
        .try_for_each(|(resource, most)| limit(resource, most))
        .and_then(|()| system::held(&spec, &shell))
    {
        Ok(command) => command,
        Err(why) => return why,
    };
    let error = command.args(words).env_remove(VARIABLE).exec();
    format!("{} could not be run: {error}", shell.to_string_lossy())
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    // A lower limit that is there already stays.
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |maximum| most.min(maximum));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(|error| format!("its limits could not be set: {error}"))
}

/// The program that gives up its rights and becomes the command whose words follow.
pub(crate) fn command(shell: &str, spec: &str) -> Command {
    let mut command = Command::new(program());
    command.arg(SUBCOMMAND).arg(shell).env_clear().env(VARIABLE, spec);
    command
}
