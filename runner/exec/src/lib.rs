//! Starts, watches and ends process trees.
//!
//! Above each tree stands an agent ([`agent`]), a process of its own, to which [`frames`] are said and which
//! answers by frames. [`local`] starts agents on this machine and hands them the pipes of a command as
//! descriptors; [`stream`] speaks with an agent over any stream of bytes, on which output and input are
//! frames, too. What a process tree is on a machine is known here alone: its members and signals to them
//! (`tree`), the tag by which they are found (`tag`), the ports that they listen on (`sockets`). An agent
//! answers for its machine by frames; a runner on the same machine may also look for itself, past its agents
//! ([`host`]), which is cheaper for many trees at once and the last resort when an agent was killed. Here,
//! too, is what a command is held to: [`confine`] and [`sandbox`].
//!
//! Nothing here speaks HTTP or keeps anything beyond a process's life.

pub mod agent;
mod clock;
pub mod confine;
mod exhaustion;
pub mod frames;
mod homes;
pub mod host;
mod limits;
pub mod local;
pub mod sandbox;
mod sockets;
pub mod stream;
mod tag;
mod tree;

pub use clock::since_boot;
pub use exhaustion::exhausted;
pub use homes::homes;
pub use limits::raise_open_files;

/// Such as `SIGTERM`.
#[must_use]
pub fn signal_name(number: i32) -> String {
    signal_hook::low_level::signal_name(number).map_or_else(|| format!("signal {number}"), ToOwned::to_owned)
}
