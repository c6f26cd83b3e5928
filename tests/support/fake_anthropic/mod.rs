//! A scripted model server with the real wire, which checks every request, whatever the test is about.
//!
//! What runs: one axum server on a free port. Each `POST /v1/messages` is checked (credential, headers, the
//! message rules of [`api`], which are not the product's own, that a conversation only ever grows at its end,
//! and that no task's end is told twice in it), recorded, and answered by the script: the next of its steps,
//! or what a closure says. A broken rule is answered with 400 in the API's words, and fails the test when the
//! server is dropped. So do steps that were never asked for, and requests after the last step.

pub mod answer;
#[path = "../../../frontend/agent/tests/it/api.rs"]
pub(crate) mod api;
pub mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answer, answer, refuse, text_answer};
pub use request::Request;

use crate::{delivered, wait};
use answer::Wire;
use request::Conversations;

/// The only key that the server takes.
pub const KEY: &str = "sk-ant-test-0123456789";
/// The most bytes of a request's body, as the API has it.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// What a page must send to be answered at all.
const DIRECT: &str = "anthropic-dangerous-direct-browser-access";

/// The server. Dropping it stops it and fails the test if any rule was broken.
pub struct FakeAnthropic {
    address: SocketAddr,
    state: Shared,
    server: JoinHandle<()>,
}

type Closure = Box<dyn FnMut(&Request) -> Answer + Send>;

enum Script {
    Steps(VecDeque<Answer>),
    By(Closure),
}

#[derive(Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    count: Arc<watch::Sender<usize>>,
    hang_ups: Arc<AtomicUsize>,
}

struct Inner {
    script: Script,
    requests: Vec<Request>,
    conversations: Conversations,
    broken: Vec<String>,
}

impl FakeAnthropic {
    /// Answers with these steps, in this order, one a request.
    pub async fn steps(steps: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(Script::Steps(steps.into_iter().collect())).await
    }

    /// Answers as the closure says: for tests in which the order of requests is not fixed.
    pub async fn by(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::start(Script::By(Box::new(script))).await
    }

    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let inner = Inner {
            script,
            requests: Vec::new(),
            conversations: Conversations::default(),
            broken: Vec::new(),
        };
        let state = Shared {
            inner: Arc::new(Mutex::new(inner)),
            count: Arc::new(watch::Sender::new(0)),
            hang_ups: Arc::default(),
        };
        let router = Router::new().fallback(serve).with_state(state.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the accept loop has no end");
        });
        Self { address, state, server }
    }

    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests to `/v1/messages` so far, in their order.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// Waits until that many requests have come, and returns all so far.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        let mut counter = self.state.count.subscribe();
        wait::soon("requests to the fake model", async {
            counter.wait_for(|so_far| *so_far >= count).await.expect("the server holds its own sender");
        })
        .await;
        self.requests()
    }

    /// Adds steps to a script of steps.
    pub fn then(&self, steps: impl IntoIterator<Item = Answer>) {
        match &mut self.state.lock().script {
            Script::Steps(queue) => queue.extend(steps),
            Script::By(_) => panic!("a closure answers; there are no steps to add to"),
        }
    }

    /// How many streamed answers nobody wanted to the end: who asked hung up.
    pub fn hang_ups(&self) -> usize {
        self.state.hang_ups.load(Ordering::Relaxed)
    }

    /// Nothing of a script is left to be asked for, for tests whose requests are refused on purpose.
    pub fn then_nothing(&self) {
        if let Script::Steps(queue) = &mut self.state.lock().script {
            queue.clear();
        }
    }

    /// What was broken so far, for tests that break rules on purpose; it is forgotten by asking.
    pub fn take_broken(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().broken)
    }
}

impl Drop for FakeAnthropic {
    fn drop(&mut self) {
        self.server.abort();
        let inner = self.state.lock();
        if thread::panicking() {
            return;
        }
        assert!(inner.broken.is_empty(), "the fake model refused requests: {:#?}", inner.broken);
        if let Script::Steps(left) = &inner.script {
            assert!(left.is_empty(), "{} scripted answers were never asked for", left.len());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a request is not answered.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// Whether the client is at fault in a way that no test should see.
    broken: bool,
}

async fn serve(State(state): State<Shared>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let cors = cors(&parts.method, &parts.headers);
    if parts.method == Method::OPTIONS {
        return (StatusCode::OK, cors).into_response();
    }
    let answer = match to_bytes(body, MAX_BODY).await {
        Ok(body) => route(&state, &parts.method, parts.uri.path(), &parts.headers, &body).await,
        Err(error) => Err(Refusal {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            kind: "request_too_large",
            message: format!("Request exceeds the maximum size: {error}"),
            broken: true,
        }),
    };
    let mut response = answer.unwrap_or_else(|refusal| {
        if refusal.broken {
            state.lock().broken.push(format!("{} {}: {}", parts.method, parts.uri, refusal.message));
        }
        problem(refusal.status, refusal.kind, &refusal.message, 0)
    });
    response.headers_mut().extend(cors);
    response
}

/// The real API allows any origin, but only to those who say that they know what it means.
fn cors(method: &Method, headers: &HeaderMap) -> HeaderMap {
    let mut cors = HeaderMap::new();
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if *method == Method::OPTIONS
        && let Some(wanted) = wanted
    {
        if wanted.to_str().is_ok_and(|names| names.to_ascii_lowercase().contains(DIRECT)) {
            cors.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            cors.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            cors.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    } else if headers.contains_key(DIRECT) {
        cors.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    cors
}

async fn route(
    state: &Shared,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Refusal> {
    check_headers(headers)?;
    match (method.as_str(), path) {
        ("POST", "/v1/messages") => messages(state, headers, body).await,
        ("POST", "/v1/messages/count_tokens") => {
            check_content_type(headers)?;
            let body = parse(body)?;
            let tokens = estimate(&body);
            Ok(axum::Json(json!({"input_tokens": tokens})).into_response())
        }
        ("GET", "/v1/models") => Ok(axum::Json(models()).into_response()),
        (_, path) => Err(Refusal {
            status: StatusCode::NOT_FOUND,
            kind: "not_found_error",
            message: format!("Not Found: {method} {path}"),
            broken: true,
        }),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let unauthorized = |message: &str| Refusal {
        status: StatusCode::UNAUTHORIZED,
        kind: "authentication_error",
        message: message.to_owned(),
        broken: true,
    };
    if headers.contains_key(header::ORIGIN) && headers.get(DIRECT).is_none_or(|value| value != "true") {
        return Err(unauthorized(
            "CORS requests must set 'anthropic-dangerous-direct-browser-access' header",
        ));
    }
    if let Some(name) = of_the_runner(headers) {
        return Err(unauthorized(&format!("{name}: is the runner's and not for a model's server")));
    }
    // The official SDK shows a key in the one, the page and the relay in the other.
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    match (text("x-api-key"), bearer) {
        (Some(KEY), None) | (None, Some(KEY)) => {}
        (None, None) => return Err(unauthorized("x-api-key header is required")),
        (Some(_), None) => return Err(unauthorized("invalid x-api-key")),
        (_, Some(_)) => return Err(unauthorized("authorization: is not the one key of this request")),
    }
    if text("anthropic-version").is_none() {
        return Err(invalid("anthropic-version: header is required"));
    }
    Ok(())
}

/// A header in which the runner's token or a client's credential is, or could be. Both begin alike.
pub(crate) fn of_the_runner(headers: &HeaderMap) -> Option<&str> {
    let own =
        |name: &str| name == "cookie" || name == "sec-websocket-protocol" || name.starts_with("x-meanwhile");
    let secret = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).contains("mw_");
    headers.iter().find(|(name, value)| own(name.as_str()) || secret(value)).map(|(name, _)| name.as_str())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json") {
        return Ok(());
    }
    Err(invalid("content-type: must be application/json"))
}

async fn messages(state: &Shared, headers: &HeaderMap, body: &Bytes) -> Result<Response, Refusal> {
    check_content_type(headers)?;
    let body = parse(body)?;
    let (n, answer, tokens) = {
        let mut inner = state.lock();
        let n = inner.requests.len() + 1;
        let request = Request { n, at: Instant::now(), headers: headers.clone(), body };
        let before = inner.conversations.clone();
        let verdict = api::check(&request.body)
            .and_then(|()| inner.conversations.check(&request))
            .and_then(|()| delivered::doubled(&request).map_or(Ok(()), Err));
        let answer = match (&verdict, &mut inner.script) {
            (Err(reason), _) => Err(invalid(reason)),
            (Ok(()), Script::By(closure)) => Ok(closure(&request)),
            (Ok(()), Script::Steps(steps)) => {
                steps.pop_front().ok_or_else(|| invalid("the script has no more steps"))
            }
        };
        // What is refused is no part of a conversation: it may be taken back.
        if answer.as_ref().is_ok_and(|answer| answer.status != StatusCode::OK) {
            inner.conversations = before;
        }
        let tokens = estimate(&request.body);
        if answer.is_ok() {
            inner.requests.push(request);
        }
        (n, answer?, tokens)
    };
    state.count.send_replace(n);
    if let Some(gate) = &answer.before {
        gate.pass().await;
    }
    let streamed = state.lock().requests[n - 1].body["stream"] == true;
    let model = state.lock().requests[n - 1].body["model"].as_str().unwrap_or_default().to_owned();
    Ok(respond(&answer, n, streamed, &model, tokens, Arc::clone(&state.hang_ups)))
}

/// What of an answer was not sent yet.
struct Rest {
    wire: VecDeque<Wire>,
    hang_ups: Arc<AtomicUsize>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !self.wire.is_empty() {
            self.hang_ups.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn respond(
    answer: &Answer,
    n: usize,
    streamed: bool,
    model: &str,
    tokens: usize,
    hang_ups: Arc<AtomicUsize>,
) -> Response {
    let mut response = if answer.status != StatusCode::OK {
        let (kind, message) = usual_error(answer.status);
        problem(answer.status, kind, answer.message.as_deref().unwrap_or(message), n)
    } else if streamed {
        let wire = Rest { wire: answer.wire(n, model, tokens).into(), hang_ups };
        let body = stream::unfold(wire, |mut wire| async move {
            loop {
                match wire.wire.pop_front()? {
                    Wire::Bytes(bytes) => return Some((Ok(Bytes::from(bytes)), wire)),
                    Wire::Hold(gate) => gate.pass().await,
                    Wire::Cut => {
                        wire.wire.clear();
                        // What came before is on its way once the server has had a turn.
                        tokio::task::yield_now().await;
                        return Some((Err(std::io::Error::other("cut by the script")), wire));
                    }
                }
            }
        });
        let kind =
            [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        (kind, Body::from_stream(body)).into_response()
    } else {
        axum::Json(json!({
            "id": format!("msg_{n:024}"), "type": "message", "role": "assistant", "model": model,
            "content": answer.content(n), "stop_reason": answer.stop_reason(), "stop_sequence": null,
            "usage": {"input_tokens": tokens, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        }))
        .into_response()
    };
    let id = HeaderValue::try_from(format!("req_{n:024}")).expect("digits are a header's value");
    response.headers_mut().insert("request-id", id);
    for (name, value) in &answer.headers {
        let value = HeaderValue::try_from(value).expect("scripts name real header values");
        response.headers_mut().insert(*name, value);
    }
    response
}

fn parse(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(&format!("The request body is not valid JSON: {error}")))
}

fn invalid(message: &str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        kind: "invalid_request_error",
        message: message.to_owned(),
        broken: true,
    }
}

fn problem(status: StatusCode, kind: &str, message: &str, n: usize) -> Response {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": format!("req_{n:024}")});
    (status, axum::Json(body)).into_response()
}

/// How the API names and words the statuses that tests ask for.
fn usual_error(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "model: no-such-model"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your organization's rate limit."),
        529 => ("overloaded_error", "Overloaded"),
        code if code < 500 => ("invalid_request_error", "The request is invalid."),
        _ => ("api_error", "Internal server error"),
    }
}

/// A count that depends on nothing but the request.
fn estimate(body: &Value) -> usize {
    ["system", "tools", "messages"].iter().map(|part| body[part].to_string().len()).sum::<usize>() / 4
}

fn models() -> Value {
    let model = |id: &str, name: &str| {
        json!({"type": "model", "id": id, "display_name": name, "created_at": "2026-09-01T00:00:00Z",
               "max_input_tokens": 1_000_000, "max_tokens": 128_000})
    };
    json!({"data": [model("claude-opus-5-5", "Claude Opus 5.5"), model("claude-haiku-5-5", "Claude Haiku 5.5")],
           "has_more": false, "first_id": "claude-opus-5-5", "last_id": "claude-haiku-5-5"})
}
