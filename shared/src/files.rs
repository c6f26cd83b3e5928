//! What the file tools answer. Paths are relative to the workspace or absolute within it.

use serde::{Deserialize, Serialize};

/// A part of a text file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileText {
    /// The lines asked for, as they are, at most 256 KiB.
    pub text: String,
    /// The number of the first of them, counted from 1.
    pub first_line: u64,
    /// How many lines the file has.
    pub total_lines: u64,
    /// Whether lines follow that are not in `text`.
    pub more: bool,
}

/// What a write or an edit changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The path, relative to the workspace.
    pub path: String,
    /// Whether the file was not there before.
    pub created: bool,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// A unified diff with three lines of context, at most 32 KiB; the last line says so if it was cut.
    pub diff: String,
    /// How what was written differs from what was asked for, as a sentence.
    #[serde(default)]
    pub note: Option<String>,
}
