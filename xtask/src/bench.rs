//! `cargo xtask bench`: builds the optimised runner and the package `bench`, and has it measure the one.
//!
//! The table goes to standard output and, if everything was measured, to `docs/benchmarks.md`. The page is not measured, so
//! it is not built. Pueue is fetched and compiled only when asked for, into `target/bench-tools`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use lexopt::prelude::*;

use crate::outcome::{self, Counts, Outcome};
use crate::{cargo, say};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    only: Vec<String>,
    quick: bool,
    pueue: bool,
}

impl Options {
    pub(crate) fn parse(mut args: lexopt::Parser) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = args.next()? {
            match argument {
                Long("only") => options.only.push(args.value()?.string()?),
                Long("quick") => options.quick = true,
                Long("pueue") => options.pueue = true,
                Long(_) | Short(_) | Value(_) => return Err(argument.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// Measures.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    say::step("Building the optimised runner and what measures it");
    let runner = cargo::build("meanwhile", &["--release", "--package", "runner", "--bin", "meanwhile"])?;
    let bench = cargo::build("bench", &["--release", "--package", "bench", "--bins"])?;
    let mut command = cargo::command(bench);
    command.arg("--runner").arg(runner);
    for only in &options.only {
        command.args(["--only", only]);
    }
    if options.quick {
        command.arg("--quick");
    } else if options.only.is_empty() {
        command.arg("--out").arg(cargo::root().join("docs/benchmarks.md"));
    }
    if options.pueue {
        command.arg("--pueue").arg(pueue()?);
    }
    let status = command.status().context("the measuring program could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything in small amounts with a runner that is there, as a check that it works; whatever the figures are.
pub(crate) fn step(binary: impl FnOnce() -> anyhow::Result<PathBuf>) -> anyhow::Result<Outcome> {
    let python = cargo::command("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        return Ok(Outcome::Skipped(String::from("there is no python3, which one of the baselines needs")));
    }
    let bench = cargo::build("bench", &["--package", "bench", "--bins"])?;
    let outcome = outcome::command(cargo::cargo().args(["test", "--package", "bench"]))?;
    outcome::command(
        cargo::command(bench).arg("--quick").arg("--runner").arg(cargo::root().join(binary()?)),
    )?;
    Ok(match outcome {
        Outcome::Ran(counts) => Outcome::Ran(Counts { passed: counts.passed + 1, ..counts }),
        skipped @ Outcome::Skipped(_) => skipped,
    })
}

/// The folder with pueue's programs, which it is compiled into if they are not there.
fn pueue() -> anyhow::Result<PathBuf> {
    let tools = cargo::root().join("target/bench-tools");
    let folder = tools.join("bin");
    if !folder.join("pueued").is_file() {
        say::step("Compiling pueue; this takes minutes, once");
        let status = cargo::cargo()
            .args(["install", "pueue", "--locked", "--root"])
            .arg(&tools)
            .status()
            .context("cargo could not be started")?;
        ensure!(status.success(), "pueue could not be installed; leave --pueue out");
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_to_measure() {
        let parse = |words: &[&str]| Options::parse(lexopt::Parser::from_args(words));
        assert_eq!(parse(&[]).unwrap(), Options::default());
        let options = parse(&["--quick", "--only", "output", "--only=pages", "--pueue"]).unwrap();
        assert_eq!(
            options,
            Options { only: vec!["output".into(), "pages".into()], quick: true, pueue: true }
        );
        assert!(parse(&["--fast"]).is_err());
    }
}
