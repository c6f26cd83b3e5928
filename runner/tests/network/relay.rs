//! The relay, over the socket and over HTTP, in front of an upstream that writes down what it is asked.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{Runner, SOON};

/// One request as the upstream got it, and the connection to answer it on.
pub(crate) struct Asked {
    head: String,
    body: String,
    stream: TcpStream,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) async fn begin(&mut self, status: &str, headers: &str) {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
    }

    pub(crate) async fn piece(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
    }

    async fn bytes(&mut self, bytes: &[u8]) {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.stream.write_all(&chunk).await.unwrap();
    }

    async fn end(&mut self) {
        self.stream.write_all(b"0\r\n\r\n").await.unwrap();
    }

    /// Waits until the relay hangs up.
    pub(crate) async fn hung_up(&mut self) {
        let mut byte = [0];
        let read = timeout(SOON, self.stream.read(&mut byte)).await.expect("the relay did not hang up");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

pub(crate) struct Upstream {
    address: String,
    asked: Arc<Mutex<mpsc::UnboundedReceiver<Asked>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(asked) = read_request(stream).await {
                        let _ = sender.send(asked);
                    }
                });
            }
        });
        Self { address, asked: Arc::new(Mutex::new(receiver)) }
    }

    pub(crate) async fn next(&self) -> Asked {
        timeout(SOON, self.asked.lock().await.recv()).await.expect("nobody asked").unwrap()
    }

    pub(crate) async fn runner(&self) -> Runner {
        let variables = [("ANTHROPIC_BASE_URL", self.address.as_str()), ("ANTHROPIC_API_KEY", "sk-the-key")];
        Runner::start_with(&[], &variables).await
    }
}

async fn read_request(mut stream: TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length =
                lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let whole = match length {
                Some(length) => body.len() >= length,
                None if lower.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
                None => true,
            };
            if whole {
                return Some(Asked { head: head.to_owned(), body: body.to_owned(), stream });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn call(name: &str) -> serde_json::Value {
    json!({
        "op": "model_call", "call": name, "upstream": "anthropic", "path": "/v1/messages",
        "headers": {"anthropic-beta": "some-beta", "Cookie": "x=y", "x-api-key": "sk-other", "host": "evil.example"},
        "body": "{\"stream\": true}"
    })
}

#[tokio::test]
async fn a_call_over_the_socket_streams_back() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["relay"], json!(["anthropic"]));
    assert_eq!(socket.ask(call("c1")).await["reply"], "done");
    let mut asked = upstream.next().await;
    assert!(asked.head.starts_with("POST /v1/messages HTTP/1.1"), "{}", asked.head);
    assert_eq!(asked.body, "{\"stream\": true}");
    assert_eq!(asked.header("x-api-key"), Some("sk-the-key"));
    assert_eq!(asked.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(asked.header("anthropic-beta"), Some("some-beta"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    for absent in ["cookie", "origin", "referer", "authorization"] {
        assert_eq!(asked.header(absent), None, "{}", asked.head);
    }
    assert_eq!(socket.refused(call("c1")).await, "conflict");
    asked
        .begin("200 OK", "Content-Type: text/event-stream\r\nRequest-Id: req_1\r\nSet-Cookie: a=b\r\n")
        .await;
    let head = socket.until("model_head").await;
    assert_eq!(head["status"], 200);
    assert_eq!(head["headers"], json!({"content-type": "text/event-stream", "request-id": "req_1"}));
    // Each piece comes before the next is sent.
    for piece in ["event: ping\n\n", "event: a\ndata: é\n\n"] {
        asked.piece(piece).await.unwrap();
        let data = socket.until("model_data").await;
        assert_eq!(decode(&data["data"]), piece);
    }
    asked.end().await;
    let end = socket.until("model_end").await;
    assert_eq!(end, json!({"type": "model_end", "call": "c1", "problem": null}));
    assert!(!runner.log().contains("sk-the-key"));
}

#[tokio::test]
async fn errors_of_the_upstream_are_passed_on_and_a_broken_answer_says_so() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.ask(call("c1")).await;
    let mut asked = upstream.next().await;
    asked.begin("529 Overloaded", "retry-after: 7\r\nretry-after-ms: 6500\r\nx-should-retry: true\r\n").await;
    asked.piece("{\"type\":\"error\"}").await.unwrap();
    let head = socket.until("model_head").await;
    assert_eq!(head["status"], 529);
    assert_eq!(head["headers"]["retry-after"], "7");
    assert_eq!(head["headers"]["retry-after-ms"], "6500");
    assert_eq!(head["headers"]["x-should-retry"], "true");
    drop(asked);
    let end = socket.until("model_end").await;
    assert_eq!(
        (end["problem"]["code"].as_str(), end["problem"]["retryable"].as_bool()),
        (Some("upstream"), Some(true))
    );
    // A redirect would carry the key elsewhere; it is an answer like any other.
    socket.ask(call("c2")).await;
    let mut asked = upstream.next().await;
    asked.begin("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n").await;
    asked.end().await;
    assert_eq!(socket.until("model_head").await["status"], 307);
}

/// Some servers compress though nobody asked.
#[tokio::test]
async fn what_was_compressed_unasked_is_read_or_said() {
    /// `event: a`, `data: 1` and a blank line, by gzip.
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4a\x2d\x4b\xcd\x2b\xb1\x52\x48\xe4\x4a\x49\x2c\x49\xb4\x52\x30\xe4\xe2\x02\x00\x00\x00\xff\xff";
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.ask(call("c1")).await;
    let mut asked = upstream.next().await;
    assert_eq!(asked.header("accept-encoding"), Some("identity"), "{}", asked.head);
    let head = "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\nConnection: close\r\nDate: Fri, 20 Nov 2026 10:00:00 GMT\r\n";
    asked.begin("200 OK", head).await;
    assert_eq!(socket.until("model_head").await["headers"]["date"], "Fri, 20 Nov 2026 10:00:00 GMT");
    asked.bytes(PACKED).await;
    // It comes before the end: what was flushed is read at once.
    assert_eq!(decode(&socket.until("model_data").await["data"]), "event: a\ndata: 1\n\n");
    asked.bytes(b"\x03\x00\x78\x7e\x22\xa9\x12\x00\x00\x00").await;
    asked.end().await;
    assert_eq!(socket.until("model_end").await["problem"], json!(null));

    socket.ask(call("c2")).await;
    let mut asked = upstream.next().await;
    asked.begin("200 OK", "Content-Encoding: x-odd\r\n").await;
    let problem = socket.until("model_end").await["problem"].clone();
    assert!(problem["message"].as_str().unwrap().contains("x-odd"), "{problem}");
    assert_eq!(problem["retryable"], false);
}

#[tokio::test]
async fn cancelling_and_leaving_abort_the_upstream() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.ask(call("before the head")).await;
    let mut first = upstream.next().await;
    socket.ask(call("within the body")).await;
    let mut second = upstream.next().await;
    second.begin("200 OK", "").await;
    socket.until("model_head").await;
    for (name, asked) in [("before the head", &mut first), ("within the body", &mut second)] {
        let id = socket.request(json!({"op": "model_cancel", "call": name})).await;
        socket.reply(&id).await;
        asked.hung_up().await;
    }
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 200})).await;
    let seen = socket.collect(|frame| frame["type"] == "alarm").await;
    assert!(seen.iter().all(|frame| !frame["type"].as_str().unwrap().starts_with("model_")), "{seen:?}");
    socket.ask(call("until the socket goes")).await;
    let mut third = upstream.next().await;
    third.begin("200 OK", "").await;
    socket.until("model_head").await;
    drop(socket);
    third.hung_up().await;
}

#[tokio::test]
async fn only_known_upstreams_and_paths_and_so_many_at_once() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    for (field, value) in [
        ("upstream", "elsewhere"),
        ("path", "/v1/files"),
        ("path", "/v1/models/../files"),
        ("path", "@evil.example/v1/messages"),
    ] {
        let mut wrong = call("c");
        wrong[field] = json!(value);
        assert_eq!(socket.refused(wrong).await, "not_found", "{value}");
    }
    let mut held = Vec::new();
    for number in 0..16 {
        socket.ask(call(&format!("c{number}"))).await;
        held.push(upstream.next().await);
    }
    assert_eq!(socket.refused(call("one more")).await, "too_many");
}

#[tokio::test]
async fn without_a_key_it_says_how_to_set_one() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["relay"], json!([]));
    let id = socket.request(call("c1")).await;
    let message = socket.reply(&id).await["err"]["message"].clone();
    assert!(message.as_str().unwrap().contains("ANTHROPIC_API_KEY"), "{message}");
    let headers = [("Content-Type", "application/json"), ("X-Api-Key", credential.as_str())];
    let answer = runner.ask("POST /relay/anthropic/v1/messages", &headers, "{}").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("ANTHROPIC_API_KEY"), "{}", answer.body);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_problem_that_may_go_away() {
    // Taken, so that nobody else gets it, and never listened on.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let unreachable = held.local_addr().unwrap();
    let base = format!("http://{unreachable}");
    let variables = [("ANTHROPIC_BASE_URL", base.as_str()), ("ANTHROPIC_API_KEY", "sk-the-key")];
    let runner = Runner::start_with(&[], &variables).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.ask(call("c1")).await;
    let end = socket.until("model_end").await;
    assert_eq!(
        (end["problem"]["code"].as_str(), end["problem"]["retryable"].as_bool()),
        (Some("upstream"), Some(true))
    );
    let headers = [("Content-Type", "application/json"), ("X-Api-Key", credential.as_str())];
    let answer = runner.ask("POST /relay/anthropic/v1/messages", &headers, "{}").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream")));
}

#[tokio::test]
async fn programs_call_over_http_with_their_credential_as_key() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let bearer = format!("Bearer {credential}");
    for key in [("X-Api-Key", credential.as_str()), ("Authorization", bearer.as_str())] {
        let headers = [
            ("Content-Type", "application/json"),
            key,
            ("anthropic-version", "2023-06-01"),
            ("Cookie", "a=b"),
            ("Referer", "http://x/"),
            ("Sec-Fetch-Mode", "cors"),
            ("X-Stainless-Lang", "python"),
        ];
        let asking = runner.ask("POST /relay/anthropic/v1/messages?beta=true", &headers, "{\"a\": 1}");
        let answering = async {
            let mut asked = upstream.next().await;
            asked.begin("200 OK", "Content-Type: text/event-stream\r\nrequest-id: req_2\r\n").await;
            asked.piece("data: 1\n\n").await.unwrap();
            asked.end().await;
            asked
        };
        let (answer, asked) = tokio::join!(asking, answering);
        assert!(asked.head.starts_with("POST /v1/messages?beta=true HTTP/1.1"), "{}", asked.head);
        // In pieces, as it came: how long it is was only the caller's word.
        assert_eq!(
            (asked.body.as_str(), asked.header("content-length")),
            ("8\r\n{\"a\": 1}\r\n0\r\n\r\n", None)
        );
        assert_eq!(asked.header("x-api-key"), Some("sk-the-key"));
        assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(asked.header("host"), upstream.address.strip_prefix("http://"));
        for absent in ["cookie", "origin", "referer", "authorization", "sec-fetch-mode"] {
            assert_eq!(asked.header(absent), None, "{}", asked.head);
        }
        assert!(!asked.head.contains(&credential), "{}", asked.head);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("request-id"), Some("req_2"));
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert!(answer.body.contains("data: 1\n\n"), "{answer:?}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    }
    let headers = [("Authorization", bearer.as_str())];
    let asking = runner.ask("GET /relay/anthropic/v1/models?limit=5", &headers, "");
    let answering = async {
        let mut asked = upstream.next().await;
        asked.begin("404 Not Found", "").await;
        asked.end().await;
        asked
    };
    let (answer, asked) = tokio::join!(asking, answering);
    assert!(asked.head.starts_with("GET /v1/models?limit=5 HTTP/1.1"), "{}", asked.head);
    assert_eq!((answer.status, asked.body.as_str()), (404, ""));
    let answer = runner.ask("GET /relay/anthropic/v1/files", &[("Authorization", &bearer)], "").await;
    assert_eq!(answer.json()["code"], "not_found");
}

#[tokio::test]
async fn a_program_that_hangs_up_aborts_the_upstream() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let request = format!(
        "POST /relay/anthropic/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Api-Key: {credential}\r\nContent-Type: \
         application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        runner.port
    );
    for begun in [false, true] {
        let mut stream = TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut asked = upstream.next().await;
        if begun {
            asked.begin("200 OK", "").await;
            asked.piece("x").await.unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
        }
        drop(stream);
        asked.hung_up().await;
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let request = format!(
        "POST /relay/anthropic/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Api-Key: {credential}\r\nContent-Type: \
         application/json\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n",
        runner.port
    );
    assert_eq!(runner.raw(&request).await.status, 413);
    assert!(upstream.asked.lock().await.try_recv().is_err(), "the upstream was asked");
}

/// How long the model takes is its own affair; how long the request does is not.
#[tokio::test]
async fn a_request_that_is_not_sent_to_its_end_is_closed_and_a_slow_answer_is_not() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let head = format!(
        "POST /relay/anthropic/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Api-Key: {credential}\r\nContent-Type: \
         application/json\r\nConnection: close\r\n",
        runner.port
    );
    let half = [
        format!("{head}Content-Length: 100\r\n\r\n"),
        format!("{head}Content-Length: 100\r\n\r\n{{\"a\""),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\n{{\"a\"\r\n"),
    ];
    let whole = format!("{head}Content-Length: 2\r\n\r\n{{}}");
    let halves = async {
        let mut asked = upstream.next().await;
        // The whole one waits from before the others until after them.
        for answer in futures_util::future::join_all(half.iter().map(|half| runner.raw(half))).await {
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(answer.body.contains("in time"), "{answer:?}");
        }
        asked.begin("200 OK", "").await;
        asked.end().await;
    };
    let ((), answer) = timeout(SOON, async { tokio::join!(halves, runner.raw(&whole)) }).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// One that does not say how long it is.
#[tokio::test]
async fn a_body_that_becomes_too_large_is_refused() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let credential = runner.pair().await;
    let mut stream = TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap();
    let head = format!(
        "POST /relay/anthropic/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Api-Key: {credential}\r\nContent-Type: \
         application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        runner.port
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = async move {
        let piece = [b"100000\r\n", "x".repeat(0x10_0000).as_bytes(), b"\r\n"].concat();
        for _ in 0..34 {
            if write.write_all(&piece).await.is_err() {
                break;
            }
        }
        write
    };
    let mut answer = Vec::new();
    let (_write, read) =
        timeout(SOON, async { tokio::join!(sending, read.read_to_end(&mut answer)) }).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer} {read:?}");
}

fn decode(value: &serde_json::Value) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A command that a person allowed is of the same user, and reads what that may read.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_key_is_in_no_environment() {
    let variables = [("ANTHROPIC_API_KEY", "sk-planted-4711"), ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")];
    let runner = Runner::start_with(&[], &variables).await;
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["relay"], json!(["anthropic"]));
    let look = "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'sk-plan[t]ed'; ps axeww | grep -c 'sk-plan[t]ed'; env | grep -c sk-; echo over";
    let task = socket.start(look).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    assert_eq!(ended["event"]["excerpt"]["head"], "0\n0\n0\nover\n", "{ended}");
}

/// What belongs to the runner is no business of a command's.
#[tokio::test]
async fn a_command_finds_no_variable_of_the_runners() {
    let variables = [
        ("ANTHROPIC_API_KEY", "sk-planted-4711"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9"),
        ("ANTHROPIC_X", "planted"),
        ("MEANWHILE_X", "planted"),
        ("OTHER_X", "kept"),
    ];
    let runner = Runner::start_with(&[], &variables).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    // The name of its own task is the one that it may know.
    let look = "env | grep -E '^(ANTHROPIC|MEANWHILE|OTHER)_' | cut -d= -f1 | sort; echo over";
    let task = socket.start(look).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    assert_eq!(ended["event"]["excerpt"]["head"], "MEANWHILE_TASK\nOTHER_X\nover\n", "{ended}");
}
