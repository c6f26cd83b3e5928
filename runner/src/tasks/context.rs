//! What all tasks share: the bounds, the store, who waits, who is known, and whom to tell.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use exec::local::Agents;
use exec::sandbox::Ground;
use parking_lot::{Mutex, MutexGuard};
use shared::task::Task;
use shared::{Problem, ProblemCode, TaskId};
use tokio::sync::{Notify, broadcast};

use super::entry::TaskEntry;
use super::exhaustion::Exhaustion;
use super::feed::{Change, Told};
use super::log::Log;
use super::outbox::Outboxes;
use super::ports::Ports;
use super::registry::Registry;
use super::slots::Slots;
use crate::limits::Limits;
use crate::store::Store;

/// Changes that wait for a slow receiver before it loses the oldest.
const CHANGES: usize = 4_096;
/// The ending of an exit file.
pub(super) const EXIT: &str = "exit";

/// What commands can be held to.
pub(super) struct Sandboxes {
    /// The only paths that commands may write to, if they are confined.
    pub(super) writable: Option<Vec<String>>,
    /// How a command is held to reading, or why none can be.
    pub(super) read_only: Result<Arc<Ground>, String>,
}

pub(super) struct Context {
    pub(super) workspace: PathBuf,
    pub(super) shell: String,
    pub(super) logs: PathBuf,
    pub(super) sandboxes: Sandboxes,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) agents: Arc<Agents>,
    pub(super) slots: Arc<Slots>,
    pub(super) exhaustion: Exhaustion,
    pub(super) outboxes: Outboxes,
    pub(super) ports: Arc<Ports>,
    pub(super) disk: Arc<AtomicU64>,
    pub(super) registry: Mutex<Registry>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) changed: Arc<Notify>,
    pub(super) stopping: AtomicBool,
    /// When old tasks were last looked for, in milliseconds since the Unix epoch.
    pub(super) retained: AtomicU64,
}

impl Drop for Context {
    fn drop(&mut self) {
        // Wakes the report, which then ends.
        self.changed.notify_one();
        self.ports.look_soon();
    }
}

impl Context {
    pub(super) fn new(
        workspace: PathBuf,
        shell: String,
        logs: PathBuf,
        sandboxes: Sandboxes,
        limits: Limits,
        store: Store,
        agents: Arc<Agents>,
    ) -> Self {
        Self {
            workspace,
            shell,
            logs,
            sandboxes,
            store,
            agents,
            slots: Slots::new(limits.running, limits.running_session, limits.queued),
            limits,
            exhaustion: Exhaustion::default(),
            outboxes: Outboxes::default(),
            ports: Arc::default(),
            disk: Arc::default(),
            registry: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
            changed: Arc::default(),
            stopping: AtomicBool::new(false),
            retained: AtomicU64::new(0),
        }
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    pub(super) fn entry(&self, task: &TaskId) -> Result<Arc<TaskEntry>, Problem> {
        self.registry().get(task).ok_or_else(|| {
            let message = format!("There is no task {task}. It may have been cleared; list the tasks to see those that are left.");
            Problem::new(ProblemCode::NotFound, message)
        })
    }

    pub(super) fn tell_task(&self, task: Arc<Task>) {
        self.tell(Change::Task(Told::new(task)));
    }

    pub(super) fn tell(&self, change: Change) {
        if matches!(change, Change::Task(_) | Change::Cleared(_)) {
            self.changed.notify_one();
        }
        // Nobody may be listening.
        let _unheard = self.changes.send(change);
    }

    pub(super) fn log(&self, task: &TaskId) -> Log {
        let Limits { log_head, log_tail, .. } = self.limits;
        Log::new(self.logs.join(task.as_str()), log_head, log_tail, Arc::clone(&self.disk))
    }

    pub(super) fn input_closed(&self, entry: &TaskEntry) {
        let mut task = Task::clone(&entry.task());
        if task.stdin && !task.state.is_end() {
            task.stdin = false;
            self.tell_task(entry.publish(task));
        }
    }

    /// Where an agent says how a task ended that the runner did not live to save.
    pub(super) fn exit_file(&self, task: &TaskId) -> PathBuf {
        self.logs.join(task.as_str()).with_extension(EXIT)
    }

    /// Looks now, tells what changed, and says whether anything did.
    pub(super) async fn look_for_ports(self: &Arc<Self>) -> bool {
        let context = Arc::clone(self);
        // The thread that looks may only fail with the runner.
        let changed = tokio::task::spawn_blocking(move || context.ports.look()).await.unwrap_or_default();
        let any = !changed.is_empty();
        for task in changed {
            self.tell_task(task);
        }
        any
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))
}
