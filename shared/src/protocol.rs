//! The frames of the WebSocket. `docs/protocol.md` describes them for people.
//!
//! Every frame is one text message holding one JSON object whose `type` names it. The client's first frame is
//! `hello`; the runner answers `welcome`, then replays what the session's outbox holds after the named
//! cursor, then goes live.

pub use crate::confined::Confined;
use crate::files::{FileChange, FileText};
use crate::output::{Bytes, OutputSlice, Preview};
pub use crate::sandbox::Sandbox;
use crate::task::{Party, Task};
pub use crate::welcome::{Stats, Welcome};
use crate::{Epoch, OpId, Problem, Seq, SessionId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The major version.
pub const PROTOCOL: u32 = 1;
/// The WebSocket subprotocol. A page offers beside it what [`crate::proof`] says.
pub const SUBPROTOCOL: &str = "meanwhile.v1";
/// Prefix of the subprotocol that carries a program's credential. Never echoed.
pub const BEARER_PREFIX: &str = "bearer.";
/// Largest frame either side may send, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// How often the runner sends `heartbeat`, in milliseconds. A page that has heard nothing for three times as
/// long reconnects.
pub const HEARTBEAT_MS: u64 = 10_000;

/// Why the runner closes a socket (RFC 6455 codes from 4000 on are ours).
pub mod close {
    /// The runner is stopping.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame that breaks the protocol.
    pub const MALFORMED: u16 = 4000;
    /// Another connection took the session.
    pub const FENCED: u16 = 4001;
    /// The client's credential was revoked.
    pub const REVOKED: u16 = 4002;
    /// The page speaks another major version.
    pub const VERSION: u16 = 4003;
    /// The page reads too slowly: more than the bound of its send queue was waiting.
    pub const TOO_SLOW: u16 = 4004;
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame, and only the first.
    Hello(Hello),
    /// A wish with a reply.
    Request {
        /// Named by the client. For an operation that changes something the same id is the same operation:
        /// repeating it gives the first one's reply.
        id: OpId,
        /// What is wished.
        op: Op,
    },
    /// All events up to and including this one are saved. Only who holds the session's lease may say so.
    Ack {
        /// The last one saved.
        through: Seq,
    },
    /// Asks for an `alarm` frame. Hidden tabs throttle timers; frames are not throttled. Alarms die with the
    /// socket.
    Alarm {
        /// Named by the client; a second alarm of the same name replaces the first.
        id: u64,
        /// In how many milliseconds, at most an hour.
        after_ms: u64,
    },
}

/// Who is there, and how far it has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The conversation.
    pub session: SessionId,
    /// The store that `after` refers to; absent at the first connection.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// The last event saved.
    #[serde(default)]
    pub after: Seq,
    /// Whether this connection takes the session's lease: it alone gets its events, and fences the earlier
    /// one. Without it the connection watches: tasks, output and progress, but no events, and only requests
    /// that change nothing.
    #[serde(rename = "drive", default = "yes")]
    pub lease: bool,
    /// The tab that this connection belongs to, since one may have several: a number that it drew when it was
    /// loaded. Absent: the connection counts as a tab of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tab: Option<Uuid>,
}

const fn yes() -> bool {
    true
}

/// What can be wished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Starts a command. Reply: `started`.
    Start(Start),
    /// Ends a task's whole tree: TERM, a grace period, KILL. Reply: `stopped` once nothing of it is left.
    Stop {
        /// Which.
        task: TaskId,
        /// On whose wish.
        by: Party,
        /// KILL at once.
        #[serde(default)]
        now: bool,
    },
    /// Writes to a task's standard input. Reply: `done`.
    SendInput {
        /// Which; it must have been started with `stdin`.
        task: TaskId,
        /// At most 64 KiB.
        text: String,
        /// Closes the input after the text.
        #[serde(default)]
        eof: bool,
    },
    /// Lets a foreground task go on in the background. Reply: `task`. The event `backgrounded` follows.
    Background {
        /// Which.
        task: TaskId,
    },
    /// Stops all processes of a running task until `resume`. Reply: `task`, once they stand still.
    Pause {
        /// Which.
        task: TaskId,
    },
    /// Lets a paused task go on. Reply: `task`.
    Resume {
        /// Which.
        task: TaskId,
    },
    /// Streams a task's output as `output` frames, from an offset on. Reply: `done`. Repeating it moves the
    /// offset.
    Watch {
        /// Which.
        task: TaskId,
        /// The first offset wanted.
        from: u64,
    },
    /// Ends a `watch`. Reply: `done`.
    Unwatch {
        /// Which.
        task: TaskId,
    },
    /// Reads output by offset. Reply: `output`.
    ReadOutput {
        /// Which.
        task: TaskId,
        /// The first offset wanted.
        from: u64,
        /// At most this many bytes, and at most 256 KiB.
        max: u32,
    },
    /// Looks at one task, or at all of the session's, as text for the model. Reply: `checked`.
    Check {
        /// One, or all of this session.
        #[serde(default)]
        task: Option<TaskId>,
        /// How many of the last lines; without it the runner chooses (40 for one task, none for a list).
        #[serde(default)]
        tail: Option<u32>,
        /// Only lines that match this regular expression (syntax of the Rust crate `regex`), numbered.
        #[serde(default)]
        grep: Option<String>,
        /// At most this many characters of text a task.
        max_chars: u32,
    },
    /// Forgets ended tasks whose end is acknowledged, with their logs. Reply: `done`.
    Clear {
        /// These, or all of the session's.
        #[serde(default)]
        tasks: Vec<TaskId>,
    },
    /// Reads a text file. Reply: `file`.
    ReadFile {
        /// Within the workspace.
        path: String,
        /// The first line wanted, counted from 1.
        #[serde(default)]
        offset: Option<u64>,
        /// At most this many lines.
        #[serde(default)]
        limit: Option<u64>,
    },
    /// Writes a whole text file, making folders as needed. Atomic. Reply: `changed`.
    WriteFile {
        /// Within the workspace.
        path: String,
        /// UTF-8, at most 4 MiB.
        content: String,
        /// Whether a person allowed it. Without that, a file that runs something by itself later is not
        /// written (`needs_approval`), however its path is spelled and whatever link leads there.
        #[serde(default)]
        approved: bool,
    },
    /// Replaces the first occurrence of a text. Atomic. Reply: `changed`.
    EditFile {
        /// Within the workspace.
        path: String,
        /// What is there, exactly.
        old_text: String,
        /// What shall be there.
        new_text: String,
        /// As for `write_file`.
        #[serde(default)]
        approved: bool,
    },
    /// Calls a model through the runner. Reply: `done` once the call is under way; `model_head`, `model_data`
    /// … `model_end` follow.
    ModelCall(ModelCall),
    /// Ends a model call. Reply: `done`. No further frame of that call follows the reply.
    ModelCancel {
        /// Which.
        call: String,
    },
    /// Makes a fresh pairing code for another browser. Reply: `paired_with`.
    Pair,
}

/// A command to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// For `sh -c` (or `bash -c` where there is one), at most 1 MiB. Empty with `again_of`: that task's
    /// command, whole, as it was started.
    pub command: String,
    /// Relative to the workspace; without it the workspace itself.
    #[serde(default)]
    pub folder: Option<String>,
    /// Ends the tree after this many milliseconds of running.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// For a `bash` call: the task begins in the foreground, and the event `backgrounded` is sent if it still
    /// runs after this many milliseconds. Absent for a task that is in the background from its first moment.
    #[serde(default)]
    pub foreground_ms: Option<u64>,
    /// Keeps standard input open.
    #[serde(default)]
    pub stdin: bool,
    /// How many characters of output the `ended` event may carry, at most 50,000: half from the beginning,
    /// half from the end.
    #[serde(rename = "excerpt_chars", default = "default_preview")]
    pub preview_chars: u32,
    /// The task whose command this runs again; the new one bears the link if the runner knows it.
    #[serde(default)]
    pub again_of: Option<TaskId>,
    /// What the kernel holds the command and all that it starts to. Absent: as the runner was started,
    /// `workspace` with `--confine` and `open` without. It can only narrow that. One that this runner cannot
    /// hold is refused with `sandbox_unavailable`, never weakened.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
}

const fn default_preview() -> u32 {
    4_000
}

/// A model call for the relay. The upstream's address and key come from the runner's configuration alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Named by the client, unique among its calls under way.
    pub call: String,
    /// `anthropic`.
    pub upstream: String,
    /// Such as `/v1/messages`; must be one the runner knows for this upstream.
    pub path: String,
    /// Only `anthropic-version` and `anthropic-beta` are passed on.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The request's body, byte for byte.
    pub body: String,
}

/// What the runner sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome(Box<Welcome>),
    /// The reply to a request.
    Reply {
        /// The request's id.
        id: OpId,
        /// How it went.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Something durable happened. Sent again after a reconnect until it is acknowledged.
    Event {
        /// Its place in the session's outbox.
        seq: Seq,
        /// What.
        event: TaskEvent,
    },
    /// No event was sent for a moment (150 ms): whoever waits for ends that come together need wait no
    /// longer.
    Settled {
        /// The last event sent.
        through: Seq,
    },
    /// A task of any session changed. Transient: the newest is the truth.
    Task {
        /// As it stands now.
        task: Box<Task>,
    },
    /// Tasks were forgotten.
    Cleared {
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Output of a watched task. Transient: a gap to the offset before is to be read again with
    /// `read_output`.
    Output {
        /// Which.
        task: TaskId,
        /// The bytes and where they belong.
        #[serde(flatten)]
        slice: OutputSlice,
    },
    /// The runner as a whole, at most twice a second.
    Stats(Stats),
    /// The head of a relayed model answer.
    ModelHead {
        /// Which call.
        call: String,
        /// HTTP status of the upstream.
        status: u16,
        /// Of the upstream: `content-type`, `retry-after`, `retry-after-ms`, `x-should-retry`, `request-id`.
        headers: BTreeMap<String, String>,
    },
    /// A piece of its body, as it came.
    ModelData {
        /// Which call.
        call: String,
        /// The bytes.
        data: Bytes,
    },
    /// Its end.
    ModelEnd {
        /// Which call.
        call: String,
        /// What broke it off, if it did not end by itself.
        #[serde(default)]
        problem: Option<Problem>,
    },
    /// An alarm that was asked for.
    Alarm {
        /// Its name.
        id: u64,
    },
    /// The runner lives.
    Heartbeat {
        /// Its clock.
        now: Timestamp,
    },
    /// A frame could not be read, or an unasked word from the runner. A `fenced` close is preceded by one.
    Problem {
        /// What.
        problem: Problem,
    },
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok(Reply),
    /// It was not.
    Err(Problem),
}

/// The replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To `start`. The same for every repetition.
    Started {
        /// As it stands now.
        task: Box<Task>,
    },
    /// To `stop`: nothing of the task is left.
    Stopped {
        /// As it ended.
        task: Box<Task>,
    },
    /// To `background`, `pause` and `resume`.
    Task {
        /// As it stands now.
        task: Box<Task>,
    },
    /// To `read_output`.
    Output {
        /// Which.
        task: TaskId,
        /// The bytes.
        #[serde(flatten)]
        slice: OutputSlice,
    },
    /// To `check`.
    Checked {
        /// In the order they were created.
        tasks: Vec<Checked>,
    },
    /// To `read_file`.
    File(FileText),
    /// To `write_file` and `edit_file`.
    Changed(FileChange),
    /// To `pair`.
    PairedWith {
        /// A whole link with a one-time code in its fragment.
        url: String,
        /// Until when it may be used.
        expires: Timestamp,
    },
    /// To everything else.
    Done,
}

/// A task looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// As it stands now.
    pub task: Task,
    /// The lines asked for.
    pub text: Preview,
    /// With `grep`: how many lines matched in all, if this task was looked at.
    #[serde(default)]
    pub matches: Option<u64>,
}

/// What is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TaskEvent {
    /// A task ended. It comes after all of its output: `task.output_bytes` is final but for what it left
    /// behind.
    Ended {
        /// As it ended.
        task: Box<Task>,
        /// Its output for the model.
        #[serde(rename = "excerpt")]
        preview: Preview,
    },
    /// A foreground task went to the background.
    Backgrounded {
        /// As it stands.
        task: Box<Task>,
        /// `foreground_ms` passed, or someone asked.
        by: BackgroundedBy,
        /// Its output so far.
        #[serde(rename = "excerpt")]
        preview: Preview,
    },
}

/// Why a foreground task went to the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundedBy {
    /// Its `foreground_ms` passed.
    Time,
    /// A `background` request.
    Request,
}
