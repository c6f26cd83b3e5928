//! A page, as far as a measure needs one: a socket that drives a session.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::runner::Runner;

/// How long the runner may be silent; it says something every ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Page {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
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
        let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Origin", format!("http://127.0.0.1:{port}").parse()?);
        headers.insert("Sec-WebSocket-Protocol", format!("meanwhile.v1, bearer.{credential}").parse()?);
        let connecting = tokio_tungstenite::connect_async_with_config(request, None, true);
        let (stream, _) = timeout(PATIENCE, connecting).await.context("no handshake")??;
        let mut page = Self { stream, welcome: Value::Null };
        page.send(json!({"type": "hello", "protocol": 1, "session": session})).await?;
        page.welcome = page.next().await?;
        ensure!(page.welcome["type"] == "welcome", "{}", page.welcome);
        Ok(page)
    }

    /// The shell that runs commands.
    pub(crate) fn shell(&self) -> anyhow::Result<String> {
        Ok(self.welcome["shell"].as_str().context("the welcome names the shell")?.to_owned())
    }

    async fn send(&mut self, frame: Value) -> anyhow::Result<()> {
        let sending = self.stream.send(Message::text(frame.to_string()));
        timeout(PATIENCE, sending).await.context("the runner does not read")??;
        Ok(())
    }

    /// The next frame's text.
    pub(crate) async fn next_text(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.context("no frame came")? {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => bail!("the runner closed the socket: {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the socket ended"),
            }
        }
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
    pub(crate) async fn request(&mut self, op: Value) -> anyhow::Result<String> {
        let id = Uuid::new_v4().to_string();
        self.send(json!({"type": "request", "id": id, "op": op})).await?;
        Ok(id)
    }

    /// Asks for a command without waiting for anything.
    pub(crate) async fn begin(&mut self, command: &str) -> anyhow::Result<String> {
        self.request(json!({"op": "start", "command": command})).await
    }

    /// Starts a command; its id.
    pub(crate) async fn start(&mut self, command: &str) -> anyhow::Result<String> {
        let id = self.begin(command).await?;
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
        self.acknowledge(&frame).await?;
        Ok(frame)
    }

    /// Reads up to the next end, which must be a good one.
    pub(crate) async fn end(&mut self) -> anyhow::Result<Value> {
        let frame = self.find(|frame| frame["type"] == "event" && frame["event"]["event"] == "ended").await?;
        let state = &frame["event"]["task"]["state"]["status"];
        ensure!(state == "completed", "a measured command did not complete: {}", frame["event"]["task"]);
        Ok(frame)
    }

    pub(crate) async fn acknowledge(&mut self, event: &Value) -> anyhow::Result<()> {
        self.send(json!({"type": "ack", "through": event["seq"]})).await
    }

    /// Runs a command that prints the clock as its last act; how long its completion took to come here, in milliseconds.
    pub(crate) async fn stamped(&mut self, command: &str) -> anyhow::Result<f64> {
        self.begin(command).await?;
        let frame = self.end().await?;
        let here = now();
        self.acknowledge(&frame).await?;
        let text = frame["event"]["excerpt"]["head"].as_str().unwrap_or_default();
        let stamp: f64 = text.trim().parse().with_context(|| format!("{text:?} is no time"))?;
        Ok(here - stamp / 1_000_000.0)
    }
}
