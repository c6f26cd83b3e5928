//! `cargo xtask run`: builds the page and the runner, then becomes the runner.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::{cargo, page, say};

/// Builds the page and a runner that holds it. Returns the runner's file.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    page::build(page::Profile::Page)?;
    build_runner()
}

/// Builds a runner that holds the page as it was last built. Returns the runner's file.
pub(crate) fn build_runner() -> anyhow::Result<PathBuf> {
    say::step("Building the runner");
    cargo::build("meanwhile", &["--package", "runner", "--bin", "meanwhile"])
}

/// Builds and starts the runner in the caller's folder, with these arguments. On Unix this process becomes
/// the runner, so that signals, exit status and output are its own. Returns only if it could not be started.
pub(crate) fn run(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    if args.first().is_some_and(|first| first == "--") {
        args.remove(0);
    }
    let binary = build()?;
    say::step(format_args!("Starting {}", binary.display()));
    let mut command = Command::new(&binary);
    command.args(args);
    cargo::clean(&mut command);
    become_program(command).with_context(|| format!("{} could not be started", binary.display()))
}

#[cfg(unix)]
fn become_program(mut command: Command) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_program(mut command: Command) -> anyhow::Result<ExitCode> {
    // The console sends Ctrl-C to both processes; the runner ends in its own order, and we after it.
    let status = command.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
