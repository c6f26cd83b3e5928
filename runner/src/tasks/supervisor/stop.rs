//! How a task's tree is ended: by its shim, and past it where that does not hear or is no more.
//!
//! A command may stop its own shim (`kill -STOP $PPID`) or kill it, for both are the same user's. A stopped one is let go
//! on at each stop; and if the tree outlives its grace by [`OVERDUE`] all the same, it is killed from here, which works
//! since even a stopped shim keeps everything below it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shared::task::{Party, Process, TaskState};
use tokio::time::Instant;

use super::{Supervisor, Why};
use crate::shim::tag::Tags;
use crate::shim::wire::ToShim;
use crate::store::rows;
use crate::tasks::reader::Output;
use crate::tasks::shims::Shim;

/// How long a stop waits for a look at its ports.
const LOOK_PATIENCE: Duration = Duration::from_millis(200);
/// How much longer than the grace a shim may take.
const OVERDUE: Duration = Duration::from_secs(1);

const SHIM_KILLED: &str = "Its supervisor was killed from outside; what it ran was ended with it.";

/// Processes in one line.
pub(in crate::tasks) fn names(processes: &[Process]) -> String {
    let name = |process: &Process| match process.pid {
        // It stands for those beyond a bound.
        0 => process.command.clone(),
        pid => format!("{pid} ({})", process.command),
    };
    processes.iter().map(name).collect::<Vec<_>>().join(", ")
}

impl Supervisor {
    /// Tells the shim to end the tree; at once if the same party asks a second time. What others ask for meanwhile does
    /// not cut the grace short.
    pub(super) async fn stop(&mut self, shim: &mut Shim, by: Option<Party>, grace: Duration) {
        let again = by.is_some_and(|by| self.stoppers.contains(&by));
        if self.stopping && !again && !grace.is_zero() {
            self.stoppers.extend(by);
            return;
        }
        self.stoppers.extend(by.filter(|_| !again));
        let grace = if self.stopping { Duration::ZERO } else { grace };
        // A runner that stops has looked once for all.
        if !self.stopping && !self.inner.stopping.load(Ordering::Acquire) {
            // The last chance to see what it listens on.
            let look = self.inner.look_for_ports();
            // A file system that hangs must not hold up a stop.
            let _late = tokio::time::timeout(LOOK_PATIENCE, look).await;
        }
        self.stopping = true;
        if self.task.paused {
            // The shim lets it go on, so that it can hear.
            self.task.paused = false;
            self.publish();
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // A shim that has died is seen by its silence.
        let _died = shim.send(&ToShim::Stop { grace_ms }, &[]).await;
        // What it runs may have stopped it, and then it hears nothing.
        crate::shim::wake(shim.pid);
        self.overdue = Some(Instant::now() + grace + OVERDUE);
    }

    /// The shim does not do what it was told: kills the tree in its place, and wakes it.
    pub(super) async fn kill_past(&mut self, shim: &Shim) {
        self.killed_past = true;
        let pid = shim.pid;
        // The thread that kills may only fail with the runner.
        let _failed = tokio::task::spawn_blocking(move || crate::shim::kill_below(pid)).await;
        self.overdue = Some(Instant::now() + OVERDUE);
    }

    /// The shim says what KILL does not end.
    pub(super) fn stuck(&mut self, left: &[Process]) {
        let words =
            format!("The system does not end these processes of task {}: {}.", self.record.id, names(left));
        tracing::warn!(%words, "stuck");
        *self.record.stuck.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(words);
        // Wakes those who wait, who then look.
        self.record.phase.send_modify(|_| {});
    }

    /// Kills what is left of a task whose shim is no more. Gives what could not be killed, as a sentence behind others.
    pub(super) async fn kill_orphans(&self) -> String {
        let tags = Tags::new([self.record.id.0.as_str()]);
        let kill = move || crate::shim::kill_tagged(&tags, true);
        // The thread that looks may only fail with the runner.
        let left = tokio::task::spawn_blocking(kill).await.unwrap_or_default();
        if left.is_empty() {
            return String::new();
        }
        let words = format!(" These processes of it could not be ended, and live on: {}.", names(&left));
        tracing::warn!(task = %self.record.id, "A supervisor was killed.{words}");
        words
    }

    /// Somebody killed the shim: what it watched over is found by its tag and killed.
    pub(super) async fn shim_died(&mut self, leader_ended: bool, output: &mut Output) {
        let left = self.kill_orphans().await;
        self.record.close_input().await;
        // What they had printed by then.
        output.rest().await;
        if !leader_ended && !self.end_written {
            self.task.ended = Some(rows::now());
            self.task.pid = None;
            self.task.stdin = false;
            self.task.paused = false;
            self.task.waits_for_input = false;
            self.task.state = match self.why {
                Some(Why::Timeout) => TaskState::Timeout,
                Some(Why::Asked(by)) => TaskState::Stopped { by, signal: None },
                None => TaskState::Lost { reason: SHIM_KILLED.to_owned() + &left },
            };
        }
        // Not what is published: a full disk may hold that back for long.
        if !self.end_written {
            self.write_end().await;
        }
        self.gone().await;
    }
}
