//! Pausing a task's tree and letting it go on: the shim does it, and its answer is the moment at which it is so.

use shared::task::Task;
use shared::{Problem, ProblemCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Supervisor;
use crate::shim::wire::ToShim;
use crate::tasks::shims::Shim;

impl Supervisor {
    /// Tells the shim to hold the tree or to let it go on.
    pub(super) async fn hold(
        &mut self,
        shim: &mut Shim,
        hold: bool,
        reply: oneshot::Sender<Result<Task, Problem>>,
    ) {
        let refuse = if self.task.state.is_end() {
            Some("has ended")
        } else if self.stopping {
            Some("is being stopped")
        } else {
            None
        };
        if let Some(why) = refuse {
            let words = format!("Task {} {why}.", self.record.id);
            // Whoever asked may have gone.
            let _gone = reply.send(Err(Problem::new(ProblemCode::Conflict, words)));
            return;
        }
        self.holding.push_back(reply);
        // A shim that has died is seen by its silence.
        let _died = shim.send(&ToShim::Hold(hold), &[]).await;
        crate::shim::wake(shim.pid);
    }

    /// The shim has done so.
    pub(super) fn held(&mut self, held: bool) {
        let changes = held != self.task.paused && !self.stopping && !self.task.state.is_end();
        if changes {
            self.task.paused = held;
            let now = Instant::now();
            if held {
                self.timeout_left = self.timeout_at.take().map(|at| at.saturating_duration_since(now));
            } else {
                self.prompt.heard(self.inner.limits.prompt_quiet);
                self.timeout_at = self.timeout_left.take().map(|left| now + left);
            }
            self.figures();
            self.publish();
        }
        if let Some(reply) = self.holding.pop_front() {
            // Whoever asked may have gone.
            let _gone = reply.send(Ok(self.task.clone()));
        }
    }
}
