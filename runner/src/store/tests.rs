//! The store: what it keeps, in what order, and what survives being closed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

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
