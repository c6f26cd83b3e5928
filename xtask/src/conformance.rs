//! The step `conformance`: checks against software that is not ours, which npm and pip fetch into
//! `target/conformance`.
//!
//! The checks themselves are the test target `conformance` of the package `e2e`;
//! `tests/conformance/package.json` says what npm fetches. Where a program is missing or something cannot be
//! fetched, what needs it is left out with a word. Nothing that is fetched is ever committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::counts::{self, Counts};
use crate::{cargo, run};

/// Whose source distribution alone holds the recorded streams.
const PYTHON_SDK: &str = "anthropic-2.10.0";

pub(crate) fn step() -> anyhow::Result<Counts> {
    let folder = cargo::root().join("target/conformance");
    fs::create_dir_all(&folder)?;
    let node = match packages(&folder) {
        Ok(node) => node,
        Err(why) => {
            return Ok(Counts::left_out(format_args!(
                "the official SDK's recorded streams, the official SDK against our fake model and through our \
                 relay, our loop against aimock: {why:#}"
            )));
        }
    };
    let mut tests = cargo::cargo();
    tests.args(["test", "-p", "e2e", "--test", "conformance", "--", "sdk", "aimock"]);
    tests.env("CONFORMANCE_NODE", node).env("CONFORMANCE_PACKAGES", &folder);
    let mut counts = Counts::default();
    match streams(&folder) {
        Ok(streams) => drop(tests.arg("streams").env("CONFORMANCE_STREAMS", streams)),
        Err(why) => {
            counts = Counts::left_out(format_args!("the official SDK's recorded streams: {why:#}"));
        }
    }
    counts += counts::run(tests.env("MEANWHILE_BIN", run::build()?))?.at_least_one()?;
    Ok(counts)
}

/// The official SDK for JavaScript and aimock. Returns the Node.js that runs them.
fn packages(folder: &Path) -> anyhow::Result<PathBuf> {
    let node = find(&["node"], "install Node.js, version 20.15 or newer, from https://nodejs.org")?;
    let npm = find(&["npm"], "install npm; it comes with Node.js")?;
    fs::copy(cargo::root().join("tests/conformance/package.json"), folder.join("package.json"))?;
    let mut command = cargo::command(npm);
    command.args(["install", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund"]);
    finish(command.arg("--no-update-notifier").current_dir(folder))?;
    Ok(node)
}

/// The streams that the official SDK for Python tests itself with. Returns the folder that holds them.
fn streams(folder: &Path) -> anyhow::Result<PathBuf> {
    let pip = find(&["pip3", "pip"], "install Python's pip, version 3.9 or newer of Python")?;
    let tar = find(&["tar"], "install tar")?;
    let (archive, fixtures) =
        (format!("{PYTHON_SDK}.tar.gz"), format!("{PYTHON_SDK}/tests/lib/streaming/fixtures"));
    if !folder.join(&archive).is_file() {
        let mut command = cargo::command(pip);
        command.args(["download", "--no-deps", "--no-binary", "anthropic", "--disable-pip-version-check"]);
        finish(command.arg(PYTHON_SDK.replace('-', "==")).current_dir(folder))?;
    }
    finish(cargo::command(tar).args(["-xzf", &archive, &fixtures]).current_dir(folder))?;
    Ok(folder.join(fixtures))
}

fn find(names: &[&str], install: &str) -> anyhow::Result<PathBuf> {
    let found = names.iter().find_map(|name| which::which(name).ok());
    found.with_context(|| format!("there is no {}; {install}", names.join(" or ")))
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("{program} could not be started"))?;
    ensure!(status.success(), "{program} failed, as it says above; it needs the network once");
    Ok(())
}
