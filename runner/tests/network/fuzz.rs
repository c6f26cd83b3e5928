//! Foreign bytes in every parser that meets them: frames and requests that are nearly right. Whatever comes,
//! the runner lives, answers or closes, says nothing of its own inside, and serves others meanwhile.
//! `MEANWHILE_SEED` plays it again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::kill::{Chance, seed};
use crate::support::{Runner, SOON};

/// What mutations put in: structure, numbers at the edges, and characters that parsers stumble over.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\u{0}",
    "\u{feff}",
    "é",
    "\u{202e}",
    "\r\n",
    " ",
    "%00",
    "..",
    "\u{10ffff}",
];

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/frames");
    let mut examples: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("client."))
        .map(|path| {
            let mut frame: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            // What is run must do nothing, however it is mangled.
            if let Some(command) = frame.pointer_mut("/op/command") {
                *command = json!(":");
            }
            frame.to_string()
        })
        .collect();
    examples.sort();
    assert!(examples.len() > 15);
    examples
}

/// The text with a few of its characters gone, doubled, moved or replaced.
fn mangled(text: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=chance.below(4) {
        let at = chance.index(letters.len());
        let upto = (at + chance.index(12)).min(letters.len());
        match chance.below(5) {
            0 => drop(letters.drain(at..upto)),
            1 => {
                let again: Vec<_> = letters[at..upto].to_vec();
                letters.splice(at..at, again);
            }
            2 => letters.truncate(at),
            _ => {
                let piece = PIECES[chance.index(PIECES.len())];
                letters.splice(at.min(letters.len())..upto, piece.chars());
            }
        }
        if letters.is_empty() {
            break;
        }
    }
    letters.into_iter().collect()
}

/// Text that only a fault of the runner's own would say.
fn assert_harmless(answer: &str) {
    for word in ["panicked", "RUST_BACKTRACE", "\"code\":\"internal\""] {
        assert!(!answer.contains(word), "{answer}");
    }
}

#[tokio::test]
async fn mangled_frames_are_answered_or_end_their_own_socket() {
    let mut chance = Chance(seed());
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut good, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let examples = examples();
    let mut answered = 0;
    for round in 0..60 {
        let mut socket = runner.connect(&credential).await;
        if round % 4 > 0 {
            socket.hello(json!({"session": Uuid::new_v4()})).await;
        }
        for _ in 0..40 {
            let text = mangled(&examples[chance.index(examples.len())], &mut chance);
            if timeout(SOON, socket.stream.send(Message::text(text)))
                .await
                .expect("it does not read")
                .is_err()
            {
                break;
            }
        }
        // What is deep, long or binary.
        let deep = "[".repeat(1 + chance.index(200_000));
        let _closed = socket.stream.send(Message::text(deep)).await;
        let _closed = socket.stream.send(Message::binary(vec![0xff; 1 + chance.index(1000)])).await;
        let _closed = socket
            .stream
            .send(Message::text(json!({"type": "alarm", "id": 7, "after_ms": 0}).to_string()))
            .await;
        loop {
            match timeout(SOON, socket.stream.next()).await.expect("it neither answers nor closes") {
                Some(Ok(Message::Text(text))) => {
                    assert_harmless(&text);
                    answered += 1;
                    if text.contains("\"alarm\"") {
                        break;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            }
        }
        let stats = good.ask(json!({"op": "check", "max_chars": 10})).await;
        assert_eq!(stats["reply"], "checked", "round {round}");
    }
    assert!(answered > 500, "only {answered} answers");
    assert_harmless(&runner.log());
    drop(runner.stop().await);
}

#[tokio::test]
async fn mangled_requests_are_refused_and_the_next_is_served() {
    let mut chance = Chance(seed());
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let origin = runner.origin();
    let host = origin.strip_prefix("http://").unwrap();
    let shared = format!(
        "Host: {host}\r\nOrigin: {origin}\r\nConnection: close\r\nAuthorization: Bearer {credential}\r\n"
    );
    let body = json!({"code": "x".repeat(22), "name": "n"}).to_string();
    let requests = [
        format!("GET /?a=b HTTP/1.1\r\n{shared}\r\n"),
        format!("GET /api/health HTTP/1.1\r\n{shared}\r\n"),
        format!("GET /api/tasks/3d76fad9/log HTTP/1.1\r\n{shared}\r\n"),
        format!(
            "POST /api/pair HTTP/1.1\r\n{shared}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!(
            "GET /ws HTTP/1.1\r\n{shared}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: meanwhile.v1\r\n\r\n"
        ),
    ];
    let mut answers = 0;
    for round in 0..100 {
        // A busy machine answers fewer of them in time.
        if round >= 20 && answers > 100 {
            break;
        }
        let mangled: Vec<_> = (0..20).map(|_| mangled(&requests[chance.index(5)], &mut chance)).collect();
        // One that is not whole is waited for; that wait is tested elsewhere.
        let answered = mangled.iter().map(|request| timeout(Duration::from_millis(300), runner.raw(request)));
        for (request, answer) in mangled.iter().zip(futures_util::future::join_all(answered).await) {
            let Ok(answer) = answer else { continue };
            assert_harmless(&answer.body);
            assert!(answer.status < 500, "{request:?}: {answer:?}");
            answers += 1;
        }
    }
    assert!(answers > 100, "only {answers} answers");
    let headers = [("Authorization", &*format!("Bearer {credential}"))];
    assert_eq!(runner.ask("GET /api/health", &headers, "").await.status, 200);
    assert_harmless(&runner.log());
}
