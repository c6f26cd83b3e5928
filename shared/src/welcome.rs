//! The runner's first frame on a socket, and how it fares.

use crate::confined::Confined;
use crate::sandbox::Sandbox;
use crate::task::Task;
use crate::{Epoch, Seq, Timestamp};
use serde::{Deserialize, Serialize};

/// The runner introduces itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`crate::protocol::PROTOCOL`].
    pub protocol: u32,
    /// The runner's version.
    pub version: String,
    /// The life of its store.
    pub epoch: Epoch,
    /// Whether the replay continues from the cursor in `hello`. False: it holds everything not acknowledged.
    pub resumed: bool,
    /// The last event in this session's outbox; the replay is complete with it.
    pub last: Seq,
    /// The event that comes first on this connection, replayed or new. Another one coming first means that
    /// one is missing.
    pub next: Seq,
    /// Where commands run: absolute.
    pub workspace: String,
    /// The same with the home folder as `~`.
    pub workspace_short: String,
    /// The operating system's name, such as `linux`.
    pub system: String,
    /// The shell that runs commands, such as `/bin/bash`.
    pub shell: String,
    /// All tasks of the runner, in the order they were created. It replaces whatever the page knew.
    pub tasks: Vec<Task>,
    /// The runner as a whole.
    pub stats: Stats,
    /// Upstreams that the relay has a key for, such as `anthropic`.
    #[serde(default)]
    pub relay: Vec<String>,
    /// What keeps commands from writing elsewhere than to the workspace; absent if nothing does.
    #[serde(default)]
    pub confined: Option<Confined>,
    /// What a `start` may ask for besides `open`: what this system was seen to hold.
    #[serde(default)]
    pub sandboxes: Vec<Sandbox>,
    /// What the workspace is, as a sentence for people, if it is not a project's folder but the home folder
    /// or all there is: then every change of a file needs an approval.
    #[serde(default)]
    pub wide: Option<String>,
    /// How often `heartbeat` comes, in milliseconds.
    pub heartbeat_ms: u64,
    /// The runner's clock.
    pub now: Timestamp,
}

/// The runner as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Tabs that said hello, however many sockets each has.
    pub tabs: u32,
    /// Tasks that run.
    pub running: u32,
    /// Tasks that wait for a place.
    pub queued: u32,
    /// Tasks that ended and are still listed.
    pub ended: u32,
    /// Bytes of output kept on disk and in memory.
    pub kept_bytes: u64,
}
