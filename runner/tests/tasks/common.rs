//! A runner without its sockets: real store, real agents, in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runner::limits::Limits;
use runner::state_dir::StateDir;
use runner::store::Store;
use runner::tasks::{Tasks, TasksConfig};
use shared::output::Preview;
use shared::protocol::{Start, TaskEvent};
use shared::task::Task;
use shared::{Epoch, OpId, Seq, SessionId, TaskId};
use tempfile::TempDir;
pub(crate) use testkit::left_out;
use testkit::process;
use uuid::Uuid;

/// No wait of these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Names the binary, where a test runs as somebody who cannot see where it was built.
pub(crate) const PROGRAM: &str = "MEANWHILE_TEST_PROGRAM";

pub(crate) struct Runner {
    pub(crate) tasks: Tasks,
    pub(crate) session: SessionId,
    pub(crate) store: Store,
    state: StateDir,
    /// Removed with the last runner over it.
    folder: Option<Arc<TempDir>>,
}

/// A background command with everything else at its default.
pub(crate) fn start(command: &str) -> Start {
    Start {
        command: command.into(),
        folder: None,
        timeout_ms: None,
        foreground_ms: None,
        stdin: false,
        preview_chars: 4_000,
        again_of: None,
        sandbox: None,
    }
}

pub(crate) fn op() -> OpId {
    OpId(Uuid::new_v4())
}

/// Whether there is no such process, or only its status.
pub(crate) fn is_dead(pid: u32) -> bool {
    !process::is_alive(pid)
}

/// Everything alive of a task, found by the tag that its processes bear.
pub(crate) fn living(task: &TaskId) -> Vec<u32> {
    let of_it = |(pid, tag): (u32, String)| (tag == task.to_string()).then_some(pid);
    process::of_tasks().into_iter().filter_map(of_it).collect()
}

/// Whether a process holds the lock of a file: `flock` keeps it in whatever it starts, in any session and
/// environment.
pub(crate) fn is_held(lock: &Path) -> bool {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(lock).unwrap();
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// Waits until the condition holds, and fails if it never does.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    testkit::wait::until(what, || condition().then_some(())).await;
}

impl Runner {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut TasksConfig)) -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// A runner over the state that is in the folder.
    pub(crate) async fn at(folder: Arc<TempDir>, change: impl FnOnce(&mut TasksConfig)) -> Self {
        let mut runner = Self::in_folder(folder.path(), change).await;
        runner.folder = Some(folder);
        runner
    }

    pub(crate) async fn in_folder(folder: &Path, change: impl FnOnce(&mut TasksConfig)) -> Self {
        let workspace = folder.join("workspace");
        std::fs::create_dir_all(&workspace).unwrap();
        let state = StateDir::open(&folder.join("state")).unwrap();
        let store = Store::open(&state).unwrap();
        let mut config = TasksConfig {
            workspace,
            program: std::env::var_os(PROGRAM)
                .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_meanwhile")), PathBuf::from),
            shell: None,
            open_files: None,
            confine: None,
            limits: Limits { grace: Duration::from_millis(700), ..Limits::default() },
        };
        change(&mut config);
        let tasks = Tasks::open(config, store.clone()).await.unwrap();
        Self { tasks, session: SessionId(Uuid::from_u128(1)), store, state, folder: None }
    }

    /// Ends this runner and begins another over the same state.
    pub(crate) async fn restart(self) -> Self {
        self.tasks.shutdown(Duration::ZERO).await;
        let Self { folder, tasks, store, state, .. } = self;
        drop((tasks, store, state));
        Self::at(folder.expect("it has a folder of its own"), |_| {}).await
    }

    /// Ends this runner, and gives its folder and the epoch of its store.
    pub(crate) async fn end_here(self) -> (Arc<TempDir>, Epoch) {
        self.tasks.shutdown(Duration::ZERO).await;
        let epoch = self.tasks.epoch();
        let Self { folder, tasks, store, state, .. } = self;
        store.close();
        drop((tasks, store, state));
        (folder.expect("it has a folder of its own"), epoch)
    }

    /// All events that are not acknowledged.
    pub(crate) async fn events(&self) -> Vec<TaskEvent> {
        let events = self.tasks.events_after(self.session, Seq(0), usize::MAX >> 1).await.unwrap();
        events.into_iter().map(|(_, event)| TaskEvent::clone(&event)).collect()
    }

    /// The same in short.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let short = |event: TaskEvent| match event {
            TaskEvent::Ended { .. } => "ended".to_owned(),
            TaskEvent::Backgrounded { by, preview, .. } => {
                format!("backgrounded by {by:?}: {}", preview.head)
            }
        };
        self.events().await.into_iter().map(short).collect()
    }

    /// Another connection to its store.
    pub(crate) fn second_connection(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.state.path().join("meanwhile.db")).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection
    }

    /// Lets the store write nothing until the lock is dropped, as a full disk does.
    pub(crate) fn hold_store(&self) -> rusqlite::Connection {
        let lock = self.second_connection();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        lock
    }

    pub(crate) fn workspace(&self) -> &Path {
        self.tasks.workspace()
    }

    pub(crate) async fn start(&self, start: Start) -> Task {
        self.tasks.start(self.session, op(), start).await.unwrap()
    }

    /// Starts it and waits for its end.
    pub(crate) async fn finish(&self, start: Start) -> (Task, Preview) {
        let task = self.start(start).await;
        self.end(&task.id).await
    }

    /// Waits for the durable end of a task.
    pub(crate) async fn end(&self, id: &TaskId) -> (Task, Preview) {
        self.event(|event| match event {
            TaskEvent::Ended { task, preview } if task.id == *id => {
                Some((Task::clone(task), preview.clone()))
            }
            TaskEvent::Ended { .. } | TaskEvent::Backgrounded { .. } => None,
        })
        .await
    }

    /// Waits for an event of the session, from its first on.
    pub(crate) async fn event<T>(&self, wanted: impl Fn(&TaskEvent) -> Option<T>) -> T {
        let mut last = self.tasks.events_last(self.session);
        let waiting = async {
            let mut after = Seq(0);
            loop {
                for (seq, event) in self.tasks.events_after(self.session, after, 100).await.unwrap() {
                    after = seq;
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                last.wait_for(|last| *last > after).await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the event comes")
    }
}
