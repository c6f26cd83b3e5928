//! `cargo xtask dev`: Trunk's live reload in front of a runner.
//!
//! Builds `wasm-bindgen` at the locked version, so that Trunk fetches nothing, starts the runner without a
//! browser, told that pages of Trunk's origin are ours too, then `trunk serve`, which builds the page by the
//! same `index.html` and passes `/api` on to the runner by `Trunk.toml`. The page is built to open its
//! WebSocket at the runner itself. The first of the two that ends takes the other with it. Ctrl-C reaches
//! both from the terminal.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::{cargo, run};

/// Where Trunk serves the page, and where the runner listens; `Trunk.toml` says the same.
const PAGE_ORIGIN: &str = "http://127.0.0.1:8080";
const RUNNER_PORT: &str = "8757";

pub(crate) fn start(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    if args.iter().any(|argument| argument.to_string_lossy().starts_with("--port")) {
        bail!(
            "`dev` uses port {RUNNER_PORT} for the runner, since Trunk.toml sends the page there: leave --port out, \
             and stop what else listens there"
        );
    }
    let trunk = which::which("trunk").context(
        "live reload needs Trunk. Install it: cargo install trunk --version 0.21.14 --locked \
         (ten minutes on two cores). Without it, `cargo xtask run` builds and serves the page",
    )?;
    cargo::ensure_wasm_target()?;
    let binary = run::build_runner()?;
    eprintln!("==> Building wasm-bindgen for Trunk");
    let bindgen = cargo::build("bindgen", &["--package", "wasm-tests", "--bin", "bindgen"])?;
    // Under the name that Trunk looks for, which the compiler allows to the crate of that name alone.
    let tools = cargo::root().join("target/trunk-tools");
    fs::create_dir_all(&tools)?;
    fs::copy(bindgen, tools.join("wasm-bindgen"))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))
        .context("the build folder's name cannot stand in PATH")?;

    eprintln!("==> Starting the runner");
    let mut command = Command::new(&binary);
    command.args(["--no-open", "--port", RUNNER_PORT, "--dev-origin", PAGE_ORIGIN]).stdout(Stdio::piped());
    command.args(args.into_iter().skip_while(|argument| argument == "--"));
    cargo::clean(&mut command);
    let runner = command.spawn().with_context(|| format!("{} could not be started", binary.display()))?;
    let mut started = Started(vec![("The runner", runner)]);
    let mut output = BufReader::new(started.0[0].1.stdout.take().context("its output is a pipe")?);
    let mut url = String::new();
    output.read_line(&mut url)?;
    let (_, code) = url.trim().split_once('#').context("the runner ended, or said no address")?;

    eprintln!("==> Starting Trunk. Once it has built the page, open:");
    println!("{PAGE_ORIGIN}/#{code}");
    let mut command = cargo::command(trunk);
    command.arg("serve").env("PATH", path).env("MEANWHILE_RUNNER", format!("127.0.0.1:{RUNNER_PORT}"));
    started.0.push(("Trunk", command.spawn().context("trunk could not be started")?));
    loop {
        for (name, child) in &mut started.0 {
            if let Some(status) = child.try_wait()? {
                eprintln!("{name} has ended: {status}");
                return Ok(ExitCode::FAILURE);
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Programs that end when this goes out of scope.
struct Started(Vec<(&'static str, Child)>);

impl Drop for Started {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            // An error says that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
