//! Bodies that are bounded in length and in time.

use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use shared::{Problem, ProblemCode};

/// The largest body of a request other than a relayed one.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long such a body may take.
pub(super) const BODY_TIME: Duration = Duration::from_secs(8);

pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            ProblemCode::TooLarge,
            format!("The body is larger than {MAX_BODY_BYTES} bytes."),
        )),
        Ok(Err(error)) => {
            Err(Problem::retryable(ProblemCode::Malformed, format!("The body broke off: {error}.")))
        }
        Err(_) => Err(Problem::retryable(ProblemCode::Malformed, "The body did not come in time.")),
    }
}
