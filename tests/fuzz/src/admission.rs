//! The checks before every request, and what the relay takes.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request};
use futures_util::FutureExt as _;
use runner::fuzzing::{self, is_handshake, is_public};
use shared::ClientId;
use shared::proof::Meeting;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PORT: u16 = 8757;
/// Stands for the credential in seeds, so that they are the same at each run.
const HERE: &str = "CREDENTIAL";
/// Whoever is known is let in within this; guesses are made to wait.
const KNOWN_SOON: Duration = Duration::from_millis(250);

struct Gate {
    runtime: Runtime,
    checks: fuzzing::GateTarget,
    _folder: TempDir,
}

fn fixture() -> &'static Gate {
    static FIXTURE: OnceLock<Gate> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let checks = runtime.block_on(fuzzing::GateTarget::open(&folder.path().join("state"), PORT));
        Gate { runtime, checks, _folder: folder }
    })
}

/// A head as HTTP has it, or nothing if it is none.
fn parse(text: &str) -> Option<Request<Body>> {
    let mut lines = text.split("\r\n");
    let mut parts = lines.next()?.split(' ');
    let mut request = Request::builder()
        .method(parts.next()?.parse::<Method>().ok()?)
        .uri(parts.next()?)
        .body(Body::empty())
        .ok()?;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
        request.headers_mut().append(name.parse::<HeaderName>().ok()?, value);
    }
    Some(request)
}

/// Who gets in is known, or asks for what everybody may have; and nobody who is called by another name gets
/// in.
pub(crate) fn gate(bytes: &[u8]) {
    let _either = gets_in(bytes);
}

/// Whether a request gets in; then it may.
pub fn gets_in(bytes: &[u8]) -> bool {
    let gate = fixture();
    let text = String::from_utf8_lossy(bytes).replace(HERE, &gate.checks.credential);
    let Some(mut request) = parse(&text) else { return false };
    let in_the_runtime = gate.runtime.enter();
    let hosts: Vec<_> = request.headers().get_all("host").iter().cloned().collect();
    let handshake = is_handshake(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let public = is_public(&method, &path, request.headers());
    // One that waits is a guess that is slowed down, or is known and noted: that is worth waiting for.
    let admitted = if text.contains(&gate.checks.credential) {
        drop(in_the_runtime);
        let admitted = gate.checks.admits(&mut request);
        gate.runtime.block_on(async { tokio::time::timeout(KNOWN_SOON, admitted).await.ok() })
    } else {
        gate.checks.admits(&mut request).now_or_never()
    };
    if !matches!(admitted, Some(true)) {
        return false;
    }
    let known = request.extensions().get::<ClientId>().is_some();
    let stranger = request.extensions().get::<Meeting>();
    assert!(known || public || stranger.is_some(), "{text:?}");
    if let Some(meeting) = stranger {
        assert!(handshake && method == Method::GET && path == "/ws" && !known, "{text:?}");
        assert!(text.contains(&meeting.offer()) && text.contains(&meeting.origin), "{text:?}");
    }
    assert!(!known || text.contains(&gate.checks.credential), "{text:?}");
    let [host] = hosts.as_slice() else { panic!("{} hosts: {text:?}", hosts.len()) };
    let host = host.to_str().unwrap().to_ascii_lowercase().replace(".:", ":");
    assert!(["127.0.0.1:8757", "localhost:8757", "[::1]:8757"].contains(&host.as_str()), "{text:?}");
    for name in ["authorization", "x-api-key", "sec-websocket-protocol"] {
        let concealed = request.headers().get_all(name).iter().all(|value| value == "meanwhile.v1");
        assert!(concealed, "{name} goes on inside: {text:?}");
    }
    true
}

pub(crate) fn gate_seeds() -> Vec<Vec<u8>> {
    let seed = |line: &str, headers: &str| {
        format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:8757\r\n{headers}\r\n").into_bytes()
    };
    let origin = "Origin: http://127.0.0.1:8757\r\n";
    vec![
        seed("GET /", ""),
        seed("GET /api/health", "Authorization: Bearer CREDENTIAL\r\n"),
        seed("GET /api/health?a=b", &format!("{origin}Authorization: bearer CREDENTIAL\r\n")),
        seed(
            "GET /ws",
            &format!(
                "{origin}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: meanwhile.v1, bearer.CREDENTIAL\r\n"
            ),
        ),
        seed(
            "GET /ws",
            &format!(
                "{origin}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: meanwhile.v1, \
                 proof.00000000-0000-0000-0000-000000000007.{}\r\n",
                "A".repeat(43)
            ),
        ),
        seed("POST /api/pair", &format!("{origin}Content-Type: application/json; charset=utf-8\r\n")),
        seed(
            "POST /relay/anthropic/v1/messages",
            "x-api-key: CREDENTIAL\r\nContent-Type: application/json\r\n",
        ),
    ]
}

/// Only paths of the API that the relay is for are passed on.
pub(crate) fn relay(bytes: &[u8]) {
    let Ok(target) = std::str::from_utf8(bytes) else { return };
    if let Some(method) = fuzzing::relay_method(target) {
        let path = target.split('?').next().unwrap();
        let posts = ["/v1/messages", "/v1/messages/count_tokens"].contains(&path);
        assert_eq!(method == Method::POST, posts, "{target:?}");
        assert!(posts || path == "/v1/models" || path.starts_with("/v1/models/"), "{target:?}");
        assert!(!path.split('/').any(|part| [".", ".."].contains(&part)), "{target:?}");
        assert!(!path.contains("//") && !path.contains('%'), "{target:?}");
        assert!(!target.contains(['\r', '\n', ' ', '#', '@', '\\']), "{target:?}");
    }
}

pub(crate) fn relay_seeds() -> Vec<Vec<u8>> {
    [
        "/v1/messages",
        "/v1/messages?beta=true",
        "/v1/messages/count_tokens",
        "/v1/models?limit=5&after_id=a",
        "/v1/models/claude-x",
    ]
    .iter()
    .map(|target| target.as_bytes().to_vec())
    .collect()
}
