//! The tables, format by format.

use std::path::Path;

use rusqlite::Connection;

use super::error::StoreError;

/// Format 1.
const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE sessions (
    id BLOB PRIMARY KEY, last INTEGER NOT NULL, acknowledged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, op BLOB NOT NULL UNIQUE, session BLOB NOT NULL,
    command TEXT NOT NULL, task TEXT NOT NULL, active INTEGER NOT NULL, ended INTEGER, end_seq INTEGER
) STRICT;
CREATE INDEX tasks_active ON tasks (active) WHERE active = 1;
CREATE TABLE outbox (
    session BLOB NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE ops (op BLOB PRIMARY KEY, saved INTEGER NOT NULL, reply TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX ops_saved ON ops (saved);
CREATE TABLE clients (
    id BLOB PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
    created INTEGER NOT NULL, seen INTEGER, revoked INTEGER
) STRICT, WITHOUT ROWID;
";

/// Added by format 2: changes of files that are about to be made.
const INTENTS: &str = "
CREATE TABLE intents (
    op BLOB PRIMARY KEY, saved INTEGER NOT NULL, intent TEXT NOT NULL, reply TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Added by format 3: the starts of tasks that are no longer known.
const FORGOTTEN: &str = "
CREATE TABLE forgotten (op BLOB PRIMARY KEY, task TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX forgotten_at ON forgotten (at);
";

/// Added by format 4: the keys of pages, and who paired whom.
const KEYS: &str = "
ALTER TABLE clients ADD COLUMN key BLOB;
ALTER TABLE clients ADD COLUMN paired_by BLOB;
";

/// What each format added to the one before.
pub(super) const FORMATS: [&str; 4] = [SCHEMA, INTENTS, FORGOTTEN, KEYS];

/// Brings a store to this version's format, in one transaction. The store says its own as `user_version`.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let missing = usize::try_from(format).ok().and_then(|format| FORMATS.get(format..));
    let Some(missing) = missing else {
        return Err(StoreError::Newer { path: path.to_owned(), version: format });
    };
    if !missing.is_empty() {
        let (missing, newest) = (missing.concat(), FORMATS.len());
        connection.execute_batch(&format!("BEGIN; {missing} PRAGMA user_version = {newest}; COMMIT;"))?;
    }
    Ok(())
}

/// A store that is nowhere but in memory, for simulations.
#[cfg(test)]
pub(crate) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("memory is there");
    connection.execute_batch(&FORMATS.concat()).expect("the schema is right");
    connection
}
