//! Everything an agent can ask for. The shell runs effects in order and decides nothing.

use serde::{Deserialize, Serialize};
use shared::protocol::ClientFrame;
use shared::{SessionId, Timestamp};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::call::CallId;
use crate::event::Author;
use crate::model::Api;
use crate::model::codec::KeyHeader;
use crate::model::demo;
use crate::record::Entry;
use crate::settings::Rule;
use crate::view::{Flash, Patch};

/// Something to do.
///
/// Effects are run in order. After `Append` the shell starts no later effect except `Show`, `Flash` and
/// `Alarm` before the entries are durable (or have failed to become so, which it reports). So the log always
/// knows of a side effect before the world does.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "effects that are not run are lost"]
pub enum Effect {
    /// Writes entries to the log in one transaction that fails if an entry before them is missing, or if one
    /// of them is there with another content (the same again is fine: an append is repeated after a failure).
    /// Then sends [`crate::Event::Saved`] or [`crate::Event::SaveFailed`].
    Append(Vec<Entry>),
    /// Calls a model, and sends [`crate::Event::Model`] as its answer comes.
    Call(ModelCall),
    /// Breaks a model call off. Its later events are ignored.
    CancelCall(CallId),
    /// Opens a socket to the runner, closing an older one.
    Connect {
        /// The new socket's name.
        generation: u64,
    },
    /// Closes the socket.
    Disconnect {
        /// Which.
        generation: u64,
    },
    /// Sends a frame. If the socket is gone the frame is dropped: the agent hears of that by `Closed`.
    Send {
        /// Through which socket.
        generation: u64,
        /// What.
        frame: Box<ClientFrame>,
    },
    /// Sends [`crate::Event::Tick`] at this time; replaces the earlier alarm. `None` needs none.
    Alarm(Option<Timestamp>),
    /// Changes what the page shows, here and in tabs that follow.
    Show(Vec<Patch>),
    /// Says something to the person, once.
    Flash {
        /// At which tab they asked for it; to all if nobody did.
        to: Option<Uuid>,
        /// What.
        flash: Flash,
    },
    /// The runner has answered what this command asked of it, or it is known that it will not.
    Answered(Author),
    /// The session's line in the list of sessions changed.
    Index(SessionSummary),
    /// Raises a notification of the browser's, if that is allowed and the page is hidden.
    Notify {
        /// One line.
        title: String,
        /// More of it.
        body: String,
    },
    /// Adds a rule to the settings.
    SaveRule(Rule),
}

/// A call that the shell makes itself. (Calls through the runner's relay are frames.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// Its number.
    pub call: CallId,
    /// Who answers.
    pub target: Target,
    /// The body: JSON.
    pub body: String,
}

/// Who answers a call that the shell makes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nobody: the demo's answer is played by the shell with its pauses.
    Demo(Vec<demo::Chunk>),
    /// `POST` to this URL. The shell adds the key that the person gave, if there is one.
    Http {
        /// The whole address.
        url: String,
        /// All other headers.
        headers: BTreeMap<String, String>,
        /// What is spoken: each API has a key of its own.
        api: Api,
        /// The header for the key.
        key: KeyHeader,
    },
}

/// A session's line in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Which.
    pub session: SessionId,
    /// Its title; empty while nothing was said.
    pub title: String,
    /// When it began.
    pub created: Timestamp,
    /// When something last happened.
    pub updated: Timestamp,
    /// The workspace it works in; empty until known.
    pub workspace: String,
    /// How many of its tasks run.
    pub running: u32,
    /// Whether it waits for an approval.
    pub asks: bool,
    /// Whether the agent is at work.
    pub busy: bool,
    /// Whether messages wait for the runner.
    #[serde(default)]
    pub waits: bool,
}

impl SessionSummary {
    /// Whether its agent is at work, or will be.
    #[must_use]
    pub const fn works(&self) -> bool {
        self.busy || self.asks || self.waits || self.running > 0
    }
}
