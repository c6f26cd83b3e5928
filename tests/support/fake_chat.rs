//! A scripted server of chat completions, which checks every request.
//!
//! What runs: one axum server on a free port, as open to pages as servers on one's own machine are. Each
//! `POST /v1/chat/completions` is checked by [`chat_api`], which is not the product's own, recorded, and
//! answered by the next step. A broken rule, and steps that were never asked for, fail the test when the
//! server is dropped.

#[path = "../../frontend/agent/tests/it/chat_api.rs"]
mod chat_api;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fake_anthropic::of_the_runner;

const MAX_BODY: usize = 32 * 1024 * 1024;

/// An answer: text, and calls of tools with their arguments.
#[derive(Clone, Debug, Default)]
pub struct Step {
    text: String,
    calls: Vec<(String, Value)>,
}

/// Text.
pub fn chat_answer(text: &str) -> Step {
    Step { text: text.to_owned(), calls: Vec::new() }
}

impl Step {
    /// And a call of a tool.
    #[must_use]
    pub fn call(mut self, name: &str, arguments: Value) -> Self {
        self.calls.push((name.to_owned(), arguments));
        self
    }

    /// The stream, each call's arguments in pieces of three characters.
    fn stream(&self, answer: usize) -> String {
        let chunk = |delta: Value, reason: Value| json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
        for word in self.text.split_inclusive(' ') {
            events.push(chunk(json!({"content": word}), Value::Null));
        }
        for (index, (name, arguments)) in self.calls.iter().enumerate() {
            let call = json!({"index": index, "id": format!("call_{answer}_{index}"), "type": "function",
                "function": {"name": name, "arguments": ""}});
            events.push(chunk(json!({"tool_calls": [call]}), Value::Null));
            let text: Vec<char> = arguments.to_string().chars().collect();
            for piece in text.chunks(3) {
                let piece: String = piece.iter().collect();
                let more = json!({"index": index, "function": {"arguments": piece}});
                events.push(chunk(json!({"tool_calls": [more]}), Value::Null));
            }
        }
        events.push(chunk(json!({}), if self.calls.is_empty() { "stop" } else { "tool_calls" }.into()));
        events.push(json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}));
        let events = events.iter().map(Value::to_string).chain([String::from("[DONE]")]);
        events.flat_map(|event| [String::from("data: "), event, String::from("\n\n")]).collect()
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    steps: VecDeque<Step>,
    requests: Vec<Sent>,
    broken: Vec<String>,
}

type Shared = Arc<Mutex<Inner>>;

/// The server.
pub struct FakeChat {
    address: SocketAddr,
    inner: Shared,
    server: JoinHandle<()>,
}

impl FakeChat {
    /// Answers with these steps, one a request.
    pub async fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let inner: Shared = Arc::default();
        lock(&inner).steps.extend(steps);
        let router = Router::new().fallback(serve).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the accept loop has no end");
        });
        Self { address, inner, server }
    }

    /// The address as people type it, with its version.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What a page must be allowed to connect to.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Sent> {
        lock(&self.inner).requests.clone()
    }
}

impl Drop for FakeChat {
    fn drop(&mut self) {
        self.server.abort();
        let inner = lock(&self.inner);
        if !thread::panicking() {
            assert!(inner.broken.is_empty(), "requests broke rules: {:#?}", inner.broken);
            assert!(inner.steps.is_empty(), "never asked for: {:?}", inner.steps);
        }
    }
}

fn lock(inner: &Shared) -> std::sync::MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(State(inner): State<Shared>, request: Request) -> Response {
    let open = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, authorization"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, open).into_response();
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut inner = lock(&inner);
    let checked = if (parts.method.as_str(), parts.uri.path()) == ("POST", "/v1/chat/completions") {
        match of_the_runner(&parts.headers) {
            Some(name) => Err(format!("{name}: is the runner's and not for a model's server")),
            None => chat_api::check(&body),
        }
    } else {
        Err(format!("{} {} is not served", parts.method, parts.uri))
    };
    inner.requests.push(Sent { headers: parts.headers, body });
    let step = inner.steps.pop_front().ok_or_else(|| "there is no further step".to_owned());
    match checked.and(step) {
        Ok(step) => {
            let kind = (header::CONTENT_TYPE, "text/event-stream");
            (open, [kind], step.stream(inner.requests.len())).into_response()
        }
        Err(error) => {
            inner.broken.push(error.clone());
            let body = json!({"error": {"message": error, "type": "invalid_request_error", "code": null}});
            (StatusCode::BAD_REQUEST, open, body.to_string()).into_response()
        }
    }
}
