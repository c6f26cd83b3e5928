//! Tasks: commands that run while the agent goes on thinking.
//!
//! [`Tasks`] is the handle that the rest of the runner has. Behind it each task has a record (what is published of it,
//! and its log), and a future of its own (`supervisor`) that leads it from the queue to the last of its processes by
//! way of a shim (`shims`, and `crate::shim` on the other side). What is durable goes through the store: the row of a
//! task is on the disk before its process exists, and its end is on the disk, together with the event that tells of it,
//! before anybody hears of it. On opening, tasks that an earlier runner did not see end become `lost`.

mod ends;
mod environment;
mod inner;
mod input;
mod log;
mod outbox;
mod ports;
mod prompt;
mod queue;
mod reader;
mod record;
mod restore;
mod retention;
mod scarcity;
mod shims;
#[cfg(test)]
mod simulation;
mod supervisor;
mod text;

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shared::output::{Excerpt, OutputSlice};
use shared::protocol::{Checked, Sandbox, Start, Stats, TaskEvent};
use shared::task::{Party, Task};
use shared::{Epoch, OpId, Problem, ProblemCode, Seq, SessionId, TaskId};
use thiserror::Error;
use tokio::sync::{broadcast, oneshot, watch};

use self::environment::{environment, ground, shell};
pub(crate) use self::inner::reused;
use self::inner::{Inner, Sandboxes};
pub(crate) use self::record::task_of;
use self::record::{Command, Phase, Record};
use self::shims::Shims;
pub(crate) use self::text::clean;
use crate::confine::Confine;
use crate::limits::Limits;
use crate::store::{Store, StoreError, rows};

/// Most bytes that one `read_output` gives.
const READ_MOST: usize = 256 * 1024;
/// Lines of `check` for one task, unless told.
const CHECK_LINES: u32 = 40;
/// Bytes of events that one read of the outbox gives.
const EVENTS_BYTES: usize = 1024 * 1024;
/// How long a stop waits beyond the grace period before it says what does not end.
/// Characters of one `check`, of all its tasks together: it is one frame.
const CHECK_CHARS: usize = 1_000_000;
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How long the end of the runner waits for a look at ports.
const PORTS_PATIENCE: Duration = Duration::from_secs(1);
/// How long `clear` waits for a task that has ended to be gone.
const GONE_PATIENCE: Duration = Duration::from_secs(1);

/// How tasks are to be run.
#[derive(Clone, Debug)]
pub struct TasksConfig {
    /// Where commands run.
    pub workspace: PathBuf,
    /// The program that serves as shim when called with `__shim`: the runner itself.
    pub program: PathBuf,
    /// The shell; without it `bash` where there is one, else `sh`.
    pub shell: Option<PathBuf>,
    /// Names of environment variables that commands must not see, beyond `ANTHROPIC_*` and `MEANWHILE_*`.
    pub secret: Vec<String>,
    /// The soft limit of open files that commands get: what [`crate::limits::raise_open_files`] gave.
    pub open_files: Option<u64>,
    /// Where commands may write, if not wherever the runner may.
    pub confine: Option<Confine>,
    /// The bounds.
    pub limits: Limits,
}

/// Why the tasks cannot be opened.
#[derive(Debug, Error)]
pub enum TasksError {
    /// The workspace is not a folder that can be used.
    #[error("the workspace {} cannot be used: {source}", path.display())]
    Workspace {
        /// As it was given.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The folder for the logs cannot be made.
    #[error("the folder {} cannot be made: {source}", path.display())]
    Logs {
        /// It.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// There is no shell.
    #[error("there is no shell at {}, and commands need one: install bash or sh there", path.display())]
    Shell {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What changed, for whoever shows it. Passing: the newest is the truth.
#[derive(Clone, Debug)]
pub enum News {
    /// A task as it stands now.
    Task(Arc<Task>),
    /// Tasks were forgotten.
    Cleared(Vec<TaskId>),
    /// The runner as a whole, without its tabs; at most twice a second.
    Stats(Stats),
}

/// The handle; copies are cheap.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

impl Tasks {
    /// Takes up what the store knows. Tasks that had not ended are `lost` from now on, with an event each.
    ///
    /// # Errors
    /// See [`TasksError`].
    pub async fn open(config: TasksConfig, store: Store) -> Result<Self, TasksError> {
        let workspace = usable_folder(&config.workspace)
            .map_err(|source| TasksError::Workspace { path: config.workspace.clone(), source })?;
        let shell = shell(config.shell.as_deref())?;
        let logs = store.dir().join("logs");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&logs)
            .map_err(|source| TasksError::Logs { path: logs.clone(), source })?;
        let mut environment = environment(std::env::vars_os(), &config.secret);
        if let Some(confine) = &config.confine {
            environment.insert("TMPDIR".into(), confine.temporary().into());
        }
        let writable = config.confine.as_ref().map(Confine::folders);
        let read_only = ground(&workspace, store.dir(), &shell, &environment);
        if let Err(why) = &read_only {
            tracing::warn!("No command runs without a question, since none can be held to reading: {why}.");
        }
        let shims = Shims::new(config.program, environment, config.open_files);
        let sandboxes = Sandboxes { writable, read_only };
        let inner = Inner::new(workspace, shell, logs, sandboxes, config.limits, store, shims);
        let inner = Arc::new(inner);
        inner.restore().await?;
        inner.shims.prepare();
        tokio::spawn(inner::report(Arc::downgrade(&inner)));
        tokio::spawn(ports::watch(Arc::downgrade(&inner)));
        tokio::spawn(shims::keep_awake(Arc::downgrade(&inner.shims)));
        Ok(Self { inner })
    }

    /// What a start may ask for besides `open`.
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        let workspace = self.inner.sandboxes.writable.is_some().then_some(Sandbox::Workspace);
        let read_only = self.inner.sandboxes.read_only.is_ok().then_some(Sandbox::ReadOnly);
        workspace.into_iter().chain(read_only).collect()
    }

    /// Where commands run: absolute.
    pub fn workspace(&self) -> &Path {
        &self.inner.workspace
    }

    /// The shell that runs commands: absolute.
    pub fn shell(&self) -> &str {
        &self.inner.shell
    }

    /// The life of the store.
    pub fn epoch(&self) -> Epoch {
        self.inner.store.epoch()
    }

    /// Starts a command, or queues it. The same `op` gives the same task, however often it is sent; the row is on the
    /// disk before the process exists. Resolves when the process runs or could not be started, or is queued. Goes on
    /// when the future is dropped.
    ///
    /// # Errors
    /// A limit, a command that cannot be one, a store that cannot be written, a runner that is stopping. That a shell
    /// or folder is missing is no error here but the task's end.
    pub async fn start(&self, session: SessionId, op: OpId, start: Start) -> Result<Task, Problem> {
        let inner = Arc::clone(&self.inner);
        let started = tokio::spawn(async move { inner.start(session, op, start).await });
        started.await.unwrap_or_else(|error| Err(Problem::new(ProblemCode::Internal, error.to_string())))
    }

    /// Ends a task's tree: TERM, the grace period, KILL; a second time, or with `now`, KILL at once. Resolves when
    /// nothing of it is left. A task of which nothing is left is given as it is.
    ///
    /// # Errors
    /// No such task; or the system does not end its processes, which are named.
    pub async fn stop(&self, task: &TaskId, by: Party, now: bool) -> Result<Task, Problem> {
        let record = self.inner.record(task)?;
        let grace = if now { Duration::ZERO } else { self.inner.limits.grace };
        // A supervisor that has gone has nothing left to end.
        let _gone = record.commands.send(Command::Stop { by, grace }).await;
        let mut phase = record.phase.subscribe();
        let stuck = || record.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The store may not be able to write that for long, and says so in the task.
        let is_over = |phase| phase == Phase::Gone || record.over_unsaved.load(Ordering::Acquire);
        let gone = tokio::time::timeout(
            grace + STOP_PATIENCE,
            phase.wait_for(|phase| is_over(*phase) || stuck().is_some()),
        );
        match gone.await {
            Ok(_) if is_over(record.phase()) => Ok(Task::clone(&record.task())),
            Ok(_) | Err(_) => Err(Problem::retryable(
                ProblemCode::System,
                stuck().unwrap_or_else(|| {
                    format!("Task {task} was told to end but has not ended yet. Ask again.")
                }),
            )),
        }
    }

    /// Lets a foreground task go on in the background; the event follows. A task that is there already stays there.
    ///
    /// # Errors
    /// No such task, or it has ended.
    pub async fn background(&self, task: &TaskId) -> Result<Task, Problem> {
        self.command(task, |reply| Command::Background { reply }).await
    }

    /// Stops all processes of a running task where they are, or lets them go on. Resolves when that is done. Repeating
    /// it changes nothing. While they are stopped, the time of the task's timeout stands still, and a stop works.
    ///
    /// # Errors
    /// No such task; it does not run yet or no more, or is being stopped.
    pub async fn hold(&self, task: &TaskId, hold: bool) -> Result<Task, Problem> {
        self.command(task, |reply| Command::Hold { hold, reply }).await
    }

    async fn command(
        &self,
        task: &TaskId,
        command: impl FnOnce(oneshot::Sender<Result<Task, Problem>>) -> Command,
    ) -> Result<Task, Problem> {
        let record = self.inner.record(task)?;
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::new(ProblemCode::Conflict, format!("Task {task} has ended."));
        record.commands.send(command(reply)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Reads output by offset, at most 256 KiB at once.
    ///
    /// # Errors
    /// No such task, or its log cannot be read.
    pub async fn read_output(&self, task: &TaskId, from: u64, max: u32) -> Result<OutputSlice, Problem> {
        let record = self.inner.record(task)?;
        let max = (max as usize).min(READ_MOST);
        blocking(move || record.log.read(from, max)).await?.map_err(|error| {
            Problem::new(ProblemCode::System, format!("The log of task {task} cannot be read: {error}."))
        })
    }

    /// The length of a task's output; it changes as output comes.
    ///
    /// # Errors
    /// No such task.
    pub fn output_length(&self, task: &TaskId) -> Result<watch::Receiver<u64>, Problem> {
        Ok(self.inner.record(task)?.log.length())
    }

    /// Looks at one task of the session, or at all of them, as text for the model.
    ///
    /// # Errors
    /// No such task in this session, or a pattern that is none.
    pub async fn check(
        &self,
        session: SessionId,
        task: Option<TaskId>,
        tail: Option<u32>,
        grep: Option<String>,
        max_chars: u32,
    ) -> Result<Vec<Checked>, Problem> {
        let records = match &task {
            Some(id) => {
                let record = self.inner.record(id)?;
                if record.session != session {
                    let words = format!("Task {id} belongs to another session.");
                    return Err(Problem::new(ProblemCode::Forbidden, words));
                }
                vec![record]
            }
            None => self
                .inner
                .state()
                .order
                .values()
                .filter(|record| record.session == session)
                .cloned()
                .collect(),
        };
        if records.iter().any(|record| matches!(record.phase(), Phase::Running | Phase::Ended)) {
            self.inner.look_for_ports().await;
        }
        let pattern = grep
            .map(|grep| {
                regex::RegexBuilder::new(&grep).size_limit(1024 * 1024).build().map_err(|error| {
                    let words = format!(
                        "{grep:?} is not a regular expression: {error}. Mend it, or use tail instead."
                    );
                    Problem::new(ProblemCode::Malformed, words)
                })
            })
            .transpose()?;
        let lines = match (tail, &pattern, task.is_some()) {
            (Some(tail), _, _) => tail as usize,
            (None, Some(_), _) => usize::MAX,
            (None, None, true) => CHECK_LINES as usize,
            (None, None, false) => 0,
        };
        let most = (max_chars as usize).min(CHECK_CHARS / records.len().max(1));
        blocking(move || {
            records.iter().map(|record| check_one(record, pattern.as_ref(), lines, most)).collect()
        })
        .await
    }

    /// Forgets ended tasks of the session whose end is acknowledged and of which nothing is left, with their logs:
    /// those named, or all. Gives those that it forgot.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn clear(&self, session: SessionId, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        let ended: Vec<_> = {
            let state = self.inner.state();
            let ours = state.order.values().filter(|record| record.session == session);
            let wanted = ours.filter(|record| tasks.is_empty() || tasks.contains(&record.id));
            // One that left nothing behind is gone a moment after its end.
            wanted
                .filter(|record| record.phase() >= Phase::Ended && record.task().left_behind.is_empty())
                .cloned()
                .collect()
        };
        let all = async {
            for record in &ended {
                record.reached(Phase::Gone).await;
            }
        };
        // Those that are not gone by then stay.
        let _late = tokio::time::timeout(GONE_PATIENCE, all).await;
        let done = ended.iter().filter(|record| self.inner.is_done(record));
        let clearable = done.map(|record| record.id.clone()).collect();
        self.inner.forget(clearable).await
    }

    /// All tasks of all sessions, in the order they were created.
    pub fn list(&self) -> Vec<Task> {
        self.inner.state().order.values().map(|record| Task::clone(&record.task())).collect()
    }

    /// One task as it stands.
    ///
    /// # Errors
    /// No such task.
    pub fn get(&self, task: &TaskId) -> Result<Task, Problem> {
        Ok(Task::clone(&self.inner.record(task)?.task()))
    }

    /// The runner as a whole. Tabs are the socket's to fill in.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// What changes from now on. A receiver that lags must list anew.
    pub fn news(&self) -> broadcast::Receiver<News> {
        // While nobody listened, nobody looked.
        self.inner.ports.look_soon();
        self.inner.news.subscribe()
    }

    /// At most `limit` events of the session after `after`, oldest first; fewer if they are long. Empty means none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_after(
        &self,
        session: SessionId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Arc<TaskEvent>)>, Problem> {
        if let Some(events) = self.inner.outboxes.recent(session, after, limit) {
            return Ok(events);
        }
        let after = self.inner.outboxes.sent_through(session, after);
        let read = move |connection: &_| rows::events_after(connection, session, after, limit, EVENTS_BYTES);
        let events = self.inner.store.read(read).await?;
        let events = events.into_iter().map(|(seq, event)| (seq, Arc::new(event))).collect();
        Ok(self.inner.outboxes.with_unsaved(session, after, events, limit))
    }

    /// The session's last event; it changes when one is added.
    pub fn events_last(&self, session: SessionId) -> watch::Receiver<Seq> {
        self.inner.outboxes.last(session)
    }

    /// The session's last acknowledged event.
    pub fn acknowledged(&self, session: SessionId) -> Seq {
        self.inner.outboxes.acknowledged(session)
    }

    /// Forgets the session's events up to `through`. It never goes back, and not beyond the last. What is not on the disk
    /// yet when the runner dies is sent again, as if it had not been acknowledged; so nobody waits for that. `failed` is
    /// called, on another thread, if it cannot be written.
    pub fn acknowledge(
        &self,
        session: SessionId,
        through: Seq,
        failed: impl FnOnce(Problem) + Send + 'static,
    ) {
        if through <= self.inner.outboxes.acknowledged(session) {
            return;
        }
        self.inner.outboxes.acknowledge(session, through);
        self.inner.store.write_soon(
            move |connection| rows::acknowledge(connection, session, through),
            move |written| {
                if let Err(error) = written {
                    failed(error.into());
                }
            },
        );
        self.inner.retain_soon();
    }

    /// Refuses new tasks, ends all with grace, writes everything and closes the store.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.stopping.store(true, Ordering::Release);
        // The last chance to see what they listen on. A file system that hangs must not hold up the end.
        let _late = tokio::time::timeout(PORTS_PATIENCE, self.inner.look_for_ports()).await;
        let records: Vec<_> = self.inner.state().order.values().cloned().collect();
        let all = async {
            for record in &records {
                // One that has gone needs no stop.
                let _gone = record.commands.send(Command::Stop { by: Party::Runner, grace }).await;
            }
            for record in &records {
                record.reached(Phase::Gone).await;
            }
        };
        if tokio::time::timeout(grace + STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("some processes did not end");
        }
        let store = self.inner.store.clone();
        // Joining the writer's thread can only fail with the runner.
        let _failed = blocking(move || store.close()).await;
    }
}

fn check_one(record: &Record, pattern: Option<&regex::Regex>, lines: usize, most: usize) -> Checked {
    let task = Task::clone(&record.publish_progress());
    let (text, matches) = match pattern {
        Some(pattern) => {
            let (text, matches) = record.log.grep(pattern, lines, most);
            (text, Some(matches))
        }
        None if lines == 0 => (Excerpt::default(), None),
        None => (record.log.tail(lines, most), None),
    };
    Checked { task, text, matches }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))
}

fn usable_folder(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    if !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    Ok(path)
}
