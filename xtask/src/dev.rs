//! `cargo xtask dev`: Trunk's live reload in front of a runner.
//!
//! Builds `wasm-bindgen` at the locked version, so that Trunk fetches nothing, starts the runner without a browser, told
//! that pages of Trunk's origin are ours too, then `trunk serve`, which builds the page by the same `index.html` and passes
//! `/api` on to the runner by `Trunk.toml`. The page is built to open its WebSocket at the runner itself.
//! The first of the two that ends takes the other with it. Ctrl-C reaches both from the terminal.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::{cargo, run, say};

/// Where Trunk serves the page, and where the runner listens; `Trunk.toml` says the same.
const PAGE_ORIGIN: &str = "http://127.0.0.1:8080";
const RUNNER_PORT: &str = "8757";

pub(crate) fn start(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    if args.first().is_some_and(|first| first == "--") {
        args.remove(0);
    }
    if args.iter().any(|argument| argument.to_string_lossy().starts_with("--port")) {
        bail!(
            "`dev` uses port {RUNNER_PORT} for the runner, since Trunk.toml sends the page there: leave --port out, and stop what else listens there"
        );
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let Ok(trunk) = which::which("trunk") else {
        bail!(
            "live reload needs Trunk. Install it: cargo install trunk --version 0.21.14 --locked \
             (ten minutes on two cores). Without it, `cargo xtask run` builds and serves the page"
        );
    };
    cargo::ensure_wasm_target()?;
    let binary = run::build_runner()?;

    say::step("Building wasm-bindgen for Trunk");
    let bindgen = cargo::build("bindgen", &["--package", "wasm-tests", "--bin", "bindgen"])?;
    // Under the name that Trunk looks for, which the compiler allows to the crate of that name alone.
    let tools = cargo::root().join("target/trunk-tools");
    fs::create_dir_all(&tools)?;
    fs::copy(bindgen, tools.join(format!("wasm-bindgen{}", env::consts::EXE_SUFFIX)))?;
    let tools = std::iter::once(tools).chain(env::split_paths(&path));
    let tools = env::join_paths(tools).context("the build folder's name cannot stand in PATH")?;

    say::step("Starting the runner");
    let mut command = Command::new(&binary);
    command.args(["--no-open", "--port", RUNNER_PORT, "--dev-origin", PAGE_ORIGIN]).args(args);
    cargo::clean(&mut command);
    let runner = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", binary.display()))?;
    let mut pair = Pair { runner, trunk: None };
    let mut output = BufReader::new(pair.runner.stdout.take().context("its output is a pipe")?);
    let mut url = String::new();
    output.read_line(&mut url)?;
    let Some((_, code)) = url.trim().split_once('#') else {
        bail!("the runner ended, or said no address");
    };

    say::step("Starting Trunk. Once it has built the page, open:");
    say::result(format_args!("{PAGE_ORIGIN}/#{code}"));
    pair.trunk = Some(
        cargo::command(trunk)
            .arg("serve")
            .env("PATH", tools)
            .env("MEANWHILE_RUNNER", format!("127.0.0.1:{RUNNER_PORT}"))
            .spawn()
            .context("trunk could not be started")?,
    );
    loop {
        if pair.one_has_ended()? {
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Both programs; going out of scope ends them.
struct Pair {
    runner: Child,
    trunk: Option<Child>,
}

impl Pair {
    fn one_has_ended(&mut self) -> anyhow::Result<bool> {
        if let Some(status) = self.runner.try_wait()? {
            say::line(format_args!("The runner has ended: {status}"));
            return Ok(true);
        }
        if let Some(trunk) = &mut self.trunk
            && let Some(status) = trunk.try_wait()?
        {
            say::line(format_args!("Trunk has ended: {status}"));
            return Ok(true);
        }
        Ok(false)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in self.trunk.iter_mut().chain([&mut self.runner]) {
            // An error says that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
