//! What a runner and an agent say to each other: JSON behind its length (four bytes, little-endian).
//!
//! The first frame of either side says its version. Over a Unix socket the file descriptors of a run ride on
//! the first byte of its frame: the writing end of the output's pipe, then, if the input is to stay open, the
//! reading end of the input's. Over any other stream of bytes output and input are frames, each as far as the
//! other side has given credit.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};
use shared::output::Bytes;
use shared::task::{PortHeld, Process};

/// Of these frames. An agent of another version is not used.
pub const VERSION: u32 = 2;
/// Longest frame: a command of 1 MiB as JSON may become six times as long.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;
/// Bytes of a buffer's room that are kept when it is empty.
const KEPT: usize = 256 * 1024;

/// Runner to agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToAgent {
    /// The first frame. `frames`: output and input go as frames.
    Hello { version: u32, frames: bool },
    /// Start this. Only when nothing of an earlier run is left.
    Run(Box<Run>),
    /// End the whole tree: TERM and CONT now, KILL after so many milliseconds; 0 kills at once.
    Stop { grace_ms: u64 },
    /// Freeze all processes of the tree where they are, or thaw them. Always answered with `Frozen`.
    Freeze(bool),
    /// How the newest main process ended is on the disk.
    Saved,
    /// Input, and whether it is the last; only as much as there is credit for.
    Input { data: Bytes, eof: bool },
    /// So many more bytes of output of the run that is on may come. Its `Empty` comes once all was sent.
    Credit(u64),
    /// How does the tree stand? Answered with `Seen`.
    Look,
    /// Are you there? Answered with `Pong`, at once.
    Ping,
    /// Who on this machine listens on these ports? Answered with `Holders`.
    Holders(BTreeSet<u16>),
    /// Kill whatever is left of these tasks, because their own agents were killed; what another agent watches
    /// over only if `watched`. Answered with `Swept`.
    Sweep { tasks: Vec<String>, watched: bool },
}

/// What to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// The task's id.
    pub task: String,
    /// Absolute path of the shell.
    pub shell: String,
    /// For `shell -c`.
    pub command: String,
    /// Absolute path.
    pub folder: String,
    /// Whether the input is to stay open.
    pub stdin: bool,
    /// What it may read, if it is held to reading, and then its whole environment but the variable that names
    /// the task.
    pub read_only: Option<ReadOnly>,
    /// The only paths that the command may write to; without them it is not confined.
    pub writable: Option<Vec<String>>,
    /// Where to say how the main process ended, should the runner die before it could have saved that.
    pub exit_file: String,
}

/// A command that is held to reading.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadOnly {
    /// The sandbox's spec, as JSON.
    pub spec: String,
    /// Instead of the agent's own environment.
    pub env: Vec<(String, String)>,
}

/// Agent to runner. After a `Run` come `Failed`, or `Started`, `Exited`, any number of `Remaining`, and
/// `Empty`.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first frame.
    Hello { version: u32 },
    /// The main process lives.
    Started { pid: u32 },
    /// There is no main process.
    Failed(Failure),
    /// The main process was waited for.
    Exited(Exited),
    /// What is left of its tree now.
    Remaining(Vec<Process>),
    /// Nothing is left, and all output was sent. The agent may be given another run once it was told `Saved`.
    Empty,
    /// The answer to `Freeze`: whether the tree is frozen now. One that is being ended, or that escapes, is
    /// not.
    Frozen(bool),
    /// After ten seconds of KILL these still live.
    Unkillable(Vec<Process>),
    /// The answer to `Ping`.
    Pong,
    /// Output, from this offset on.
    Output { offset: u64, data: Bytes },
    /// So many more bytes of input are taken.
    Credit(u64),
    /// Nobody reads the input any more.
    InputClosed,
    /// What is alive of the tree, and the ports that it listens on.
    Seen { processes: Vec<Process>, ports: Vec<u16> },
    /// Those of the ports that somebody listens on.
    Holders(Vec<PortHeld>),
    /// What could not be killed.
    Swept(Vec<Process>),
}

/// Why a run did not begin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence.
    #[serde(rename = "words")]
    pub message: String,
    /// Whether descriptors, processes or memory were exhausted, which is transient.
    #[serde(rename = "passing")]
    pub transient: bool,
}

/// How a main process ended. In exit files, too, which another version may read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exited {
    /// The exit code, unless a signal did it.
    pub code: Option<i32>,
    /// The number of the signal that did it.
    pub signal: Option<i32>,
    /// Whether a `Stop` had reached it before.
    pub asked: bool,
    /// From its start to its end, in microseconds.
    pub ran_us: u64,
    /// What it left running.
    #[serde(rename = "left")]
    pub remaining: Vec<Process>,
}

/// Whether an agent of this version can be used.
pub(crate) fn check_version(version: u32) -> io::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the agent speaks version {version} and this runner version {VERSION}; have the same Meanwhile at both ends, and start \
         the runner again if it was replaced while it ran"
    )))
}

/// The frame's bytes.
///
/// # Errors
/// It cannot be written as JSON, or is too long.
pub fn encode<T: Serialize>(frame: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length as usize <= MAX_FRAME);
    let length = length.ok_or_else(too_long)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

fn too_long() -> io::Error {
    io::Error::other("a frame that is too long")
}

/// Bytes that came, and the frames in them.
#[derive(Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// How many of them were taken out.
    taken: usize,
}

impl FrameBuffer {
    /// Where further bytes go, at the end.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.is_empty() {
            self.bytes.clear();
            // One long frame must not be paid for ever.
            self.bytes.shrink_to(KEPT);
            self.taken = 0;
        } else if self.taken > self.bytes.len() / 2 {
            // So each byte is moved once, however many frames there are.
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        &mut self.bytes
    }

    /// Bytes that were not taken out.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first whole frame out.
    ///
    /// # Errors
    /// It is too long, or none.
    pub fn take_frame<T: for<'de> Deserialize<'de>>(&mut self) -> io::Result<Option<T>> {
        let rest = &self.bytes[self.taken..];
        let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_FRAME {
            return Err(too_long());
        }
        let Some(body) = rest.get(4..4 + length) else { return Ok(None) };
        let frame = serde_json::from_slice(body)?;
        self.taken += 4 + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// A buffer that holds a frame of the longest may come full of the shortest the next time.
    #[test]
    fn many_short_frames_are_taken_apart_as_fast_as_one_long() {
        let one = encode(&FromAgent::Empty).unwrap();
        let count = MAX_FRAME / one.len();
        let mut buffer = FrameBuffer::default();
        buffer.space().extend(one.repeat(count));
        let begun = Instant::now();
        let mut taken = 0;
        while let Some(FromAgent::Empty) = buffer.take_frame().unwrap() {
            taken += 1;
            // Whoever is asked for each has others come meanwhile.
            buffer.space();
        }
        assert_eq!((taken, buffer.len()), (count, 0));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_frame_in_pieces_is_whole_and_one_too_long_is_refused_at_either_end() {
        let mut buffer = FrameBuffer::default();
        for byte in encode(&FromAgent::Frozen(true)).unwrap() {
            assert!(buffer.take_frame::<FromAgent>().unwrap().is_none());
            buffer.space().push(byte);
        }
        assert!(matches!(buffer.take_frame(), Ok(Some(FromAgent::Frozen(true)))));
        assert!(encode(&"x".repeat(MAX_FRAME)).is_err());
        let length = u32::try_from(MAX_FRAME + 1).unwrap();
        buffer.space().extend(length.to_le_bytes());
        assert!(buffer.take_frame::<FromAgent>().is_err());
    }
}
