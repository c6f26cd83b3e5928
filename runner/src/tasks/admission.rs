//! How a task is taken in: it is found by its operation or begun anew, takes a slot or stands in line, its
//! row is written, and only then its actor is let go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shared::protocol::{Sandbox, Start};
use shared::task::{Party, Task};
use shared::{OpId, Problem, ProblemCode, SessionId, TaskId};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::actor::TaskActor;
use super::context::Context;
use super::entry::{Phase, TaskEntry};
use super::handle::Tasks;
use super::slots::Admission;
use crate::clock::now;
use crate::limits::Limits;
use crate::store::rows;

impl Tasks {
    /// Whether this operation started a task.
    #[must_use]
    pub fn was_start(&self, op: OpId) -> bool {
        self.context.registry().is_start(op)
    }

    /// Starts a command, or queues it. The same `op` gives the same task, however often it is sent; the row
    /// is on the disk before the process exists. Resolves when the process runs or could not be started, or
    /// is queued. Must not be called twice at once with one `op` ([`crate::sessions::Operations::once`] sees
    /// to that), nor be dropped.
    ///
    /// # Errors
    /// A limit, a command that cannot be one, a store that cannot be written, a runner that is stopping. That
    /// a shell or folder is missing is no error here but the task's end.
    pub async fn start(&self, session: SessionId, op: OpId, start: Start) -> Result<Task, Problem> {
        let context = &self.context;
        let start = context.whole(op, start)?;
        let folder = context.fitting(&start)?;
        let known = {
            let registry = context.registry();
            if let Some(task) = registry.forgotten.get(op) {
                let message =
                    format!("This was started before, as task {task}. It ended, and was cleared since.");
                return Err(Problem::new(ProblemCode::Conflict, message));
            }
            registry.ops.get(&op).and_then(|task| registry.get(task))
        };
        let entry = match known {
            Some(entry) if entry.session == session && is_same(&entry.task(), &start, &folder) => entry,
            Some(_) => return Err(reused()),
            None => context.begin(session, op, start, folder).await?,
        };
        Ok(Task::clone(&entry.task()))
    }
}

impl Context {
    /// A start that names another task in place of a command runs all that was asked for then. What the page
    /// knows of it may be cut.
    fn whole(&self, op: OpId, start: Start) -> Result<Start, Problem> {
        let Some(again_of) = start.again_of.clone().filter(|_| start.command.is_empty()) else {
            return Ok(start);
        };
        let known = self.registry().ops.get(&op).cloned();
        let task = self.entry(known.as_ref().unwrap_or(&again_of))?.task();
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
        let refuse = |code, message: String| Err(Problem::new(code, message));
        if self.stopping.load(Ordering::Acquire) {
            return refuse(ProblemCode::Stopping, "The runner is stopping and starts nothing more.".into());
        }
        if start.command.trim().is_empty() {
            return refuse(ProblemCode::Malformed, "The command is empty.".into());
        }
        if start.command.len() > self.limits.command_bytes {
            let message = format!(
                "The command has {} bytes; at most {} are taken. Write it to a file and run that.",
                start.command.len(),
                self.limits.command_bytes
            );
            return refuse(ProblemCode::TooLarge, message);
        }
        let folder = start.folder.as_deref().unwrap_or_default();
        if folder.len() > self.limits.folder_bytes {
            let message = format!(
                "The name of the folder has {} bytes; at most {} are taken. Name one nearer to the workspace, and change \
                 the folder in the command.",
                folder.len(),
                self.limits.folder_bytes
            );
            return refuse(ProblemCode::TooLarge, message);
        }
        let held = match start.sandbox {
            None | Some(Sandbox::Open) => Ok(()),
            Some(Sandbox::Workspace) if self.sandboxes.writable.is_some() => Ok(()),
            Some(Sandbox::Workspace) => Err("it takes a runner that was started with --confine".to_owned()),
            Some(Sandbox::ReadOnly) => self.sandboxes.read_only.as_ref().map(drop).map_err(Clone::clone),
        };
        if let Err(why) = held {
            let message = format!("The command cannot be held as asked for: {why}. It was not started.");
            return refuse(ProblemCode::SandboxUnavailable, message);
        }
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
    ) -> Result<Arc<TaskEntry>, Problem> {
        self.make_room(session)?;
        let (slot, waits) = match self.slots.enter(session) {
            Admission::Now(slot) => (Ok(slot), false),
            Admission::Later(line) => (Err(line), true),
            Admission::Full => {
                let Limits { running, queued, .. } = self.limits;
                let message = format!(
                    "{running} tasks run and {queued} wait: no more are taken. Wait for some to end, or stop some."
                );
                return Err(Problem::retryable(ProblemCode::TooMany, message));
            }
        };
        let task = Task {
            foreground: start.foreground_ms.is_some(),
            stdin: start.stdin,
            with_stdin: start.stdin,
            sandbox: start.sandbox,
            timeout_ms: start.timeout_ms,
            again_of: start.again_of.clone().filter(|task| self.registry().numbers.contains_key(task)),
            ..Task::new(
                self.fresh_id(),
                session,
                op,
                start.command.clone(),
                folder.to_string_lossy().into_owned(),
                now(),
            )
        };
        let row = task.clone();
        self.store.write(move |connection| rows::insert_task(connection, &row)).await?;
        let log = self.log(&task.id);
        let (requests, receiver) = mpsc::channel(16);
        let entry = Arc::new(TaskEntry::new(task, log, Phase::Waiting, requests));
        self.registry().insert(Arc::clone(&entry), op);
        if self.stopping.load(Ordering::Acquire) {
            // The runner began to stop meanwhile and may not have seen this one.
            entry.stops.ask(Party::Runner, Duration::ZERO);
        }
        if waits {
            self.tell_task(entry.task());
        }
        let actor = TaskActor::new(Arc::clone(self), Arc::clone(&entry), start, receiver);
        tokio::spawn(actor.run(slot));
        if waits {
            // Nobody is to wait for a place that may come in an hour.
            return Ok(entry);
        }
        // Longer only where starting hangs in the system, as on a network's folder; then it is given as
        // queued.
        let _hangs =
            tokio::time::timeout(2 * self.limits.start_patience, entry.reached(Phase::Running)).await;
        Ok(entry)
    }

    /// The disk is looked at without the lock.
    fn fresh_id(&self) -> TaskId {
        loop {
            let id = TaskId::from_uuid(Uuid::new_v4());
            let known = self.registry().numbers.contains_key(&id);
            if !known && !self.logs.join(id.as_str()).exists() {
                return id;
            }
        }
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
