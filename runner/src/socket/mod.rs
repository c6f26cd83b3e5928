//! The WebSocket of one page: from the upgrade to the welcome.
//!
//! What runs for each socket: a task that reads, decides and fills the queue (`connection`), one that empties the queue
//! (`queue`), and small ones for what takes long: requests, watched output, model calls. All of them end with the
//! socket, but for requests that change something: these are finished, and their replies kept for the next connection.
//! The gate has checked a program's credential before any of this; a page first proves itself (`meet`).

mod calls;
mod connection;
pub mod hub;
mod listing;
mod meet;
pub mod operations;
mod pace;
pub mod queue;
mod requests;
mod starts;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use serde::Deserialize;
use shared::proof::Meeting;
use shared::protocol::{ClientFrame, Hello, MAX_FRAME_BYTES, PROTOCOL, SUBPROTOCOL, ServerFrame, close};
use shared::{ClientId, Problem, ProblemCode};

use self::connection::Connection;
use self::meet::{Failed, meet};
use self::queue::SendQueue;
use crate::http::Place;
use crate::http::problem::Refusal;
use crate::server::Runner;

/// How long a page may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// How long a page may take to answer a close.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Makes a socket of a request.
pub async fn upgrade(
    State(runner): State<Arc<Runner>>,
    client: Option<Extension<ClientId>>,
    meeting: Option<Extension<Meeting>>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => {
            let words = format!("This address is for WebSockets: {}", rejection.body_text());
            return Refusal::new(ProblemCode::Malformed, words)
                .with_status(rejection.status())
                .into_response();
        }
    };
    if upgrade.selected_protocol().is_none() {
        let words = format!("The WebSocket must offer the subprotocol {SUBPROTOCOL}.");
        return Refusal::new(ProblemCode::Malformed, words).into_response();
    }
    let guest = match (client, meeting) {
        (Some(Extension(client)), _) => Guest::Known(client),
        (None, Some(Extension(meeting))) => Guest::Stranger(meeting),
        (None, None) => {
            let words = "The WebSocket shows no credential.";
            return Refusal::new(ProblemCode::Unauthorized, words).into_response();
        }
    };
    upgrade
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_write_buffer_size(4 * MAX_FRAME_BYTES)
        .on_failed_upgrade(|error| tracing::debug!("A handshake was not finished: {error}"))
        .on_upgrade(move |socket| async move {
            let sockets = runner.sockets.clone();
            sockets.track_future(serve(runner, guest, place, socket)).await;
        })
}

/// Who has opened a socket.
enum Guest {
    /// A program that has shown its credential.
    Known(ClientId),
    /// A page that is to prove itself.
    Stranger(Meeting),
}

async fn serve(runner: Arc<Runner>, guest: Guest, place: Place, socket: WebSocket) {
    let (sink, mut stream) = socket.split();
    let (queue, writer) = queue::queue();
    let writing = tokio::spawn(writer.run(sink));
    // Held as long as the socket is.
    let (client, _pass) = match guest {
        Guest::Known(client) => (Some(client), None),
        Guest::Stranger(meeting) => match meet(&runner, &meeting, &place, &queue, &mut stream).await {
            Ok((client, pass)) => (Some(client), Some(pass)),
            Err(Failed::Refused(problem, code)) => {
                refuse(&queue, problem, code);
                (None, None)
            }
            // Its place is wanted at once.
            Err(Failed::Gone) => return writing.abort(),
        },
    };
    if let Some(client) = client {
        match greet(&mut stream).await {
            Ok(hello) => {
                if let Some(connection) = Connection::open(runner, client, hello, queue.clone()).await {
                    connection.run(&mut stream).await;
                }
            }
            Err(Some((problem, code))) => refuse(&queue, problem, code),
            Err(None) => {}
        }
    }
    drop(queue);
    let _ = writing.await;
    // Whatever the page still says is read and dropped, or the system would cut the connection before it has read the close.
    let _ = tokio::time::timeout(CLOSE_TIME, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}

/// Says why, and closes.
fn refuse(queue: &SendQueue, problem: Problem, code: u16) {
    queue.push(&ServerFrame::Problem { problem });
    queue.close(code, "see the problem before");
}

/// What every version's hello has.
#[derive(Deserialize)]
struct AnyHello {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
}

async fn greet(stream: &mut SplitStream<WebSocket>) -> Result<Hello, Option<(Problem, u16)>> {
    let malformed = |words: String| Some((Problem::new(ProblemCode::Malformed, words), close::MALFORMED));
    let first = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    };
    let text = match tokio::time::timeout(HELLO_TIME, first).await {
        Err(_) => return Err(malformed(format!("No hello came within {} seconds.", HELLO_TIME.as_secs()))),
        Ok(None | Some(Ok(Message::Close(_)))) => return Err(None),
        Ok(Some(Err(error))) => {
            return Err(malformed(format!("The first frame could not be read: {error}.")));
        }
        Ok(Some(Ok(Message::Text(text)))) => text,
        Ok(Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)))) => {
            return Err(malformed("Frames are text messages; the first one was binary.".to_owned()));
        }
    };
    if let Ok(any) = serde_json::from_str::<AnyHello>(&text)
        && any.kind == "hello"
        && any.protocol != PROTOCOL
    {
        let words = format!(
            "The page speaks version {} of the protocol and this runner version {PROTOCOL}. Reload the page from this runner.",
            any.protocol
        );
        return Err(Some((Problem::new(ProblemCode::Malformed, words), close::VERSION)));
    }
    match serde_json::from_str(&text) {
        Ok(ClientFrame::Hello(hello)) => Ok(hello),
        Ok(ClientFrame::Request { .. } | ClientFrame::Ack { .. } | ClientFrame::Alarm { .. }) => {
            Err(malformed("The first frame must be hello.".to_owned()))
        }
        Err(error) => Err(malformed(format!("The hello could not be read: {error}."))),
    }
}
