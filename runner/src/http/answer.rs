//! One request from the accept loop to its answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use shared::{ClientId, ProblemCode};
use tower::ServiceExt as _;

use super::gate::Gate;
use super::headers::Policy;
use super::peer;
use super::routes::router;
use crate::app::App;
use crate::permits::ConnectionPermit;
use crate::refusal::Refusal;

/// All that answers requests.
pub(crate) struct Http {
    app: Arc<App>,
    gate: Gate,
    policy: Policy,
    router: Router,
}

impl Http {
    /// With the routes of another transport beside its own.
    pub(crate) fn new(app: Arc<App>, gate: Gate, policy: Policy, others: Router) -> Self {
        let router = router(Arc::clone(&app), others);
        Self { app, gate, policy, router }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let mut request = request.map(Body::new);
        let host = self.gate.host(request.headers()).map(str::to_owned);
        let head = *request.method() == Method::HEAD;
        let peer = request.extensions().get::<peer::Peer>().cloned();
        let admitted = match peer {
            Some(peer) if peer.is_foreign().await => Err(Refusal::new(ProblemCode::Forbidden, peer::FOREIGN)),
            Some(_) | None => self.gate.admit(&mut request).await,
        };
        let mut response = match admitted.and_then(|()| self.admit(&request)) {
            Ok(()) => self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
            Err(refusal) => refusal.into_response(),
        };
        self.policy.apply(response.headers_mut(), host.as_deref());
        if head {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// A client's connection stays as long as the client is paired.
    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let Some(client) = request.extensions().get::<ClientId>() else { return Ok(()) };
        let revoked = self.app.clients.revocation(*client).ok_or_else(|| {
            Refusal::new(
                ProblemCode::Unauthorized,
                "This client was revoked. `meanwhile pair` pairs it again.",
            )
        })?;
        if let Some(permit) = request.extensions().get::<ConnectionPermit>() {
            permit.admit(revoked);
        }
        Ok(())
    }
}
