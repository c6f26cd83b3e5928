//! How a page and the runner show each other who they are, on a socket that nothing else was said on.
//!
//! The runner signs first: whoever asks may know who it is. Only when the page's signature is right too does
//! the socket belong to a client. All of it has [`MEETING_TIME`].

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use shared::proof::{ClientProof, Meeting, NONCE_BYTES, Role, RunnerProof};
use shared::protocol::close;
use shared::{ClientId, Problem, ProblemCode};

use super::connection::revoked;
use super::queue::SendQueue;
use crate::app::App;
use crate::auth::Pass;
use crate::clock::now;
use crate::permits::ConnectionPermit;

/// How long a page may take to prove itself.
const MEETING_TIME: Duration = Duration::from_secs(10);

/// Why a socket belongs to nobody.
pub(super) enum Failed {
    /// It is told so, with this code.
    Refused(Problem, u16),
    /// It is gone, or must make room.
    Closed,
}

/// Proves the runner to the page and the page to the app. The pass is good while it is held.
pub(super) async fn meet(
    app: &App,
    meeting: &Meeting,
    permit: &ConnectionPermit,
    queue: &SendQueue,
    stream: &mut SplitStream<WebSocket>,
) -> Result<(ClientId, Pass), Failed> {
    let nonce = prove(app, meeting, queue).map_err(|problem| Failed::Refused(problem, close::GOING_AWAY))?;
    let proof = tokio::select! {
        proof = tokio::time::timeout(MEETING_TIME, next(stream)) => proof,
        () = permit.evicted() => return Err(Failed::Closed),
    };
    let ClientProof::Prove { signature } = match proof {
        Ok(Some(text)) => serde_json::from_str(&text).map_err(|error| {
            malformed(format!("The page must prove itself before anything else: {error}."))
        })?,
        Ok(None) => return Err(Failed::Closed),
        Err(_) => {
            let message = format!("No proof came within {} seconds.", MEETING_TIME.as_secs());
            return Err(malformed(message));
        }
    };
    let client = meeting.client;
    let text = meeting.text(Role::Client, &nonce);
    let proved = app.clients.key(client).is_some_and(|key| key.verifies(&text, &signature.0));
    let revocation = app.clients.revocation(client).filter(|_| proved);
    let Some(revocation) = revocation else {
        app.clients.punish_guess().await;
        return Err(Failed::Refused(revoked(), close::REVOKED));
    };
    permit.admit(revocation);
    app.clients.saw(client, now()).await;
    let (pass, token) =
        app.clients.admit(client).map_err(|problem| Failed::Refused(problem, close::GOING_AWAY))?;
    send(queue, &RunnerProof::Admitted { token: token.expose().to_owned() });
    Ok((client, pass))
}

/// Sends the runner's proof, and gives the nonce in it.
fn prove(app: &App, meeting: &Meeting, queue: &SendQueue) -> Result<[u8; NONCE_BYTES], Problem> {
    let mut nonce = [0; NONCE_BYTES];
    let system = |message: String| Problem::retryable(ProblemCode::System, message);
    getrandom::fill(&mut nonce)
        .map_err(|error| system(format!("The system's random source failed: {error}.")))?;
    let text = meeting.text(Role::Runner, &nonce);
    let signature = app.identity.sign(&text).map_err(|error| system(error.to_string()))?;
    send(queue, &RunnerProof::Prove { nonce: nonce.to_vec().into(), signature: signature.into() });
    Ok(nonce)
}

fn send(queue: &SendQueue, frame: &RunnerProof) {
    queue.push_text(serde_json::to_string(frame).expect("frames are plain data with string keys"));
}

fn malformed(message: String) -> Failed {
    Failed::Refused(Problem::new(ProblemCode::Malformed, message), close::MALFORMED)
}

/// The next text; nothing if the page is gone or says what is none.
async fn next(stream: &mut SplitStream<WebSocket>) -> Option<String> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Some(String::new()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
        }
    }
}
