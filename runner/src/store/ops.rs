//! Operations that are not tasks: their replies for a day, and what was about to be done when no reply is
//! there yet.
//!
//! A row of the journal is written before its change and deleted in the transaction that writes the reply, so
//! at any moment an operation has at most one of the two.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use shared::{OpId, Timestamp};

use super::error::StoreError;
use super::handle::Store;

/// How long the reply of an operation is remembered, in milliseconds: one day.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// An operation that was about to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Which.
    pub op: OpId,
    /// By what it can be told whether it was carried out.
    pub entry: String,
    /// The reply if it was.
    pub reply: String,
}

fn journal_row(row: &Row<'_>) -> rusqlite::Result<JournalRow> {
    Ok(JournalRow { op: OpId(row.get(0)?), entry: row.get(1)?, reply: row.get(2)? })
}

impl Store {
    /// The remembered reply of an operation, as it was saved.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn op_reply(&self, op: OpId) -> Result<Option<String>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT reply FROM ops WHERE op = ?1")?
                .query_row([op.0], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// Remembers the reply of an operation for a day, and takes it out of the journal. The first one saved
    /// stays.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn save_op_reply(&self, op: OpId, reply: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT OR IGNORE INTO ops (op, saved, reply) VALUES (?1, ?2, ?3)")?
                .execute(params![op.0, now.0, reply])?;
            delete_journal_row(connection, op)?;
            forget_old(connection, now)
        })
        .await
    }

    /// Remembers what is about to be done, in place of an earlier entry of the same operation.
    ///
    /// # Errors
    /// The store cannot be written; then it must not be done.
    pub async fn write_journal(&self, row: JournalRow, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            let JournalRow { op, entry, reply } = &row;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO intents (op, saved, intent, reply) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![op.0, now.0, entry, reply])
                .map(drop)
        })
        .await
    }

    /// What an operation was about to do.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn journal_row(&self, op: OpId) -> Result<Option<JournalRow>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT op, intent, reply FROM intents WHERE op = ?1")?
                .query_row([op.0], journal_row)
                .optional()
        })
        .await
    }

    /// All operations that have no reply, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn journal(&self) -> Result<Vec<JournalRow>, StoreError> {
        self.read(|connection| {
            connection
                .prepare("SELECT op, intent, reply FROM intents ORDER BY saved")?
                .query_map([], journal_row)?
                .collect()
        })
        .await
    }

    /// Forgets what was not done.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_from_journal(&self, op: OpId) -> Result<(), StoreError> {
        self.write(move |connection| delete_journal_row(connection, op)).await
    }
}

fn delete_journal_row(connection: &Connection, op: OpId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM intents WHERE op = ?1")?.execute([op.0]).map(drop)
}

fn forget_old(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let before = now.0.saturating_sub(KEPT_MS);
    connection.prepare_cached("DELETE FROM ops WHERE saved < ?1")?.execute([before])?;
    connection.prepare_cached("DELETE FROM intents WHERE saved < ?1")?.execute([before]).map(drop)
}
