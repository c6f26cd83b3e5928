//! What is asked of the file tools, and how much of it.

/// Bytes of one `read`.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Bytes of a file that is written or edited.
pub(super) const WRITE_BYTES: usize = 4 * 1024 * 1024;

/// A change that is wanted.
#[derive(Clone, Debug)]
pub enum ChangeRequest {
    /// A whole file.
    Write {
        /// Within the workspace.
        path: String,
        /// UTF-8, at most 4 MiB.
        content: String,
    },
    /// A text in place of another.
    Edit {
        /// Within the workspace.
        path: String,
        /// What is there, exactly.
        old_text: String,
        /// What shall be there.
        new_text: String,
    },
}

impl ChangeRequest {
    /// The path, as it is written.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Write { path, .. } | Self::Edit { path, .. } => path,
        }
    }
}
