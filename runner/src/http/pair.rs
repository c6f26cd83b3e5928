//! `POST /api/pair`: the exchange of a code for a credential, or of a proof of one for the runner's.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ORIGIN;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use shared::proof::{Introduction, PagePaired, PairRequest};
use shared::{ClientId, ProblemCode};

use super::body;
use super::gate::refuse_guess;
use crate::app::App;
use crate::clock::now;
use crate::identity::PublicKey;
use crate::refusal::{Refusal, json};

#[derive(Serialize)]
struct ProgramPaired<'a> {
    credential: &'a str,
    client: ClientId,
}

pub(super) async fn pair(State(app): State<Arc<App>>, request: Request) -> Response {
    match exchange(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn exchange(app: &App, request: Request) -> Result<Response, Refusal> {
    // The gate has seen that there is one.
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.unwrap_or_default().to_owned();
    let body = body::read(request).await?;
    let wish: PairRequest = serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            ProblemCode::Malformed,
            format!("The body must hold a code, or a key and a proof, and may hold a name: {error}."),
        )
    })?;
    let unknown = "The pairing code is wrong, too old or already used. `meanwhile pair` prints a fresh link.";
    let (client, response) = match wish {
        PairRequest { code: Some(code), key: None, proof: None, name } => {
            let Some(redeemed) = app.pairing.redeem(&code) else {
                return Err(refuse_guess(&app.clients, unknown).await);
            };
            let (client, credential) = app.clients.add(&name, redeemed.by, now()).await?;
            let answer = ProgramPaired { credential: credential.expose(), client };
            (client, json(StatusCode::OK, &answer))
        }
        PairRequest { code: None, key: Some(key), proof: Some(proof), name } => {
            let page = PublicKey::read(&key.0).ok_or_else(|| {
                let message = "The key must be a point of P-256, not compressed: 65 bytes in base64.";
                Refusal::new(ProblemCode::Malformed, message)
            })?;
            let introduction = Introduction { origin: &origin, key: &key.0, name: &name };
            let Some(redeemed) = app.pairing.redeem_by(&introduction.request(), &proof.0) else {
                return Err(refuse_guess(&app.clients, unknown).await);
            };
            let client = app.clients.add_page(&name, page, redeemed.by, now()).await?;
            let own = app.identity.public();
            let proof = redeemed.proof(&introduction.answer(client, own));
            let answer = PagePaired { client, key: own.to_vec().into(), proof: proof.into() };
            (client, json(StatusCode::OK, &answer))
        }
        PairRequest { .. } => {
            let message = "The body must hold either a code, or a key and a proof.";
            return Err(Refusal::new(ProblemCode::Malformed, message));
        }
    };
    tracing::info!("A client was paired: {client}");
    Ok(response)
}
