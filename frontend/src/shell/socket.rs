//! The socket to the runner: opened and closed as the agent says, frames out, frames and its end in.
//!
//! One task a socket owns it. Its handle is a channel: dropping the handle ends the task, which closes the socket. Whatever a
//! socket reports passes one gate that compares its generation with the current one, so a retired socket cannot touch the
//! agent. The address is always this page's own origin.

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;

use agent::event::LinkInput;
use agent::link::REFUSED;
use agent::{Event, Pump};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::future::{Either, poll_fn, select};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use gloo_net::websocket::events::CloseEvent;
use gloo_net::websocket::futures::WebSocket;
use gloo_net::websocket::{Message, State, WebSocketError};
use shared::json;
use shared::protocol::{BEARER_PREFIX, ClientFrame, SUBPROTOCOL, ServerFrame};

use super::js::{spawn, window};
use super::pairing::{self, Health, Pairing};

/// What browsers report of a connection that ended without a close frame.
const ABNORMAL: u16 = 1006;

/// One session's connection.
#[derive(Clone)]
pub(super) struct Link(Rc<RefCell<Option<Live>>>);

struct Live {
    generation: u64,
    frames: UnboundedSender<String>,
}

impl Link {
    /// No connection yet.
    pub(super) fn new() -> Self {
        Self(Rc::default())
    }

    /// Opens a socket of this name, closing the one before.
    pub(super) fn connect(&self, generation: u64, pairing: &Rc<Pairing>, pump: &Pump) {
        let (frames, outgoing) = unbounded();
        self.0.replace(Some(Live { generation, frames }));
        let gate = Gate { link: self.clone(), generation, pump: pump.clone() };
        let pairing = pairing.clone();
        spawn(async move {
            let (code, reason) = run(outgoing, &gate, &pairing).await;
            gate.close(code, reason);
        });
    }

    /// Closes the socket of this name.
    pub(super) fn disconnect(&self, generation: u64) {
        let mut live = self.0.borrow_mut();
        if live.as_ref().is_some_and(|live| live.generation == generation) {
            *live = None;
        }
    }

    /// Closes whatever is open.
    pub(super) fn drop_all(&self) {
        self.0.replace(None);
    }

    /// Sends a frame, or drops it if that socket is gone.
    pub(super) fn send(&self, generation: u64, frame: &ClientFrame) {
        let live = self.0.borrow();
        let Some(live) = live.as_ref().filter(|live| live.generation == generation) else { return };
        let text = json::to_text(frame);
        let _ = live.frames.unbounded_send(text);
    }
}

/// The way of one socket's news to the agent.
struct Gate {
    link: Link,
    generation: u64,
    pump: Pump,
}

impl Gate {
    fn report(&self, input: LinkInput) {
        let current = self.link.0.borrow().as_ref().is_some_and(|live| live.generation == self.generation);
        if current {
            self.pump.send(Event::Link { generation: self.generation, input });
        }
    }

    fn close(&self, code: u16, reason: String) {
        self.report(LinkInput::Closed { code, reason });
        self.link.disconnect(self.generation);
    }
}

/// The life of one socket; its close code and reason come out.
async fn run(mut outgoing: UnboundedReceiver<String>, gate: &Gate, pairing: &Pairing) -> (u16, String) {
    let Some(credential) = pairing.credential() else {
        return (REFUSED, "this browser is not paired with the runner".to_owned());
    };
    let protocols = [SUBPROTOCOL.to_owned(), format!("{BEARER_PREFIX}{credential}")];
    let mut socket = match WebSocket::open_with_protocols(&address(), &protocols) {
        Ok(socket) => socket,
        Err(error) => return (ABNORMAL, error.to_string()),
    };
    // A socket that fails to open becomes "ready" too.
    let ready = poll_fn(|context| Pin::new(&mut socket).poll_ready(context));
    let early = match select(ready, outgoing.next()).await {
        Either::Left(_) => None,
        Either::Right((None, _)) => return (ABNORMAL, String::new()),
        Either::Right((early, ready)) => {
            let _ = ready.await;
            early
        }
    };
    if !matches!(socket.state(), State::Open) {
        return refusal(pairing, &credential).await;
    }
    gate.report(LinkInput::Opened);
    pairing.accepted();
    if let Some(text) = early {
        let _ = socket.send(Message::Text(text)).await;
    }
    loop {
        match select(outgoing.next(), socket.next()).await {
            Either::Left((Some(text), _)) => {
                // A failure to send is followed by the close event.
                let _ = socket.send(Message::Text(text)).await;
            }
            Either::Left((None, _)) => return (ABNORMAL, String::new()),
            Either::Right((Some(Ok(message)), _)) => gate.report(read(&message)),
            Either::Right((Some(Err(WebSocketError::ConnectionClose(close))), _)) => return words(close),
            Either::Right((Some(Err(_)), _)) => {}
            Either::Right((None, _)) => return (ABNORMAL, "the connection broke".to_owned()),
        }
    }
}

/// Why a socket could not be opened: browsers do not say, so the same question is asked by plain HTTP.
async fn refusal(pairing: &Pairing, credential: &str) -> (u16, String) {
    match pairing::health(credential).await {
        Health::Fine => (ABNORMAL, "the runner is there but did not take the connection".to_owned()),
        Health::Refused(reason) if pairing.refused(credential, &reason) => (REFUSED, reason),
        Health::Refused(_) => (ABNORMAL, "this browser was paired anew".to_owned()),
        Health::Unknown(reason) => (ABNORMAL, reason),
    }
}

fn read(message: &Message) -> LinkInput {
    let text = match message {
        Message::Text(text) => Cow::from(text),
        Message::Bytes(bytes) => String::from_utf8_lossy(bytes),
    };
    match json::from_text::<ServerFrame>(&text) {
        Ok(frame) => LinkInput::Frame(Box::new(frame)),
        Err(error) => LinkInput::Garbled { reason: error.to_string() },
    }
}

fn words(close: CloseEvent) -> (u16, String) {
    let reason = match close.reason {
        reason if !reason.is_empty() => reason,
        _ if close.code == ABNORMAL => "the connection broke".to_owned(),
        _ => String::new(),
    };
    (close.code, reason)
}

/// On the page's own origin, unless the page was built to be served by something else than the runner (`cargo xtask dev`).
fn address() -> String {
    if let Some(runner) = option_env!("MEANWHILE_RUNNER") {
        return format!("ws://{runner}/ws");
    }
    let location = window().location();
    let secure = location.protocol().is_ok_and(|protocol| protocol == "https:");
    let host = location.host().unwrap_or_default();
    format!("{}://{host}/ws", if secure { "wss" } else { "ws" })
}
