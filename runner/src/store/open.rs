//! Opening the store: integrity, schema, whether its rows can be read, epoch.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use rustix::fs::OFlags;
use shared::Epoch;
use uuid::Uuid;

use super::error::StoreError;
use super::handle::{Opened, Store};
use super::rows::Loaded;
use super::{clients, rows, schema};
use crate::state_dir::StateDir;

const FILE: &str = "meanwhile.db";
/// The folder beside it of what its tasks print.
pub(crate) const LOGS: &str = "logs";

impl Store {
    /// Opens the store in the state folder, making its file as needed, readable by this user alone. Whoever
    /// opens it keeps the folder held as long. Blocks.
    ///
    /// # Errors
    /// See [`StoreError`]. A corrupt store is no error: see [`Self::warning`].
    pub fn open(state: &StateDir) -> Result<Self, StoreError> {
        let dir = state.path();
        Self::over(open(dir)?).map_err(|source| StoreError::Io {
            what: "start a thread for",
            path: dir.to_owned(),
            source,
        })
    }
}

fn open(dir: &Path) -> Result<Opened, StoreError> {
    let path = dir.join(FILE);
    let ((connection, loaded), warning) = match connect(&path) {
        Ok(connected) => (connected, None),
        Err(Refused::Corrupt(reason)) => {
            let (aside, logs) = move_aside(&path)?;
            tracing::warn!(%reason, aside = %aside.display(), "the store was corrupt");
            let logs = logs.map(|logs| format!(" What they printed is in {}.", logs.display()));
            let warning = format!(
                "The store was corrupt ({reason}). It was kept as {}, and a new one was begun: earlier tasks are not listed, \
                 and browsers must be paired again.{}",
                aside.display(),
                logs.unwrap_or_default()
            );
            (connect(&path).map_err(Refused::into_error)?, Some(warning))
        }
        Err(refused @ Refused::Other(_)) => return Err(refused.into_error()),
    };
    let epoch = epoch(&connection)?;
    let reader = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    reader.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(Opened { dir: dir.to_owned(), writer: connection, reader, epoch, loaded, warning })
}

/// Opens or makes a file with mode 0600 from its first byte, following no symbolic link.
fn open_own(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(|source| StoreError::Io { what: "open", path: path.to_owned(), source })?;
    let metadata = file.metadata().map_err(|source| StoreError::Io {
        what: "look at",
        path: path.to_owned(),
        source,
    })?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || !metadata.is_file() {
        return Err(StoreError::Untrusted { path: path.to_owned(), reason: "is not a file of this user" });
    }
    Ok(file)
}

enum Refused {
    Corrupt(String),
    Other(StoreError),
}

impl Refused {
    fn into_error(self) -> StoreError {
        match self {
            Self::Corrupt(reason) => StoreError::Sqlite(reason),
            Self::Other(error) => error,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Other(error.into()),
        }
    }
}

/// What a row holds that no runner wrote there, or a table that is missing, is as much a corruption as a page
/// that cannot be read: found later it would refuse a session for ever.
fn unreadable(error: rusqlite::Error) -> Refused {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    let foreign = matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    );
    if foreign || error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) {
        return Refused::Corrupt(error.to_string());
    }
    error.into()
}

/// Reads every row once.
fn inspect(connection: &Connection) -> rusqlite::Result<Loaded> {
    rows::read_outbox(connection)?;
    clients::read_all(connection)?;
    connection.prepare("SELECT op, saved, reply FROM ops")?;
    connection.prepare("SELECT op, saved, intent, reply FROM intents")?;
    rows::load(connection)
}

fn connect(path: &Path) -> Result<(Connection, Loaded), Refused> {
    drop(open_own(path)?);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 4000;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Refused::Corrupt(verdict));
    }
    schema::migrate(&connection, path)?;
    let loaded = inspect(&connection).map_err(unreadable)?;
    Ok((connection, loaded))
}

fn epoch(connection: &Connection) -> Result<Epoch, StoreError> {
    let known: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))
        .optional()?;
    if let Some(uuid) = known.and_then(|text| Uuid::parse_str(&text).ok()) {
        return Ok(Epoch(uuid));
    }
    let fresh = Uuid::new_v4();
    connection
        .execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)", [fresh.to_string()])?;
    Ok(Epoch(fresh))
}

/// Renames the store and its companions, and gives the new paths of the store itself and of the logs, which
/// nobody would know any more.
fn move_aside(path: &Path) -> Result<(PathBuf, Option<PathBuf>), StoreError> {
    let stamp: String =
        Connection::open_in_memory()?
            .query_row("SELECT strftime('%Y%m%d-%H%M%S', 'now')", [], |row| row.get(0))?;
    let aside =
        |suffix: &str, turn: u32| path.with_file_name(format!("{FILE}.corrupt-{stamp}.{turn}{suffix}"));
    let turn = (1..1_000).find(|turn| !aside("", *turn).exists()).unwrap_or(1);
    for suffix in ["", "-wal", "-shm"] {
        let from = path.with_file_name(format!("{FILE}{suffix}"));
        match fs::rename(&from, aside(suffix, turn)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::Io { what: "move aside", path: from, source }),
        }
    }
    let logs = path.with_file_name(format!("{LOGS}.corrupt-{stamp}.{turn}"));
    // Without it they are removed, once the new store is found to know none of them.
    let moved = fs::rename(path.with_file_name(LOGS), &logs).is_ok();
    Ok((aside("", turn), moved.then_some(logs)))
}
