//! Trees that do not end: what the system does not kill, and supervisors that say nothing of it.

use shared::task::Process;

use super::{Effect, Machine, Now, OVERDUE, Stage};
use crate::tasks::text::names;

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
