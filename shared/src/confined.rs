//! What keeps commands from writing elsewhere.

use serde::{Deserialize, Serialize};

/// How the runner confines its commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    /// Folders that commands may write to: absolute. The first is the workspace.
    pub writable: Vec<String>,
    /// What this system cannot confine, each a sentence for people; empty if it confines all that is meant to
    /// be.
    #[serde(default)]
    pub gaps: Vec<String>,
}
