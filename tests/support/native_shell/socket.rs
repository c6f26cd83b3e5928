//! The socket to the runner, as the agent sees it: opened, frames, closed.

use std::net::SocketAddr;

use agent::event::LinkInput;
use agent::{Event, Pump};
use futures_util::{SinkExt as _, StreamExt as _};
use shared::protocol::{BEARER_PREFIX, ClientFrame, MAX_FRAME_BYTES, SUBPROTOCOL, ServerFrame};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::runner::Client;

/// What a browser says when a socket could not be opened or broke.
const ABNORMAL: u16 = 1006;

pub(super) async fn run(
    address: SocketAddr,
    client: Client,
    generation: u64,
    mut to_send: mpsc::UnboundedReceiver<ClientFrame>,
    pump: Pump,
) {
    let tell = |input| pump.send(Event::Link { generation, input });
    let closed = |code, reason: String| LinkInput::Closed { code, reason };
    let mut socket = match open(address, &client).await {
        Ok(socket) => socket,
        Err(error) => return tell(closed(ABNORMAL, error.to_string())),
    };
    tell(LinkInput::Opened);
    loop {
        tokio::select! {
            frame = to_send.recv() => {
                let Some(frame) = frame else { return };
                let text = serde_json::to_string(&frame).expect("frames are JSON");
                if let Err(error) = socket.send(Message::text(text)).await {
                    return tell(closed(ABNORMAL, error.to_string()));
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => tell(read(&text)),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return tell(closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Close(None))) | None => return tell(closed(ABNORMAL, String::new())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => tell(LinkInput::Garbled { reason: "a binary frame".to_owned() }),
                Some(Err(error)) => return tell(closed(ABNORMAL, error.to_string())),
            },
        }
    }
}

fn read(text: &str) -> LinkInput {
    match serde_json::from_str::<ServerFrame>(text) {
        Ok(frame) => LinkInput::Frame(Box::new(frame)),
        Err(error) => LinkInput::Garbled { reason: error.to_string() },
    }
}

/// Opens a socket as the runner's own page would, also where a cable lies between.
pub async fn open(address: SocketAddr, client: &Client) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::Io)?;
    stream.set_nodelay(true).map_err(Error::Io)?;
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_FRAME_BYTES);
    config.max_frame_size = Some(MAX_FRAME_BYTES);
    let (socket, _) = client_async_with_config(handshake(client)?, stream, Some(config)).await?;
    Ok(socket)
}

fn handshake(client: &Client) -> Result<Request<()>, Error> {
    let mut request = format!("ws://{}/ws", client.address).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("origin", HeaderValue::try_from(format!("http://{}", client.address))?);
    let offered = format!("{SUBPROTOCOL}, {BEARER_PREFIX}{}", client.credential);
    headers.insert("sec-websocket-protocol", HeaderValue::try_from(offered)?);
    Ok(request)
}
