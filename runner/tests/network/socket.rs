//! The socket itself: handshake, hello, frames that are wrong, alarms, who may do what.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::support::Runner;

#[tokio::test]
async fn the_credential_is_asked_before_the_upgrade_and_never_echoed() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    for (protocols, status) in [
        ("meanwhile.v1".to_owned(), 401),
        ("meanwhile.v1, bearer.mw_wrong".to_owned(), 401),
        ("meanwhile.v1, bearer.".to_owned(), 401),
        (format!("meanwhile.v1, {credential}"), 401),
        (format!("bearer.{credential}"), 400),
        (format!("meanwhile.v2, bearer.{credential}"), 400),
    ] {
        let tried = runner.try_connect(&[("Sec-WebSocket-Protocol", &protocols)]).await;
        assert_eq!(tried.err(), Some(status), "{}", protocols.replace(&credential, "…"));
    }
    let own = runner.origin();
    let handshake = |protocols: String| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nOrigin: {own}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: \
             13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n",
            runner.port
        )
    };
    // It says no hello, so the runner closes and the answer has an end.
    let answer = runner.raw(&handshake(format!("bearer.{credential}, meanwhile.v1"))).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("meanwhile.v1"));
    assert!(!answer.head.contains(&credential));
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
}

#[tokio::test]
async fn programs_may_send_the_credential_as_a_header() {
    let runner = Runner::start(&[]).await;
    let bearer = format!("Bearer {}", runner.pair().await);
    let headers = [("Sec-WebSocket-Protocol", "meanwhile.v1"), ("Authorization", bearer.as_str())];
    let mut socket = runner.try_connect(&headers).await.ok().unwrap();
    let welcome = socket.hello(json!({"session": Uuid::new_v4()})).await;
    assert_eq!(welcome["protocol"], 1);
    assert_eq!(welcome["workspace"], runner.workspace().canonicalize().unwrap().to_str().unwrap());
    assert!(welcome["shell"].as_str().unwrap().starts_with('/'), "{welcome}");
    assert_eq!(
        (welcome["heartbeat_ms"].as_u64(), welcome["stats"]["tabs"].as_u64()),
        (Some(10_000), Some(1))
    );
}

#[tokio::test]
async fn the_first_frame_must_be_a_hello() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    for first in [
        "{".to_owned(),
        "[]".to_owned(),
        json!({"type": "ack", "through": 0}).to_string(),
        json!({"type": "hello", "protocol": 1}).to_string(),
        json!({"type": "hello", "protocol": 1, "session": "x"}).to_string(),
        "[".repeat(100_000),
    ] {
        let mut socket = runner.connect(&credential).await;
        socket.send_text(first.clone()).await;
        let (code, frames) = socket.closed().await;
        assert_eq!(code, 4000, "{}", &first[..first.len().min(60)]);
        assert_eq!(frames[0]["problem"]["code"], "malformed", "{frames:?}");
    }
    let mut socket = runner.connect(&credential).await;
    socket.stream.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(socket.closed().await.0, 4000);

    let mut socket = runner.connect(&credential).await;
    socket.send(json!({"type": "hello", "protocol": 2, "session": session, "new": true})).await;
    let (code, frames) = socket.closed().await;
    assert_eq!(code, 4003);
    assert!(frames[0]["problem"]["message"].as_str().unwrap().contains("version 2"), "{frames:?}");
}

#[tokio::test]
async fn silence_is_closed_after_ten_seconds_and_the_heartbeat_comes_after_ten() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let mut silent = runner.connect(&credential).await;
    let (mut lively, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    let begin = Instant::now();
    let (code, _) = silent.closed().await;
    assert_eq!(code, 4000);
    let beat = lively.until("heartbeat").await;
    // No later than whatever a busy machine takes: both waits end.
    assert!(begin.elapsed() >= Duration::from_secs(8), "{:?}", begin.elapsed());
    assert!(beat["now"].as_u64() > welcome["now"].as_u64());
}

#[tokio::test]
async fn later_nonsense_is_answered_and_the_socket_goes_on() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    for nonsense in [
        "nonsense".to_owned(),
        json!({"type": "sing"}).to_string(),
        json!({"type": "hello", "protocol": 1, "session": session}).to_string(),
        json!({"type": "request", "op": {"op": "pair"}}).to_string(),
        format!("{{\"type\": \"ack\", \"through\": {}1{}}}", "[".repeat(5_000), "]".repeat(5_000)),
    ] {
        socket.send_text(nonsense).await;
        assert_eq!(socket.until("problem").await["problem"]["code"], "malformed");
    }
    socket.stream.send(Message::binary(vec![0; 10])).await.unwrap();
    assert_eq!(socket.until("problem").await["problem"]["code"], "malformed");
    // A request that can be told apart gets its reply.
    assert_eq!(socket.refused(json!({"op": "sing"})).await, "malformed");
    assert_eq!(socket.refused(json!({"op": "start"})).await, "malformed");
    socket.ask(json!({"op": "pair"})).await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_socket() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    // The runner may close before it has read all of it.
    let _ = socket.stream.send(Message::text("x".repeat(17 * 1024 * 1024))).await;
    let (code, _) = socket.closed().await;
    assert!(matches!(code, 4000 | 1006), "{code}");
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.send_text("x".repeat(15 * 1024 * 1024)).await;
    assert_eq!(socket.until("problem").await["problem"]["code"], "malformed");
}

#[tokio::test]
async fn alarms_ring_in_time_and_a_second_of_the_same_name_replaces_the_first() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let begin = Instant::now();
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 100})).await;
    socket.send(json!({"type": "alarm", "id": 2, "after_ms": 50})).await;
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 400})).await;
    assert_eq!(socket.until("alarm").await["id"], 2);
    assert_eq!(socket.until("alarm").await["id"], 1);
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    for id in 0..65 {
        socket.send(json!({"type": "alarm", "id": id, "after_ms": 3_000_000})).await;
    }
    assert_eq!(socket.until("problem").await["problem"]["code"], "too_many");
}

#[tokio::test]
async fn the_newest_lease_fences_the_older() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut first, _) = runner.lease(&credential, session).await;
    let (mut other, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (mut second, _) = runner.lease(&credential, session).await;
    let (code, frames) = first.closed().await;
    assert_eq!(code, 4001);
    assert_eq!(frames.last().unwrap()["problem"]["code"], "forbidden");
    second.ask(json!({"op": "write_file", "path": "a", "content": "a"})).await;
    other.ask(json!({"op": "write_file", "path": "b", "content": "b"})).await;
}

#[tokio::test]
async fn a_watcher_sees_tasks_and_output_but_has_no_events_and_changes_nothing() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut holder, _) = runner.lease(&credential, session).await;
    let mut watcher = runner.connect(&credential).await;
    watcher.hello(json!({"session": session, "drive": false})).await;
    let task = holder.start("echo hello; read line").await;
    watcher.find(|frame| frame["task"]["id"] == task.as_str()).await;
    watcher.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    assert_eq!(watcher.until("output").await["data"], "aGVsbG8K");
    for op in [
        json!({"op": "start", "command": "true"}),
        json!({"op": "stop", "task": task, "by": "user"}),
        json!({"op": "send_input", "task": task, "text": "x"}),
        json!({"op": "background", "task": task}),
        json!({"op": "clear"}),
        json!({"op": "write_file", "path": "a", "content": "a"}),
        json!({"op": "edit_file", "path": "a", "old_text": "a", "new_text": "b"}),
    ] {
        assert_eq!(watcher.refused(op.clone()).await, "forbidden", "{op}");
    }
    holder.until("event").await;
    holder.until("settled").await;
    watcher.send(json!({"type": "ack", "through": 1})).await;
    watcher.send(json!({"type": "alarm", "id": 9, "after_ms": 300})).await;
    let seen = watcher.collect(|frame| frame["type"] == "alarm").await;
    assert!(seen.iter().all(|frame| frame["type"] != "event" && frame["type"] != "settled"), "{seen:?}");
    // Its word that all is saved counted for nothing.
    let (mut again, welcome) = runner.lease(&credential, session).await;
    assert_eq!(welcome["next"], 1);
    assert_eq!(again.until("event").await["seq"], 1);
}

#[tokio::test]
async fn a_model_may_not_touch_another_conversations_tasks_and_a_person_may_stop_them() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut one, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (mut two, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["tasks"], json!([]));
    let task =
        one.ask(json!({"op": "start", "command": "sleep 100", "stdin": true})).await["task"]["id"].clone();
    for op in [
        json!({"op": "stop", "task": task, "by": "agent"}),
        json!({"op": "send_input", "task": task, "text": "x"}),
        json!({"op": "background", "task": task}),
        json!({"op": "check", "task": task, "max_chars": 100}),
    ] {
        assert_eq!(two.refused(op.clone()).await, "forbidden", "{op}");
    }
    let by_runner = json!({"op": "stop", "task": task, "by": "runner"});
    assert_eq!(two.refused(by_runner).await, "malformed", "only the runner itself stops as the runner");
    let stopped = two.ask(json!({"op": "stop", "task": task, "by": "user"})).await;
    assert_eq!(stopped["task"]["state"]["by"], "user");
    // The end is told to the one that started it, and to nobody else.
    assert_eq!(one.until("event").await["event"]["task"]["id"], task);
    two.send(json!({"type": "alarm", "id": 1, "after_ms": 200})).await;
    let seen = two.collect(|frame| frame["type"] == "alarm").await;
    assert!(seen.iter().all(|frame| frame["type"] != "event"), "{seen:?}");
    assert_eq!(two.refused(json!({"op": "stop", "task": "00000000", "by": "user"})).await, "not_found");
}

#[tokio::test]
async fn what_another_conversation_has_ended_is_not_cleared() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut one, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (mut two, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = one.start("echo kept").await;
    let ended = one.until("event").await;
    one.send(json!({"type": "ack", "through": ended["seq"]})).await;
    let kept = json!({"op": "read_output", "task": task, "from": 0, "max": 100});
    for which in [json!([task]), json!([])] {
        two.ask(json!({"op": "clear", "tasks": which})).await;
        two.ask(kept.clone()).await;
    }
    one.ask(json!({"op": "clear", "tasks": [task]})).await;
    assert_eq!(two.refused(kept).await, "not_found", "its own may");
}

#[tokio::test]
async fn a_lease_holder_pauses_and_resumes_and_a_watcher_only_sees_it() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut holder, _) = runner.lease(&credential, session).await;
    let mut watcher = runner.connect(&credential).await;
    watcher.hello(json!({"session": session, "drive": false})).await;
    let task = holder.start("sleep 1000").await;
    assert_eq!(watcher.refused(json!({"op": "pause", "task": task})).await, "forbidden");
    let paused = holder.ask(json!({"op": "pause", "task": task})).await;
    assert_eq!((paused["reply"].as_str(), paused["task"]["paused"].as_bool()), (Some("task"), Some(true)));
    watcher.find(|frame| frame["type"] == "task" && frame["task"]["paused"] == true).await;
    let resumed = holder.ask(json!({"op": "resume", "task": task})).await;
    assert_eq!(resumed["task"]["paused"], false);
    watcher.find(|frame| frame["type"] == "task" && frame["task"]["paused"] == false).await;
    holder.ask(json!({"op": "stop", "task": task, "by": "user", "now": true})).await;
    assert_eq!(holder.refused(json!({"op": "pause", "task": task})).await, "conflict");
}
