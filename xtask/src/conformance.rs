//! `cargo xtask conformance`: checks against software that is not ours, fetched into `target/conformance`.
//!
//! Also a step of `cargo xtask test`. Each suite names the programs that it needs and what is to be fetched for it; where a
//! program is missing or something cannot be fetched, the suite is left out with a word. The checks themselves are the test
//! target `conformance` of the package `e2e`, started here once a suite. Nothing that is fetched is ever committed.

mod fetch;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::outcome::{self, Counts, Outcome};
use crate::{cargo, run, say};

struct Suite {
    /// As the test target calls it.
    name: &'static str,
    what: &'static str,
    needs: &'static [&'static Program],
    /// Whether it reads the recorded streams.
    streams: bool,
}

/// A program that a suite needs.
struct Program {
    names: &'static [&'static str],
    install: &'static str,
}

const NODE: Program =
    Program { names: &["node"], install: "install Node.js, version 20.15 or newer, from https://nodejs.org" };
const NPM: Program = Program { names: &["npm"], install: "install npm; it comes with Node.js" };
const PIP: Program =
    Program { names: &["pip3", "pip"], install: "install Python's pip, version 3.9 or newer of Python" };
const TAR: Program = Program { names: &["tar"], install: "install tar" };

const SUITES: &[Suite] = &[
    Suite {
        name: "streams",
        what: "the official SDK's recorded streams",
        needs: &[&NODE, &NPM, &PIP, &TAR],
        streams: true,
    },
    Suite {
        name: "sdk",
        what: "the official SDK, against our fake model and through our relay",
        needs: &[&NODE, &NPM],
        streams: false,
    },
    Suite { name: "aimock", what: "our loop against aimock", needs: &[&NODE, &NPM], streams: false },
];

/// Runs all suites, and closes with their counts. `MEANWHILE_BIN` may name a runner that is already built.
pub(crate) fn command() -> anyhow::Result<ExitCode> {
    let binary = env::var_os("MEANWHILE_BIN").filter(|file| !file.is_empty()).map(PathBuf::from);
    let counts = match step(|| binary.map_or_else(run::build, Ok))? {
        Outcome::Ran(counts) => counts,
        Outcome::Skipped(why) => {
            say::line(format_args!("    Left out: {why}"));
            Counts::default()
        }
    };
    say::result(counts);
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All suites whose programs are there. The runner is asked for only if one of them runs.
pub(crate) fn step(binary: impl FnOnce() -> anyhow::Result<PathBuf>) -> anyhow::Result<Outcome> {
    let (mut ready, mut left_out) = (Vec::new(), Vec::new());
    for suite in SUITES {
        match prepare(suite) {
            Ok(fetched) => ready.push((suite, fetched)),
            Err(why) => left_out.push(format!("{}: {why:#}", suite.what)),
        }
    }
    for suite in &left_out {
        say::line(format_args!("    Left out: {suite}"));
    }
    if ready.is_empty() {
        return Ok(Outcome::Skipped(left_out.join("; ")));
    }
    let binary = cargo::root().join(binary()?);
    let mut total = Counts::default();
    for (suite, fetched) in ready {
        say::step(format_args!("conformance: {}", suite.what));
        let counts = match check(suite, &fetched, &binary) {
            Ok(Outcome::Ran(counts)) if counts.passed > 0 => counts,
            Ok(_) => {
                say::line(format_args!("error: conformance: {}: no check was run", suite.what));
                Counts { failed: 1, ..Counts::default() }
            }
            Err(error) => {
                say::line(format_args!("error: conformance: {}: {error:#}", suite.what));
                let counts =
                    error.downcast_ref::<outcome::Failed>().map_or(Counts::default(), |failed| failed.0);
                Counts { failed: counts.failed.max(1), ..counts }
            }
        };
        say::line(format_args!("    {}: {counts}", suite.name));
        total = Counts {
            passed: total.passed + counts.passed,
            failed: total.failed + counts.failed,
            ..Counts::default()
        };
    }
    Ok(Outcome::Ran(total))
}

/// What a suite runs with.
struct Fetched {
    node: PathBuf,
    packages: PathBuf,
    streams: Option<PathBuf>,
}

/// Looks for a suite's programs and fetches what it needs, unless it is there from an earlier run.
fn prepare(suite: &Suite) -> anyhow::Result<Fetched> {
    for program in suite.needs {
        find(program)?;
    }
    let node = find(&NODE)?;
    fetch::check_node(&node)?;
    let folder = cargo::root().join("target/conformance");
    let packages = fetch::packages(&find(&NPM)?, &folder)?;
    let streams =
        if suite.streams { Some(fetch::streams(&find(&PIP)?, &find(&TAR)?, &folder)?) } else { None };
    Ok(Fetched { node, packages, streams })
}

fn find(program: &Program) -> anyhow::Result<PathBuf> {
    let found = program.names.iter().find_map(|name| which::which(name).ok());
    found.ok_or_else(|| anyhow::anyhow!("there is no {}; {}", program.names.join(" or "), program.install))
}

fn check(suite: &Suite, fetched: &Fetched, binary: &Path) -> anyhow::Result<Outcome> {
    let mut command = cargo::cargo();
    command
        .args(["test", "-p", "e2e", "--test", "conformance", "--", suite.name])
        .env("MEANWHILE_BIN", binary)
        .env("CONFORMANCE_NODE", &fetched.node)
        .env("CONFORMANCE_PACKAGES", &fetched.packages);
    if let Some(streams) = &fetched.streams {
        command.env("CONFORMANCE_STREAMS", streams);
    }
    outcome::command(&mut command)
}
