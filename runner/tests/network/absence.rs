//! A long absence: what waits for a page comes back in order, whole, and without being held in memory.

use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use crate::support::Runner;

const EVENTS: u64 = 10_000;
/// Characters of each event's preview, so that all together are several times what the runner may take.
const PREVIEW: usize = 16_000;
/// Kilobytes that the runner may grow by; all events have 160 megabytes.
#[cfg(target_os = "linux")]
const GROWTH: u64 = 48 * 1024;

/// The most memory that the runner ever had, in kilobytes.
#[cfg(target_os = "linux")]
fn peak(runner: &Runner) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The store as it is after that many tasks have ended while nobody listened: copies of a real one.
fn multiply(store: &std::path::Path, session: Uuid) {
    let mut connection = rusqlite::Connection::open(store).unwrap();
    let change = connection.transaction().unwrap();
    let event: String =
        change.query_row("SELECT event FROM outbox WHERE seq = 1", [], |row| row.get(0)).unwrap();
    let id: String = change.query_row("SELECT id FROM tasks", [], |row| row.get(0)).unwrap();
    let mut insert = change.prepare("INSERT INTO outbox (session, seq, event) VALUES (?1, ?2, ?3)").unwrap();
    for seq in 2..=EVENTS {
        let event = event.replace(&id, &format!("{seq:08x}"));
        insert.execute(rusqlite::params![session, seq, event]).unwrap();
    }
    drop(insert);
    change.execute("UPDATE sessions SET last = ?1", [EVENTS]).unwrap();
    change.commit().unwrap();
}

#[tokio::test]
async fn ten_thousand_events_come_back_in_order_with_bounded_memory() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, welcome) = runner.lease(&credential, session).await;
    let command = format!("head -c {PREVIEW} /dev/zero | tr '\\0' x");
    socket.ask(json!({"op": "start", "command": command, "excerpt_chars": PREVIEW})).await;
    socket.until("event").await;
    let folder = runner.stop().await;
    multiply(&folder.path().join("state/meanwhile.db"), session);

    let runner = Runner::start_in(folder, &[], &[]).await;
    #[cfg(target_os = "linux")]
    let before = peak(&runner);
    let begun = Instant::now();
    let mut socket = runner.connect(&credential).await;
    let again = socket.hello(json!({"session": session, "epoch": welcome["epoch"]})).await;
    assert_eq!(
        (&again["resumed"], &again["last"], &again["next"]),
        (&json!(true), &json!(EVENTS), &json!(1))
    );
    // It reads nothing for a while, so that whatever the runner would pile up does.
    let (mut other, _) = runner.lease(&credential, Uuid::new_v4()).await;
    other.send(json!({"type": "alarm", "id": 1, "after_ms": 1000})).await;
    other.until("alarm").await;
    for seq in 1..=EVENTS {
        let frame = socket.until("event").await;
        assert_eq!(frame["seq"], json!(seq));
        if seq > 1 {
            assert_eq!(frame["event"]["task"]["id"], json!(format!("{seq:08x}")));
        }
        assert_eq!(frame["event"]["excerpt"]["head"].as_str().map(str::len), Some(PREVIEW));
        if seq % 1_000 == 0 {
            socket.send(json!({"type": "ack", "through": seq})).await;
        }
    }
    assert_eq!(socket.until("settled").await["through"], json!(EVENTS));
    println!("{EVENTS} events in {:?}", begun.elapsed());
    #[cfg(target_os = "linux")]
    {
        let growth = peak(&runner) - before;
        println!("the runner took {growth} kB more than {before} kB");
        assert!(growth < GROWTH, "{growth} kB");
    }
    // All are acknowledged, and none is left.
    let (_, welcome) = runner.lease(&credential, session).await;
    assert_eq!((&welcome["last"], &welcome["next"]), (&json!(EVENTS), &json!(EVENTS + 1)));
}
