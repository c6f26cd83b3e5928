//! What a member of a session's tabs hears and asks for, and what the tabs say to each other.

use serde::{Deserialize, Serialize};
use shared::Timestamp;
use uuid::Uuid;

use super::outbox::Received;
use crate::event::{Command, Event as AgentEvent};
use crate::record::{Entry, Record};
use crate::view::{Flash, Patch};

/// What the tabs of one session say to each other. A tab does not hear itself; what one says, another hears
/// in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum TabMessage {
    /// I follow; what is there to see?
    Hello {
        /// Who.
        from: Uuid,
    },
    /// This is the whole.
    #[serde(rename = "whole")]
    Snapshot {
        /// To whom.
        to: Uuid,
        /// The leader's.
        #[serde(default)]
        term: u64,
        /// Whether its log is kept in this browser; otherwise it is in the leader's memory alone.
        #[serde(default = "yes")]
        keeps: bool,
        /// All there is to see.
        patches: Vec<Patch>,
    },
    /// This has changed.
    Show {
        /// The leader's.
        #[serde(default)]
        term: u64,
        /// The changes.
        patches: Vec<Patch>,
    },
    /// This is said to the person.
    Flash {
        /// The leader's.
        term: u64,
        /// At which tab; at all if nobody asked for it.
        to: Option<Uuid>,
        /// What.
        flash: Flash,
    },
    /// I lead now.
    #[serde(rename = "took")]
    Claimed {
        /// From now on this one.
        #[serde(default)]
        term: u64,
        /// Whether its log is kept in this browser; otherwise it is in the leader's memory alone.
        #[serde(default = "yes")]
        keeps: bool,
    },
    /// The person here wants this.
    #[serde(rename = "wish")]
    Command {
        /// Who.
        from: Uuid,
        /// Which of its commands.
        number: u64,
        /// For whom it is: another leader is not meant. 0 if any is.
        #[serde(default)]
        term: u64,
        /// When it is sent.
        #[serde(default)]
        at: Timestamp,
        /// What.
        command: Command,
    },
    /// It is done: what it leaves in the log is saved, and the runner has answered what it asked for.
    #[serde(rename = "heard")]
    Ack {
        /// Whose.
        to: Uuid,
        /// Which.
        number: u64,
    },
}

const fn yes() -> bool {
    true
}

/// Something that happened to a member.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session is opened in this tab.
    Open {
        /// Whether it was begun before: it is in the list, or another tab has it open.
        begun: bool,
    },
    /// The person wants to write here.
    TakeOver,
    /// The session is closed in this tab.
    Close,
    /// The page shows another session.
    Leave,
    /// The page shows this one again, and knows nothing of it.
    Visit,
    /// The time of the last [`Effect::Alarm`] has come.
    Tick,
    /// The person at this page wants something of the agent.
    Command(Command),
    /// The session is to be deleted.
    Delete,
    /// A session that is not open here gets a title.
    Retitle {
        /// The title.
        title: String,
    },
    /// The lock that was asked for is held.
    Granted {
        /// Which request.
        request: u64,
    },
    /// It is not free.
    Refused {
        /// Which request.
        request: u64,
    },
    /// Another tab took it.
    Stolen {
        /// Which request.
        request: u64,
    },
    /// What came of [`Effect::Claim`].
    Read {
        /// Under which token.
        token: Uuid,
        /// The log, or why there is none.
        outcome: Result<Claim, ClaimError>,
    },
    /// What pages that were left had not saved: the answer to [`Effect::ReadLeft`], or what is there now.
    Left(Vec<UnsavedMessage>),
    /// The agent here wants entries written.
    Append(Vec<Entry>),
    /// What came of [`Effect::Append`].
    Appended {
        /// Under which token.
        token: Uuid,
        /// Whether they are durable.
        outcome: Result<(), AppendError>,
    },
    /// The agent has taken a command of [`Effect::Run`], and everything that it wanted written is known.
    Ran {
        /// Whose.
        from: Uuid,
        /// Which.
        number: u64,
        /// The last entry that is not saved; 0 if all are.
        through: u64,
        /// Whether the runner was asked for something, and has not answered.
        waits: bool,
    },
    /// The runner has answered what a command asked for.
    Answered {
        /// Whose.
        from: Uuid,
        /// Which.
        number: u64,
    },
    /// The agent here shows something.
    Show(Vec<Patch>),
    /// The agent here says something to the person.
    Flash {
        /// At which tab they asked for it; at all if nobody did.
        to: Option<Uuid>,
        /// What.
        flash: Flash,
    },
    /// Whether the agent here is at work.
    Works(bool),
    /// What came of [`Effect::Delete`].
    Deleted(Result<(), String>),
    /// Another tab said something.
    Message(TabMessage),
    /// It said something that this page does not understand: it is of another version.
    Garbled,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "effects that are not run are lost"]
pub enum Effect {
    /// Asks for the session's lock, and sends [`Event::Granted`] or [`Event::Refused`]; [`Event::Stolen`] if
    /// it is taken later.
    Lock {
        /// What the answer is called.
        request: u64,
        /// How.
        mode: LockMode,
    },
    /// Gives up the lock of a request, or the wait for it.
    Release {
        /// Which.
        request: u64,
    },
    /// Takes the log over and reads it, in one transaction: from then on appends under another token fail.
    /// The new term is higher than any before, and at least this. A log that is empty is claimed as well.
    Claim {
        /// By what the store knows the writer.
        token: Uuid,
        /// The lowest term that will do.
        term: u64,
    },
    /// Writes entries in one transaction, if the log is still claimed by this token and they continue it; and
    /// notes which commands are in it with them.
    Append {
        /// By what the store knows the writer.
        token: Uuid,
        /// The claim's number, for a log that is claimed by this.
        term: u64,
        /// What to write.
        entries: Vec<Entry>,
        /// Whose commands are with it in the log.
        heard: Received,
    },
    /// Reads the messages that pages left behind, and sends [`Event::Left`]. Those without a number are given
    /// once.
    ReadLeft,
    /// A message that a page left behind is in the log.
    ForgetLeft {
        /// Whose.
        from: Uuid,
        /// Which.
        number: u64,
    },
    /// Starts an agent on this log.
    Start {
        /// The log.
        log: Vec<Entry>,
    },
    /// Stops the agent: nothing that it still wants is done.
    Stop,
    /// Hands the agent here a command, and sends [`Event::Ran`] when it has taken it.
    Run {
        /// Whose.
        from: Uuid,
        /// Which.
        number: u64,
        /// The command.
        command: Command,
    },
    /// Tells the agent what came of its writing.
    Tell(AgentEvent),
    /// Says something to the other tabs of the session.
    Post(TabMessage),
    /// Posts all that the agent here shows.
    Snapshot {
        /// To whom.
        to: Uuid,
        /// Under which term.
        term: u64,
        /// Whether the log is kept.
        keeps: bool,
    },
    /// Shows this at the page.
    Show(Vec<Patch>),
    /// Says this to the person at the page, whichever session it shows.
    Flash(Flash),
    /// Shows all that the agent here shows.
    Redraw,
    /// What this tab is to the session has changed.
    Role(Role),
    /// Sends [`Event::Tick`] at this time; replaces the earlier alarm.
    Alarm(Option<Timestamp>),
    /// Tells the person what was not done, whichever session the page shows.
    Complain(String),
    /// Gives messages that nobody will hear back to where they were written: in front of the session's draft.
    GiveBack(Vec<String>),
    /// Removes everything that is kept of the session, and sends [`Event::Deleted`].
    Delete,
    /// The session is no more.
    Gone,
    /// The session has this title in its log.
    Titled(String),
    /// The member is done with: nothing is held any more.
    Closed,
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Only if nobody has it.
    IfFree,
    /// When it is free, after those who waited before.
    Wait,
    /// Now.
    Steal,
}

/// What a tab is to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The lock is asked for, or the log is read.
    Starting,
    /// Its agent runs here.
    Leader,
    /// Its agent runs in another tab.
    Follower,
    /// Its log cannot be read.
    Unreadable {
        /// Why, and what to do.
        reason: String,
    },
    /// It is not open here.
    Closed,
}

/// A log that was taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The claim's number: a fencing token, by which tabs know the newer of two leaders.
    pub term: u64,
    /// The entries.
    pub log: Vec<Entry>,
    /// Whose commands are in it.
    pub heard: Received,
}

/// Why a log could not be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Nothing is kept here at all: the session goes on in memory.
    Unavailable(String),
    /// It cannot be read.
    Unreadable(String),
}

/// Why entries were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Another tab has claimed the log.
    Fenced,
    /// Anything else; it may work later.
    Failed(String),
}

/// A message that was sent and may not be in the log yet, as a page leaves it behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsavedMessage {
    /// The entry that it is in if it is in the log; 0 if it never came so far.
    pub n: u64,
    /// Its text; empty for any other command than a message, of which a page leaves only that it was not
    /// done.
    pub text: String,
    /// Whether it goes into the turn under way.
    pub steer: bool,
    /// Whose command it is.
    #[serde(default)]
    pub from: Uuid,
    /// Which of its commands; 0 if that is not known.
    #[serde(default)]
    pub number: u64,
}

impl UnsavedMessage {
    /// Whether it was written after all.
    pub(super) fn is_in(&self, log: &[Entry], heard: &Received) -> bool {
        let same = |entry: &Entry| matches!(&entry.record, Record::Queued { text, .. } if entry.n == self.n && *text == self.text);
        log.iter().any(same) || self.number > 0 && self.number <= heard.of(self.from)
    }
}

/// Adds what a page leaves behind to what others left: the same message again is the same.
pub fn merge_left(kept: &mut Vec<UnsavedMessage>, left: Vec<UnsavedMessage>) {
    for message in left {
        let same = |one: &UnsavedMessage| {
            if message.number > 0 {
                (one.from, one.number) == (message.from, message.number)
            } else {
                *one == message
            }
        };
        kept.retain(|one| !same(one));
        kept.push(message);
    }
}
