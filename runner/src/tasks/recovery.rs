//! What an earlier runner left: its ended tasks as they are, and the others as lost, once.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exec::frames::Exited;
use exec::host::{Tags, end_tagged};
use exec::signal_name;
use shared::task::{Process, Task, TaskState};
use shared::{TaskId, Timestamp};
use tokio::sync::mpsc;

use super::config::TasksError;
use super::context::{Context, EXIT, blocking};
use super::end::Untold;
use super::entry::{Phase, TaskEntry};
use super::log::Log;
use super::text::live_on;
use crate::clock::now;
use crate::limits::Limits;
use crate::store::rows;

const NOT_BEGUN: &str =
    "The runner ended before this was started, or just as it was. It may not have run at all.";
const UNKNOWN: &str =
    "The runner ended while this ran. What it had started was ended with it; how far it came is unknown.";
const LIVES_ON: &str = "The runner ended while this ran, and how far it came is unknown.";
/// How long agents of an earlier runner may take to end their trees, and to note how their commands ended.
const AGENTS_PATIENCE: Duration = Duration::from_secs(2);
/// Behind the output of a task that ended just before the runner did.
const CUT: &str = "\n[The runner ended just after this did: the end of its output may be missing.]\n";

impl Context {
    /// What an earlier runner left: its ended tasks as they are, the others as lost.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), TasksError> {
        let loaded = self.store.loaded().await?;
        for (session, last, acknowledged) in loaded.sessions {
            self.outboxes.restore(session, last, acknowledged);
        }
        for (op, task, at) in loaded.forgotten {
            self.registry().forgotten.add(op, task, at);
        }
        let context = Arc::clone(self);
        // It may only fail with the runner.
        let lost = blocking(move || context.take_in(loaded.tasks)).await.unwrap_or_default();
        // Agents end what they watch over with the runner, unless they were killed, too: also what remained
        // of ended tasks.
        let tags = {
            let registry = self.registry();
            Tags::new(registry.numbers.keys().map(|task| task.0.as_str()))
        };
        let left = blocking(move || end_tagged(&tags, AGENTS_PATIENCE)).await.unwrap_or_default();
        for (task, processes) in &left {
            tracing::warn!(%task, "An earlier runner started it.{}", live_on(processes));
        }
        let mut left: HashMap<_, _> = left.into_iter().collect();
        for entry in lost {
            let left = left.remove(entry.id.as_str()).unwrap_or_default();
            self.lose(&entry, &left).await;
        }
        if self.saved_or_held().await {
            let context = Arc::clone(self);
            let _failed = blocking(move || context.remove_exit_files()).await;
        }
        // What was acknowledged long ago may go; a full disk must not keep the runner from starting.
        if let Err(problem) = self.retain().await {
            tracing::warn!(%problem, "old tasks stay listed");
        }
        Ok(())
    }

    /// Waits until what was submitted is on the disk, or cannot be for now: that must not keep the runner
    /// from starting. Whether it is there.
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

    /// Lists what the store knows, gives those that had not ended, and removes what the disk has of others.
    fn take_in(&self, tasks: Vec<rows::StoredTask>) -> Vec<Arc<TaskEntry>> {
        let mut lost = Vec::new();
        for rows::StoredTask { mut task, end_seq } in tasks {
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
            self.registry().insert(entry, op);
        }
        self.remove_unknown_logs();
        lost
    }

    /// A task's row is there before its log and goes before it: what has none was about to go when a runner
    /// died.
    fn remove_unknown_logs(&self) {
        let (mut count, mut bytes) = (0_u64, 0);
        for entry in fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            let path = entry.path();
            let task = path.file_stem().and_then(|stem| stem.to_str()).map(|stem| TaskId(stem.to_owned()));
            let Some(task) = task.filter(is_id) else { continue };
            let Ok(about) = entry.metadata() else { continue };
            if !about.is_file() || self.registry().numbers.contains_key(&task) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => (count, bytes) = (count + 1, bytes + about.len()),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a log that is of no task any more stays");
                    self.disk.fetch_add(about.len(), Ordering::Relaxed);
                }
            }
        }
        if count > 0 {
            tracing::info!(
                "{count} files ({bytes} bytes) of tasks that are not listed any more were removed"
            );
        }
    }

    async fn lose(self: &Arc<Self>, entry: &Arc<TaskEntry>, left: &[Process]) {
        let task = Task::clone(&entry.publish_progress());
        let (log, exit_file) = (Arc::clone(entry), self.exit_file(&entry.id));
        let read = blocking(move || (exited(&exit_file), log.log.preview(4_000)));
        let (exited, mut preview) = read.await.unwrap_or_default();
        if exited.is_some() {
            let end = if preview.omitted_chars == 0 { &mut preview.head } else { &mut preview.tail };
            end.push_str(CUT);
        }
        let task = lost(task, exited.as_ref(), left, now());
        self.save_end(entry, Untold::new().tell(task), preview);
    }

    /// They have said what they had to.
    fn remove_exit_files(&self) {
        for entry in fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == EXIT) {
                // What stays is of a task that has its end, and is not looked at again.
                let _stays = fs::remove_file(entry.path());
            }
        }
    }
}

/// How a task ended that the runner did not live to save, as its agent wrote it. Not of one that was being
/// stopped: by whom is not known any more.
fn exited(exit_file: &Path) -> Option<Exited> {
    let text = fs::read(exit_file).ok()?;
    serde_json::from_slice(&text).ok().filter(|exited: &Exited| !exited.asked)
}

/// Whether it is what tasks are called.
fn is_id(task: &TaskId) -> bool {
    task.0.len() == 8 && task.0.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A task that an earlier runner left without an end, as it ends now: by what its supervisor has noted, or
/// lost.
pub(super) fn lost(mut task: Task, exited: Option<&Exited>, left: &[Process], now: Timestamp) -> Task {
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
            TaskState::Lost { reason: NOT_BEGUN.to_owned() + &live_on(left) }
        }
        None if left.is_empty() => TaskState::Lost { reason: UNKNOWN.into() },
        None => TaskState::Lost { reason: LIVES_ON.to_owned() + &live_on(left) },
    };
    task
}
