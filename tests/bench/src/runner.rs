//! The runner that is measured: the binary, with a workspace and a state folder of its own.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Bench;

/// How long a start, an answer or an end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A runner that runs.
pub(crate) struct Runner {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) credential: String,
    /// Since its program was started.
    pub(crate) began: Instant,
    place: TempDir,
}

impl Runner {
    /// Starts one with these further arguments, and pairs with it.
    pub(crate) async fn start(bench: &Bench, arguments: &[&str]) -> anyhow::Result<Self> {
        let place = TempDir::with_prefix_in("runner-", &bench.scratch)?;
        for name in ["work", "state"] {
            fs::create_dir(place.path().join(name))?;
        }
        let (child, pid, port, code, began) = launch(&bench.runner, place.path(), arguments).await?;
        let mut runner = Self { child, pid, port, credential: String::new(), began, place };
        let answer = runner.ask("POST /api/pair", &json!({"code": code, "name": "bench"})).await?;
        answer["credential"]
            .as_str()
            .context("an answer without a credential")?
            .clone_into(&mut runner.credential);
        Ok(runner)
    }

    /// Stops it and starts it again over the same state; the credential stays good.
    pub(crate) async fn start_again(mut self, bench: &Bench, arguments: &[&str]) -> anyhow::Result<Self> {
        self.end().await?;
        let (child, pid, port, _, began) = launch(&bench.runner, self.place.path(), arguments).await?;
        Ok(Self { child, pid, port, began, ..self })
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.end().await
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("the runner did not end")??;
        ensure!(status.success(), "the runner ended with {status}:\n{}", log(self.place.path()));
        Ok(())
    }

    /// An HTTP request; the answer must be good.
    pub(crate) async fn ask(&self, line: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let port = self.port;
        let request = format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.credential,
            body.len(),
        );
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.context("no answer")??;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{line}: {head} {body}");
        Ok(serde_json::from_str(body)?)
    }
}

fn log(place: &Path) -> String {
    fs::read_to_string(place.join("log")).unwrap_or_default()
}

/// Starts the binary and reads its link: process, number, port, code, and when it was started.
async fn launch(
    binary: &Path,
    place: &Path,
    arguments: &[&str],
) -> anyhow::Result<(Child, u32, u16, String, Instant)> {
    let mut command = Command::new(binary);
    command.env_clear();
    for name in ["PATH", "LANG", "LC_ALL", "TMPDIR"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("HOME", place)
        .args(["--port", "0", "--no-open", "--log", "warn", "--config", "/dev/null"])
        .arg("--workspace")
        .arg(place.join("work"))
        .arg("--state-dir")
        .arg(place.join("state"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(place.join("log"))?)
        .kill_on_drop(true);
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", binary.display()))?;
    let pid = child.id().context("it was just started")?;
    let mut output = BufReader::new(child.stdout.take().context("it is piped")?);
    let mut line = String::new();
    timeout(PATIENCE, output.read_line(&mut line)).await.context("no link was printed")??;
    let Some((address, code)) = line.trim().split_once("/#pair=") else {
        bail!("{line:?} is no link; the log says:\n{}", log(place));
    };
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).context("no port")?;
    Ok((child, pid, port, code.to_owned(), began))
}
