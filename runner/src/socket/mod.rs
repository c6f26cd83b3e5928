//! Sockets.
pub mod hub;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use axum::response::Response;
use shared::protocol::{
    ClientFrame, HEARTBEAT_MS, MAX_FRAME_BYTES, PROTOCOL, SUBPROTOCOL, ServerFrame, Stats, Welcome,
};
use shared::{Epoch, ProblemCode, Seq};

use crate::http::problem::Refusal;
use crate::server::Runner;

/// Upgrade.
pub async fn upgrade(State(runner): State<Arc<Runner>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade
            .protocols([SUBPROTOCOL])
            .max_message_size(MAX_FRAME_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .on_upgrade(|socket| serve(runner, socket)),
        Err(rejection) => Refusal::new(ProblemCode::Malformed, rejection.body_text())
            .with_status(rejection.status())
            .into_response(),
    }
}

async fn serve(runner: Arc<Runner>, mut socket: WebSocket) {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return };
    let Ok(ClientFrame::Hello(_)) = serde_json::from_str(text.as_str()) else { return };
    let welcome = ServerFrame::Welcome(Box::new(Welcome {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: Epoch(uuid::Uuid::nil()),
        resumed: false,
        last: Seq(0),
        next: Seq(1),
        workspace: runner.workspace.clone(),
        workspace_short: runner.workspace.clone(),
        system: std::env::consts::OS.to_owned(),
        shell: "/bin/sh".to_owned(),
        tasks: Vec::new(),
        stats: Stats::default(),
        relay: Vec::new(),
        heartbeat_ms: HEARTBEAT_MS,
        now: crate::server::now(),
    }));
    let text = serde_json::to_string(&welcome).expect("plain data");
    let _ = socket.send(Message::Text(text.into())).await;
    loop {
        tokio::select! {
            frame = socket.recv() => if !matches!(frame, Some(Ok(_))) { return },
            () = tokio::time::sleep(Duration::from_millis(HEARTBEAT_MS)) => {
                let beat = ServerFrame::Heartbeat { now: crate::server::now() };
                let text = serde_json::to_string(&beat).expect("plain data");
                if socket.send(Message::Text(text.into())).await.is_err() { return }
            }
        }
    }
}
