//! Starts, watches and ends process trees.
//!
//! Above each tree stands an agent ([`agent`]), a process of its own, to which [`frames`] are said and which answers by
//! frames. [`local`] starts agents on this machine and hands them the pipes of a command as descriptors; [`stream`] speaks
//! with an agent over any stream of bytes, on which output and input are frames, too. What a process tree is, on this
//! machine, is known here alone: its members and signals to them ([`tree`]), the tag by which they are found ([`tag`]), the
//! ports that they listen on ([`sockets`]). Here, too, is what a command is held to: [`confine`] and [`sandbox`].
//!
//! Nothing here speaks HTTP or keeps anything beyond a process's life.

pub mod agent;
pub mod clock;
pub mod confine;
pub mod frames;
pub mod homes;
pub mod limits;
pub mod local;
pub mod own;
pub mod sandbox;
pub mod sockets;
pub mod stream;
pub mod tag;
pub mod tree;

/// Such as `SIGTERM`.
#[must_use]
pub fn signal_name(number: i32) -> String {
    signal_hook::low_level::signal_name(number).map_or_else(|| format!("signal {number}"), ToOwned::to_owned)
}

/// What the system is short of, in words, if that is why something failed: it may pass.
#[must_use]
pub fn lack(error: &std::io::Error) -> Option<String> {
    agent::lack(error)
}
