//! `cargo xtask test`: all checks, one after the other, in the order of [`STEPS`].
//!
//! Each step is announced, its output passes through as it comes, and the results that test runners report in
//! it are counted on the way. The first step that fails ends the run, unless asked otherwise. At the end
//! stands a table, then what was left out, if anything was, and as the very last line `N passed, N failed`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use lexopt::prelude::*;
use serde_json::json;

use crate::browser::Browser;
use crate::counts::{self, Counts};
use crate::{bench, cargo, conformance, run};

/// A name, what it checks, and the check.
type Step = (&'static str, &'static str, fn() -> anyhow::Result<Counts>);

/// The cheap ones come first. Native tests are compiled crate by crate with the same choice of features as
/// `cargo xtask` and `cargo test -p` use, so that nothing is compiled twice. What a step needs of an earlier
/// one it makes itself; where that is there already, it takes seconds.
const STEPS: &[Step] = &[
    ("fmt", "Format", || cargo("fmt --all --check")),
    ("clippy", "Lints", || cargo("clippy --workspace --all-targets -- -D warnings")),
    ("clippy-wasm", "Lints of what runs in the page", || {
        cargo::ensure_wasm_target()?;
        cargo("clippy -p shared -p agent -p frontend --target wasm32-unknown-unknown -- -D warnings")
    }),
    ("docs", "Documentation", || {
        let mut doc = cargo::cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
        counts::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("tidy", "Rules about the tree itself", || test("-p xtask --test tree --test faults")),
    ("xtask", "Tests of the build", || test("-p xtask --bins --test cli")),
    ("deny", "Advisories on dependencies, where cargo-deny is installed", advisories),
    ("native", "Native tests of the crates", || test("-p shared -p agent -p runner -p frontend -p fuzz")),
    ("wasm", "The core's and the views' tests on wasm32, in the browser", wasm),
    ("build", "The page and the runner", || run::build().map(|_| Counts::default())),
    ("conformance", "Against software that is not ours", conformance::step),
    ("bench", "The benchmarks in small amounts: that they work, not how fast", bench::step),
    ("e2e", "End to end: the real runner, the real browser", || {
        let browser = Browser::ensure()?.shell();
        let mut test = cargo::cargo();
        test.args(["test", "--no-fail-fast", "-p", "e2e"]).env("MEANWHILE_BIN", run::build()?);
        test.env("CHROMIUM", &browser.chromium).env("CHROMEDRIVER", &browser.driver);
        // Most of the time these tests wait for commands that sleep.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        test.env("RUST_TEST_THREADS", (2 * cores).to_string());
        counts::run(&mut test)?.at_least_one()
    }),
];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    only: Vec<String>,
    list: bool,
    keep_going: bool,
}

impl Options {
    pub(crate) fn parse(mut args: lexopt::Parser) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = args.next()? {
            match argument {
                Long("only") => options.only.push(args.value()?.string()?),
                Long("list") => options.list = true,
                Long("keep-going") => options.keep_going = true,
                Long(_) | Short(_) | Value(_) => return Err(argument.unexpected().into()),
            }
        }
        if let Some(stray) = options.only.iter().find(|only| STEPS.iter().all(|(name, ..)| name != only)) {
            bail!("there is no step `{stray}`; `cargo xtask test --list` names them");
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    if options.list {
        for (name, what, _) in STEPS {
            println!("{name:12} {what}");
        }
        return ExitCode::SUCCESS;
    }
    let chosen = |(name, ..): &&Step| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let began = Instant::now();
    let (mut total, mut rows) = (Counts::default(), Vec::new());
    for (name, what, step) in STEPS.iter().filter(chosen) {
        eprintln!("==> {name}: {what}");
        let step_began = Instant::now();
        let counts = step().unwrap_or_else(|error| {
            eprintln!("error: {name}: {error:#}");
            Counts { failed: 1, ..Counts::default() }
        });
        total += counts;
        let verdict = match counts {
            Counts { failed: 1.., .. } => format!("FAILED: {counts}"),
            Counts { passed: 0, left_out: 0, .. } => String::from("ok"),
            Counts { .. } => counts.to_string(),
        };
        rows.push(format!("{name:12} {:>8.1?}  {verdict}", step_began.elapsed()));
        if counts.failed > 0 && !options.keep_going {
            break;
        }
    }
    println!("\n{}\n{:12} {:>8.1?}\n", rows.join("\n"), "together", began.elapsed());
    if total.left_out > 0 {
        println!("Not everything was checked: {} left out, which say above what they need.", total.left_out);
    }
    println!("{total}");
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes repairs out of the agent, all or those that are named: see `xtask/tests/faults.rs`.
pub(crate) fn faults(names: &[OsString]) -> anyhow::Result<ExitCode> {
    let names = if names.is_empty() { OsString::from("all") } else { names.join(",".as_ref()) };
    let mut test = cargo::cargo();
    test.args(["test", "--quiet", "--package", "xtask", "--test", "faults", "--", "--nocapture"]);
    let status = test.env("MEANWHILE_FAULTS", names).status().context("cargo could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo(args: &str) -> anyhow::Result<Counts> {
    counts::run(cargo::cargo().args(args.split(' ')))
}

/// What is drawn in tests begins from the same seed in every run, so that a change is judged by itself and
/// not by the luck of the draw. `cargo test` draws a new one each time, and this takes another that is in the
/// environment. What a model reads is compared with what is checked in, and nothing new is written.
fn test(args: &str) -> anyhow::Result<Counts> {
    let mut cargo = cargo::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(args.split(' ')).env("INSTA_UPDATE", "no");
    for name in ["PROPTEST_RNG_SEED", "MEANWHILE_FIRST_SEED"] {
        cargo.env(name, env::var_os(name).unwrap_or_else(|| "8".into()));
    }
    counts::run(&mut cargo)
}

/// What only cargo-deny knows. The rest of `deny.toml` is held by the rules about the tree.
fn advisories() -> anyhow::Result<Counts> {
    let mut version = cargo::cargo();
    version.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return cargo("deny check");
    }
    Ok(Counts::left_out(
        "cargo-deny is not installed (cargo install --locked cargo-deny), and nothing else knows the advisories",
    ))
}

fn wasm() -> anyhow::Result<Counts> {
    cargo::ensure_wasm_target()?;
    let browser = Browser::ensure()?;
    let capabilities = cargo::root().join("target/webdriver.json");
    fs::create_dir_all(cargo::root().join("target"))?;
    let options = json!({"binary": browser.chromium, "args": ["--headless=new", "--disable-gpu"]});
    fs::write(&capabilities, json!({"goog:chromeOptions": options}).to_string())?;
    let mut test = cargo::cargo();
    test.args(["test", "--no-fail-fast", "-p", "agent", "-p", "frontend", "--lib", "--tests"])
        .args(["--target", "wasm32-unknown-unknown"])
        .env("WASM_BINDGEN_USE_BROWSER", "1")
        .env("CHROMEDRIVER", &browser.driver)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &capabilities)
        // Seconds; a cold browser on a busy machine takes some, and so do simulations.
        .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")
        .env("WASM_BINDGEN_TEST_TIMEOUT", "600");
    counts::run(&mut test)?.at_least_one()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name_and_unknown_ones_refused() {
        let parse = |args: &[&str]| Options::parse(lexopt::Parser::from_args(args));
        let options = parse(&["--only", "fmt", "--only=e2e", "--keep-going"]).unwrap();
        assert_eq!(options.only, ["fmt", "e2e"]);
        assert!(options.keep_going && !options.list);
        assert!(parse(&["--only", "format"]).is_err());
        assert!(parse(&["fmt"]).is_err());
    }
}
