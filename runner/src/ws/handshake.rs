//! From the request for a socket to its first hello.

use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use serde::Deserialize;
use shared::proof::Meeting;
use shared::protocol::{ClientFrame, Hello, MAX_FRAME_BYTES, PROTOCOL, SUBPROTOCOL, close};
use shared::{ClientId, Problem, ProblemCode};

use super::connection::Connection;
use super::meet::{Failed, meet};
use super::queue::queue;
use super::sockets::Sockets;
use crate::permits::ConnectionPermit;
use crate::refusal::Refusal;

/// How long a page may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// How long a page may take to answer a close.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Makes a socket of a request.
pub(crate) async fn upgrade(
    State(sockets): State<Sockets>,
    client: Option<Extension<ClientId>>,
    meeting: Option<Extension<Meeting>>,
    Extension(permit): Extension<ConnectionPermit>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => {
            let message = format!("This address is for WebSockets: {}", rejection.body_text());
            return Refusal::new(ProblemCode::Malformed, message)
                .with_status(rejection.status())
                .into_response();
        }
    };
    if upgrade.selected_protocol().is_none() {
        let message = format!("The WebSocket must offer the subprotocol {SUBPROTOCOL}.");
        return Refusal::new(ProblemCode::Malformed, message).into_response();
    }
    let peer = match (client, meeting) {
        (Some(Extension(client)), _) => Peer::Known(client),
        (None, Some(Extension(meeting))) => Peer::Stranger(meeting),
        (None, None) => {
            let message = "The WebSocket shows no credential.";
            return Refusal::new(ProblemCode::Unauthorized, message).into_response();
        }
    };
    upgrade
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_write_buffer_size(4 * MAX_FRAME_BYTES)
        .on_failed_upgrade(|error| tracing::debug!("A handshake was not finished: {error}"))
        .on_upgrade(move |socket| async move {
            let open = sockets.open.clone();
            open.track_future(serve(sockets, peer, permit, socket)).await;
        })
}

/// Who has opened a socket.
enum Peer {
    /// A program that has shown its credential.
    Known(ClientId),
    /// A page that is to prove itself.
    Stranger(Meeting),
}

async fn serve(sockets: Sockets, peer: Peer, permit: ConnectionPermit, socket: WebSocket) {
    let (sink, mut stream) = socket.split();
    let (queue, writer) = queue();
    let writing = tokio::spawn(writer.run(sink));
    // Held as long as the socket is.
    let (client, _pass) = match peer {
        Peer::Known(client) => (Some(client), None),
        Peer::Stranger(meeting) => match meet(&sockets.app, &meeting, &permit, &queue, &mut stream).await {
            Ok((client, pass)) => (Some(client), Some(pass)),
            Err(Failed::Refused(problem, code)) => {
                queue.refuse(problem, code);
                (None, None)
            }
            // Its permit is wanted at once.
            Err(Failed::Closed) => return writing.abort(),
        },
    };
    if let Some(client) = client {
        match greet(&mut stream).await {
            Ok(hello) => {
                if let Some(connection) = Connection::open(sockets, client, hello, queue.clone()).await {
                    connection.run(&mut stream).await;
                }
            }
            Err(Some((problem, code))) => queue.refuse(problem, code),
            Err(None) => {}
        }
    }
    drop(queue);
    let _ = writing.await;
    // Whatever the page still says is read and dropped, or the system would cut the connection before it has
    // read the close.
    let _ = tokio::time::timeout(CLOSE_TIME, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}

/// What every version's hello has.
#[derive(Deserialize)]
struct AnyHello {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
}

async fn greet(stream: &mut SplitStream<WebSocket>) -> Result<Hello, Option<(Problem, u16)>> {
    let malformed = |message: String| Some((Problem::new(ProblemCode::Malformed, message), close::MALFORMED));
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
        let message = format!(
            "The page speaks version {} of the protocol and this runner version {PROTOCOL}. Reload the page from this runner.",
            any.protocol
        );
        return Err(Some((Problem::new(ProblemCode::Malformed, message), close::VERSION)));
    }
    match serde_json::from_str(&text) {
        Ok(ClientFrame::Hello(hello)) => Ok(hello),
        Ok(ClientFrame::Request { .. } | ClientFrame::Ack { .. } | ClientFrame::Alarm { .. }) => {
            Err(malformed("The first frame must be hello.".to_owned()))
        }
        Err(error) => Err(malformed(format!("The hello could not be read: {error}."))),
    }
}
