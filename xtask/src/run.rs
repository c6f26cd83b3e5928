//! `cargo xtask run`: builds the page and the runner, then becomes the runner.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::{cargo, page};

/// Builds the page and a runner that holds it. Returns the runner's file, which is absolute.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    page::build("page")?;
    build_runner()
}

/// Builds a runner that holds the page as it was last built. Returns the runner's file.
pub(crate) fn build_runner() -> anyhow::Result<PathBuf> {
    eprintln!("==> Building the runner");
    cargo::build("meanwhile", &["--package", "runner", "--bin", "meanwhile"])
}

/// Builds and starts the runner in the caller's folder, with these arguments. This process becomes the
/// runner, so that signals, exit status and output are its own. Returns only if it could not be started.
pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let binary = build()?;
    eprintln!("==> Starting {}", binary.display());
    let mut command = Command::new(&binary);
    command.args(args.into_iter().skip_while(|argument| argument == "--"));
    cargo::clean(&mut command);
    Err(command.exec()).with_context(|| format!("{} could not be started", binary.display()))
}
