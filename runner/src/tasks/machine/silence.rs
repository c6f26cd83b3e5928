//! A supervisor that is alive and says nothing, once its tree was killed in its place.
//!
//! One that works needs no more than to reap then. One whose tree is not gone may be waiting, as everybody does, for what the
//! system does not end; after ten seconds of that it says so.

use shared::task::Process;

use super::{Effect, Machine, Now, OVERDUE, Stage};
use crate::tasks::text::names;

/// Rounds, of a second at least, after which it is given up if nothing is left below it.
const ALONE: u32 = 3;
/// The same if something may be.
const WITH_OTHERS: u32 = 15;

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Of killing in its place, since it last said something.
    rounds: u32,
    /// It has said that the system does not end something.
    stuck: bool,
}

impl Silence {
    pub(super) const fn broken(&mut self) {
        self.rounds = 0;
    }

    /// The tree was killed once more; `alone`: nothing is left of it. Whether the supervisor is to be given up.
    pub(super) const fn lasts(&mut self, alone: bool) -> bool {
        self.rounds += 1;
        if alone { self.rounds >= ALONE } else { !self.stuck && self.rounds >= WITH_OTHERS }
    }
}

impl<R> Machine<R> {
    /// The tree was killed in the place of its supervisor.
    pub(super) fn past(&mut self, now: Now, stage: Stage, alone: bool) -> Stage {
        if !self.silence.lasts(alone) {
            self.overdue = Some(now.at + OVERDUE);
            return stage;
        }
        self.orphaned(match stage {
            Stage::Queued(untold)
            | Stage::Starting(untold, _)
            | Stage::Running(untold)
            | Stage::Draining(untold, _) => Some(untold),
            Stage::Orphaned(untold) => untold,
            Stage::Remaining | Stage::Reaped => None,
        })
    }

    /// The system does not end these, as far as is known.
    pub(super) fn stuck(&mut self, left: &[Process]) {
        let was = std::mem::replace(&mut self.silence.stuck, !left.is_empty());
        let text =
            format!("The system does not end these processes of task {}: {}.", self.task.id, names(left));
        if was || self.silence.stuck {
            self.todo(Effect::Unkillable(self.silence.stuck.then_some(text)));
        }
    }

    /// What is left of the tree changes: what the system does not end with it.
    pub(super) fn left(&mut self, processes: &[Process]) {
        if self.silence.stuck {
            self.stuck(processes);
        }
    }
}
