//! What a leader owes: commands that its agent has taken and the log does not have yet, and the entries that
//! are being written.

use std::collections::VecDeque;

use uuid::Uuid;

use super::message::UnsavedMessage;
use super::outbox::Received;
use crate::record::{Entry, Record};

/// A command that was handed to the agent.
#[derive(Debug)]
struct Running {
    from: Uuid,
    number: u64,
    /// Whether it queues something.
    queues: bool,
    /// What it wanted written ends here; not known while the agent takes it.
    through: Option<u64>,
    /// Whether the runner has not answered what it asked for.
    waits: bool,
}

/// What a leader must do about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// It is new.
    Run,
    /// It is under way.
    Wait,
    /// It was done before.
    Acknowledge,
}

/// Of how many tabs that follow it is known that they do. To the others it is not said what concerns them
/// alone.
const MOST_FOLLOWERS: usize = 64;

/// A tab that leads.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) token: Uuid,
    pub(super) term: u64,
    /// Whether anything is kept in this browser.
    keeps: bool,
    /// The tabs that were heard.
    followers: VecDeque<Uuid>,
    /// Whether the agent is at work.
    pub(super) works: bool,
    /// Whose commands the agent has taken, or the log had before.
    pub(super) heard: Received,
    running: Vec<Running>,
    /// Messages that pages left behind and the log does not have yet.
    left: Vec<(Uuid, u64)>,
    /// What the agent wants written.
    unwritten: Option<Vec<Entry>>,
    /// The last of the entries that are being written.
    writing: Option<u64>,
    /// The last entry that the agent ever wanted written, and the last that is durable.
    wanted: u64,
    durable: u64,
    /// Whether the last attempt to write failed.
    pub(super) fails: bool,
}

impl Leader {
    pub(super) const fn new(token: Uuid, term: u64, keeps: bool, heard: Received) -> Self {
        Self {
            token,
            term,
            keeps,
            followers: VecDeque::new(),
            works: false,
            heard,
            running: Vec::new(),
            left: Vec::new(),
            unwritten: None,
            writing: None,
            wanted: 0,
            durable: 0,
            fails: false,
        }
    }

    /// Whether nothing is lost if it stops.
    pub(super) fn is_idle(&self) -> bool {
        !self.works && self.running.is_empty() && self.wanted <= self.durable
    }

    /// Whether the log is kept in this browser. Otherwise it is in this tab alone.
    pub(super) const fn keeps(&self) -> bool {
        self.keeps
    }

    /// A tab that follows was heard.
    pub(super) fn meet(&mut self, follower: Uuid) {
        self.followers.retain(|known| *known != follower);
        self.followers.push_back(follower);
        let excess = self.followers.len().saturating_sub(MOST_FOLLOWERS);
        self.followers.drain(..excess);
    }

    /// Whether any tab follows.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Whether this tab follows.
    pub(super) fn knows(&self, follower: Uuid) -> bool {
        self.followers.contains(&follower)
    }

    /// A command has come. One without a number comes once.
    pub(super) fn hear(&mut self, from: Uuid, number: u64, queues: bool) -> Duty {
        // What a page left behind may have come before what it asked for earlier. Only messages are sent
        // twice; of all else only the last may have come before, as the title that each new leader is asked
        // for.
        let heard = self.heard.of(from);
        if number > 0 && (number == heard || queues && number < heard) {
            let runs = self.running.iter().any(|one| (one.from, one.number) == (from, number));
            return if runs { Duty::Wait } else { Duty::Acknowledge };
        }
        if number > 0 {
            self.heard.note(from, number);
        }
        self.running.push(Running { from, number, queues, through: None, waits: false });
        Duty::Run
    }

    /// The agent has taken it.
    pub(super) fn ran(&mut self, from: Uuid, number: u64, through: u64, waits: bool) {
        let taken = |one: &&mut Running| (one.from, one.number) == (from, number) && one.through.is_none();
        if let Some(one) = self.running.iter_mut().find(taken) {
            (one.through, one.waits) = (Some(through), waits);
        }
    }

    /// The runner has answered what it asked for.
    pub(super) fn answered(&mut self, from: Uuid, number: u64) {
        let waits = |one: &&mut Running| (one.from, one.number) == (from, number) && one.waits;
        if let Some(one) = self.running.iter_mut().find(waits) {
            one.waits = false;
        }
    }

    /// Takes out the commands that are done: nothing of them waits for the runner, or has to be written and
    /// can be.
    pub(super) fn done(&mut self) -> Vec<(Uuid, u64)> {
        let (durable, keeps) = (self.durable, self.keeps);
        let done =
            |one: &mut Running| !one.waits && one.through.is_some_and(|through| through <= durable || !keeps);
        self.running.extract_if(.., done).map(|one| (one.from, one.number)).collect()
    }

    /// It is no longer waited for.
    pub(super) fn forget(&mut self, from: Uuid, number: u64) {
        self.running.retain(|one| (one.from, one.number) != (from, number) || one.through.is_none());
    }

    /// This message was left behind, and lies there until the log has it.
    pub(super) fn owes(&mut self, message: &UnsavedMessage) {
        if message.number > 0 {
            self.left.push((message.from, message.number));
        }
    }

    /// Whether they were left behind, and need lie there no longer: a log that lasts has them.
    pub(super) fn pays(&mut self, from: Uuid, number: u64) -> bool {
        if !self.keeps {
            return false;
        }
        let before = self.left.len();
        self.left.retain(|one| *one != (from, number));
        self.left.len() < before
    }

    pub(super) fn write(&mut self, entries: Vec<Entry>) {
        self.wanted = entries.last().map_or(self.wanted, |last| last.n.max(self.wanted));
        self.unwritten = Some(entries);
    }

    /// What can be written now, with the commands that are in it: of each it must be known where it ends.
    pub(super) fn next(&mut self) -> Option<(Vec<Entry>, Received)> {
        if self.running.iter().any(|one| one.through.is_none()) {
            return None;
        }
        let entries = self.unwritten.take()?;
        let last = entries.last()?.n;
        let mut heard = Received::default();
        for one in self.running.iter().filter(|one| one.number > 0 && one.through <= Some(last)) {
            heard.note(one.from, one.number);
        }
        self.writing = Some(last);
        Some((entries, heard))
    }

    /// The writing is over. Gives the last entry that was to be written.
    pub(super) fn written(&mut self) -> Option<u64> {
        self.writing.take()
    }

    /// All entries up to this one are durable.
    pub(super) fn saved(&mut self, through: u64) {
        self.durable = self.durable.max(through);
    }

    /// Whether a command is with the agent.
    pub(super) fn runs(&self, from: Uuid, number: u64) -> bool {
        self.running.iter().any(|one| (one.from, one.number) == (from, number))
    }

    /// Whose message an entry holds that is not saved.
    fn author(&self, n: u64) -> Option<(Uuid, u64)> {
        let wrote = |one: &&Running| one.queues && one.through.is_some_and(|last| last >= n);
        self.running.iter().find(wrote).map(|one| (one.from, one.number))
    }

    /// The messages in entries that are not saved, answered or not: with the page the answer goes as well.
    /// One whose author is not known any more is this tab's.
    pub(super) fn unsaved(&self, me: Uuid, unsaved: Vec<Entry>) -> Vec<UnsavedMessage> {
        let mut messages = Vec::<(u64, UnsavedMessage)>::new();
        for entry in unsaved {
            if let Record::Queued { id, text, steer } = entry.record {
                let (from, number) = self.author(entry.n).unwrap_or((me, 0));
                messages.push((id, UnsavedMessage { n: entry.n, text, steer, from, number }));
            } else if let Record::Edited { id, text, steer, .. } = entry.record {
                if let Some((_, message)) = messages.iter_mut().find(|(waits, _)| *waits == id) {
                    (message.text, message.steer) = (text, steer);
                }
            } else if let Record::Cancelled { id } = entry.record {
                messages.retain(|(waits, _)| *waits != id);
            }
        }
        messages.into_iter().map(|(_, message)| message).collect()
    }
}
