//! Opening a socket: the runner proves itself, then the page, and nothing else is said before.
//!
//! Whatever comes before the runner's signature may come from anybody who listens at this address, so nothing
//! of it is believed or shown. The address is always this page's own origin.

use std::future::poll_fn;
use std::pin::{Pin, pin};

use agent::link::{REFUSED, STRANGER};
use futures_util::future::{Either, select};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use gloo_net::http::{Method, RequestBuilder};
use gloo_net::websocket::events::CloseEvent;
use gloo_net::websocket::futures::WebSocket;
use gloo_net::websocket::{Message, State, WebSocketError};
use gloo_timers::future::TimeoutFuture;
use gloo_utils::window;
use shared::json;
use shared::proof::{ClientProof, Meeting, Role, RunnerProof};
use shared::protocol::{SUBPROTOCOL, close};
use shared::{Problem, ProblemCode};

use super::address;
use super::crypto::{self, Kind};
use super::identity::Identity;
use super::js::describe;
use super::request::strict;

/// What browsers report of a connection that ended without a close frame.
pub(super) const ABNORMAL: u16 = 1006;
/// How long the runner may take for each of its two answers once the socket is open, in milliseconds.
const PROOF_TIME: u32 = 8_000;

/// A socket on which both have proved themselves.
pub(super) struct Greeted {
    /// It.
    pub(super) socket: WebSocket,
    /// What to show with requests while it is open.
    pub(super) token: String,
}

/// How a socket ended: its close code, or one that says what the shell found, and why.
pub(super) type End = (u16, String);

/// Opens a socket to the runner.
pub(super) async fn greet(identity: &Identity) -> Result<Greeted, End> {
    let meeting = Meeting {
        host: host(),
        origin: address::origin(),
        client: identity.client,
        nonce: crypto::nonce().map_err(broken)?,
    };
    let mut socket = open(&meeting).await?;
    let proof = soon(&mut socket).await.ok_or_else(stranger)?;
    let nonce = match proof {
        Ok(text) => proved(identity, &meeting, &text).await.ok_or_else(stranger)?,
        Err((ABNORMAL | close::GOING_AWAY, _)) => return Err(broken("the connection broke".to_owned())),
        Err(_) => return Err(stranger()),
    };
    let signature = crypto::sign(Kind::Own, &identity.key, &meeting.text(Role::Client, &nonce)).await;
    let signature = signature.map_err(|exception| broken(describe(&exception)))?.into();
    // A failure to send is followed by the close event.
    let _ = socket.send(Message::Text(json::to_text(&ClientProof::Prove { signature }))).await;
    let silent = || broken("the runner does not answer; is it stopped or very busy?".to_owned());
    match json::from_text(&soon(&mut socket).await.ok_or_else(silent)??) {
        Ok(RunnerProof::Admitted { token }) => Ok(Greeted { socket, token }),
        Ok(RunnerProof::Problem { problem: Problem { code: ProblemCode::Unauthorized, message, .. } }) => {
            Err((REFUSED, message))
        }
        Ok(RunnerProof::Problem { problem }) => Err(broken(problem.message)),
        Ok(RunnerProof::Prove { .. }) => Err(broken("the runner proved itself twice".to_owned())),
        Err(error) => Err(broken(format!("the runner's answer cannot be read: {error}"))),
    }
}

/// The runner's nonce, if this is the proof of the runner that this browser was paired with.
async fn proved(identity: &Identity, meeting: &Meeting, text: &str) -> Option<Vec<u8>> {
    let Ok(RunnerProof::Prove { nonce, signature }) = json::from_text(text) else { return None };
    let signed = meeting.text(Role::Runner, &nonce.0);
    let right = crypto::verify(Kind::Own, &identity.runner, &signature.0, &signed).await;
    right.is_ok_and(|right| right).then_some(nonce.0)
}

/// Connects. Something that answers and takes no socket is asked once more: a runner may just have started.
async fn open(meeting: &Meeting) -> Result<WebSocket, End> {
    let protocols = [SUBPROTOCOL.to_owned(), meeting.offer()];
    let mut again = true;
    loop {
        let mut socket =
            WebSocket::open_with_protocols(&url(), &protocols).map_err(|error| broken(error.to_string()))?;
        // A socket that fails to open becomes "ready" too.
        let _ = poll_fn(|context| Pin::new(&mut socket).poll_ready(context)).await;
        if matches!(socket.state(), State::Open) {
            return Ok(socket);
        }
        // Browsers do not say why, so the address is asked for something that it gives to everybody.
        let asked = strict(RequestBuilder::new("/").method(Method::HEAD)).send().await;
        match (asked, again) {
            (Err(_), _) => return Err(broken("the runner does not answer; is it still running?".to_owned())),
            (Ok(_), true) => again = false,
            (Ok(_), false) => return Err(stranger()),
        }
    }
}

/// The next text, or how the socket ended; `None` if nothing came in time.
async fn soon(socket: &mut WebSocket) -> Option<Result<String, End>> {
    let (next, late) = (pin!(next(socket)), pin!(TimeoutFuture::new(PROOF_TIME)));
    match select(next, late).await {
        Either::Left((next, _)) => Some(next),
        Either::Right(_) => None,
    }
}

/// The next text, or how the socket ended.
async fn next(socket: &mut WebSocket) -> Result<String, End> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Bytes(_))) => return Ok(String::new()),
            Some(Err(WebSocketError::ConnectionClose(close))) => return Err(ended(close)),
            Some(Err(_)) => {}
            None => return Err(broken("the connection broke".to_owned())),
        }
    }
}

/// How a socket ended, for people.
pub(super) fn ended(close: CloseEvent) -> End {
    let reason = match close.reason {
        reason if !reason.is_empty() => reason,
        _ if close.code == ABNORMAL => "the connection broke".to_owned(),
        _ => String::new(),
    };
    (close.code, reason)
}

fn broken(reason: String) -> End {
    (ABNORMAL, reason)
}

fn stranger() -> End {
    let reason = format!(
        "What answers at {} is not the runner that this browser was paired with. It was sent nothing that is of use to it. If you have \
         started your runner with a new state folder, pair again: open the link that `meanwhile pair` prints. Otherwise end what \
         listens there, and start your runner.",
        host()
    );
    (STRANGER, reason)
}

/// The page's own, unless the page was built to be served by something else than the runner (`cargo xtask
/// dev`).
fn host() -> String {
    let own = || window().location().host().unwrap_or_default();
    option_env!("MEANWHILE_RUNNER").map_or_else(own, str::to_owned)
}

fn url() -> String {
    let secure = window().location().protocol().is_ok_and(|protocol| protocol == "https:");
    let scheme = if secure && option_env!("MEANWHILE_RUNNER").is_none() { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", host())
}
