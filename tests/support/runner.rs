//! The real runner: the binary `meanwhile` with a workspace, a state folder and a port of its own.
//!
//! What runs: one process, started with nothing but what a test names in its environment. Its standard output is read for the
//! pairing link, its standard error is kept. Dropping it asks it to stop, insists after a while, and then fails the test if it
//! wrote an `ERROR`, or if anything that it had started is still there.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_anthropic::{FakeAnthropic, KEY};
use crate::process;
use crate::wait;

/// How long the runner may take to stop after it was asked.
const STOP_TIME: Duration = Duration::from_secs(15);

/// How to start it.
#[derive(Default)]
pub struct Options {
    /// Further variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Whether its workspace is its home folder.
    pub at_home: bool,
    /// Parts of `ERROR` lines that the test brings about on purpose.
    pub expected_errors: Vec<String>,
}

impl Options {
    /// With the fake model as the relay's upstream.
    #[must_use]
    pub fn relay(mut self, model: &FakeAnthropic) -> Self {
        self.environment.insert("ANTHROPIC_BASE_URL".to_owned(), model.url());
        self.environment.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
        self
    }

    /// With an origin that the page may call directly.
    #[must_use]
    pub fn connect(mut self, origin: &str) -> Self {
        self.arguments.extend(["--connect".to_owned(), origin.to_owned()]);
        self
    }
}

/// A runner.
pub struct Runner {
    child: Child,
    folder: TempDir,
    link: String,
    log: Arc<Mutex<Vec<String>>>,
    options: Options,
}

/// What a paired client has.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the runner is.
    pub address: SocketAddr,
    /// The bearer credential.
    pub credential: String,
}

impl Runner {
    /// Starts one without a model.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts one.
    pub async fn with(options: Options) -> Self {
        let folder = TempDir::with_prefix("meanwhile-runner-").expect("there is a temporary folder");
        for name in ["workspace", "state", "home"] {
            std::fs::create_dir(folder.path().join(name)).expect("a fresh folder takes folders");
        }
        let log = Arc::new(Mutex::new(Vec::new()));
        let (child, link) = launch(folder.path(), &options, own_port(), &log).await;
        Self { child, folder, link, log, options }
    }

    /// Starts it again where it was: the same port, workspace and state.
    ///
    /// # Panics
    /// If it does not start. If it still runs, it is stopped first.
    pub async fn start_again(&mut self) {
        self.stop();
        let (port, log) = (self.address().port(), Arc::clone(&self.log));
        (self.child, self.link) = launch(self.folder.path(), &self.options, port, &log).await;
    }

    /// The pairing link as printed.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Its address without the code: `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        let end = self.link.find("/#").unwrap_or_else(|| panic!("{:?} is no pairing link", self.link));
        self.link[..end].to_owned()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let origin = self.origin();
        let address = origin.strip_prefix("http://").expect("the link is an http link");
        address.parse().unwrap_or_else(|error| panic!("{address:?} is no address: {error}"))
    }

    /// The workspace.
    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Freezes its process, but not what it started.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets its process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is a child of this process");
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Exchanges the printed code for a credential.
    pub async fn pair(&self) -> Client {
        self.pair_by(&self.link).await
    }

    /// Exchanges a link's code for a credential.
    pub async fn pair_by(&self, link: &str) -> Client {
        let (_, code) = link.split_once("#pair=").unwrap_or_else(|| panic!("{link:?} holds no code"));
        let answer = self.post("/api/pair", &json!({"code": code, "name": "tests"})).await;
        let credential = answer["credential"].as_str().unwrap_or_else(|| panic!("no credential in {answer}"));
        Client { address: self.address(), credential: credential.to_owned() }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new()
            .post(format!("{}{path}", self.origin()))
            .header("origin", self.origin())
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = wait::soon(path, request.send()).await.expect("the runner answers");
        let status = answer.status();
        let text = answer.text().await.expect("the answer is whole");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("the answer is JSON")
    }

    /// A further pairing link, from the command line.
    pub async fn fresh_link(&self) -> String {
        self.command(&["pair"]).await
    }

    /// What a subcommand says about this runner.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary());
        place(&mut command, self.folder.path());
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = wait::soon("a subcommand", output).await.expect("it does not panic").expect("it starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it says text").trim().to_owned()
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status;
        }
        let _ended = kill_process(self.pid(), Signal::TERM);
        let end = Instant::now() + STOP_TIME;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ended = self.child.kill();
        self.child.wait().expect("a killed process ends")
    }

    fn faults(&self) -> Vec<String> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let grave = |line: &&String| {
            line.split_whitespace().take(3).any(|word| word.contains("ERROR"))
                && !self.options.expected_errors.iter().any(|text| line.contains(text.as_str()))
        };
        lines.iter().filter(grave).cloned().collect()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let started = process::descendants(self.pid());
        let status = self.stop();
        // Whatever a crash of the runner would take a moment to take down.
        let end = Instant::now() + Duration::from_secs(2);
        while started.iter().any(|process| process::lives(*process)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let left: Vec<Pid> = started.into_iter().filter(|process| process::lives(*process)).collect();
        process::kill_all(&left);
        if thread::panicking() {
            return;
        }
        assert!(left.is_empty(), "the runner ({status}) left processes: {left:?}; its log:\n{}", self.log());
        let faults = self.faults();
        assert!(faults.is_empty(), "the runner logged errors: {faults:#?}");
        assert!(status.success(), "the runner ended with {status}; its log:\n{}", self.log());
    }
}

/// A port below those that the system gives out by itself: nobody gets it by chance while its runner is started again.
fn own_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 18_000..32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run side by side begin at different places.
    let begin = u16::try_from(std::process::id() % 1_000).unwrap_or(0).wrapping_mul(61);
    for _ in PORTS {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + number % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Starts the binary and waits for its link. What it logs goes to `log`.
async fn launch(
    folder: &Path,
    options: &Options,
    port: u16,
    log: &Arc<Mutex<Vec<String>>>,
) -> (Child, String) {
    let mut child = command(folder, options, port)
        .spawn()
        .unwrap_or_else(|error| panic!("{} could not be started: {error}", binary().display()));
    let errors = BufReader::new(child.stderr.take().expect("it is piped"));
    let kept = Arc::clone(log);
    thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + wait::PATIENCE;
    loop {
        match lines.try_recv() {
            Ok(link) => return (child, link),
            Err(mpsc::TryRecvError::Empty) if Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(why) => {
                let log = log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
                panic!("the runner printed no link ({why}); its log:\n{log}");
            }
        }
    }
}

fn command(folder: &Path, options: &Options, port: u16) -> Command {
    let mut command = Command::new(binary());
    place(&mut command, folder);
    if options.at_home {
        command.env("HOME", folder.join("workspace"));
    }
    command
        .args(["--port", &port.to_string(), "--no-open", "--log", "info"])
        .args(&options.arguments)
        .envs(&options.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The same place for the runner and its subcommands, and nothing of this process's environment but what programs need.
fn place(command: &mut Command, folder: &Path) {
    command.env_clear();
    for name in ["PATH", "LANG", "LC_ALL", "TMPDIR"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("HOME", folder.join("home")).current_dir(folder);
    command.arg("--workspace").arg(folder.join("workspace")).arg("--state-dir").arg(folder.join("state"));
}

/// The binary: as named in `MEANWHILE_BIN`, or where cargo puts it beside these tests.
fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("MEANWHILE_BIN") {
        return binary.into();
    }
    let test = env::current_exe().expect("a test knows its own file");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let binary = folder.join(format!("meanwhile{}", env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is not there: run `cargo xtask test`, or `cargo build -p runner` first, or set MEANWHILE_BIN",
        binary.display()
    );
    binary
}
