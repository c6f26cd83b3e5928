//! One form for everything that can be refused or go wrong, over HTTP and over the socket.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What went wrong, in a word for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Problem {
    /// For programs.
    pub code: ProblemCode,
    /// For people and models: what happened and what to do about it.
    pub message: String,
    /// Whether the same request may succeed if it is simply made again.
    #[serde(default)]
    pub retryable: bool,
}

impl Problem {
    /// A problem that will not go away by asking again.
    #[must_use]
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: false }
    }

    /// A problem that may have gone by the next try.
    #[must_use]
    pub fn retryable(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: true }
    }
}

/// The kinds of problem. An unknown word reads as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The frame or body is not what the protocol says.
    Malformed,
    /// Missing, wrong or revoked credential, or a pairing code that is used up.
    Unauthorized,
    /// The right credential, but not for this: a foreign origin, another session's task, a fenced connection.
    Forbidden,
    /// No such task, file, route or upstream.
    NotFound,
    /// It is there already, or is no longer in the state that this needs.
    Conflict,
    /// The id of this operation was another operation's before. Nothing was done; a new id is needed.
    IdReused,
    /// A limit of size or number; the message names it.
    TooLarge,
    /// Too many at once, or too fast.
    TooMany,
    /// This system cannot hold the sandbox that was asked for; the message says why.
    SandboxUnavailable,
    /// A person must allow it first: ask, and say so with the same operation under another id.
    NeedsApproval,
    /// The path leaves the workspace.
    OutsideWorkspace,
    /// Not text in a form that can be edited: binary, or no valid UTF-8.
    NotText,
    /// The text to replace is not in the file.
    NoMatch,
    /// The operating system refused: permission, full disk, missing program. The message has its text.
    System,
    /// The model's server could not be reached or broke off.
    Upstream,
    /// The runner is stopping.
    Stopping,
    /// A fault of the runner's own.
    Internal,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}
