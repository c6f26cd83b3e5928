//! Operations that are not tasks: their replies for a day, and what was about to be done when no reply is there yet.
//!
//! An intent is written before its change and deleted in the transaction that writes the reply, so at any moment an
//! operation has at most one of the two.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use shared::{OpId, Timestamp};

use super::error::StoreError;
use super::handle::Store;

/// How long the reply of an operation is remembered, in milliseconds: one day.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// An operation that was about to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intended {
    /// Which.
    pub op: OpId,
    /// By what it can be told whether it was carried out.
    pub intent: String,
    /// The reply if it was.
    pub reply: String,
}

fn intended(row: &Row<'_>) -> rusqlite::Result<Intended> {
    Ok(Intended { op: OpId(row.get(0)?), intent: row.get(1)?, reply: row.get(2)? })
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

    /// Remembers the reply of an operation for a day, and forgets its intent. The first one saved stays.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn save_op_reply(&self, op: OpId, reply: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT OR IGNORE INTO ops (op, saved, reply) VALUES (?1, ?2, ?3)")?
                .execute(params![op.0, now.0, reply])?;
            forget_intent(connection, op)?;
            forget_old(connection, now)
        })
        .await
    }

    /// Remembers what is about to be done, in place of an earlier intent of the same operation.
    ///
    /// # Errors
    /// The store cannot be written; then it must not be done.
    pub async fn save_intent(&self, intended: Intended, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            let Intended { op, intent, reply } = &intended;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO intents (op, saved, intent, reply) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![op.0, now.0, intent, reply])
                .map(drop)
        })
        .await
    }

    /// What an operation was about to do.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn intended(&self, op: OpId) -> Result<Option<Intended>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT op, intent, reply FROM intents WHERE op = ?1")?
                .query_row([op.0], intended)
                .optional()
        })
        .await
    }

    /// All operations that have no reply, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn all_intended(&self) -> Result<Vec<Intended>, StoreError> {
        self.read(|connection| {
            connection
                .prepare("SELECT op, intent, reply FROM intents ORDER BY saved")?
                .query_map([], intended)?
                .collect()
        })
        .await
    }

    /// Forgets what was not done.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn drop_intent(&self, op: OpId) -> Result<(), StoreError> {
        self.write(move |connection| forget_intent(connection, op)).await
    }
}

fn forget_intent(connection: &Connection, op: OpId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM intents WHERE op = ?1")?.execute([op.0]).map(drop)
}

fn forget_old(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let before = now.0.saturating_sub(KEPT_MS);
    connection.prepare_cached("DELETE FROM ops WHERE saved < ?1")?.execute([before])?;
    connection.prepare_cached("DELETE FROM intents WHERE saved < ?1")?.execute([before]).map(drop)
}
