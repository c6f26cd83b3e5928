//! `cargo xtask test`: all checks, one after the other, in the order of [`STEPS`].
//!
//! Each step is announced, its output passes through as it comes, and the results that test runners report in
//! it are counted on the way. The first step that fails ends the run, unless asked otherwise. At the end stands
//! a table, then what was left out, if anything was, and as the very last line `N passed, N failed`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lexopt::prelude::*;

use crate::browser::Browser;
use crate::outcome::{Counts, Failed, Outcome, at_least_one, command};
use crate::{bench, cargo, conformance, page, run, say};

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Context) -> anyhow::Result<Outcome>,
}

/// The cheap ones come first. Native tests are compiled crate by crate with the same choice of features as
/// `cargo xtask` and `cargo test -p` use, so that nothing is compiled twice.
const STEPS: &[Step] = &[
    Step { name: "fmt", what: "Format", run: |_| command(cargo::cargo().args(["fmt", "--all", "--check"])) },
    Step {
        name: "clippy",
        what: "Lints",
        run: |_| {
            command(cargo::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        },
    },
    Step { name: "clippy-wasm", what: "Lints of what runs in the page", run: clippy_wasm },
    Step { name: "docs", what: "Documentation", run: docs },
    Step {
        name: "xtask",
        what: "Tests of the build, and of the tree's tidiness",
        run: |_| test(&["-p", "xtask"]),
    },
    Step { name: "deny", what: "Advisories on dependencies, where cargo-deny is installed", run: advisories },
    Step {
        name: "native",
        what: "Native tests of the crates",
        run: |_| test(&["-p", "shared", "-p", "agent", "-p", "runner", "-p", "frontend", "-p", "fuzz"]),
    },
    Step { name: "wasm", what: "The core's and the views' tests on wasm32, in the browser", run: wasm },
    Step { name: "build", what: "The page and the runner", run: build },
    Step {
        name: "conformance",
        what: "Against software that is not ours",
        run: |context| conformance::step(|| context.binary()),
    },
    Step {
        name: "bench",
        what: "The benchmarks in small amounts: that they work, not how fast",
        run: |context| bench::step(|| context.binary()),
    },
    Step { name: "e2e", what: "End to end: the real runner, the real browser", run: end_to_end },
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
        if let Some(stray) = options.only.iter().find(|only| STEPS.iter().all(|step| step.name != **only)) {
            bail!("there is no step `{stray}`; `cargo xtask test --list` names them");
        }
        Ok(options)
    }
}

/// What later steps take from earlier ones, or make themselves when they run alone.
#[derive(Default)]
struct Context {
    browser: Option<Browser>,
    binary: Option<PathBuf>,
}

impl Context {
    fn browser(&mut self) -> anyhow::Result<Browser> {
        if self.browser.is_none() {
            self.browser = Some(Browser::ensure()?);
        }
        self.browser.clone().context("it has just been found")
    }

    fn binary(&mut self) -> anyhow::Result<PathBuf> {
        if self.binary.is_none() {
            self.binary = Some(run::build()?);
        }
        self.binary.clone().context("it has just been built")
    }
}

struct Row {
    name: &'static str,
    verdict: String,
    took: Duration,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    if options.list {
        for step in STEPS {
            say::result(format_args!("{:12} {}", step.name, step.what));
        }
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    let mut context = Context::default();
    let mut total = Counts::default();
    let mut rows = Vec::new();
    let mut steps_left_out = 0;
    for step in
        STEPS.iter().filter(|step| options.only.is_empty() || options.only.iter().any(|o| o == step.name))
    {
        say::step(format_args!("{}: {}", step.name, step.what));
        let step_began = Instant::now();
        let (counts, verdict) = match (step.run)(&mut context) {
            Ok(Outcome::Ran(counts)) if counts == Counts::default() => (counts, String::from("ok")),
            Ok(Outcome::Ran(counts)) => (counts, counts.to_string()),
            Ok(Outcome::Skipped(why)) => {
                say::line(format_args!("    Left out: {why}"));
                steps_left_out += 1;
                (Counts::default(), format!("left out: {why}"))
            }
            Err(error) => {
                say::line(format_args!("error: {}: {error:#}", step.name));
                let counts = error.downcast_ref::<Failed>().map_or(Counts::default(), |failed| failed.0);
                // A check that fails without a count, such as the format, is one failure.
                (Counts { failed: counts.failed.max(1), ..counts }, String::from("FAILED"))
            }
        };
        total = Counts {
            passed: total.passed + counts.passed,
            failed: total.failed + counts.failed,
            left_out: total.left_out + counts.left_out,
        };
        rows.push(Row { name: step.name, verdict, took: step_began.elapsed() });
        if counts.failed > 0 && !options.keep_going {
            break;
        }
    }
    say::result("");
    for Row { name, verdict, took } in &rows {
        say::result(format_args!("{name:12} {:>8}  {verdict}", say_duration(*took)));
    }
    say::result(format_args!("{:12} {:>8}", "together", say_duration(began.elapsed())));
    say::result("");
    if total.left_out > 0 || steps_left_out > 0 {
        say::result(format_args!(
            "Not everything was checked: {steps_left_out} steps and {} tests were left out, and say above what they need.",
            total.left_out
        ));
    }
    say::result(total);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What only cargo-deny knows. The rest of `deny.toml` is held by the tests of this crate.
fn advisories(_: &mut Context) -> anyhow::Result<Outcome> {
    let there =
        cargo::cargo().args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return command(cargo::cargo().args(["deny", "check"]));
    }
    Ok(Outcome::Skipped(String::from(
        "cargo-deny is not installed (cargo install --locked cargo-deny), and nothing else knows the advisories",
    )))
}

/// What is drawn in tests begins from the same seed in every run, so that a change is judged by itself and not by the luck of
/// the draw. `cargo test` draws a new one each time, and this takes another that is in the environment.
fn test(args: &[&str]) -> anyhow::Result<Outcome> {
    let mut cargo = cargo::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(args);
    for name in ["PROPTEST_RNG_SEED", "MEANWHILE_FIRST_SEED"] {
        cargo.env(name, env::var_os(name).unwrap_or_else(|| "8".into()));
    }
    command(&mut cargo)
}

fn clippy_wasm(_: &mut Context) -> anyhow::Result<Outcome> {
    cargo::ensure_wasm_target()?;
    command(cargo::cargo().args(["clippy", "-p", "shared", "-p", "agent", "-p", "frontend"]).args([
        "--target",
        "wasm32-unknown-unknown",
        "--",
        "-D",
        "warnings",
    ]))
}

fn docs(_: &mut Context) -> anyhow::Result<Outcome> {
    command(
        cargo::cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn wasm(context: &mut Context) -> anyhow::Result<Outcome> {
    cargo::ensure_wasm_target()?;
    let browser = context.browser()?;
    let capabilities = cargo::root().join("target/webdriver.json");
    fs::create_dir_all(cargo::root().join("target"))?;
    browser.write_capabilities(&capabilities)?;
    at_least_one(command(
        cargo::cargo()
            .args(["test", "--no-fail-fast", "-p", "agent", "-p", "frontend", "--lib", "--tests"])
            .args(["--target", "wasm32-unknown-unknown"])
            .env("WASM_BINDGEN_USE_BROWSER", "1")
            .env("CHROMEDRIVER", &browser.driver)
            .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &capabilities)
            // Seconds; a cold browser on a busy machine takes some, and so do simulations.
            .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")
            .env("WASM_BINDGEN_TEST_TIMEOUT", "600"),
    )?)
}

fn build(context: &mut Context) -> anyhow::Result<Outcome> {
    page::build(page::Profile::Page)?;
    context.binary = Some(run::build_runner()?);
    Ok(Outcome::Ran(Counts::default()))
}

fn end_to_end(context: &mut Context) -> anyhow::Result<Outcome> {
    let browser = context.browser()?;
    let binary = context.binary()?;
    at_least_one(command(
        cargo::cargo()
            .args(["test", "--no-fail-fast", "-p", "e2e"])
            .env("MEANWHILE_BIN", absolute(&binary))
            .env("CHROMIUM", &browser.chromium)
            .env("CHROMEDRIVER", &browser.driver),
    )?)
}

fn absolute(file: &Path) -> PathBuf {
    if file.is_absolute() { file.to_owned() } else { cargo::root().join(file) }
}

fn say_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{}:{:02} min", seconds / 60, seconds % 60)
    }
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
