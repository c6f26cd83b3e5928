//! The real runner: the binary `meanwhile` with a folder of its own, which holds its workspace, its state, a
//! home and its log.
//!
//! Its standard output is read up to the link that it prints first. It gets nothing of this process's
//! environment but what programs need. Dropped, it is killed; the folder goes with it.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use uuid::Uuid;

use crate::http::{self, Answer};
use crate::process;
use crate::socket::Socket;
use crate::wait;

/// A program with an environment that is empty but for what programs need, and pipes to it.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A folder for a runner.
pub fn folder() -> TempDir {
    folder_in(&env::temp_dir())
}

/// The same below another.
pub fn folder_in(parent: &Path) -> TempDir {
    let folder = TempDir::with_prefix_in("meanwhile-runner-", parent).expect("folders can be made there");
    for name in ["workspace", "home"] {
        fs::create_dir(folder.path().join(name)).expect("a fresh folder takes folders");
    }
    folder
}

/// Names that folder to a runner or a subcommand.
pub fn place(command: &mut Command, folder: &Path) {
    command.env("HOME", folder.join("home")).current_dir(folder);
    command.args(["--config", "/dev/null"]);
    command.arg("--workspace").arg(folder.join("workspace")).arg("--state-dir").arg(folder.join("state"));
}

/// A runner that runs.
pub struct Runner {
    /// Its process.
    pub child: Child,
    /// Its process's number, also when it has ended.
    pub pid: Pid,
    /// Where it listens.
    pub port: u16,
    /// The link that it printed.
    pub link: String,
    /// The code in it.
    pub code: String,
    /// What it prints after that.
    pub stdout: BufReader<ChildStdout>,
    /// Its folder, which may hold an earlier one's state.
    pub folder: TempDir,
}

impl Runner {
    /// Starts it in the folder, which is [`place`]d, and waits for its link. Its standard error goes to the
    /// folder's `log`.
    pub async fn launch(mut command: Command, folder: TempDir) -> Self {
        let errors = File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = command.stderr(errors).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        wait::soon("the runner's link", stdout.read_line(&mut line)).await.unwrap();
        let link = line.trim().to_owned();
        let parts = link.split_once("/#pair=").and_then(|(address, code)| {
            let (_, port) = address.rsplit_once(':')?;
            Some((port.parse().ok()?, code.to_owned()))
        });
        let Some((port, code)) = parts else {
            panic!("{line:?} is no link; its log:\n{}", log(folder.path()))
        };
        Self { child, pid: pid.expect("it was just started"), port, link, code, stdout, folder }
    }

    /// The workspace.
    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// What is alive of the tasks of it and of those before it in its folder. Which these are is read from
    /// the bytes of its store: there is nobody to ask any more.
    pub fn living(&self) -> Vec<Pid> {
        const ID: &[u8] = b"\"id\":\"";
        let mut tasks = BTreeSet::new();
        for file in ["meanwhile.db", "meanwhile.db-wal"] {
            let bytes = fs::read(self.state().join(file)).unwrap_or_default();
            let ids = bytes
                .windows(ID.len() + 9)
                .filter(|window| window.starts_with(ID) && window.ends_with(b"\""));
            tasks.extend(ids.map(|window| String::from_utf8_lossy(&window[ID.len()..][..8]).into_owned()));
        }
        process::left_of(&tasks)
    }

    /// What it and those before it in its folder logged.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it is a child of this process");
    }

    /// Waits for its end; its code.
    pub async fn ended(&mut self) -> Option<i32> {
        wait::soon("the runner's end", self.child.wait()).await.unwrap().code()
    }

    /// Ends it and keeps its folder.
    pub async fn stop(mut self) -> TempDir {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await, Some(0), "{}", self.log());
        self.folder
    }

    /// See [`http::raw`].
    pub async fn raw(&self, request: &str) -> Answer {
        http::raw(self.port, request).await
    }

    /// See [`http::ask`].
    pub async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http::ask(self.port, line, headers, body).await
    }

    /// See [`http::post`].
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        http::post(self.port, path, headers, body).await
    }

    /// Exchanges the code of the link that was printed at the start.
    pub async fn pair(&self) -> String {
        http::pair(self.port, &self.code).await
    }

    /// See [`Socket::open`].
    pub async fn connect(&self, credential: &str) -> Socket {
        Socket::open(self.port, credential).await
    }

    /// See [`Socket::try_open`].
    pub async fn try_connect(&self, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        Socket::try_open(self.port, headers).await
    }

    /// Opens a socket and takes the lease of a session.
    pub async fn lease(&self, credential: &str, session: Uuid) -> (Socket, Value) {
        let mut socket = self.connect(credential).await;
        let welcome = socket.hello(json!({"session": session})).await;
        (socket, welcome)
    }
}

fn log(folder: &Path) -> String {
    fs::read(folder.join("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
}
