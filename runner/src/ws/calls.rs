//! Model calls of one page, relayed over its socket.
//!
//! Each call is a task that reads the upstream's answer no faster than the page takes it. Aborting the task
//! drops the answer, which aborts the upstream's request; that is what cancelling does, and what the end of
//! the socket does.

use std::collections::BTreeMap;
use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use shared::output::Bytes;
use shared::protocol::{ModelCall, ServerFrame};
use shared::{Problem, ProblemCode};
use tokio_util::task::AbortOnDropHandle;

use super::queue::SendQueue;
use crate::relay::{self, Relay};

/// The most calls of one page at once.
pub(super) const MAX_CALLS: usize = 16;
/// The longest name of a call, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The most bytes of an answer in a frame.
const CHUNK: usize = 64 * 1024;
/// Of the page's headers, those that are passed on.
const HEADERS: [&str; 2] = ["anthropic-version", "anthropic-beta"];

/// The calls under way.
#[derive(Default)]
pub(super) struct Calls {
    running: HashMap<String, AbortOnDropHandle<()>>,
}

impl Calls {
    /// Checks a call; what it gives is to be started once the request has its reply.
    pub(super) fn prepare(&mut self, relay: &Relay, call: ModelCall) -> Result<Prepared, Problem> {
        self.running.retain(|_, handle| !handle.is_finished());
        if call.call.len() > MAX_NAME_BYTES {
            return Err(Problem::new(
                ProblemCode::TooLarge,
                format!("A call's name has at most {MAX_NAME_BYTES} bytes."),
            ));
        }
        if self.running.contains_key(&call.call) {
            return Err(Problem::new(ProblemCode::Conflict, "A call of this name is under way."));
        }
        if self.running.len() >= MAX_CALLS {
            let message =
                format!("{MAX_CALLS} model calls of this page are under way, and that is the limit.");
            return Err(Problem::retryable(ProblemCode::TooMany, message));
        }
        let method = relay::method_of(&call.path).unwrap_or(axum::http::Method::POST);
        relay.check(&call.upstream, &method, &call.path)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let name = name.to_ascii_lowercase();
            if HEADERS.contains(&name.as_str())
                && let Ok(name) = HeaderName::try_from(name)
            {
                let value = HeaderValue::try_from(value).map_err(|_| {
                    Problem::new(ProblemCode::Malformed, format!("The header {name} has a wrong value."))
                })?;
                headers.insert(name, value);
            }
        }
        Ok(Prepared { call, method, headers })
    }

    /// Starts a call.
    pub(super) fn start(&mut self, relay: Relay, queue: SendQueue, prepared: Prepared) {
        let name = prepared.call.call.clone();
        let task = tokio::spawn(async move {
            let name = prepared.call.call.clone();
            let problem = prepared.run(&relay, &queue).await.err();
            queue.push(&ServerFrame::ModelEnd { call: name, problem });
        });
        self.running.insert(name, AbortOnDropHandle::new(task));
    }

    /// Ends a call. Once this returns it sends nothing more.
    pub(super) async fn cancel(&mut self, name: &str) {
        if let Some(handle) = self.running.remove(name) {
            handle.abort();
            let _ = handle.await;
        }
    }
}

/// A call that can be made.
pub(super) struct Prepared {
    call: ModelCall,
    method: axum::http::Method,
    headers: HeaderMap,
}

impl Prepared {
    async fn run(self, relay: &Relay, queue: &SendQueue) -> Result<(), Problem> {
        let Self { call: ModelCall { call, upstream, path, headers: _, body }, method, headers } = self;
        let mut answer = relay.call(&upstream, method, &path, &headers, body.into()).await?;
        let headers: BTreeMap<String, String> = answer
            .headers()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        queue.push(&ServerFrame::ModelHead { call: call.clone(), status: answer.status(), headers });
        while let Some(piece) = answer.chunk().await? {
            for part in piece.chunks(CHUNK) {
                queue.room().await;
                queue.push(&ServerFrame::ModelData { call: call.clone(), data: Bytes(part.to_vec()) });
            }
        }
        Ok(())
    }
}
