//! What all tasks share, and the two moments that are more than one task's affair: its acceptance and its events.
//!
//! A start finds its operation or enters it, takes a place or stands in line, writes the row, and only then lets the
//! task's own future go. What becomes of its events is in [`super::ends`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use shared::protocol::{Sandbox, Start, Stats};
use shared::task::{Party, Task, TaskState};
use shared::{OpId, Problem, ProblemCode, SessionId, TaskId};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use uuid::Uuid;

use super::News;
use super::log::Log;
use super::outbox::Outboxes;
use super::ports::Ports;
use super::queue::{Entry, Queue};
use super::record::{Command, Phase, Record};
use super::retention::Forgotten;
use super::scarcity::Scarcity;
use super::shims::Shims;
use super::supervisor::Supervisor;
use crate::limits::Limits;
use crate::sandbox::Ground;
use crate::store::{Store, rows};

/// News that wait for a slow receiver before it loses the oldest.
const NEWS: usize = 4_096;
/// Between two reports of the runner as a whole.
const STATS_EVERY: Duration = Duration::from_millis(500);

/// What commands can be held to.
pub(super) struct Sandboxes {
    /// The only paths that commands may write to, if they are confined.
    pub(super) writable: Option<Vec<String>>,
    /// How a command is held to reading, or why none can be.
    pub(super) read_only: Result<Arc<Ground>, String>,
}

pub(super) struct Inner {
    pub(super) workspace: PathBuf,
    pub(super) shell: String,
    pub(super) logs: PathBuf,
    pub(super) sandboxes: Sandboxes,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) shims: Arc<Shims>,
    pub(super) queue: Arc<Queue>,
    pub(super) scarcity: Scarcity,
    pub(super) outboxes: Outboxes,
    pub(super) ports: Arc<Ports>,
    pub(super) disk: Arc<AtomicU64>,
    pub(super) state: Mutex<State>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) changed: Arc<Notify>,
    pub(super) stopping: AtomicBool,
    /// When old tasks were last looked for, in milliseconds since the Unix epoch.
    pub(super) retained: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) next_number: u64,
    /// In the order they were created.
    pub(super) order: BTreeMap<u64, Arc<Record>>,
    pub(super) numbers: HashMap<TaskId, u64>,
    pub(super) ops: HashMap<OpId, TaskId>,
    /// Starts whose row is not on the disk yet.
    pub(super) starting: HashMap<OpId, watch::Receiver<()>>,
    pub(super) forgotten: Forgotten,
}

impl State {
    pub(super) fn get(&self, task: &TaskId) -> Option<Arc<Record>> {
        self.order.get(self.numbers.get(task)?).cloned()
    }

    pub(super) fn insert(&mut self, record: Arc<Record>, op: OpId) {
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(record.id.clone(), number);
        self.ops.insert(op, record.id.clone());
        self.order.insert(number, record);
    }

    pub(super) fn remove(&mut self, task: &TaskId) -> Option<Arc<Record>> {
        let number = self.numbers.remove(task)?;
        let record = self.order.remove(&number)?;
        self.ops.remove(&record.task().op);
        Some(record)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Wakes the report, which then ends.
        self.changed.notify_one();
        self.ports.look_soon();
    }
}

impl Inner {
    pub(super) fn new(
        workspace: PathBuf,
        shell: String,
        logs: PathBuf,
        sandboxes: Sandboxes,
        limits: Limits,
        store: Store,
        shims: Arc<Shims>,
    ) -> Self {
        Self {
            workspace,
            shell,
            logs,
            sandboxes,
            store,
            shims,
            queue: Queue::new(limits.running, limits.running_session, limits.queued),
            limits,
            scarcity: Scarcity::default(),
            outboxes: Outboxes::default(),
            ports: Arc::default(),
            disk: Arc::default(),
            state: Mutex::default(),
            news: broadcast::Sender::new(NEWS),
            changed: Arc::default(),
            stopping: AtomicBool::new(false),
            retained: AtomicU64::new(0),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, task: &TaskId) -> Result<Arc<Record>, Problem> {
        self.state().get(task).ok_or_else(|| {
            let words = format!("There is no task {task}. It may have been cleared; list the tasks to see those that are left.");
            Problem::new(ProblemCode::NotFound, words)
        })
    }

    pub(super) fn tell(&self, news: News) {
        if matches!(news, News::Task(_) | News::Cleared(_)) {
            self.changed.notify_one();
        }
        // Nobody may be listening.
        let _unheard = self.news.send(news);
    }

    fn log(&self, task: &TaskId) -> Log {
        let Limits { log_head, log_tail, .. } = self.limits;
        Log::new(self.logs.join(task.as_str()), log_head, log_tail, Arc::clone(&self.disk))
    }

    pub(super) async fn start(
        self: Arc<Self>,
        session: SessionId,
        op: OpId,
        start: Start,
    ) -> Result<Task, Problem> {
        let start = self.whole(op, start)?;
        let folder = self.fitting(&start)?;
        let written = loop {
            let mut pending = {
                let mut state = self.state();
                if let Some(record) = state.ops.get(&op).and_then(|task| state.get(task)) {
                    drop(state);
                    let task = record.task();
                    let same = record.session == session && is_same(&task, &start, &folder);
                    return if same { Ok(Task::clone(&task)) } else { Err(reused()) };
                }
                if let Some(task) = state.forgotten.get(op) {
                    let words =
                        format!("This was started before, as task {task}. It ended, and was cleared since.");
                    return Err(Problem::new(ProblemCode::Conflict, words));
                }
                let Some(pending) = state.starting.get(&op) else {
                    let (written, pending) = watch::channel(());
                    state.starting.insert(op, pending);
                    break written;
                };
                pending.clone()
            };
            // The sender is dropped when the first of these starts has its row, or has failed.
            let _first_is_through = pending.changed().await;
        };
        let begun = self.begin(session, op, start, folder).await;
        self.state().starting.remove(&op);
        drop(written);
        begun.map(|record| Task::clone(&record.task()))
    }

    /// A start that names another task in place of a command runs all that was asked for then. What the page knows of it may be cut.
    fn whole(&self, op: OpId, start: Start) -> Result<Start, Problem> {
        let Some(again_of) = start.again_of.clone().filter(|_| start.command.is_empty()) else {
            return Ok(start);
        };
        let known = self.state().ops.get(&op).cloned();
        let task = self.record(known.as_ref().unwrap_or(&again_of))?.task();
        Ok(Start {
            command: task.command.clone(),
            folder: Some(task.folder.clone()),
            timeout_ms: task.timeout_ms,
            stdin: task.with_stdin,
            // Whoever runs it again allowed the command, and not more than it had.
            sandbox: start.sandbox.or(task.sandbox),
            ..start
        })
    }

    /// Looks for what can be refused at once, and gives the folder.
    fn fitting(&self, start: &Start) -> Result<PathBuf, Problem> {
        let refuse = |code, words: String| Err(Problem::new(code, words));
        if self.stopping.load(Ordering::Acquire) {
            return refuse(ProblemCode::Stopping, "The runner is stopping and starts nothing more.".into());
        }
        if start.command.trim().is_empty() {
            return refuse(ProblemCode::Malformed, "The command is empty.".into());
        }
        if start.command.len() > self.limits.command_bytes {
            let words = format!(
                "The command has {} bytes; at most {} are taken. Write it to a file and run that.",
                start.command.len(),
                self.limits.command_bytes
            );
            return refuse(ProblemCode::TooLarge, words);
        }
        let held = match start.sandbox {
            None | Some(Sandbox::Open) => Ok(()),
            Some(Sandbox::Workspace) if self.sandboxes.writable.is_some() => Ok(()),
            Some(Sandbox::Workspace) => Err("it takes a runner that was started with --confine".to_owned()),
            Some(Sandbox::ReadOnly) => self.sandboxes.read_only.as_ref().map(drop).map_err(Clone::clone),
        };
        if let Err(why) = held {
            let words = format!("The command cannot be held as asked for: {why}. It was not started.");
            return refuse(ProblemCode::SandboxUnavailable, words);
        }
        let folder = start.folder.as_deref().unwrap_or_default();
        if start.command.contains('\0') || folder.contains('\0') {
            return refuse(ProblemCode::Malformed, "A command or folder cannot hold a zero byte.".into());
        }
        // `join` with nothing would leave a slash at the end.
        Ok(if folder.is_empty() { self.workspace.clone() } else { self.workspace.join(folder) })
    }

    async fn begin(
        self: &Arc<Self>,
        session: SessionId,
        op: OpId,
        start: Start,
        folder: PathBuf,
    ) -> Result<Arc<Record>, Problem> {
        self.make_room(session)?;
        let (place, waits) = match self.queue.enter(session) {
            Entry::Now(place) => (Ok(place), false),
            Entry::Later(line) => (Err(line), true),
            Entry::Full => {
                let Limits { running, queued, .. } = self.limits;
                let words = format!(
                    "{running} tasks run and {queued} wait: no more are taken. Wait for some to end, or stop some."
                );
                return Err(Problem::retryable(ProblemCode::TooMany, words));
            }
        };
        let task = Task {
            foreground: start.foreground_ms.is_some(),
            stdin: start.stdin,
            with_stdin: start.stdin,
            sandbox: start.sandbox,
            timeout_ms: start.timeout_ms,
            again_of: start.again_of.clone().filter(|task| self.state().numbers.contains_key(task)),
            ..Task::new(
                self.fresh_id(),
                session,
                op,
                start.command.clone(),
                folder.to_string_lossy().into_owned(),
                rows::now(),
            )
        };
        let row = task.clone();
        self.store.write(move |connection| rows::insert_task(connection, &row)).await?;
        let log = self.log(&task.id);
        let (commands, receiver) = mpsc::channel(16);
        let record = Arc::new(Record::new(task, log, Phase::Waiting, commands));
        self.state().insert(Arc::clone(&record), op);
        if self.stopping.load(Ordering::Acquire) {
            // The runner began to stop meanwhile and may not have seen this one. The channel is empty and has room.
            let _room = record.commands.try_send(Command::Stop { by: Party::Runner, grace: Duration::ZERO });
        }
        if waits {
            self.tell(News::Task(record.task()));
        }
        let supervisor = Supervisor::new(Arc::clone(self), Arc::clone(&record), start, receiver);
        tokio::spawn(supervisor.run(place));
        if waits {
            // Nobody is to wait for a place that may come in an hour.
            return Ok(record);
        }
        // Longer only where starting hangs in the system, as on a network's folder; then it is given as queued.
        let _hangs =
            tokio::time::timeout(2 * self.limits.start_patience, record.reached(Phase::Running)).await;
        Ok(record)
    }

    /// The disk is looked at without the lock.
    fn fresh_id(&self) -> TaskId {
        loop {
            let id = TaskId::from_uuid(Uuid::new_v4());
            let known = self.state().numbers.contains_key(&id);
            if !known && !self.logs.join(id.as_str()).exists() {
                return id;
            }
        }
    }

    pub(super) fn input_closed(&self, record: &Record) {
        let mut task = Task::clone(&record.task());
        if task.stdin && !task.state.is_end() {
            task.stdin = false;
            self.tell(News::Task(record.publish(task)));
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats { kept_bytes: self.disk.load(Ordering::Relaxed), ..Stats::default() };
        for record in self.state().order.values() {
            let count = match record.task().state {
                TaskState::Queued => &mut stats.queued,
                TaskState::Running => &mut stats.running,
                TaskState::Completed
                | TaskState::Failed { .. }
                | TaskState::Killed { .. }
                | TaskState::Timeout
                | TaskState::Stopped { .. }
                | TaskState::Lost { .. }
                | TaskState::Error { .. } => &mut stats.ended,
            };
            *count += 1;
        }
        stats
    }
}

impl super::Tasks {
    /// Whether this operation started a task.
    #[must_use]
    pub fn was_start(&self, op: OpId) -> bool {
        let state = self.inner.state();
        state.ops.contains_key(&op) || state.forgotten.get(op).is_some() || state.starting.contains_key(&op)
    }
}

/// An id that stands for something else.
pub(crate) fn reused() -> Problem {
    Problem::new(
        ProblemCode::IdReused,
        "The id of this request was another one's before, so nothing was done. If it is still wanted, ask for it anew.",
    )
}

/// Whether a task is what this start asks for.
fn is_same(task: &Task, start: &Start, folder: &Path) -> bool {
    task.command == start.command
        && task.folder == folder.to_string_lossy()
        && task.with_stdin == start.stdin
        && task.sandbox == start.sandbox
        && task.timeout_ms == start.timeout_ms
}

/// Tells of the runner as a whole when something changed, at most twice a second, as long as it lives.
pub(super) async fn report(inner: Weak<Inner>) {
    let Some(changed) = inner.upgrade().map(|inner| Arc::clone(&inner.changed)) else { return };
    let mut last = None;
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let stats = strong.stats();
        if last != Some(stats) {
            last = Some(stats);
            strong.tell(News::Stats(stats));
        }
        drop(strong);
        changed.notified().await;
        tokio::time::sleep(STATS_EVERY).await;
    }
}
