//! What an earlier runner left: its ended tasks as they are, and the others as lost, once.

use std::sync::Arc;

use exec::frames::Exited;
use exec::host::{Tags, kill_tagged};
use exec::signal_name;
use shared::task::{Task, TaskState};
use shared::{TaskId, Timestamp};
use tokio::sync::mpsc;

use super::config::TasksError;
use super::context::{Context, EXIT, blocking};
use super::end::Untold;
use super::entry::{Phase, TaskEntry};
use super::log::Log;
use super::text::names;
use crate::clock::now;
use crate::limits::Limits;
use crate::store::rows;

const NOT_BEGUN: &str =
    "The runner ended before this was started, or just as it was. It may not have run at all.";
const UNKNOWN: &str =
    "The runner ended while this ran. What it had started was ended with it; how far it came is unknown.";
/// Behind the output of a task that ended just before the runner did.
const CUT: &str = "\n[The runner ended just after this did: the end of its output may be missing.]\n";

impl Context {
    /// What an earlier runner left: its ended tasks as they are, the others as lost.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), TasksError> {
        let loaded = self.store.loaded().await?;
        for (session, last, acknowledged) in loaded.sessions {
            self.outboxes.restore(session, last, acknowledged);
        }
        let mut lost = Vec::new();
        {
            let mut registry = self.registry();
            for (op, task, at) in loaded.forgotten {
                registry.forgotten.add(op, task, at);
            }
            for rows::StoredTask { mut task, end_seq } in loaded.tasks {
                let active = task.is_active();
                let Limits { log_head, log_tail, .. } = self.limits;
                let total = (!active).then_some(task.output_bytes);
                let path = self.logs.join(task.id.as_str());
                let log = Log::restored(path, log_head, log_tail, Arc::clone(&self.disk), total);
                let op = task.op;
                task.remaining_processes.clear();
                let (requests, _gone) = mpsc::channel(1);
                let entry = Arc::new(TaskEntry::new(task, log, Phase::Reaped, requests));
                entry.set_end_seq(end_seq.unwrap_or_default());
                if active {
                    lost.push(Arc::clone(&entry));
                } else {
                    entry.publish_progress();
                }
                registry.insert(entry, op);
            }
        }
        // Agents end what they watch over with the runner, unless they were killed, too: also what remained of ended tasks.
        let tags = {
            let registry = self.registry();
            Tags::new(registry.numbers.keys().map(|task| task.0.as_str()))
        };
        let left = blocking(move || kill_tagged(&tags, false)).await.unwrap_or_default();
        if !left.is_empty() {
            tracing::warn!(
                "These processes of tasks of an earlier runner could not be ended, and live on: {}.",
                names(&left)
            );
        }
        for entry in lost {
            self.lose(&entry).await;
        }
        if self.saved_or_held().await {
            self.remove_exit_files();
        }
        // What was acknowledged long ago may go; a full disk must not keep the runner from starting.
        if let Err(problem) = self.retain().await {
            tracing::warn!(%problem, "old tasks stay listed");
        }
        Ok(())
    }

    /// Waits until what was submitted is on the disk, or cannot be for now: that must not keep the runner from starting.
    /// Whether it is there.
    async fn saved_or_held(&self) -> bool {
        let (told, mut heard) = mpsc::channel(1);
        let held = told.clone();
        // Only the first word counts.
        let hold = move || {
            let _full = held.try_send(false);
        };
        let done = move |_| {
            let _full = told.try_send(true);
        };
        self.store.after_all(hold, done);
        heard.recv().await.unwrap_or_default()
    }

    async fn lose(self: &Arc<Self>, entry: &Arc<TaskEntry>) {
        let exited = self.exited(&entry.id);
        let cut = exited.is_some();
        let task = lost(Task::clone(&entry.publish_progress()), exited.as_ref(), now());
        let log = Arc::clone(entry);
        let mut preview = blocking(move || log.log.preview(4_000)).await.unwrap_or_default();
        if cut {
            let end = if preview.omitted_chars == 0 { &mut preview.head } else { &mut preview.tail };
            end.push_str(CUT);
        }
        self.save_end(entry, Untold::new().tell(task), preview);
    }

    /// How a task ended that the runner did not live to save, as its agent wrote it. Not of one that was being stopped:
    /// by whom is not known any more.
    fn exited(&self, task: &TaskId) -> Option<Exited> {
        let text = std::fs::read(self.exit_file(task)).ok()?;
        serde_json::from_slice(&text).ok().filter(|exited: &Exited| !exited.asked)
    }

    /// They have said what they had to.
    fn remove_exit_files(&self) {
        for entry in std::fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == EXIT) {
                // What stays is of a task that has its end, and is not looked at again.
                let _stays = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// A task that an earlier runner left without an end, as it ends now: by what its supervisor has noted, or lost.
pub(super) fn lost(mut task: Task, exited: Option<&Exited>, now: Timestamp) -> Task {
    let duration_ms = exited.map(|exited| exited.ran_us / 1_000);
    task.ended = task.started.zip(duration_ms).map(|(started, ran)| started.plus(ran)).or(Some(now));
    task.duration_ms = duration_ms.or(task.duration_ms);
    task.stdin = false;
    task.pid = None;
    task.state = match exited {
        Some(Exited { code: Some(0), .. }) => TaskState::Completed,
        Some(Exited { code: Some(code), .. }) => TaskState::Failed { code: *code },
        Some(Exited { signal, .. }) => TaskState::Killed { signal: signal_name(signal.unwrap_or_default()) },
        // What has printed has run, whatever was not noted any more.
        None if task.state == TaskState::Queued && task.output_bytes == 0 => {
            TaskState::Lost { reason: NOT_BEGUN.into() }
        }
        None => TaskState::Lost { reason: UNKNOWN.into() },
    };
    task
}
