//! The relay over HTTP, for programs that speak a provider's own protocol: official libraries with the runner
//! as their base address and a client's credential as their key.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use shared::{Problem, ProblemCode};

use super::body::BODY_TIME;
use crate::app::App;
use crate::refusal::Refusal;
use crate::relay::{ANTHROPIC, MAX_BODY_BYTES};

const PREFIX: &str = "/relay/anthropic";

/// Passes a request on.
pub(super) async fn anthropic(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts
        .uri
        .path_and_query()
        .and_then(|target| target.as_str().strip_prefix(PREFIX))
        .unwrap_or_default();
    let declared = axum::http::header::CONTENT_LENGTH;
    let declared = parts.headers.get(declared).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Refusal::from(too_large()).into_response();
    }
    let body_error = Arc::new(OnceLock::new());
    let body = reqwest::Body::wrap_stream(arriving(body, Arc::clone(&body_error)));
    let answer = app.relay.call(ANTHROPIC, parts.method, target, &parts.headers, body).await;
    let answer = match answer {
        Ok(answer) => answer,
        // What was wrong with the request has broken the call off.
        Err(problem) => return Refusal::from(body_error.get().cloned().unwrap_or(problem)).into_response(),
    };
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().extend(answer.headers());
    let pieces = stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        match answer.chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(answer))),
            Ok(None) => None,
            // An error of the body cuts the connection, which is how HTTP/1.1 says that an answer is not
            // whole.
            Err(problem) => Some((Err(problem), None)),
        }
    });
    *response.body_mut() = Body::from_stream(pieces.boxed());
    response
}

/// The body as it comes, each piece of it in time. The model may think as long as it likes, but not the
/// caller, whose request holds a place. What is wrong with it is put into `body_error`.
fn arriving(
    body: Body,
    body_error: Arc<OnceLock<Problem>>,
) -> impl Stream<Item = Result<Bytes, &'static str>> {
    let pieces = Limited::new(body, MAX_BODY_BYTES).into_data_stream();
    stream::unfold(Some((pieces, body_error)), async |state| {
        let (mut pieces, body_error) = state?;
        let problem = match tokio::time::timeout(BODY_TIME, pieces.next()).await {
            Ok(Some(Ok(piece))) => return Some((Ok(piece), Some((pieces, body_error)))),
            Ok(None) => return None,
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => too_large(),
            Ok(Some(Err(error))) => {
                Problem::retryable(ProblemCode::Malformed, format!("The body broke off: {error}."))
            }
            Err(_) => Problem::retryable(ProblemCode::Malformed, "The body did not come in time."),
        };
        // It is the first: nothing follows it.
        let _first = body_error.set(problem);
        Some((Err("the request is not whole"), None))
    })
}

fn too_large() -> Problem {
    Problem::new(ProblemCode::TooLarge, format!("The body is larger than {MAX_BODY_BYTES} bytes."))
}
