//! The store: what it keeps, in what order, and what survives being closed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use shared::task::TaskState;
use shared::{Epoch, OpId, Seq, SessionId};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::state_dir::StateDir;

fn store() -> (tempfile::TempDir, StateDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    (folder, state, store)
}

/// `SQLite` reports the same error for its own limit as for a full disk.
async fn limit_pages(store: &Store, pages: i64) {
    store
        .write(move |connection| {
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        })
        .await
        .unwrap();
}

fn grow(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute("INSERT INTO meta (key, value) VALUES (hex(randomblob(8)), hex(zeroblob(100000)))", [])
        .map(drop)
}

#[tokio::test]
async fn while_the_disk_is_full_what_must_be_waits_and_the_rest_is_refused() {
    let (_folder, _state, store) = store();
    limit_pages(&store, 1).await;
    let refused = store.write(grow).await.unwrap_err();
    assert!(refused.to_string().contains("full"), "{refused}");

    let order = Arc::new(Mutex::new(Vec::new()));
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..3 {
        let (order, sender) = (Arc::clone(&order), sender.clone());
        store.must_write(
            grow,
            || {},
            move |outcome| {
                outcome.unwrap();
                order.lock().unwrap().push(number);
                sender.send(()).unwrap();
            },
        );
    }
    assert!(store.write(grow).await.is_err(), "still full");
    assert!(order.lock().unwrap().is_empty());
    limit_pages(&store, 1_000_000).await;
    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(20), done.recv()).await.unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn a_job_that_fails_takes_no_other_with_it() {
    let (_folder, _state, store) = store();
    let insert = |key: &'static str| {
        store.write(move |connection| {
            connection.execute("INSERT INTO meta (key, value) VALUES (?1, '')", [key]).map(drop)
        })
    };
    // Polled together, so that they may share a transaction.
    let (one, twin, two) = tokio::join!(insert("one"), insert("epoch"), insert("two"));
    assert!(one.is_ok() && twin.is_err() && two.is_ok());
    let count = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM meta WHERE key IN ('one', 'two')", [], |row| {
            row.get::<_, i64>(0)
        })
    };
    assert_eq!(store.read(count).await.unwrap(), 2);
}

#[tokio::test]
async fn closing_writes_what_waits_and_then_refuses() {
    let (_folder, _state, store) = store();
    let (sender, done) = oneshot::channel();
    store.must_write(grow, || {}, move |outcome| sender.send(outcome.is_ok()).unwrap());
    store.close();
    assert!(done.await.unwrap());
    assert!(matches!(store.write(grow).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn what_only_waits_for_those_before_it_goes_well() {
    let (_folder, _state, store) = store();
    let after_all = |store: &Store| {
        let (sender, done) = oneshot::channel();
        store.after_all(|| {}, move |outcome| sender.send(outcome).unwrap());
        done
    };
    // Alone, behind a write that waits for others, and behind one that does not.
    assert!(after_all(&store).await.unwrap().is_ok());
    store.write_soon(grow, drop);
    assert!(after_all(&store).await.unwrap().is_ok());
    store.must_write(grow, || {}, drop);
    assert!(after_all(&store).await.unwrap().is_ok());
}

/// Each format that a runner ever wrote, oldest first. See `tests/stores/README.md`.
const OLD: [&[u8]; 4] = [
    include_bytes!("../../tests/stores/format-1.sqlite3"),
    include_bytes!("../../tests/stores/format-2.sqlite3"),
    include_bytes!("../../tests/stores/format-3.sqlite3"),
    include_bytes!("../../tests/stores/format-4.sqlite3"),
];

const SESSION: SessionId = SessionId(Uuid::from_u128(1));

#[test]
fn there_is_an_old_store_of_every_format() {
    assert_eq!(OLD.len(), schema::FORMATS.len(), "tests/stores/README.md says how one is added");
}

#[tokio::test]
async fn every_old_store_opens_with_all_that_it_holds_and_opens_again() {
    for (format, old) in (1..).zip(OLD) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        drop(StateDir::open(&path).unwrap());
        std::fs::write(path.join("meanwhile.db"), old).unwrap();
        let version = || {
            let file = Connection::open(path.join("meanwhile.db")).unwrap();
            file.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0)).unwrap()
        };
        assert_eq!(version(), format);
        for _ in 0..2 {
            let state = StateDir::open(&path).unwrap();
            let store = Store::open(&state).unwrap();
            holds_all(&store, format).await;
            store.close();
            drop((store, state));
            assert_eq!(version(), schema::FORMATS.len());
        }
    }
}

async fn holds_all(store: &Store, format: usize) {
    assert_eq!((store.warning(), store.epoch()), (None, Epoch(Uuid::from_u128(0xe0 + format as u128))));
    let loaded = store.loaded().await.unwrap();
    let tasks: Vec<_> = loaded
        .tasks
        .iter()
        .map(|stored| {
            let task = &stored.task;
            (task.id.as_str(), task.command.as_str(), task.state.word(), stored.end_seq.map(|seq| seq.0))
        })
        .collect();
    assert_eq!(
        tasks,
        [
            ("aaaa0001", "echo heard", "completed", Some(1)),
            ("aaaa0002", "echo done", "completed", Some(2)),
            ("aaaa0003", "exit 7", "failed", Some(3)),
            ("aaaa0004", "kill -SEGV $$", "killed", Some(4)),
            ("aaaa0005", "sleep 100", "timeout", Some(5)),
            ("aaaa0006", "sleep 200", "stopped", Some(6)),
            ("aaaa0007", "sleep 300", "lost", Some(7)),
            ("aaaa0008", "true", "error", Some(8)),
            ("aaaa0009", "sleep 400", "running", None),
            ("aaaa0010", "sleep 500", "queued", None),
            ("aaaa0011", "echo other", "completed", Some(1)),
        ]
    );
    assert_eq!(loaded.tasks[2].task.state, TaskState::Failed { code: 7 });
    assert_eq!(loaded.tasks[2].task.op, OpId(Uuid::from_u128(0x103)));
    assert_eq!(loaded.sessions, [(SESSION, Seq(9), Seq(1)), (SessionId(Uuid::from_u128(2)), Seq(1), Seq(1))]);
    let events = |connection: &Connection| rows::events_after(connection, SESSION, Seq(0), 100, usize::MAX);
    let owed: Vec<_> = store.read(events).await.unwrap().into_iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(owed, [2, 3, 4, 5, 6, 7, 8, 9]);
    let reply = store.op_reply(OpId(Uuid::from_u128(0x200))).await.unwrap().unwrap();
    assert!(reply.contains(r#""path":"a.txt""#), "{reply}");
    assert!(store.op_reply(OpId(Uuid::from_u128(0x201))).await.unwrap().is_some());
    let intended: Vec<_> = store.journal().await.unwrap().into_iter().map(|one| one.op).collect();
    assert_eq!(intended, if format >= 2 { vec![OpId(Uuid::from_u128(0x202))] } else { Vec::new() });
    let forgotten: Vec<_> = loaded.forgotten.iter().map(|(op, task, _)| (*op, task.as_str())).collect();
    assert_eq!(
        forgotten,
        if format >= 3 { vec![(OpId(Uuid::from_u128(0x10c)), "aaaa0012")] } else { Vec::new() }
    );
    let clients = store.list_clients().await.unwrap();
    let clients: Vec<_> = clients.iter().map(|(client, _)| client).collect();
    assert_eq!(clients.len(), if format >= 4 { 3 } else { 2 });
    assert_eq!((clients[0].name.as_str(), clients[0].revoked.is_some()), ("Firefox on Linux", false));
    assert_eq!((clients[1].name.as_str(), clients[1].revoked.is_some()), ("An old phone", true));
    if let Some(keyed) = clients.get(2) {
        assert_eq!((keyed.key.is_some(), keyed.paired_by), (true, Some(clients[0].id)));
    }
}
