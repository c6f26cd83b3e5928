//! HTTP: the routes, and the one way in to them.
//!
//! [`answer`] is called for every request. It asks the gate, then the router, and puts the headers of every answer on
//! whatever comes out. Routes: the page's files, `POST /api/pair`, `GET /api/health`, `GET /ws`,
//! `GET /api/tasks/{task}/log`, and the relay.

pub mod accept;
pub mod assets;
pub mod gate;
pub mod headers;
mod log;
mod peer;
mod places;
pub mod problem;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use shared::proof::{Introduction, PagePaired, PairRequest};
use shared::{ClientId, Problem, ProblemCode};
use tower::ServiceExt as _;

use self::gate::{PAIR_PATH, SOCKET_PATH};
pub use self::places::Place;
use self::problem::{Refusal, json};
use crate::identity::PublicKey;
use crate::server::Runner;

/// The largest body of a request other than a relayed one.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long such a body may take.
const BODY_TIME: Duration = Duration::from_secs(8);

/// One route beside the page's files.
pub struct Route {
    /// As the router writes it: `{name}` for a part, `{*name}` for the rest.
    pub path: &'static str,
    /// The method that it is for; a WebSocket's handshake is a GET.
    pub method: Method,
    /// Whether it is for everybody. One such, and the gate knows it.
    pub public: bool,
    handler: fn() -> MethodRouter<Arc<Runner>>,
}

/// All routes.
pub const ROUTES: [Route; 7] = [
    Route { path: PAIR_PATH, method: Method::POST, public: true, handler: || post(pair) },
    Route { path: "/api/health", method: Method::GET, public: false, handler: || get(health) },
    Route { path: SOCKET_PATH, method: Method::GET, public: false, handler: || get(crate::socket::upgrade) },
    Route { path: "/api/tasks/{task}/log", method: Method::GET, public: false, handler: || get(log::whole) },
    Route {
        path: "/relay/anthropic/v1/messages",
        method: Method::POST,
        public: false,
        handler: || post(relay::anthropic),
    },
    Route {
        path: "/relay/anthropic/v1/messages/{*rest}",
        method: Method::POST,
        public: false,
        handler: || post(relay::anthropic),
    },
    Route {
        path: "/relay/anthropic/v1/{*rest}",
        method: Method::GET,
        public: false,
        handler: || get(relay::anthropic),
    },
];

/// The router.
pub fn router(runner: Arc<Runner>) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
        .fallback(fallback)
        .method_not_allowed_fallback(wrong_method)
        .with_state(runner)
}

/// Answers one request.
pub async fn answer(runner: Arc<Runner>, router: Router, request: Request<Incoming>) -> Response {
    let mut request = request.map(Body::new);
    let host = runner.gate.host(request.headers()).map(str::to_owned);
    let head = *request.method() == Method::HEAD;
    let peer = request.extensions().get::<peer::Peer>().cloned();
    let admitted = match peer {
        Some(peer) if peer.is_foreign().await => Err(Refusal::new(ProblemCode::Forbidden, peer::FOREIGN)),
        Some(_) | None => runner.gate.admit(&mut request).await,
    };
    let mut response = match admitted.and_then(|()| vouch(&runner, &request)) {
        Ok(()) => router.oneshot(request).await.unwrap_or_else(|never| match never {}),
        Err(refusal) => refusal.into_response(),
    };
    runner.policy.apply(response.headers_mut(), host.as_deref());
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

/// A client's connection stays as long as the client is paired.
fn vouch(runner: &Runner, request: &Request) -> Result<(), Refusal> {
    let Some(client) = request.extensions().get::<ClientId>() else { return Ok(()) };
    let revoked = runner.clients.revocation(*client).ok_or_else(|| {
        Refusal::new(ProblemCode::Unauthorized, "This client was revoked. `meanwhile pair` pairs it again.")
    })?;
    if let Some(place) = request.extensions().get::<Place>() {
        place.vouch(revoked);
    }
    Ok(())
}

async fn fallback(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && let Some(response) = assets::serve(&request)
    {
        return response;
    }
    Refusal::new(ProblemCode::NotFound, "There is nothing at this address.").into_response()
}

async fn wrong_method() -> Response {
    Refusal::new(ProblemCode::NotFound, "This address does not know this method.")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .into_response()
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    protocol: u32,
    tabs: u32,
}

async fn health(State(runner): State<Arc<Runner>>) -> Response {
    json(
        StatusCode::OK,
        &Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            protocol: shared::protocol::PROTOCOL,
            tabs: runner.hub.tabs(),
        },
    )
}

#[derive(Serialize)]
struct ProgramPaired<'a> {
    credential: &'a str,
    client: ClientId,
}

async fn pair(State(runner): State<Arc<Runner>>, request: Request) -> Response {
    match exchange(&runner, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn exchange(runner: &Runner, request: Request) -> Result<Response, Refusal> {
    // The gate has seen that there is one.
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.unwrap_or_default().to_owned();
    let body = read_body(request).await?;
    let wish: PairRequest = serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            ProblemCode::Malformed,
            format!("The body must hold a code, or a key and a proof, and may hold a name: {error}."),
        )
    })?;
    let unknown = "The pairing code is wrong, too old or already used. `meanwhile pair` prints a fresh link.";
    let (client, response) = match wish {
        PairRequest { code: Some(code), key: None, proof: None, name } => {
            let Some(redeemed) = runner.pairing.redeem(&code) else {
                return Err(runner.gate.refuse_guess(unknown).await);
            };
            let (client, credential) = runner.clients.add(&name, redeemed.by, crate::server::now()).await?;
            let answer = ProgramPaired { credential: credential.expose(), client };
            (client, json(StatusCode::OK, &answer))
        }
        PairRequest { code: None, key: Some(key), proof: Some(proof), name } => {
            let page = PublicKey::read(&key.0).ok_or_else(|| {
                let words = "The key must be a point of P-256, not compressed: 65 bytes in base64.";
                Refusal::new(ProblemCode::Malformed, words)
            })?;
            let introduction = Introduction { origin: &origin, key: &key.0, name: &name };
            let Some(redeemed) = runner.pairing.redeem_by(&introduction.request(), &proof.0) else {
                return Err(runner.gate.refuse_guess(unknown).await);
            };
            let client = runner.clients.add_page(&name, page, redeemed.by, crate::server::now()).await?;
            let own = runner.identity.public();
            let proof = redeemed.proof(&introduction.answer(client, own));
            let answer = PagePaired { client, key: own.to_vec().into(), proof: proof.into() };
            (client, json(StatusCode::OK, &answer))
        }
        PairRequest { .. } => {
            let words = "The body must hold either a code, or a key and a proof.";
            return Err(Refusal::new(ProblemCode::Malformed, words));
        }
    };
    tracing::info!("A client was paired: {client}");
    Ok(response)
}

async fn read_body(request: Request) -> Result<bytes::Bytes, Problem> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
            ProblemCode::TooLarge,
            format!("The body is larger than {MAX_BODY_BYTES} bytes."),
        )),
        Ok(Err(error)) => {
            Err(Problem::retryable(ProblemCode::Malformed, format!("The body broke off: {error}.")))
        }
        Err(_) => Err(Problem::retryable(ProblemCode::Malformed, "The body did not come in time.")),
    }
}
