//! The write-ahead journal of changes to files: what tells, after a crash, whether one was made.
//!
//! The new content lies beside its target under a name of its own, and one rename makes the change. So while
//! it lies there, the change was not made. Once it does not, the change was made, unless somebody cleared it
//! away before the rename; then the target is still the very file that it was. What others did to the target
//! after the rename does not matter: the change was made, and theirs came later.

use std::io::{self, Read as _};
use std::path::PathBuf;

use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::request::WRITE_BYTES;

/// A change that is prepared. Its paths are relative to the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Whose handle the paths belong to.
    pub(super) workspace: PathBuf,
    pub(super) target: PathBuf,
    /// Where the new content lies until the change is made.
    pub(super) beside: PathBuf,
    /// What the target was; `None` if it was not there.
    pub(super) before: Option<Identity>,
    /// The SHA-256 of the new content.
    pub(super) after: String,
}

/// What tells a file from a later one of the same name, and from itself once it is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

impl JournalEntry {
    /// Whether it was carried out. If it was not, what lies beside the target is removed.
    pub(super) fn was_made(&self, dir: &Dir) -> io::Result<bool> {
        match dir.remove_file(&self.beside) {
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let now = match dir.metadata(&self.target) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if now.as_ref().map(Identity::of) != self.before {
            return Ok(true);
        }
        // The same file. Where times are coarse, one that was made in the same moment could look so.
        let mut content = Vec::new();
        if now.is_some() {
            dir.open(&self.target)?.take(WRITE_BYTES as u64 + 1).read_to_end(&mut content)?;
        }
        Ok(now.is_some() && digest(&content) == self.after)
    }
}

/// The SHA-256 in hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
