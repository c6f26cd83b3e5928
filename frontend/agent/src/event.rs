//! Everything that can happen to an agent. The enum is closed: one loop, one match, each event handled to
//! completion.

use serde::{Deserialize, Serialize};
use shared::protocol::ServerFrame;
use shared::{SessionId, TaskId};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::call::CallId;
use crate::record::Entry;
use crate::settings::{Mode, Rule, Settings};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first event, and only the first: this tab holds the session's lock and has read its log.
    Opened(Boot),
    /// A person wants something.
    Command {
        /// Whose command it is.
        author: Author,
        /// What.
        command: Command,
    },
    /// Bytes of a model's answer, for a call made by [`crate::Effect::Call`].
    Model {
        /// Which call. Events of calls that ended are ignored.
        call: CallId,
        /// What came.
        input: ModelInput,
    },
    /// The socket to the runner.
    Link {
        /// Which socket, as named in [`crate::Effect::Connect`]. Events of an older one are ignored.
        generation: u64,
        /// What it did.
        input: LinkInput,
    },
    /// All entries up to and including this number are durable: the log never has a hole.
    Saved {
        /// The last of them.
        through: u64,
    },
    /// An append could not be written. The session goes on in memory, says so, and tries again with all that
    /// is missing.
    SaveFailed {
        /// Why, for the person.
        reason: String,
    },
    /// The deadline of the last [`crate::Effect::Alarm`] has passed. Coming early or twice does no harm.
    Tick,
    /// The page became visible or hidden.
    Visible(bool),
    /// The browser thinks that there is a network again.
    Online,
    /// Settings changed, here or in another tab.
    Settings(Settings),
    /// Another tab took the session. The agent stops at once and does nothing more.
    Fenced,
}

/// What an agent starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// The session. A new one has an empty log.
    pub session: SessionId,
    /// The number of the tab, the same for all of its sessions.
    pub tab: Uuid,
    /// The log, in order.
    pub log: Vec<Entry>,
    /// A random number: the only chance the agent gets.
    pub nonce: u64,
    /// The settings as saved.
    pub settings: Settings,
    /// Whether the page is visible.
    pub visible: bool,
}

/// Whose command something is: what is said about it is for them, and they wait until it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The tab.
    pub from: Uuid,
    /// Which of its commands; 0 if it does not wait.
    pub number: u64,
}

/// What the person at the page wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "user", rename_all = "snake_case")]
pub enum Command {
    /// Sends a message. While the agent is busy it waits for the end of the turn, or, with `steer`, for the
    /// next call only.
    #[serde(rename = "say")]
    QueueMessage {
        /// The text; a blank one is ignored.
        text: String,
        /// Into the next call instead of the next turn.
        steer: bool,
    },
    /// Takes back a message that still waits.
    #[serde(rename = "unsay")]
    CancelMessage {
        /// Its number in the queue.
        id: u64,
    },
    /// Changes a message that still waits.
    #[serde(rename = "resay")]
    EditMessage {
        /// Its number in the queue.
        id: u64,
        /// The new text.
        text: String,
    },
    /// Moves a waiting message one place: forwards in the queue if `earlier`.
    Shift {
        /// Its number in the queue.
        id: u64,
        /// The direction.
        earlier: bool,
    },
    /// Makes a waiting message steer: into the next call.
    Steer {
        /// Its number in the queue.
        id: u64,
    },
    /// Ends the model's turn. Tasks go on.
    StopReply,
    /// Asks the model again after an error.
    Retry,
    /// Takes back the last message, which the model's server refused for what it holds.
    TakeBack,
    /// Answers the pending approval. An answer to any other is ignored.
    Decide {
        /// The call that asked.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// The answer.
        decision: Decision,
    },
    /// Sends the `bash` command that is waited for to the background.
    Background {
        /// Its task.
        task: TaskId,
    },
    /// Ends a task. A second wish while the first is under way kills at once.
    StopTask {
        /// Which.
        task: TaskId,
    },
    /// Stops a running task's processes until it is resumed.
    PauseTask {
        /// Which.
        task: TaskId,
    },
    /// Lets a paused task go on.
    ResumeTask {
        /// Which.
        task: TaskId,
    },
    /// Writes to a task's standard input.
    SendInput {
        /// Which.
        task: TaskId,
        /// The text, with its newline.
        text: String,
        /// Closes the input after it.
        eof: bool,
    },
    /// Starts an ended task's command again, as a new background task of this session.
    RunAgain {
        /// Which.
        task: TaskId,
    },
    /// Forgets ended tasks of this session.
    ClearTasks,
    /// Follows a task's output from its kept beginning.
    Watch {
        /// Which.
        task: TaskId,
        /// Who looks: a number of the tab's.
        #[serde(default)]
        viewer: u64,
    },
    /// Stops following.
    Unwatch {
        /// Which.
        task: TaskId,
        /// Who looked.
        #[serde(default)]
        viewer: u64,
    },
    /// Sets what needs an approval in this session.
    SetMode {
        /// The mode.
        mode: Mode,
    },
    /// Gives the session a title; an empty one is made of the first message again.
    Rename {
        /// The title.
        title: String,
    },
    /// Asks the runner for a link that pairs another browser.
    Pair,
    /// Reconnects now instead of at the end of the countdown.
    Reconnect,
}

impl Command {
    /// The same, of a page of this number.
    #[must_use]
    pub const fn seen_by(mut self, by: u64) -> Self {
        if let Self::Watch { viewer, .. } | Self::Unwatch { viewer, .. } = &mut self {
            *viewer = by;
        }
        self
    }
}

/// An answer to an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// This once.
    Once,
    /// This, and from now on whatever the rule covers.
    Always {
        /// One of the rules that were offered.
        rule: Rule,
    },
    /// Not.
    Deny {
        /// Why, for the model, if the person says it.
        #[serde(default, rename = "words")]
        reason: String,
    },
}

/// What comes of a model call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelInput {
    /// The answer's head.
    Head {
        /// HTTP status.
        status: u16,
        /// Header names in lower case; those a page may read.
        headers: BTreeMap<String, String>,
    },
    /// A piece of its body, cut anywhere.
    Data(Vec<u8>),
    /// The body's end.
    End,
    /// The connection could not be made or broke.
    Lost {
        /// For the person.
        reason: String,
    },
    /// The call is not made, and would not be if it were asked for again.
    Refused {
        /// Why, and what to do about it.
        reason: String,
    },
}

/// What a socket does.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkInput {
    /// It is open; nothing was sent yet.
    Opened,
    /// A frame came.
    Frame(Box<ServerFrame>),
    /// A frame came that could not be read.
    Garbled {
        /// Why.
        reason: String,
    },
    /// It is closed, or could not be opened.
    Closed {
        /// The close code; 1006 if there was none; [`crate::link::REFUSED`] if the runner does not know this
        /// browser, [`crate::link::STRANGER`] if it is not the runner.
        code: u16,
        /// As the server put it, if it did.
        reason: String,
    },
}
