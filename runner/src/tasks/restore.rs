//! What an earlier runner left: its ended tasks as they are, and the others as lost, once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::TaskId;
use shared::protocol::TaskEvent;
use shared::task::{Task, TaskState};
use tokio::sync::mpsc;

use super::inner::Inner;
use super::log::Log;
use super::record::{Phase, Record};
use super::supervisor::stop::names;
use super::text::signal_name;
use super::{TasksError, blocking};
use crate::limits::Limits;
use crate::shim::tag::Tags;
use crate::shim::wire::Exited;
use crate::store::rows;

const EXIT: &str = "exit";
const NOT_BEGUN: &str =
    "The runner ended before this was started, or just as it was. It may not have run at all.";
const UNKNOWN: &str =
    "The runner ended while this ran. What it had started was ended with it; how far it came is unknown.";
/// Behind the output of a task that ended just before the runner did.
const CUT: &str = "\n[The runner ended just after this did: the end of its output may be missing.]\n";

impl Inner {
    /// What an earlier runner left: its ended tasks as they are, the others as lost.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), TasksError> {
        let loaded = self.store.loaded().await?;
        for (session, last, acknowledged) in loaded.sessions {
            self.outboxes.restore(session, last, acknowledged);
        }
        let mut lost = Vec::new();
        {
            let mut state = self.state();
            for (op, task, at) in loaded.forgotten {
                state.forgotten.add(op, task, at);
            }
            for rows::StoredTask { mut task, end_seq } in loaded.tasks {
                let active = task.is_active();
                let Limits { log_head, log_tail, .. } = self.limits;
                let total = (!active).then_some(task.output_bytes);
                let path = self.logs.join(task.id.as_str());
                let log = Log::restored(path, log_head, log_tail, Arc::clone(&self.disk), total);
                let op = task.op;
                task.left_behind.clear();
                let (commands, _gone) = mpsc::channel(1);
                let record = Arc::new(Record::new(task, log, Phase::Gone, commands));
                record.set_end_seq(end_seq.unwrap_or_default());
                if active {
                    lost.push(Arc::clone(&record));
                } else {
                    record.publish_progress();
                }
                state.insert(record, op);
            }
        }
        // Shims end what they watch over with the runner, unless they were killed, too: also what ended tasks left behind.
        let tags = {
            let state = self.state();
            Tags::new(state.numbers.keys().map(|task| task.0.as_str()))
        };
        let left = blocking(move || crate::shim::kill_tagged(&tags, false)).await.unwrap_or_default();
        if !left.is_empty() {
            tracing::warn!(
                "These processes of tasks of an earlier runner could not be ended, and live on: {}.",
                names(&left)
            );
        }
        for record in lost {
            self.lose(&record).await;
        }
        if self.saved_or_held().await {
            self.remove_exit_records();
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

    async fn lose(self: &Arc<Self>, record: &Arc<Record>) {
        let mut task = Task::clone(&record.publish_progress());
        let exited = self.exited(&record.id);
        task.ended = Some(rows::now());
        task.state = match &exited {
            Some(Exited { code: Some(0), .. }) => TaskState::Completed,
            Some(Exited { code: Some(code), .. }) => TaskState::Failed { code: *code },
            Some(Exited { signal, .. }) => {
                TaskState::Killed { signal: signal_name(signal.unwrap_or_default()) }
            }
            // What has printed has run, whatever was not noted any more.
            None if task.state == TaskState::Queued && task.output_bytes == 0 => {
                TaskState::Lost { reason: NOT_BEGUN.into() }
            }
            None => TaskState::Lost { reason: UNKNOWN.into() },
        };
        if let Some(exited) = &exited {
            task.duration_ms = Some(exited.ran_us / 1_000);
            task.ended = task.started.map(|started| started.plus(exited.ran_us / 1_000)).or(task.ended);
        }
        task.stdin = false;
        task.pid = None;
        let log = Arc::clone(record);
        let mut excerpt = blocking(move || log.log.excerpt(4_000)).await.unwrap_or_default();
        if exited.is_some() {
            let end = if excerpt.omitted_chars == 0 { &mut excerpt.head } else { &mut excerpt.tail };
            end.push_str(CUT);
        }
        self.save_event(record, TaskEvent::Ended { task: Box::new(task), excerpt });
    }

    /// How a task ended that the runner did not live to save, as its shim wrote it. Not of one that was being stopped:
    /// by whom is not known any more.
    fn exited(&self, task: &TaskId) -> Option<Exited> {
        let text = std::fs::read(exit_record(&self.logs, task)).ok()?;
        serde_json::from_slice(&text).ok().filter(|exited: &Exited| !exited.asked)
    }

    /// They have said what they had to.
    fn remove_exit_records(&self) {
        for entry in std::fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == EXIT) {
                // What stays is of a task that has its end, and is not looked at again.
                let _stays = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Where a shim says how a task ended that the runner did not live to save.
pub(super) fn exit_record(logs: &Path, task: &TaskId) -> PathBuf {
    logs.join(task.as_str()).with_extension(EXIT)
}
