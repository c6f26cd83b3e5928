//! The hidden subcommand, and the command line that leads to it.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::Resource;

use super::limit::limit;
#[cfg(target_os = "linux")]
use super::linux as system;
#[cfg(not(target_os = "linux"))]
use super::macos as system;
use super::spec::Spec;

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
    let mut arguments = std::env::args_os().skip(2);
    let Some(shell) = arguments.next() else { return "the sandbox was given no command".into() };
    let spec = std::env::var(VARIABLE).unwrap_or_default();
    let spec: Spec = match serde_json::from_str(&spec) {
        Ok(spec) => spec,
        Err(error) => return format!("the sandbox was given no paths: {error}"),
    };
    let arguments: Vec<OsString> = arguments.collect();
    let limits = [(Resource::Fsize, 0), (Resource::Core, 0), (Resource::Cpu, PROCESSOR_S)];
    let mut command = match limits
        .into_iter()
        .try_for_each(|(resource, most)| limit(resource, most))
        .and_then(|()| system::held(&spec, &shell))
    {
        Ok(command) => command,
        Err(why) => return why,
    };
    let error = command.args(arguments).env_remove(VARIABLE).exec();
    format!("{} could not be run: {error}", shell.to_string_lossy())
}

/// The program that gives up its rights and becomes the command whose arguments follow.
pub(crate) fn command(shell: &str, spec: &str) -> Command {
    let mut command = Command::new(system::program());
    command.arg(SUBCOMMAND).arg(shell).env_clear().env(VARIABLE, spec);
    command
}
