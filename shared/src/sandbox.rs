//! What a command is held to.

use serde::{Deserialize, Serialize};

/// What the kernel holds a command to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// To nothing but the user's own rights.
    Open,
    /// It writes only to the workspace, a temporary folder and what `--writable` names.
    Workspace,
    /// It reads the workspace and the system, writes nothing but `/dev/null`, and reaches neither the network
    /// nor other processes. What the policy lets pass without a question runs so.
    ReadOnly,
}
