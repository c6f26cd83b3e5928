//! A WebSocket client that is not ours, which speaks the protocol in plain JSON.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::wait;

/// A WebSocket.
pub struct Socket {
    /// What it runs over.
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens one as a program does.
    pub async fn open(port: u16, credential: &str) -> Self {
        let protocols = format!("meanwhile.v1, bearer.{credential}");
        Self::try_open(port, &[("Sec-WebSocket-Protocol", &protocols)])
            .await
            .expect("the handshake was refused")
    }

    /// Tries to, with these headers beside Host and Origin. An error is the status of the refusal, or 0 if
    /// nothing answered.
    pub async fn try_open(port: u16, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
        request.headers_mut().insert("Origin", format!("http://127.0.0.1:{port}").parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        // Small frames go out at once: what is measured over it is the runner and not its client.
        let opening = tokio_tungstenite::connect_async_with_config(request, None, true);
        match wait::soon("a handshake", opening).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends what may be no frame.
    pub async fn send_text(&mut self, text: String) {
        wait::soon("room for a frame", self.stream.send(Message::text(text))).await.unwrap();
    }

    /// The next frame; an error is the code of the close.
    pub async fn next(&mut self) -> Result<Value, u16> {
        self.next_text().await.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// The same as it was written.
    pub async fn next_text(&mut self) -> Result<Utf8Bytes, u16> {
        loop {
            match wait::soon("a frame", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// Reads up to the first frame of a type.
    pub async fn until(&mut self, kind: &str) -> Value {
        self.find(|frame| frame["type"] == kind).await
    }

    /// Reads up to the first frame that fits.
    pub async fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        self.collect(fits).await.pop().unwrap()
    }

    /// Reads up to the first frame that fits, and gives all.
    pub async fn collect(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        let all = async {
            loop {
                match self.next().await {
                    Ok(frame) => {
                        let found = fits(&frame);
                        seen.push(frame);
                        if found {
                            return;
                        }
                    }
                    Err(code) => panic!("closed with {code} after {seen:#?}"),
                }
            }
        };
        wait::soon("the frame", all).await;
        seen
    }

    /// Reads until the socket is closed; the code and the frames before.
    pub async fn closed(&mut self) -> (u16, Vec<Value>) {
        let mut seen = Vec::new();
        let all = async {
            loop {
                match self.next().await {
                    Ok(frame) => seen.push(frame),
                    Err(code) => return code,
                }
            }
        };
        let code = wait::soon("its close", all).await;
        (code, seen)
    }

    /// Says hello with these fields; the welcome.
    pub async fn hello(&mut self, fields: Value) -> Value {
        let mut hello = json!({"type": "hello", "protocol": 1});
        hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.send(hello).await;
        let welcome = self.next().await.unwrap();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome
    }

    /// Sends a request with a fresh id; the id.
    pub async fn request(&mut self, op: Value) -> String {
        let id = Uuid::new_v4().to_string();
        self.request_as(&id, op).await;
        id
    }

    /// Sends a request with this id.
    pub async fn request_as(&mut self, id: &str, op: Value) {
        self.send(json!({"type": "request", "id": id, "op": op})).await;
    }

    /// The reply to a request: `{"ok": …}` or `{"err": …}` with its id.
    pub async fn reply(&mut self, id: &str) -> Value {
        self.find(|frame| frame["type"] == "reply" && frame["id"] == id).await
    }

    /// Asks and waits for the reply; it must be good.
    pub async fn ask(&mut self, op: Value) -> Value {
        let id = self.request(op).await;
        let reply = self.reply(&id).await;
        assert!(reply.get("ok").is_some(), "{reply}");
        reply["ok"].clone()
    }

    /// Asks and waits for the refusal; its code.
    pub async fn refused(&mut self, op: Value) -> String {
        let id = self.request(op).await;
        let reply = self.reply(&id).await;
        reply["err"]["code"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Starts a command; its task's id.
    pub async fn start(&mut self, command: &str) -> String {
        self.ask(json!({"op": "start", "command": command})).await["task"]["id"].as_str().unwrap().to_owned()
    }
}
