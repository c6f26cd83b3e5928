//! What the runner owes after a connection: the events up to `welcome.last`.
//!
//! No model is asked before they are taken in, so that a result that waited is in that very call. The wait
//! ends: with the last of them, with the connection, or when nothing has come for a while. What another log
//! has acknowledged does not come again; it is delivered as what the list of tasks knows of it, also when it
//! had asked for the very same operation.

use shared::protocol::Welcome;
use shared::task::Task;
use shared::{Seq, Timestamp};

use super::state::Replay;
use super::{Agent, Out};
use crate::record::Record;
use crate::tools;

/// How long a replay in which nothing comes, or a connection that is being made, may keep a model from being
/// asked.
pub(super) const REPLAY_MS: u64 = 2_000;
/// How often an event that does not come is asked for again before it is taken for lost.
const TRIES: u32 = 3;

impl Agent {
    /// A connection is being made.
    pub(super) fn replay_begins(&mut self, now: Timestamp) {
        self.replay = Some(Replay {
            last: None,
            until: now.plus(REPLAY_MS),
            missed: None,
            hole: false,
            tasks: Vec::new(),
        });
    }

    /// The runner has said what is to come. `anew`: from a cursor that it gave, not from this log's.
    pub(super) fn replay_goes_on(&mut self, now: Timestamp, welcome: &Welcome, anew: bool) {
        let before = Seq(welcome.next.0.saturating_sub(1));
        let mut missed = (!anew && before > self.session.seq).then_some(before);
        let hole = missed.is_some();
        let own = |task: &&Task| Some(task.session) == self.session.id && task.state.is_end();
        let tasks: Vec<Task> = welcome.tasks.iter().filter(own).cloned().collect();
        if welcome.last <= self.session.seq && missed.is_none() {
            if self.are_delivered(&tasks) {
                self.replay = None;
                return;
            }
            missed = Some(self.session.seq);
        }
        self.replay =
            Some(Replay { last: Some(welcome.last), until: now.plus(REPLAY_MS), missed, hole, tasks });
    }

    /// A task that was just asked for has ended already. Its end comes at once, unless another log, which
    /// asked for the same, has acknowledged it.
    pub(super) fn end_is_owed(&mut self, now: Timestamp, task: &Task) {
        if !task.state.is_end() || self.session.ended.contains(&task.id) {
            return;
        }
        let (until, seq) = (now.plus(REPLAY_MS), self.session.seq);
        let replay = self.replay.get_or_insert_with(|| Replay {
            last: None,
            until,
            missed: None,
            hole: false,
            tasks: Vec::new(),
        });
        replay.until = until;
        replay.missed.get_or_insert(seq);
        replay.tasks.push(task.clone());
    }

    /// Whether the log has the ends of all of these that it has begun.
    fn are_delivered(&self, tasks: &[Task]) -> bool {
        tasks
            .iter()
            .all(|task| !self.session.begun.contains(&task.id) || self.session.ended.contains(&task.id))
    }

    /// An event was taken in.
    pub(super) fn replayed(&mut self, out: &mut Out) {
        let seq = self.session.seq;
        let Some(replay) = &mut self.replay else { return };
        replay.until = out.now.plus(REPLAY_MS);
        let all = replay.last.is_none_or(|last| seq >= last);
        let (missed, last) = (replay.missed, replay.last);
        if !all || (missed.is_some() && last.is_some()) {
            return;
        }
        let delivered = self.replay.as_ref().is_some_and(|replay| self.are_delivered(&replay.tasks));
        if delivered {
            self.replay = None;
        } else if let Some(replay) = &mut self.replay {
            replay.missed.get_or_insert(seq);
        }
    }

    /// The runner has sent all up to this. What did not come by now was lost on its way, and is asked for
    /// again a few times.
    pub(super) fn sent(&mut self, out: &mut Out, through: Seq) {
        let next = Seq(through.0 + 1);
        match self.expected.filter(|expected| *expected < next) {
            Some(expected) if self.tries(expected) < TRIES => {
                self.gap(out, expected, next);
            }
            Some(_) | None => self.replay_ends(out),
        }
    }

    fn tries(&self, expected: Seq) -> u32 {
        self.gap.filter(|(at, _)| *at == expected).map_or(0, |(_, tries)| tries)
    }

    /// The runner has sent all there was, or nothing came for too long.
    pub(super) fn replay_ends(&mut self, out: &mut Out) {
        let Some(replay) = self.replay.take() else { return };
        let Some(through) = replay.missed else { return };
        let completions: Vec<Task> = replay
            .tasks
            .into_iter()
            .filter(|task| self.session.begun.contains(&task.id) && !self.session.ended.contains(&task.id))
            .collect();
        if completions.is_empty() && !replay.hole {
            return;
        }
        self.record(out, Record::Missed { through, completions: completions.clone() });
        for task in completions {
            if let Some(index) = self.awaited(&task) {
                let outcome = tools::ended_unheard(&task);
                self.tool_done(out, index, outcome, vec![task.id.clone()]);
            }
        }
    }

    /// The event `expected` is not there, although a later one is. True if it is given up: then the later one
    /// counts.
    pub(super) fn gap(&mut self, out: &mut Out, expected: Seq, seq: Seq) -> bool {
        let tries = self.tries(expected) + 1;
        self.gap = Some((expected, tries));
        if tries > TRIES {
            let missed = Some(Seq(seq.0 - 1));
            let replay = self.replay.take();
            let own = |task: &&Task| Some(task.session) == self.session.id && task.state.is_end();
            let tasks = self.tasks.values().filter(own).cloned().collect();
            let last = replay.and_then(|replay| replay.last).or(Some(seq));
            self.replay = Some(Replay { last, until: out.now.plus(REPLAY_MS), missed, hole: true, tasks });
            return true;
        }
        // A new connection replays from the cursor; not at once, for the same may come of it.
        let step = self.link.broken(out.now, "An event of the runner's was missing.");
        self.step(out, &step);
        false
    }
}
