//! Delivery: events, cursors, acknowledgements, replay; requests that are repeated; output; slow pages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Runner, SOON, Socket};

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| frame["type"] == "event")
        .map(|frame| frame["seq"].as_u64().unwrap())
        .collect()
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| number.to_string() + "\n").collect()
}

#[tokio::test]
async fn an_end_is_told_until_it_is_acknowledged() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut first, welcome) = runner.lease(&credential, session).await;
    assert_eq!((welcome["last"].as_u64(), welcome["next"].as_u64()), (Some(0), Some(1)));
    let epoch = welcome["epoch"].clone();
    let task = first.start("echo one").await;
    let event = first.until("event").await;
    assert_eq!((event["seq"].as_u64(), event["event"]["event"].as_str()), (Some(1), Some("ended")));
    assert_eq!(event["event"]["task"]["id"], task.as_str());
    assert_eq!(event["event"]["excerpt"]["head"], "one\n");
    drop(first);

    // Not acknowledged: again, whether the page says that it has read nothing or comes from another store.
    for hello in [
        json!({"session": session, "epoch": epoch, "after": 0}),
        json!({"session": session}),
        json!({"session": session, "epoch": Uuid::new_v4(), "after": 17}),
        json!({"session": session, "epoch": epoch, "after": 17}),
    ] {
        let mut socket = runner.connect(&credential).await;
        let welcome = socket.hello(hello.clone()).await;
        let resumed = hello["epoch"] == epoch && hello["after"] == 0;
        assert_eq!(welcome["resumed"], resumed, "{hello}");
        assert_eq!((welcome["last"].as_u64(), welcome["next"].as_u64()), (Some(1), Some(1)), "{hello}");
        let frames = socket.collect(|frame| frame["type"] == "settled").await;
        assert_eq!(seqs(&frames), [1], "{hello}");
        assert_eq!(frames.last().unwrap()["through"], 1);
    }

    // What was never sent cannot be acknowledged beforehand, and such a word says nothing of what was.
    let (mut socket, _) = runner.lease(&credential, session).await;
    socket.until("event").await;
    for through in [2, 99_999] {
        socket.send(json!({"type": "ack", "through": through})).await;
    }
    socket.ask(json!({"op": "pair"})).await;
    drop(socket);
    let mut socket = runner.connect(&credential).await;
    let welcome = socket.hello(json!({"session": session})).await;
    assert_eq!((welcome["last"].as_u64(), welcome["next"].as_u64()), (Some(1), Some(1)));
    socket.until("event").await;
    socket.send(json!({"type": "ack", "through": 1})).await;
    socket.send(json!({"type": "ack", "through": 99})).await;
    socket.ask(json!({"op": "pair"})).await;
    drop(socket);
    let mut socket = runner.connect(&credential).await;
    let welcome = socket.hello(json!({"session": session})).await;
    assert_eq!((welcome["last"].as_u64(), welcome["next"].as_u64()), (Some(1), Some(2)));
    socket.start("echo two").await;
    let frames = socket.collect(|frame| frame["type"] == "event").await;
    assert_eq!(seqs(&frames), [2]);
}

#[tokio::test]
async fn the_cursor_in_a_hello_counts_as_an_acknowledgement() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, welcome) = runner.lease(&credential, session).await;
    socket.start("true").await;
    socket.until("event").await;
    drop(socket);
    let mut socket = runner.connect(&credential).await;
    let again = socket.hello(json!({"session": session, "epoch": welcome["epoch"], "after": 1})).await;
    assert_eq!((again["resumed"].as_bool(), again["next"].as_u64()), (Some(true), Some(2)));
    drop(socket);
    let (mut socket, _) = runner.lease(&credential, session).await;
    let frames = socket.collect(|frame| frame["type"] == "settled").await;
    assert_eq!(seqs(&frames), Vec::<u64>::new(), "{frames:?}");
}

#[tokio::test]
async fn ends_that_come_together_settle_once() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.until("settled").await;
    for _ in 0..5 {
        socket.start("while [ ! -e go ]; do sleep 0.01; done").await;
    }
    std::fs::write(runner.workspace().join("go"), "").unwrap();
    let frames = socket.collect(|frame| frame["type"] == "settled" && frame["through"] == 5).await;
    assert_eq!(seqs(&frames), [1, 2, 3, 4, 5]);
    let settled = frames.iter().filter(|frame| frame["type"] == "settled").count();
    let last_event = frames.iter().rposition(|frame| frame["type"] == "event").unwrap();
    let last_settled = frames.iter().rposition(|frame| frame["type"] == "settled").unwrap();
    assert!(settled <= 2 && last_event < last_settled, "{settled} times");
}

/// How long after an end it was said that no other need be waited for.
async fn waiting(socket: &mut Socket) -> Duration {
    socket.start("true").await;
    socket.until("event").await;
    let ended = Instant::now();
    socket.until("settled").await;
    ended.elapsed()
}

#[tokio::test]
async fn where_nothing_else_runs_an_end_settles_at_once() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    socket.until("settled").await;
    let mut alone = Vec::new();
    for _ in 0..5 {
        alone.push(waiting(&mut socket).await);
    }
    // A slow machine may be late now and then.
    assert!(alone.iter().min().unwrap() < &Duration::from_millis(75), "{alone:?}");
    // Another session's do not count.
    let (mut other, _) = runner.lease(&credential, Uuid::new_v4()).await;
    other.start("sleep 1000").await;
    let mut beside = Vec::new();
    for _ in 0..5 {
        beside.push(waiting(&mut socket).await);
    }
    assert!(beside.iter().min().unwrap() < &Duration::from_millis(75), "{beside:?}");
    socket.start("sleep 1000").await;
    let mut among = Vec::new();
    for _ in 0..3 {
        among.push(waiting(&mut socket).await);
    }
    assert!(among.iter().max().unwrap() > &Duration::from_millis(100), "{among:?}");
}

#[tokio::test]
async fn a_fenced_pages_late_acknowledgement_counts_for_nothing() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let mut late = 0;
    for _ in 0..10 {
        let session = Uuid::new_v4();
        let (mut first, _) = runner.lease(&credential, session).await;
        first.start("true").await;
        first.until("event").await;
        // On its way while the other's hello is: which comes first is left to chance, and the welcome says
        // it.
        let mut second = runner.connect(&credential).await;
        let hello = json!({"type": "hello", "protocol": 1, "session": session, "after": 0, "drive": true});
        second.send(hello).await;
        let ack = json!({"type": "ack", "through": 1}).to_string();
        let ack = tokio_tungstenite::tungstenite::Message::text(ack);
        let sent = futures_util::SinkExt::send(&mut first.stream, ack).await;
        assert_eq!(first.closed().await.0, 4001);
        let welcome = second.until("welcome").await;
        if welcome["next"] == 2 {
            continue;
        }
        late += usize::from(sent.is_ok());
        assert_eq!(second.until("event").await["seq"], 1);
        drop(second);
        let (_, again) = runner.lease(&credential, session).await;
        assert_eq!(again["next"], 1, "it is kept until the lease's holder acknowledges it");
    }
    assert!(late > 0, "none came late");
}

#[tokio::test]
async fn one_id_is_one_task_however_often_it_is_sent() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let id = Uuid::new_v4().to_string();
    let op = json!({"op": "start", "command": "echo x >> times"});
    for _ in 0..5 {
        socket.request_as(&id, op.clone()).await;
    }
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(socket.reply(&id).await["ok"]["task"]["id"].clone());
    }
    drop(socket);
    let (mut socket, _) = runner.lease(&credential, session).await;
    socket.until("event").await;
    socket.request_as(&id, op).await;
    tasks.push(socket.reply(&id).await["ok"]["task"]["id"].clone());
    tasks.dedup();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(std::fs::read_to_string(runner.workspace().join("times")).unwrap(), "x\n");
}

#[tokio::test]
async fn a_repeated_edit_is_not_made_twice_even_by_another_life_of_the_runner() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    std::fs::write(runner.workspace().join("file"), "a\n").unwrap();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let id = Uuid::new_v4().to_string();
    let op = json!({"op": "edit_file", "path": "file", "old_text": "a", "new_text": "aa"});
    socket.request_as(&id, op.clone()).await;
    socket.request_as(&id, op.clone()).await;
    let replies = [socket.reply(&id).await, socket.reply(&id).await];
    assert_eq!(replies[0], replies[1]);
    assert!(replies[0].get("ok").is_some(), "{replies:?}");
    drop(socket);
    let runner = Runner::start_in(runner.stop().await, &[], &[]).await;
    let (mut socket, _) = runner.lease(&credential, session).await;
    socket.request_as(&id, op.clone()).await;
    assert_eq!(socket.reply(&id).await, replies[0]);
    assert_eq!(std::fs::read_to_string(runner.workspace().join("file")).unwrap(), "aa\n");
    socket.ask(op).await;
    assert_eq!(std::fs::read_to_string(runner.workspace().join("file")).unwrap(), "aaa\n");
}

/// Whoever reads up to the reply, and then up to the end, must not have read past the end.
#[tokio::test]
async fn the_reply_to_a_start_comes_before_its_end() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let mut awaited = std::collections::HashSet::new();
    for _ in 0..50 {
        awaited.insert(socket.request(json!({"op": "start", "command": "exit 1"})).await);
    }
    let mut completions = 0;
    let mut begun = 50;
    while completions < 400 {
        let frame = socket.next().await.unwrap();
        match frame["type"].as_str() {
            Some("reply") => {
                assert!(awaited.remove(frame["id"].as_str().unwrap()));
                if begun < 400 {
                    awaited.insert(socket.request(json!({"op": "start", "command": "exit 1"})).await);
                    begun += 1;
                }
            }
            Some("event") => {
                completions += 1;
                let op = frame["event"]["task"]["op"].as_str().unwrap();
                assert!(!awaited.contains(op), "the end of {op} came first");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn input_keeps_its_order_and_a_repetition_is_not_written_twice() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let started = socket.ask(json!({"op": "start", "command": "cat", "stdin": true})).await;
    let task = started["task"]["id"].clone();
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(
            socket.request(json!({"op": "send_input", "task": task, "text": format!("{number}\n")})).await,
        );
    }
    socket.request_as(&ids[0], json!({"op": "send_input", "task": task, "text": "0\n"})).await;
    socket.reply(&ids[0]).await;
    for id in &ids[1..] {
        assert!(socket.reply(id).await.get("ok").is_some());
    }
    // Its reply and the end that it brings about come in either order.
    socket.request(json!({"op": "send_input", "task": task, "text": "", "eof": true})).await;
    let event = socket.until("event").await;
    let wanted = lines(0..20);
    assert_eq!(event["event"]["excerpt"]["head"], wanted.as_str());
}

#[tokio::test]
async fn a_request_that_waits_holds_up_no_other() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = socket.start("trap '' TERM; echo ready; while :; do sleep 0.05; done").await;
    socket.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    socket.until("output").await;
    let stop = socket.request(json!({"op": "stop", "task": task, "by": "user"})).await;
    let quick = socket.request(json!({"op": "write_file", "path": "a", "content": "a"})).await;
    let seen = socket.collect(|frame| frame["type"] == "reply" && frame["id"] == quick.as_str()).await;
    assert!(seen.iter().all(|frame| frame["id"] != stop.as_str()), "the stop was first");
    // A second press kills at once.
    let stopped = socket.ask(json!({"op": "stop", "task": task, "by": "user", "now": true})).await;
    assert_eq!(stopped["task"]["state"]["signal"], "SIGKILL");
}

#[tokio::test]
async fn watched_output_comes_whole_and_in_order_and_unwatching_ends_it() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = socket.start("seq 1 20000; read line").await;
    socket.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    let wanted = lines(1..20_001);
    let mut bytes = Vec::new();
    while bytes.len() < wanted.len() {
        let frame = socket.until("output").await;
        assert_eq!(frame["from"].as_u64(), Some(bytes.len() as u64));
        let data = decode(frame["data"].as_str().unwrap());
        assert!(data.len() <= 64 * 1024, "{} bytes", data.len());
        bytes.extend(data);
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
    assert_eq!(socket.refused(json!({"op": "watch", "task": "00000000", "from": 0})).await, "not_found");

    let noisy = socket.start("while :; do echo x; sleep 0.01; done").await;
    socket.ask(json!({"op": "watch", "task": noisy, "from": 0})).await;
    socket.until("output").await;
    socket.ask(json!({"op": "unwatch", "task": noisy})).await;
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 300})).await;
    let seen = socket.collect(|frame| frame["type"] == "alarm").await;
    assert!(seen.iter().all(|frame| frame["type"] != "output"), "{seen:?}");
}

#[tokio::test]
async fn output_frames_are_few_however_many_the_writes() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = socket.start("while :; do echo x; done").await;
    socket.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 1000})).await;
    let seen = socket.collect(|frame| frame["type"] == "alarm").await;
    let frames = seen.iter().filter(|frame| frame["type"] == "output").count();
    assert!((1..=25).contains(&frames), "{frames} frames in a second");
}

#[tokio::test]
async fn a_page_that_does_not_read_holds_up_nobody() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut slow, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = slow.start("yes").await;
    slow.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    slow.ask(json!({"op": "write_file", "path": "big", "content": "x".repeat(100) + "\n"})).await;
    // From now on it does not read, and asks for much.
    for _ in 0..40 {
        slow.request(json!({"op": "read_output", "task": task, "from": 0, "max": 262_144})).await;
    }
    let (mut quick, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let length = async |socket: &mut Socket| {
        let slice = socket.ask(json!({"op": "read_output", "task": task, "from": 0, "max": 1})).await;
        slice["total"].as_u64().unwrap()
    };
    let first = length(&mut quick).await;
    quick.send(json!({"type": "alarm", "id": 1, "after_ms": 1500})).await;
    quick.until("alarm").await;
    assert!(length(&mut quick).await > first + 1_000_000, "the task was slowed down");
    // Reading again, it gets its replies, and output that has skipped what it missed.
    let mut replies = 0;
    let all = async {
        while replies < 40 {
            replies += usize::from(slow.next().await.unwrap()["type"] == "reply");
        }
    };
    tokio::time::timeout(SOON, all).await.expect("replies were lost");
}

#[tokio::test]
async fn a_page_that_lets_too_much_pile_up_is_closed() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut slow, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = slow.start("head -c 300000 /dev/zero").await;
    slow.until("event").await;
    // Each reply has 350 KB; none is read. The other page is the clock.
    let (mut other, _) = runner.lease(&credential, Uuid::new_v4()).await;
    for batch in 0..8 {
        for _ in 0..30 {
            slow.request(json!({"op": "read_output", "task": task, "from": 0, "max": 262_144})).await;
        }
        other.send(json!({"type": "alarm", "id": batch, "after_ms": 200})).await;
        other.until("alarm").await;
    }
    let (code, _) = slow.closed().await;
    assert_eq!(code, 4004);
    other.ask(json!({"op": "pair"})).await;
}

#[tokio::test]
async fn tasks_that_are_cleared_are_told_to_all() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut one, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (mut two, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = one.start("true").await;
    let event = one.until("event").await;
    one.send(json!({"type": "ack", "through": event["seq"]})).await;
    one.ask(json!({"op": "clear"})).await;
    assert_eq!(two.until("cleared").await["tasks"], json!([task]));
}

#[tokio::test]
async fn stats_count_the_tabs() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut one, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (two, _) = runner.lease(&credential, Uuid::new_v4()).await;
    one.find(|frame| frame["type"] == "stats" && frame["tabs"] == 2).await;
    drop(two);
    one.find(|frame| frame["type"] == "stats" && frame["tabs"] == 1).await;
    one.start("sleep 100").await;
    one.find(|frame| frame["type"] == "stats" && frame["running"] == 1).await;
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
