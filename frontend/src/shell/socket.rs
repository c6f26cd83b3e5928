//! The socket to the runner: opened and closed as the agent says, frames out, frames and its end in.
//!
//! One task a socket owns it. Its handle is a channel: dropping the handle ends the task, which closes the
//! socket. Whatever a socket reports passes one gate that compares its generation with the current one, so a
//! retired socket cannot touch the agent. The agent hears of a socket as open once both ends have proved
//! themselves (`greet`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use agent::event::LinkInput;
use agent::link::REFUSED;
use agent::{Event, Pump};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::future::{Either, select};
use futures_util::{SinkExt as _, StreamExt as _};
use gloo_net::websocket::{Message, WebSocketError};
use shared::json;
use shared::protocol::{ClientFrame, ServerFrame, close};
use wasm_bindgen_futures::spawn_local;

use super::greet::{ABNORMAL, End, Greeted, ended, greet};
use super::identity::Identity;
use super::pairing::Pairing;

/// What is said to a browser that was revoked while it was connected.
const REVOKED: &str =
    "This browser was revoked at the runner. `meanwhile pair` prints a link that pairs it again.";

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
        spawn_local(async move {
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

/// The way of one socket's events to the agent.
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
async fn run(mut outgoing: UnboundedReceiver<String>, gate: &Gate, pairing: &Pairing) -> End {
    let Some(identity) = pairing.identity() else {
        return (REFUSED, "this browser is not paired with the runner".to_owned());
    };
    // Nothing is sent before the agent hears that the socket is open, so what comes out is that it is not
    // wanted any more.
    let greeted = match select(pin!(greet(&identity)), outgoing.next()).await {
        Either::Left((greeted, _)) => greeted,
        Either::Right(_) => return (ABNORMAL, String::new()),
    };
    // Its token is not needed here.
    let mut socket = match greeted {
        Ok(Greeted { socket, token: _ }) => socket,
        Err((REFUSED, reason)) => return unknown(pairing, &identity, reason).await,
        Err(end) => return end,
    };
    gate.report(LinkInput::Opened);
    pairing.accepted();
    loop {
        match select(outgoing.next(), socket.next()).await {
            Either::Left((Some(text), _)) => {
                // A failure to send is followed by the close event.
                let _ = socket.send(Message::Text(text)).await;
            }
            Either::Left((None, _)) => return (ABNORMAL, String::new()),
            Either::Right((Some(Ok(message)), _)) => gate.report(read(&message)),
            Either::Right((Some(Err(WebSocketError::ConnectionClose(close))), _)) => {
                return match ended(close) {
                    (close::REVOKED, _) => unknown(pairing, &identity, REVOKED.to_owned()).await,
                    end => end,
                };
            }
            Either::Right((Some(Err(_)), _)) => {}
            Either::Right((None, _)) => return (ABNORMAL, "the connection broke".to_owned()),
        }
    }
}

/// The runner does not know this browser, unless it was paired anew since.
async fn unknown(pairing: &Pairing, identity: &Identity, reason: String) -> End {
    if pairing.refused(identity, &reason).await {
        (REFUSED, reason)
    } else {
        (ABNORMAL, "this browser was paired anew".to_owned())
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
