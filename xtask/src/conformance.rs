//! `cargo xtask conformance`: checks against software that is not ours, fetched into `target/conformance`.
//!
//! Also a step of `cargo xtask test`. Each suite names the programs that it needs; where one is missing, the
//! suite is left out with a word. Nothing that is fetched is ever committed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::test::{Counts, Outcome};
use crate::{browser, cargo, say};

struct Suite {
    what: &'static str,
    needs: &'static [&'static str],
    /// Gets a folder of its own that survives between runs.
    run: fn(&Path) -> anyhow::Result<Outcome>,
}

const SUITES: &[Suite] = &[];

/// Runs all suites, and closes with their counts.
pub(crate) fn command() -> anyhow::Result<ExitCode> {
    let counts = match step()? {
        Outcome::Ran(counts) => counts,
        Outcome::Skipped(why) => {
            say::line(format_args!("    Left out: {why}"));
            Counts::default()
        }
    };
    say::result(counts);
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All suites whose programs are there.
pub(crate) fn step() -> anyhow::Result<Outcome> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut total = Counts::default();
    let mut left_out = Vec::new();
    for suite in SUITES {
        if let Some(missing) = suite.needs.iter().find(|name| browser::find_in(&path, &[**name]).is_none()) {
            left_out.push(format!("{} (needs {missing})", suite.what));
            continue;
        }
        say::step(format_args!("conformance: {}", suite.what));
        match (suite.run)(&folder()?)? {
            Outcome::Ran(counts) => {
                total = Counts { passed: total.passed + counts.passed, failed: total.failed + counts.failed };
            }
            Outcome::Skipped(why) => left_out.push(format!("{} ({why})", suite.what)),
        }
    }
    for suite in &left_out {
        say::line(format_args!("    Left out: {suite}"));
    }
    Ok(if total == Counts::default() {
        Outcome::Skipped(if SUITES.is_empty() {
            String::from("there is no suite")
        } else {
            left_out.join(", ")
        })
    } else {
        Outcome::Ran(total)
    })
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = cargo::root().join("target/conformance");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
