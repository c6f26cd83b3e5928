//! A runner whose end is judged: dropping it asks it to stop, insists after a while, and then fails the test
//! if it wrote an `ERROR`, or if anything that it or an earlier one in its folder had started is still there,
//! whoever its parent is by then. Before it is started again, the same is looked for.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::runner::{Runner as Process, command, folder, place};
use testkit::{http, process, wait};
use tokio::process::Command;

use crate::fake_anthropic::{FakeAnthropic, KEY};

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
    process: Process,
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
        let folder = folder();
        let command = started(folder.path(), &options, own_port());
        Self { process: Process::launch(command, folder).await, options }
    }

    /// Starts it again where it was: the same port, workspace and state.
    ///
    /// # Panics
    /// If it does not start, or its predecessor left processes. If that still runs, it is stopped first.
    pub async fn start_again(&mut self) {
        let left = self.left();
        assert!(left.is_empty(), "the runner left processes: {left:?}; its log:\n{}", self.log());
        let port = self.process.port;
        let folder = std::mem::replace(&mut self.process.folder, folder());
        let command = started(folder.path(), &self.options, port);
        self.process = Process::launch(command, folder).await;
    }

    /// The pairing link as printed.
    pub fn link(&self) -> &str {
        &self.process.link
    }

    /// Its address without the code: `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        self.process.origin()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.process.port))
    }

    /// The workspace.
    pub fn workspace(&self) -> PathBuf {
        self.process.workspace()
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.process.state()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.process.pid
    }

    /// Freezes its process, but not what it started.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets its process go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Exchanges the printed code for a credential.
    pub async fn pair(&self) -> Client {
        self.pair_by(self.link()).await
    }

    /// Exchanges a link's code for a credential.
    pub async fn pair_by(&self, link: &str) -> Client {
        let (_, code) = link.split_once("#pair=").unwrap_or_else(|| panic!("{link:?} holds no code"));
        let credential = http::pair(self.process.port, code).await;
        Client { address: self.address(), credential }
    }

    /// A further pairing link, from the command line.
    pub async fn fresh_link(&self) -> String {
        self.command(&["pair"]).await
    }

    /// What a subcommand says about this runner.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let mut command = command(binary());
        place(&mut command, self.process.folder.path());
        let output = wait::soon("a subcommand", command.args(arguments).output()).await.expect("it starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it says text").trim().to_owned()
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        if let Ok(Some(status)) = self.process.child.try_wait() {
            return status;
        }
        let pid = self.pid();
        let _ended = kill_process(pid, Signal::TERM);
        let end = Instant::now() + STOP_TIME;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.process.child.try_wait() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ended = kill_process(pid, Signal::KILL);
        loop {
            if let Ok(Some(status)) = self.process.child.try_wait() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it; what of all that it started is still there a moment later. That is killed.
    fn left(&mut self) -> Vec<Pid> {
        let mut started = process::descendants(self.pid());
        self.stop();
        // Whatever a crash of the runner would take a moment to take down.
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            started.extend(self.process.living());
            started.retain(|process| process::lives(*process));
            started.sort_unstable_by_key(|process| process.as_raw_nonzero());
            started.dedup();
            if started.is_empty() || Instant::now() > end {
                process::kill_all(&started);
                return started;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn faults(&self) -> Vec<String> {
        let log = self.log();
        let grave = |line: &&str| {
            line.split_whitespace().take(3).any(|word| word.contains("ERROR"))
                && !self.options.expected_errors.iter().any(|text| line.contains(text.as_str()))
        };
        log.lines().filter(grave).map(str::to_owned).collect()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let left = self.left();
        let status = self.stop();
        if thread::panicking() {
            return;
        }
        assert!(left.is_empty(), "the runner ({status}) left processes: {left:?}; its log:\n{}", self.log());
        let faults = self.faults();
        assert!(faults.is_empty(), "the runner logged errors: {faults:#?}");
        assert!(status.success(), "the runner ended with {status}; its log:\n{}", self.log());
    }
}

/// A port below those that the system gives out by itself: nobody gets it by chance while its runner is
/// started again.
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

fn started(folder: &Path, options: &Options, port: u16) -> Command {
    let mut command = command(binary());
    place(&mut command, folder);
    if options.at_home {
        command.env("HOME", folder.join("workspace"));
    }
    command.args(["--port", &port.to_string(), "--no-open", "--log", "info"]);
    command.args(&options.arguments).envs(&options.environment);
    command
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
