//! `cargo xtask bench`: builds the optimised runner and the package `bench`, and has it measure the one.
//!
//! The table goes to standard output and, if everything was measured, to `docs/benchmarks.md`. The page is
//! not measured, so it is not built.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::counts::{self, Counts};
use crate::{cargo, run};

/// Measures; the arguments are those of the package `bench`.
pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    eprintln!("==> Building the optimised runner and what measures it");
    let bench = cargo::build("bench", &["--release", "--package", "bench", "--bins"])?;
    let runner = cargo::build("meanwhile", &["--release", "--package", "runner", "--bin", "meanwhile"])?;
    let mut command = cargo::command(bench);
    command.arg("--runner").arg(runner).arg("--out").arg("docs/benchmarks.md").args(args);
    let status = command.status().context("the measuring program could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything in small amounts as a check that it works; whatever the figures are.
pub(crate) fn step() -> anyhow::Result<Counts> {
    if which::which("python3").is_err() {
        return Ok(Counts::left_out("there is no python3, which one of the baselines needs"));
    }
    let bench = cargo::build("bench", &["--package", "bench", "--bins"])?;
    let mut counts = counts::run(cargo::cargo().args(["test", "--package", "bench"]))?;
    let quick = counts::run(cargo::command(bench).arg("--quick").arg("--runner").arg(run::build()?))?;
    counts += Counts { passed: u64::from(quick.failed == 0), ..quick };
    Ok(counts)
}
