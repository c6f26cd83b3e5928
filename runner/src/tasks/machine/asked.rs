//! What people and models ask of a running task: to stop it, to move it to the background, to freeze it; and
//! what it prints meanwhile.

use std::time::Duration;

use shared::protocol::BackgroundedBy;
use shared::task::Party;
use shared::{Problem, ProblemCode};

use super::{Effect, Machine, Now, Stage};

/// Requests to freeze or thaw that one supervisor has not answered.
const UNANSWERED: usize = 16;

impl<R> Machine<R> {
    /// Ends the tree; at once if the same party asks a second time. What others ask for meanwhile does not
    /// cut the grace short.
    pub(super) fn stop(&mut self, by: Option<Party>, grace: Duration) {
        let again = by.is_some_and(|by| self.stoppers.contains(&by));
        self.stoppers.extend(by.filter(|_| !again));
        if self.stopping && !again && !grace.is_zero() {
            return;
        }
        let first = !std::mem::replace(&mut self.stopping, true);
        if self.task.paused {
            // The supervisor thaws it, so that it can hear.
            self.task.paused = false;
            self.publish();
        }
        self.looking = first.then_some(grace);
        self.todo(if first { Effect::LookForPorts } else { Effect::Stop { grace: Duration::ZERO } });
    }

    /// Makes it a background task, once, and answers whoever asked.
    pub(super) fn background(&mut self, reply: Option<R>) {
        self.foreground_until = None;
        let outcome = if self.task.state.is_end() {
            Err(Problem::new(ProblemCode::Conflict, format!("Task {} has ended.", self.task.id)))
        } else {
            if std::mem::take(&mut self.task.foreground) {
                let by = if reply.is_some() { BackgroundedBy::Request } else { BackgroundedBy::Time };
                self.todo(Effect::Backgrounded(self.task.clone(), by));
            }
            Ok(self.task.clone())
        };
        if let Some(reply) = reply {
            self.todo(Effect::Reply(reply, outcome));
        }
    }

    pub(super) fn freeze(&mut self, frozen: bool, reply: R) {
        if self.freezing.len() >= UNANSWERED {
            let message = format!(
                "{UNANSWERED} requests to pause or resume task {} are not answered yet. Ask again later, or stop it.",
                self.task.id
            );
            let refused = Problem::retryable(ProblemCode::TooMany, message);
            return self.todo(Effect::Reply(reply, Err(refused)));
        }
        let refuse = if self.task.state.is_end() {
            "has ended"
        } else if self.stopping {
            "is being stopped"
        } else if matches!(self.stage, Stage::Queued(_) | Stage::Starting(..)) {
            "has not started yet, so it cannot be paused or resumed"
        } else {
            self.freezing.push_back((frozen, reply));
            return self.todo(Effect::Freeze(frozen));
        };
        let message = format!("Task {} {refuse}.", self.task.id);
        self.todo(Effect::Reply(reply, Err(Problem::new(ProblemCode::Conflict, message))));
    }

    /// The supervisor has tried to, and says what is so now.
    pub(super) fn frozen(&mut self, now: Now, frozen: bool) {
        if frozen != self.task.paused && !self.stopping && !self.task.state.is_end() {
            self.task.paused = frozen;
            if frozen {
                self.timeout_left = self.timeout_at.take().map(|at| at.saturating_duration_since(now.at));
            } else {
                self.prompt.heard(now.at + self.limits.prompt_quiet);
                self.timeout_at = self.timeout_left.take().map(|left| now.at + left);
            }
            self.publish();
        }
        if let Some((asked, reply)) = self.freezing.pop_front() {
            let outcome = if asked && !frozen {
                let message = format!(
                    "Task {} could not be paused: it is being stopped, or processes of it run on whatever is done. It goes on.",
                    self.task.id
                );
                Err(Problem::new(ProblemCode::Conflict, message))
            } else {
                Ok(self.task.clone())
            };
            self.todo(Effect::Reply(reply, outcome));
        }
    }

    // ---- output ----

    pub(super) fn printed(&mut self, now: Now) {
        if self.task.stdin {
            self.prompt.heard(now.at + self.limits.prompt_quiet);
            self.flag(false);
        }
        if self.progress_at.is_none() {
            match self.progress_last {
                Some(last) if last + self.limits.progress > now.at => {
                    self.progress_at = Some(last + self.limits.progress);
                }
                Some(_) | None => self.progress(now),
            }
        }
    }

    pub(super) fn progress(&mut self, now: Now) {
        self.progress_last = Some(now.at);
        self.todo(Effect::Progress);
    }

    pub(super) fn flag(&mut self, waits: bool) {
        if self.task.waits_for_input != waits {
            self.task.waits_for_input = waits;
            self.publish();
        }
    }
}
