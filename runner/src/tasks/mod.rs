//! Tasks: commands that run while the agent goes on thinking.
//!
//! [`Tasks`] is the handle that the rest of the runner has. Behind it each task has a record (what is published of it,
//! and its log), and a future of its own (`supervisor`) that leads it from the queue to the last of its processes by
//! way of a shim (`shims`, and `crate::shim` on the other side). What is durable goes through the store: the row of a
//! task is on the disk before its process exists, and its end is on the disk, together with the event that tells of it,
//! before anybody hears of it. On opening, tasks that an earlier runner did not see end become `lost`.

mod environment;
mod log;
mod outbox;
mod queue;
mod record;
mod shims;
mod supervisor;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::output::{Excerpt, OutputSlice};
use shared::protocol::{Checked, Start, Stats, TaskEvent};
use shared::task::{Party, Task, TaskState};
use shared::{Epoch, OpId, Problem, ProblemCode, Seq, SessionId, TaskId};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use uuid::Uuid;

use self::environment::environment;
use self::log::Log;
use self::outbox::Outboxes;
use self::queue::{Entry, Queue};
use self::record::{Command, Input, Phase, Record};
use self::shims::Shims;
use self::supervisor::Supervisor;
use crate::limits::Limits;
use crate::store::{Store, StoreError, rows};

/// News that wait for a slow receiver before it loses the oldest.
const NEWS: usize = 4_096;
/// Between two reports of the runner as a whole.
const STATS_EVERY: Duration = Duration::from_millis(500);
/// Most bytes that one `read_output` gives.
const READ_MOST: usize = 256 * 1024;
/// Lines of `check` for one task, unless told.
const CHECK_LINES: u32 = 40;
/// Bytes of events that one read of the outbox gives.
const EVENTS_BYTES: usize = 1024 * 1024;
/// How long a stop waits beyond the grace period before it says what does not end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// How tasks are to be run.
#[derive(Clone, Debug)]
pub struct TasksConfig {
    /// Where commands run.
    pub workspace: PathBuf,
    /// The program that serves as shim when called with `__shim`: the runner itself, `std::env::current_exe()`.
    pub program: PathBuf,
    /// The shell; without it `bash` where there is one, else `sh`.
    pub shell: Option<PathBuf>,
    /// Names of environment variables that commands must not see, beyond `ANTHROPIC_*` and `MEANWHILE_*`.
    pub secret: Vec<String>,
    /// The soft limit of open files that commands get: what [`crate::limits::raise_open_files`] gave.
    pub open_files: Option<u64>,
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
    #[error("there is no shell at {}. Name one with --shell", path.display())]
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

struct Inner {
    workspace: PathBuf,
    shell: String,
    logs: PathBuf,
    limits: Limits,
    store: Store,
    shims: Arc<Shims>,
    queue: Arc<Queue>,
    outboxes: Outboxes,
    disk: Arc<AtomicU64>,
    state: Mutex<State>,
    news: broadcast::Sender<News>,
    changed: Arc<Notify>,
    stopping: AtomicBool,
    /// When old tasks were last looked for, in milliseconds since the Unix epoch.
    retained: AtomicU64,
}

#[derive(Default)]
struct State {
    next_number: u64,
    /// In the order they were created.
    order: BTreeMap<u64, Arc<Record>>,
    numbers: HashMap<TaskId, u64>,
    ops: HashMap<OpId, TaskId>,
    /// Starts whose row is not on the disk yet.
    starting: HashMap<OpId, watch::Receiver<()>>,
}

impl State {
    fn get(&self, task: &TaskId) -> Option<Arc<Record>> {
        self.order.get(self.numbers.get(task)?).cloned()
    }

    fn insert(&mut self, record: Arc<Record>, op: OpId) {
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(record.id.clone(), number);
        self.ops.insert(op, record.id.clone());
        self.order.insert(number, record);
    }

    fn remove(&mut self, task: &TaskId) -> Option<Arc<Record>> {
        let number = self.numbers.remove(task)?;
        let record = self.order.remove(&number)?;
        self.ops.remove(&record.task().op);
        Some(record)
    }
}

impl Tasks {
    /// Takes up what the store knows. Tasks that had not ended are `lost` from now on, with an event each.
    ///
    /// # Errors
    /// See [`TasksError`].
    pub async fn open(config: TasksConfig, store: Store) -> Result<Self, TasksError> {
        let workspace = usable_folder(&config.workspace)
            .map_err(|source| TasksError::Workspace { path: config.workspace.clone(), source })?;
        let shell = shell(config.shell)?;
        let logs = store.dir().join("logs");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&logs)
            .map_err(|source| TasksError::Logs { path: logs.clone(), source })?;
        let environment = environment(std::env::vars_os(), &config.secret);
        let inner = Arc::new(Inner {
            workspace,
            shell,
            logs,
            shims: Shims::new(config.program, environment, config.open_files),
            queue: Queue::new(config.limits.running, config.limits.queued),
            limits: config.limits,
            store,
            outboxes: Outboxes::default(),
            disk: Arc::default(),
            state: Mutex::default(),
            news: broadcast::Sender::new(NEWS),
            changed: Arc::default(),
            stopping: AtomicBool::new(false),
            retained: AtomicU64::new(0),
        });
        inner.restore().await?;
        // The first command need not wait for its shim. A program that cannot be started shows at the first command.
        if let Ok(shim) = inner.shims.spawn() {
            inner.shims.give_back(shim);
        }
        tokio::spawn(report(Arc::downgrade(&inner)));
        Ok(Self { inner })
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
        let gone = tokio::time::timeout(
            grace + STOP_PATIENCE,
            phase.wait_for(|phase| *phase == Phase::Gone || stuck().is_some()),
        );
        match gone.await {
            Ok(_) if record.phase() == Phase::Gone => Ok(Task::clone(&record.task())),
            Ok(_) | Err(_) => Err(Problem::retryable(
                ProblemCode::System,
                stuck().unwrap_or_else(|| {
                    format!("Task {task} was told to end but has not ended yet. Ask again.")
                }),
            )),
        }
    }

    /// Writes to a task's standard input, and closes it after the text if `eof`.
    ///
    /// # Errors
    /// No such task; it has ended, was started without `stdin`, or closed its input; the text is too long; the program
    /// does not read.
    pub async fn send_input(&self, task: &TaskId, text: String, eof: bool) -> Result<(), Problem> {
        let record = self.inner.record(task)?;
        let limits = &self.inner.limits;
        if text.len() > limits.input_bytes {
            let words = format!(
                "The text has {} bytes; at most {} are taken at once. Send it in parts.",
                text.len(),
                limits.input_bytes
            );
            return Err(Problem::new(ProblemCode::TooLarge, words));
        }
        let conflict = |words: String| Err(Problem::new(ProblemCode::Conflict, words));
        let published = record.task();
        if published.state.is_end() {
            return conflict(format!(
                "Task {task} has ended ({}), so nobody reads its input.",
                published.state.word()
            ));
        }
        let write = async {
            let mut input = record.input.lock().await;
            match &mut *input {
                Input::None => conflict(format!(
                    "Task {task} was started without an open input. Start it with stdin: true to send to it."
                )),
                Input::Closed => conflict(format!("The input of task {task} was closed before.")),
                Input::Open(pipe) => {
                    let written = pipe.write_all(text.as_bytes()).await;
                    if eof || written.is_err() {
                        *input = Input::Closed;
                    }
                    drop(input);
                    if eof || written.is_err() {
                        self.inner.input_closed(&record);
                    }
                    written.or_else(|error| conflict(format!("Task {task} has closed its input ({error}).")))
                }
            }
        };
        tokio::time::timeout(limits.input_wait, write).await.unwrap_or_else(|_| {
            let words = format!("Task {task} has not read its input for {} s, and what it has not read fills the pipe. A part of the text may have been taken.", limits.input_wait.as_secs());
            Err(Problem::new(ProblemCode::TooMany, words))
        })
    }

    /// Lets a foreground task go on in the background; the event follows. A task that is there already stays there.
    ///
    /// # Errors
    /// No such task, or it has ended.
    pub async fn background(&self, task: &TaskId) -> Result<Task, Problem> {
        let record = self.inner.record(task)?;
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::new(ProblemCode::Conflict, format!("Task {task} has ended."));
        record.commands.send(Command::Background { reply }).await.map_err(|_| ended())?;
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
        blocking(move || {
            records
                .iter()
                .map(|record| check_one(record, pattern.as_ref(), lines, max_chars as usize))
                .collect()
        })
        .await
    }

    /// Forgets ended tasks of the session whose end is acknowledged and of which nothing is left, with their logs:
    /// those named, or all. Gives those that it forgot.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn clear(&self, session: SessionId, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        let clearable: Vec<_> = {
            let state = self.inner.state();
            let ours =
                state.order.values().filter(|record| record.session == session && self.inner.is_done(record));
            ours.map(|record| record.id.clone()).filter(|id| tasks.is_empty() || tasks.contains(id)).collect()
        };
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
        let read = move |connection: &_| rows::events_after(connection, session, after, limit, EVENTS_BYTES);
        let events = self.inner.store.read(read).await?;
        Ok(events.into_iter().map(|(seq, event)| (seq, Arc::new(event))).collect())
    }

    /// The session's last event; it changes when one is added.
    pub fn events_last(&self, session: SessionId) -> watch::Receiver<Seq> {
        self.inner.outboxes.last(session)
    }

    /// The session's last acknowledged event.
    pub fn acknowledged(&self, session: SessionId) -> Seq {
        self.inner.outboxes.acknowledged(session)
    }

    /// Forgets the session's events up to `through`. It never goes back, and not beyond the last.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn acknowledge(&self, session: SessionId, through: Seq) -> Result<(), Problem> {
        if through <= self.inner.outboxes.acknowledged(session) {
            return Ok(());
        }
        let now =
            self.inner.store.write(move |connection| rows::acknowledge(connection, session, through)).await?;
        self.inner.outboxes.acknowledge(session, now);
        self.inner.retain().await
    }

    /// Refuses new tasks, ends all with grace, writes everything and closes the store.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.stopping.store(true, Ordering::Release);
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

impl Drop for Inner {
    fn drop(&mut self) {
        // Wakes the report, which then ends.
        self.changed.notify_one();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, task: &TaskId) -> Result<Arc<Record>, Problem> {
        self.state().get(task).ok_or_else(|| {
            let words = format!("There is no task {task}. It may have been cleared; list the tasks to see those that are left.");
            Problem::new(ProblemCode::NotFound, words)
        })
    }

    fn tell(&self, news: News) {
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

    async fn start(self: Arc<Self>, session: SessionId, op: OpId, start: Start) -> Result<Task, Problem> {
        let folder = self.fitting(&start)?;
        let written = loop {
            let mut pending = {
                let mut state = self.state();
                if let Some(record) = state.ops.get(&op).and_then(|task| state.get(task)) {
                    if record.session != session {
                        return Err(Problem::new(
                            ProblemCode::Conflict,
                            "This operation belongs to another session.",
                        ));
                    }
                    drop(state);
                    return Ok(Task::clone(&record.task()));
                }
                match state.starting.get(&op) {
                    Some(pending) => pending.clone(),
                    None => {
                        let (written, pending) = watch::channel(());
                        state.starting.insert(op, pending);
                        break written;
                    }
                }
            };
            // The sender is dropped when the first of these starts has its row, or has failed.
            let _first_is_through = pending.changed().await;
        };
        let begun = self.begin(session, op, start, folder).await;
        self.state().starting.remove(&op);
        drop(written);
        begun.map(|record| Task::clone(&record.task()))
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
        let folder = start.folder.as_deref().unwrap_or_default();
        if start.command.contains('\0') || folder.contains('\0') {
            return refuse(ProblemCode::Malformed, "A command or folder cannot hold a zero byte.".into());
        }
        Ok(self.workspace.join(folder))
    }

    async fn begin(
        self: &Arc<Self>,
        session: SessionId,
        op: OpId,
        start: Start,
        folder: PathBuf,
    ) -> Result<Arc<Record>, Problem> {
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
            id: self.fresh_id(),
            session,
            op,
            command: start.command.clone(),
            folder: folder.to_string_lossy().into_owned(),
            state: TaskState::Queued,
            foreground: start.foreground_ms.is_some(),
            stdin: start.stdin,
            timeout_ms: start.timeout_ms,
            created: rows::now(),
            started: None,
            ended: None,
            duration_ms: None,
            pid: None,
            output_bytes: 0,
            omitted_bytes: 0,
            last_line: String::new(),
            left_behind: Vec::new(),
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
        let _hangs = tokio::time::timeout(2 * self.limits.start_patience, record.reached(Phase::Running)).await;
        Ok(record)
    }

    fn fresh_id(&self) -> TaskId {
        let state = self.state();
        loop {
            let id = TaskId::from_uuid(Uuid::new_v4());
            if !state.numbers.contains_key(&id) && !self.logs.join(id.as_str()).exists() {
                return id;
            }
        }
    }

    /// Makes an event durable; then publishes it, the task it speaks of, and for an end the phase.
    fn save_event(self: &Arc<Self>, record: &Arc<Record>, event: TaskEvent) {
        let ends = matches!(event, TaskEvent::Ended { .. });
        if !ends {
            let task = record.publish(record::task_of(&event).clone());
            self.tell(News::Task(task));
        }
        let event = Arc::new(event);
        let (inner, record, saved) = (Arc::clone(self), Arc::clone(record), Arc::clone(&event));
        self.store.must_write(
            move |connection| rows::save_event(connection, &event),
            move |seq| {
                match seq {
                    Ok(seq) => {
                        if ends {
                            record.set_end_seq(seq);
                        }
                        inner.outboxes.put(record.session, seq, saved.clone());
                    }
                    Err(error) => tracing::error!(task = %record.id, %error, "an event could not be saved"),
                }
                if ends {
                    let task = record.publish(record::task_of(&saved).clone());
                    record.reach(Phase::Ended);
                    inner.tell(News::Task(task));
                }
            },
        );
    }

    /// Nothing of the task is left: writes its row once more if it changed, behind its end.
    fn gone(self: &Arc<Self>, record: &Arc<Record>, row: Option<Task>) {
        let (inner, record, task) = (Arc::clone(self), Arc::clone(record), row.clone());
        self.store.must_write(
            move |connection| row.as_ref().map_or(Ok(()), |row| rows::update_task(connection, row)),
            move |written| {
                if let Err(error) = written {
                    tracing::error!(task = %record.id, %error, "a row could not be written");
                }
                if let Some(task) = task {
                    inner.tell(News::Task(record.publish(task)));
                }
                record.reach(Phase::Gone);
            },
        );
    }

    fn input_closed(&self, record: &Record) {
        let mut task = Task::clone(&record.task());
        if task.stdin && !task.state.is_end() {
            task.stdin = false;
            self.tell(News::Task(record.publish(task)));
        }
    }

    /// Whether a task may be forgotten.
    fn is_done(&self, record: &Record) -> bool {
        record.phase() == Phase::Gone && record.end_seq() <= self.outboxes.acknowledged(record.session)
    }

    async fn forget(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        if tasks.is_empty() {
            return Ok(tasks);
        }
        let rows = tasks.clone();
        self.store.write(move |connection| rows::delete_tasks(connection, &rows)).await?;
        let removed: Vec<_> = {
            let mut state = self.state();
            tasks.iter().filter_map(|task| state.remove(task)).collect()
        };
        for record in &removed {
            record.log.remove();
        }
        self.tell(News::Cleared(tasks.clone()));
        Ok(tasks)
    }

    /// Forgets what is too old or too much, and the oldest logs if all together are too long. Looks at most once a
    /// second, and where nothing is too much once an hour.
    async fn retain(&self) -> Result<(), Problem> {
        let now = rows::now().0;
        let limits = &self.limits;
        let too_long = self.disk.load(Ordering::Relaxed) > limits.logs_total;
        let too_many = self.state().order.len() > limits.ended_kept;
        let pause = if too_long || too_many { 1_000 } else { 3_600_000 };
        let last = self.retained.load(Ordering::Relaxed);
        if now.abs_diff(last) < pause
            || self.retained.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let oldest = now.saturating_sub(u64::try_from(limits.ended_age.as_millis()).unwrap_or(u64::MAX));
        let gone: Vec<_> = {
            let state = self.state();
            state.order.values().filter(|record| record.phase() == Phase::Gone).cloned().collect()
        };
        let (done, open): (Vec<_>, Vec<_>) = gone.iter().cloned().partition(|record| self.is_done(record));
        let too_many = done.len().saturating_sub(limits.ended_kept);
        let is_old = |record: &Record| record.task().ended.is_some_and(|ended| ended.0 < oldest);
        let surplus = done.iter().enumerate().filter(|(index, record)| *index < too_many || is_old(record));
        let mut surplus: Vec<_> = surplus.map(|(_, record)| record.id.clone()).collect();
        let abandoned = gone.len().saturating_sub(surplus.len()).saturating_sub(limits.ended_most);
        surplus.extend(open.iter().take(abandoned).map(|record| record.id.clone()));
        self.forget(surplus).await?;
        for record in done.iter().chain(&open) {
            if self.disk.load(Ordering::Relaxed) <= limits.logs_total {
                break;
            }
            if record.log.on_disk() > 0 {
                record.log.remove();
                self.tell(News::Task(record.publish_progress()));
            }
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats { kept_bytes: self.disk.load(Ordering::Relaxed), ..Stats::default() };
        for record in self.state().order.values() {
            let count = match record.task().state {
                TaskState::Queued => &mut stats.queued,
                TaskState::Running => &mut stats.running,
                _ => &mut stats.ended,
            };
            *count += 1;
        }
        stats
    }

    /// What an earlier runner left: its ended tasks as they are, the others as lost.
    async fn restore(self: &Arc<Self>) -> Result<(), TasksError> {
        let loaded = self.store.read(rows::load).await?;
        for (session, last, acknowledged) in loaded.sessions {
            self.outboxes.restore(session, last, acknowledged);
        }
        let mut lost = Vec::new();
        {
            let mut state = self.state();
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
        for record in lost {
            self.lose(&record).await?;
        }
        // What was acknowledged long ago may go; a full disk must not keep the runner from starting.
        if let Err(problem) = self.retain().await {
            tracing::warn!(%problem, "old tasks stay listed");
        }
        Ok(())
    }

    async fn lose(self: &Arc<Self>, record: &Arc<Record>) -> Result<(), StoreError> {
        let mut task = Task::clone(&record.publish_progress());
        let reason = match task.state {
            TaskState::Queued => {
                "The runner ended before this was started, or just as it was. It may not have run at all."
            }
            _ => {
                "The runner ended while this ran. What it had started was ended with it; how far it came is unknown."
            }
        };
        task.state = TaskState::Lost { reason: reason.into() };
        task.ended = Some(rows::now());
        task.foreground = false;
        task.stdin = false;
        task.pid = None;
        let log = Arc::clone(record);
        let excerpt = blocking(move || log.log.excerpt(4_000)).await.unwrap_or_default();
        let event = Arc::new(TaskEvent::Ended { task: Box::new(task.clone()), excerpt });
        let saved = Arc::clone(&event);
        let seq = self.store.write(move |connection| rows::save_event(connection, &saved)).await?;
        record.set_end_seq(seq);
        record.publish(task);
        self.outboxes.put(record.session, seq, event);
        Ok(())
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

/// Tells of the runner as a whole when something changed, at most twice a second, as long as it lives.
async fn report(inner: std::sync::Weak<Inner>) {
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

fn usable_folder(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    if !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    Ok(path)
}

/// An absolute path, since the shim runs elsewhere.
fn shell(wanted: Option<PathBuf>) -> Result<String, TasksError> {
    let candidates = match &wanted {
        Some(wanted) => vec![wanted.as_path()],
        None => ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh"].map(Path::new).to_vec(),
    };
    let found = candidates.iter().find(|path| path.is_absolute() && path.is_file());
    match found.and_then(|path| path.to_str()) {
        Some(path) => Ok(path.to_owned()),
        None => Err(TasksError::Shell {
            path: candidates.last().map(|path| path.to_path_buf()).unwrap_or_default(),
        }),
    }
}
