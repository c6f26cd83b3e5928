//! A page, as far as a measure needs one: a socket that drives a session.

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use testkit::socket::Socket;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use crate::runner::Runner;

pub(crate) struct Page {
    socket: Socket,
    /// As the runner said it.
    pub(crate) welcome: Value,
}

/// The monotonic clock in milliseconds, which commands have too.
#[expect(clippy::cast_precision_loss, reason = "microseconds of uptime are far below 2^53")]
pub(crate) fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 * 1_000.0 + now.tv_nsec as f64 / 1_000_000.0
}

impl Page {
    /// Connects and drives a new session.
    pub(crate) async fn open(runner: &Runner) -> anyhow::Result<Self> {
        Self::open_session(runner.port, &runner.credential, Uuid::new_v4()).await
    }

    /// Connects and drives a session.
    pub(crate) async fn open_session(port: u16, credential: &str, session: Uuid) -> anyhow::Result<Self> {
        let mut socket = Socket::open(port, credential).await;
        let welcome = socket.hello(json!({"session": session})).await;
        Ok(Self { socket, welcome })
    }

    /// The shell that runs commands.
    pub(crate) fn shell(&self) -> anyhow::Result<String> {
        Ok(self.welcome["shell"].as_str().context("the welcome names the shell")?.to_owned())
    }

    /// The next frame's text.
    pub(crate) async fn next_text(&mut self) -> anyhow::Result<Utf8Bytes> {
        self.socket.next_text().await.map_err(|code| anyhow!("the runner closed the socket with {code}"))
    }

    /// The next frame. A refusal is an error.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Value> {
        let frame: Value = serde_json::from_str(&self.next_text().await?)?;
        if let Some(problem) = frame.get("err").or_else(|| frame.get("problem")) {
            bail!("refused: {problem}");
        }
        Ok(frame)
    }

    /// Asks for something; the request's id.
    pub(crate) async fn request(&mut self, op: Value) -> String {
        self.socket.request(op).await
    }

    /// Asks for a command without waiting for anything.
    pub(crate) async fn begin(&mut self, command: &str) -> String {
        self.request(json!({"op": "start", "command": command})).await
    }

    /// Starts a command; its id.
    pub(crate) async fn start(&mut self, command: &str) -> anyhow::Result<String> {
        let id = self.begin(command).await;
        let reply = self.find(|frame| frame["type"] == "reply" && frame["id"] == id.as_str()).await?;
        Ok(reply["ok"]["task"]["id"].as_str().context("a reply names its task")?.to_owned())
    }

    /// Reads up to the first frame that fits.
    pub(crate) async fn find(&mut self, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let frame = self.next().await?;
            if fits(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Reads up to the next end, which must be a good one, and acknowledges it.
    pub(crate) async fn completion(&mut self) -> anyhow::Result<Value> {
        let frame = self.end().await?;
        self.acknowledge(&frame).await;
        Ok(frame)
    }

    /// Reads up to the next end, which must be a good one.
    pub(crate) async fn end(&mut self) -> anyhow::Result<Value> {
        let frame = self.find(|frame| frame["type"] == "event" && frame["event"]["event"] == "ended").await?;
        let state = &frame["event"]["task"]["state"]["status"];
        ensure!(state == "completed", "a measured command did not complete: {}", frame["event"]["task"]);
        Ok(frame)
    }

    pub(crate) async fn acknowledge(&mut self, event: &Value) {
        self.socket.send(json!({"type": "ack", "through": event["seq"]})).await;
    }

    /// Runs a command that prints the clock as its last act; how long its completion took to come here, in
    /// milliseconds.
    pub(crate) async fn stamped(&mut self, command: &str) -> anyhow::Result<f64> {
        self.begin(command).await;
        let frame = self.end().await?;
        let here = now();
        self.acknowledge(&frame).await;
        let text = frame["event"]["excerpt"]["head"].as_str().unwrap_or_default();
        let stamp: f64 = text.trim().parse().with_context(|| format!("{text:?} is no time"))?;
        Ok(here - stamp / 1_000_000.0)
    }
}
