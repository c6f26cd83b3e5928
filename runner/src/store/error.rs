//! Why the store cannot be used, and how that is said to others.

use std::io;
use std::path::PathBuf;

use shared::{Problem, ProblemCode};
use thiserror::Error;

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// `SQLite` refused.
    #[error("the store could not be read or written: {0}. Is the disk full?")]
    Sqlite(String),
    /// A file of the store belongs to somebody else, or is none.
    #[error("{} {reason}. Choose another folder with --state-dir", path.display())]
    Untrusted {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Written by a later version.
    #[error("the store {} was written by a newer version of meanwhile (format {version}). Use that version, or another --state-dir", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        version: i64,
    },
    /// The runner is stopping.
    #[error("the store is closed: the runner is stopping")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::retryable(ProblemCode::Stopping, error.to_string()),
            StoreError::Io { .. }
            | StoreError::Sqlite(_)
            | StoreError::Untrusted { .. }
            | StoreError::Newer { .. } => Self::retryable(ProblemCode::System, error.to_string()),
        }
    }
}

/// Whether trying again may help: the disk is full, failing or busy.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
        SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            DiskFull
                | SystemIoFailure
                | DatabaseBusy
                | DatabaseLocked
                | CannotOpen
                | OutOfMemory
                | FileLockingProtocolFailed
        )
    )
}
