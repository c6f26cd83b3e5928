//! The handle that the rest of the runner has.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exec::confine::Confine;
use exec::local::{Agents, keep_awake};
use shared::output::{OutputSlice, Preview};
use shared::protocol::{Checked, Sandbox, Stats, TaskEvent};
use shared::task::{Party, Task};
use shared::{Epoch, Problem, ProblemCode, Seq, SessionId, TaskId};
use tokio::sync::{broadcast, oneshot, watch};

use super::config::{TasksConfig, TasksError};
use super::context::{Context, Sandboxes, blocking};
use super::entry::{Phase, Request, TaskEntry};
use super::environment::{environment, ground, shell};
use super::feed::Change;
use super::{port_watch, stats};
use crate::store::{LOGS, Store, rows};

/// Most bytes that one `read_output` gives.
const READ_MOST: usize = 256 * 1024;
/// Lines of `check` for one task, unless told.
const CHECK_LINES: u32 = 40;
/// Bytes that the last lines of one log are looked for in, about.
const TAIL_MOST: u64 = 256 * 1024;
/// Bytes of events that one read of the outbox gives.
const EVENTS_BYTES: usize = 1024 * 1024;
/// Characters of one `check`, of all its tasks together: it is one frame.
const CHECK_CHARS: usize = 1_000_000;
/// How long a stop waits beyond the grace period before it says what does not end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How long a supervisor may take to freeze a tree, or to thaw it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// How long the end of the runner waits for a look at ports.
const PORTS_PATIENCE: Duration = Duration::from_secs(1);
/// How long `clear` waits for a task that has ended to be reaped.
const GONE_PATIENCE: Duration = Duration::from_secs(1);

/// The handle; copies are cheap.
#[derive(Clone)]
pub struct Tasks {
    pub(super) context: Arc<Context>,
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
        let logs = store.dir().join(LOGS);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&logs)
            .map_err(|source| TasksError::Logs { path: logs.clone(), source })?;
        let mut environment = environment(std::env::vars_os());
        if let Some(confine) = &config.confine {
            environment.insert("TMPDIR".into(), confine.temporary().into());
        }
        let writable = config.confine.as_ref().map(Confine::folders);
        // Before the first program is started, so that none has what the runner was started with.
        let agents = Agents::new(config.program, environment.clone(), config.open_files);
        let read_only = ground(&workspace, store.dir(), &shell, &environment);
        if let Err(why) = &read_only {
            tracing::warn!("No command runs without a question, since none can be held to reading: {why}.");
        }
        let sandboxes = Sandboxes { writable, read_only };
        let context = Context::new(workspace, shell, logs, sandboxes, config.limits, store, agents);
        let context = Arc::new(context);
        context.restore().await?;
        context.agents.prepare();
        tokio::spawn(stats::report(Arc::downgrade(&context)));
        tokio::spawn(port_watch::watch(Arc::downgrade(&context)));
        tokio::spawn(keep_awake(Arc::downgrade(&context.agents)));
        Ok(Self { context })
    }

    /// What a start may ask for besides `open`.
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        let workspace = self.context.sandboxes.writable.is_some().then_some(Sandbox::Workspace);
        let read_only = self.context.sandboxes.read_only.is_ok().then_some(Sandbox::ReadOnly);
        workspace.into_iter().chain(read_only).collect()
    }

    /// Where commands run: absolute.
    pub fn workspace(&self) -> &Path {
        &self.context.workspace
    }

    /// The shell that runs commands: absolute.
    pub fn shell(&self) -> &str {
        &self.context.shell
    }

    /// The life of the store.
    pub fn epoch(&self) -> Epoch {
        self.context.store.epoch()
    }

    /// Ends a task's tree: TERM, the grace period, KILL; a second time, or with `now`, KILL at once. Resolves
    /// when nothing of it is left. A task of which nothing is left is given as it is.
    ///
    /// # Errors
    /// No such task; or the system does not end its processes, which are named.
    pub async fn stop(&self, task: &TaskId, by: Party, now: bool) -> Result<Task, Problem> {
        let entry = self.context.entry(task)?;
        let grace = if now { Duration::ZERO } else { self.context.limits.grace };
        // An actor that has gone has nothing left to end.
        entry.stops.ask(by, grace);
        let mut phase = entry.phase.subscribe();
        let unkillable = || entry.unkillable.lock().clone();
        // The store may not be able to write that for long, and says so in the task.
        let is_over = |phase| phase == Phase::Reaped || entry.over_unsaved.load(Ordering::Acquire);
        let over = tokio::time::timeout(
            grace + STOP_PATIENCE,
            phase.wait_for(|phase| is_over(*phase) || unkillable().is_some()),
        );
        match over.await {
            Ok(_) if is_over(entry.phase()) => Ok(Task::clone(&entry.task())),
            Ok(_) | Err(_) => Err(Problem::retryable(
                ProblemCode::System,
                unkillable().unwrap_or_else(|| {
                    format!("Task {task} was told to end but has not ended yet. Ask again.")
                }),
            )),
        }
    }

    /// Lets a foreground task go on in the background; the event follows. A task that is there already stays
    /// there.
    ///
    /// # Errors
    /// No such task, or it has ended.
    pub async fn background(&self, task: &TaskId) -> Result<Task, Problem> {
        self.command(task, |reply| Request::Background { reply }).await
    }

    /// Freezes all processes of a running task where they are, or thaws them. Resolves when that is done.
    /// Repeating it changes nothing. While they are frozen, the time of the task's timeout stands still, and
    /// a stop works.
    ///
    /// # Errors
    /// No such task; it does not run yet or no more, or is being stopped.
    pub async fn freeze(&self, task: &TaskId, frozen: bool) -> Result<Task, Problem> {
        self.command(task, |reply| Request::Freeze { frozen, reply }).await
    }

    async fn command(
        &self,
        task: &TaskId,
        command: impl FnOnce(oneshot::Sender<Result<Task, Problem>>) -> Request,
    ) -> Result<Task, Problem> {
        let entry = self.context.entry(task)?;
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::new(ProblemCode::Conflict, format!("Task {task} has ended."));
        let asked = async {
            entry.requests.send(command(reply)).await.map_err(|_| ended())?;
            answer.await.unwrap_or_else(|_| Err(ended()))
        };
        tokio::time::timeout(ANSWER_PATIENCE, asked).await.unwrap_or_else(|_| {
            let message = format!(
                "What supervises task {task} has not answered for {} s. Ask again later, or stop the task.",
                ANSWER_PATIENCE.as_secs()
            );
            Err(Problem::retryable(ProblemCode::System, message))
        })
    }

    /// Reads output by offset, at most 256 KiB at once.
    ///
    /// # Errors
    /// No such task, or its log cannot be read.
    pub async fn read_output(&self, task: &TaskId, from: u64, max: u32) -> Result<OutputSlice, Problem> {
        let entry = self.context.entry(task)?;
        let max = (max as usize).min(READ_MOST);
        blocking(move || entry.log.read(from, max)).await?.map_err(|error| {
            Problem::new(ProblemCode::System, format!("The log of task {task} cannot be read: {error}."))
        })
    }

    /// The length of a task's output; it changes as output comes.
    ///
    /// # Errors
    /// No such task.
    pub fn output_length(&self, task: &TaskId) -> Result<watch::Receiver<u64>, Problem> {
        Ok(self.context.entry(task)?.log.length())
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
        let entries = match &task {
            Some(id) => {
                let entry = self.context.entry(id)?;
                if entry.session != session {
                    let message = format!("Task {id} belongs to another session.");
                    return Err(Problem::new(ProblemCode::Forbidden, message));
                }
                vec![entry]
            }
            None => self
                .context
                .registry()
                .order
                .values()
                .filter(|entry| entry.session == session)
                .cloned()
                .collect(),
        };
        if entries.iter().any(|entry| matches!(entry.phase(), Phase::Running | Phase::Ended)) {
            self.context.look_for_ports().await;
        }
        let pattern = grep
            .map(|grep| {
                regex::RegexBuilder::new(&grep).size_limit(1024 * 1024).build().map_err(|error| {
                    let message = format!(
                        "{grep:?} is not a regular expression: {error}. Mend it, or use tail instead."
                    );
                    Problem::new(ProblemCode::Malformed, message)
                })
            })
            .transpose()?;
        let lines = match (tail, &pattern, task.is_some()) {
            (Some(tail), _, _) => tail as usize,
            (None, Some(_), _) => usize::MAX,
            (None, None, true) => CHECK_LINES as usize,
            (None, None, false) => 0,
        };
        let most = (max_chars as usize).min(CHECK_CHARS / entries.len().max(1));
        let mut room = if task.is_some() { u64::MAX } else { self.context.limits.check_bytes };
        blocking(move || {
            // The newest first, since those are asked for.
            let newest = entries.iter().rev().map(|entry| {
                let kept = entry.log.kept();
                let read = if lines == 0 { 0 } else { kept.total - kept.omitted() };
                let read = if pattern.is_some() { read } else { read.min(TAIL_MOST) };
                match room.checked_sub(read) {
                    Some(left) => {
                        room = left;
                        check_one(entry, pattern.as_ref(), lines, most)
                    }
                    None => not_looked_at(entry),
                }
            });
            let mut checked: Vec<_> = newest.collect();
            checked.reverse();
            checked
        })
        .await
    }

    /// Forgets ended tasks of the session whose end is acknowledged and of which nothing is left, with their
    /// logs: those named, or all. Gives those that it forgot.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn clear(&self, session: SessionId, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        // As many as fit into a frame.
        let tasks: HashSet<_> = tasks.into_iter().collect();
        let ended: Vec<_> = {
            let registry = self.context.registry();
            let ours = registry.order.values().filter(|entry| entry.session == session);
            let wanted = ours.filter(|entry| tasks.is_empty() || tasks.contains(&entry.id));
            // One that left nothing behind is reaped a moment after its end.
            wanted
                .filter(|entry| entry.phase() >= Phase::Ended && entry.task().remaining_processes.is_empty())
                .cloned()
                .collect()
        };
        let all = async {
            for entry in &ended {
                entry.reached(Phase::Reaped).await;
            }
        };
        // Those that are not reaped by then stay.
        let _late = tokio::time::timeout(GONE_PATIENCE, all).await;
        let done = ended.iter().filter(|entry| self.context.is_done(entry));
        let clearable = done.map(|entry| entry.id.clone()).collect();
        self.context.forget(clearable).await
    }

    /// All tasks of all sessions, in the order they were created.
    pub fn list(&self) -> Vec<Task> {
        self.context.registry().order.values().map(|entry| Task::clone(&entry.task())).collect()
    }

    /// Whether nothing of the session runs or waits to, and this was its last event. In this order: an end is
    /// on its way before its slot is free.
    pub(crate) fn is_quiescent(&self, session: SessionId, last: Seq) -> bool {
        self.context.slots.is_idle(session) && self.context.outboxes.ends_with(session, last)
    }

    /// One task as it stands.
    ///
    /// # Errors
    /// No such task.
    pub fn get(&self, task: &TaskId) -> Result<Task, Problem> {
        Ok(Task::clone(&self.context.entry(task)?.task()))
    }

    /// The runner as a whole. Tabs are the socket's to fill in.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }

    /// What changes from now on. A receiver that lags must list anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        // While nobody listened, nobody looked.
        self.context.ports.look_soon();
        self.context.changes.subscribe()
    }

    /// At most `limit` events of the session after `after`, oldest first; fewer if they are long. Empty means
    /// none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_after(
        &self,
        session: SessionId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Arc<TaskEvent>)>, Problem> {
        if let Some(events) = self.context.outboxes.tail(session, after, limit) {
            return Ok(events);
        }
        let after = self.context.outboxes.sent_through(session, after);
        let read = move |connection: &_| rows::events_after(connection, session, after, limit, EVENTS_BYTES);
        let events = self.context.store.read(read).await?;
        let events = events.into_iter().map(|(seq, event)| (seq, Arc::new(event))).collect();
        Ok(self.context.outboxes.with_unsaved(session, after, events, limit))
    }

    /// The session's last event; it changes when one is added.
    pub fn events_last(&self, session: SessionId) -> watch::Receiver<Seq> {
        self.context.outboxes.last(session)
    }

    /// The session's last acknowledged event.
    pub fn acknowledged(&self, session: SessionId) -> Seq {
        self.context.outboxes.acknowledged(session)
    }

    /// Forgets the session's events up to `through`. It never goes back, and not beyond the last. What is not
    /// on the disk yet when the runner dies is sent again, as if it had not been acknowledged; so nobody
    /// waits for that. `failed` is called, on another thread, if it cannot be written.
    pub fn acknowledge(
        &self,
        session: SessionId,
        through: Seq,
        failed: impl FnOnce(Problem) + Send + 'static,
    ) {
        if through <= self.context.outboxes.acknowledged(session) {
            return;
        }
        self.context.outboxes.acknowledge(session, through);
        self.context.store.write_soon(
            move |connection| rows::acknowledge(connection, session, through),
            move |written| {
                if let Err(error) = written {
                    failed(error.into());
                }
            },
        );
        self.context.retain_soon();
    }

    /// Refuses new tasks, ends all with grace, writes everything and closes the store.
    pub async fn shutdown(&self, grace: Duration) {
        self.context.stopping.store(true, Ordering::Release);
        // The last chance to see what they listen on. A file system that hangs must not hold up the end.
        let _late = tokio::time::timeout(PORTS_PATIENCE, self.context.look_for_ports()).await;
        let entries: Vec<_> = self.context.registry().order.values().cloned().collect();
        for entry in &entries {
            entry.stops.ask(Party::Runner, grace);
        }
        let all = async {
            for entry in &entries {
                entry.reached(Phase::Reaped).await;
            }
        };
        if tokio::time::timeout(grace + STOP_PATIENCE, all).await.is_err() {
            tracing::warn!("some processes did not end");
        }
        let store = self.context.store.clone();
        // Joining the writer's thread can only fail with the runner.
        let _failed = blocking(move || store.close()).await;
    }
}

fn check_one(entry: &TaskEntry, pattern: Option<&regex::Regex>, lines: usize, most: usize) -> Checked {
    let task = Task::clone(&entry.publish_progress());
    let (text, matches) = match pattern {
        Some(pattern) => {
            let (text, matches) = entry.log.grep(pattern, lines, most);
            (text, Some(matches))
        }
        None if lines == 0 => (Preview::default(), None),
        None => (entry.log.tail(lines, most), None),
    };
    Checked { task, text, matches }
}

fn not_looked_at(entry: &TaskEntry) -> Checked {
    let task = Task::clone(&entry.publish_progress());
    let head =
        "(Not looked at: the logs of all tasks are too much for one look. Name this task to look at it.)";
    Checked { task, text: Preview { head: head.to_owned(), ..Preview::default() }, matches: None }
}

fn usable_folder(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    if !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    Ok(path)
}
