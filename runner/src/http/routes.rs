//! The routes: `POST /api/pair`, `GET /api/health`, `GET /api/tasks/{task}/log`, the relay, and for all else
//! the page's files.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;
use shared::ProblemCode;

use super::gate::PAIR_PATH;
use super::{assets, log, pair, relay};
use crate::app::App;
use crate::refusal::{Refusal, json};

/// One route beside the page's files.
pub(crate) struct Route {
    /// As the router writes it: `{name}` for a part, `{*name}` for the rest.
    pub(crate) path: &'static str,
    /// The method that it is for.
    pub(crate) method: Method,
    /// Whether it is for everybody. One such, and the gate knows it.
    pub(crate) public: bool,
    handler: fn() -> MethodRouter<Arc<App>>,
}

/// All routes.
pub(crate) const ROUTES: [Route; 6] = [
    Route { path: PAIR_PATH, method: Method::POST, public: true, handler: || post(pair::pair) },
    Route { path: "/api/health", method: Method::GET, public: false, handler: || get(health) },
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

/// The router of these routes and of those that another transport brings.
pub(super) fn router(app: Arc<App>, others: Router) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
        .with_state(app)
        .merge(others)
        .fallback(fallback)
        .method_not_allowed_fallback(wrong_method)
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

async fn health(State(app): State<Arc<App>>) -> Response {
    json(
        StatusCode::OK,
        &Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            protocol: shared::protocol::PROTOCOL,
            tabs: app.hub.tabs(),
        },
    )
}
