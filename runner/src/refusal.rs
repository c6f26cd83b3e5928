//! A problem as an HTTP answer, for whoever answers requests.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use shared::{Problem, ProblemCode};

/// The status that a problem of this kind has.
pub(crate) const fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::Malformed => StatusCode::BAD_REQUEST,
        ProblemCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ProblemCode::Forbidden | ProblemCode::OutsideWorkspace | ProblemCode::NeedsApproval => {
            StatusCode::FORBIDDEN
        }
        ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::Conflict | ProblemCode::IdReused => StatusCode::CONFLICT,
        ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ProblemCode::NotText | ProblemCode::NoMatch | ProblemCode::SandboxUnavailable => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ProblemCode::Upstream => StatusCode::BAD_GATEWAY,
        ProblemCode::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::System | ProblemCode::Internal | ProblemCode::Other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal.
pub(crate) struct Refusal {
    status: StatusCode,
    problem: Problem,
}

impl Refusal {
    /// With the status that its kind has.
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Problem::new(code, message).into()
    }

    /// With another status.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { status: status(problem.code), problem }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.problem);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("answers are plain data with string keys");
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
