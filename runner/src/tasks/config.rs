//! How tasks are to be run, and why they cannot be.

use std::io;
use std::path::PathBuf;

use exec::confine::Confine;
use thiserror::Error;

use crate::limits::Limits;
use crate::store::StoreError;

/// How tasks are to be run.
#[derive(Clone, Debug)]
pub struct TasksConfig {
    /// Where commands run.
    pub workspace: PathBuf,
    /// The program that serves as agent when called with `__agent`: the runner itself.
    pub program: PathBuf,
    /// The shell; without it `bash` where there is one, else `sh`.
    pub shell: Option<PathBuf>,
    /// The soft limit of open files that commands get: what [`exec::raise_open_files`] gave.
    pub open_files: Option<u64>,
    /// Where commands may write, if not wherever the runner may.
    pub confine: Option<Confine>,
    /// The bounds.
    pub limits: Limits,
}

/// Why the tasks cannot be opened.
#[derive(Debug, Error)]
pub enum TasksError {
    /// The workspace is not a folder that can be used.
    #[error("the workspace {} cannot be used: {source}", path.display())]
    Workspace {
        /// As it was given.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// The folder for the logs cannot be made.
    #[error("the folder {} cannot be made: {source}", path.display())]
    Logs {
        /// It.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// There is no shell.
    #[error("there is no shell at {}, and commands need one: install bash or sh there", path.display())]
    Shell {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
