//! What runner and shim say to each other: JSON behind its length (four bytes, little-endian), over a Unix socket.
//!
//! The file descriptors of a run ride on the first byte of its frame: the writing end of the output's pipe, then, if
//! the input is to stay open, the reading end of the input's.

use serde::{Deserialize, Serialize};
use shared::task::Process;

/// Longest frame: a command of 1 MiB as JSON may become six times as long.
pub(crate) const MAX_FRAME: usize = 8 * 1024 * 1024;

/// Runner to shim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToShim {
    /// Start this. Only when nothing of an earlier run is left.
    Run(Box<Run>),
    /// End the whole tree: TERM and CONT now, KILL after so many milliseconds; 0 kills at once.
    Stop {
        /// In milliseconds.
        grace_ms: u64,
    },
    /// Stop all processes of the tree where they are, or let them go on. Always answered with `Held`.
    Hold(bool),
    /// How the newest leader ended is on the disk.
    Saved,
}

/// What to start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The task's id.
    pub(crate) task: String,
    /// Absolute path of the shell.
    pub(crate) shell: String,
    /// For `shell -c`.
    pub(crate) command: String,
    /// Absolute path.
    pub(crate) folder: String,
    /// In addition to the shim's own environment.
    pub(crate) env: Vec<(String, String)>,
    /// Whether a descriptor for the input follows that for the output.
    pub(crate) stdin: bool,
    /// What it may read, if it is held to reading, and then its whole environment but the tag in `env`.
    pub(crate) read_only: Option<ReadOnly>,
    /// The only paths that the command may write to; without them it is not confined.
    pub(crate) writable: Option<Vec<String>>,
    /// Where to say how the leader ended, should the runner die before it could have saved that.
    pub(crate) record: String,
}

/// A command that is held to reading.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadOnly {
    /// The sandbox's spec, as JSON.
    pub(crate) spec: String,
    /// Instead of the shim's own environment.
    pub(crate) env: Vec<(String, String)>,
}

/// Shim to runner. After a `Run` come `Failed`, or `Started`, `Exited`, any number of `Left`, and `Empty`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromShim {
    /// The leader lives.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// There is no leader.
    Failed(Failure),
    /// The leader was waited for.
    Exited(Exited),
    /// What is left of the leader's tree now.
    Left(Vec<Process>),
    /// Nothing is left. The shim may be given another run once it was told `Saved`.
    Empty,
    /// The answer to `Hold`: what was asked for was done.
    Held(bool),
    /// After ten seconds of KILL these still live.
    Stuck(Vec<Process>),
}

/// Why a run did not begin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// A sentence.
    pub(crate) words: String,
    /// Whether it was a lack of descriptors, processes or memory, which may pass.
    pub(crate) passing: bool,
}

/// How a leader ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Exited {
    /// The exit code, unless a signal did it.
    pub(crate) code: Option<i32>,
    /// The number of the signal that did it.
    pub(crate) signal: Option<i32>,
    /// Whether a `Stop` had reached it before.
    pub(crate) asked: bool,
    /// From its start to its end, in microseconds.
    pub(crate) ran_us: u64,
    /// What it left running.
    pub(crate) left: Vec<Process>,
}

/// The frame's bytes.
pub(crate) fn encode<T: Serialize>(frame: &T) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = u32::try_from(bytes.len() - 4).map_err(std::io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Takes the first whole frame out of the buffer.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(buffer: &mut Vec<u8>) -> std::io::Result<Option<T>> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_FRAME {
        return Err(std::io::Error::other("a frame that is too long"));
    }
    let Some(body) = buffer.get(4..4 + length) else { return Ok(None) };
    let frame = serde_json::from_slice(body)?;
    buffer.drain(..4 + length);
    Ok(Some(frame))
}
