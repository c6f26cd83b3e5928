//! What the runner says of a task.

use serde::{Deserialize, Serialize};

use crate::sandbox::Sandbox;
use crate::{OpId, SessionId, TaskId, Timestamp};

/// A task as it stands. The whole of it is sent at every change; the newest replaces the older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its name, also towards the model.
    pub id: TaskId,
    /// Who started it, and alone gets its completion.
    pub session: SessionId,
    /// The operation that started it.
    pub op: OpId,
    /// What was asked for, word for word.
    pub command: String,
    /// Where it runs: absolute.
    pub folder: String,
    /// Queued, running, or how it ended.
    pub state: TaskState,
    /// Whether it was started for a `bash` call that waits for it, and was never sent to the background:
    /// neither by a request nor since the wait ran out. A command that ended while it was waited for keeps
    /// it, whatever its end.
    #[serde(default)]
    pub foreground: bool,
    /// Whether its standard input is open for `send_input`.
    #[serde(default)]
    pub stdin: bool,
    /// Whether it was started with its standard input open, as running it again does.
    #[serde(default)]
    pub with_stdin: bool,
    /// What it was asked to be held to, as running it again is; null: as the runner was started.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
    /// After how many milliseconds of running the tree is ended with status `timeout`.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// When the runner accepted it.
    pub created: Timestamp,
    /// When its process began.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When its process ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// How long its process ran, by a clock that neither jumps nor sleeps. Absent while it runs.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The id of its main process while it runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Bytes of output so far, kept or not.
    #[serde(default)]
    pub output_bytes: u64,
    /// Bytes in the middle of the output that are no longer kept.
    #[serde(default)]
    pub omitted_bytes: u64,
    /// The last line of output that is not blank, without colours, at most 200 characters.
    #[serde(default)]
    pub last_line: String,
    /// What its process left running when it ended. These stay the task's: they go when it is stopped or the
    /// runner ends.
    #[serde(rename = "left_behind", default)]
    pub remaining_processes: Vec<Process>,
    /// The task whose command it runs again.
    #[serde(default)]
    pub again_of: Option<TaskId>,
    /// Whether its processes are stopped by a `pause`. Its state stays `running`, and the time of its timeout
    /// stands still.
    #[serde(default)]
    pub paused: bool,
    /// Whether it seems to wait for input: its input is open, it has been quiet for a while, and what it
    /// printed last looks like a question. A guess.
    #[serde(default)]
    pub waits_for_input: bool,
    /// TCP ports that its processes listen on, ascending, at most 32. Looked for now and then, so they may
    /// lag; on Linux only.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Ports that it listened on and that somebody still listens on although nothing of it is left.
    #[serde(default)]
    pub ports_held: Vec<PortHeld>,
    /// Whether its end is not on the runner's disk, since the store cannot be written. The event follows once
    /// it can.
    #[serde(default)]
    pub unsaved: bool,
}

impl Task {
    /// A task that waits for its place: nothing has come of it yet.
    #[must_use]
    pub const fn new(
        id: TaskId,
        session: SessionId,
        op: OpId,
        command: String,
        folder: String,
        created: Timestamp,
    ) -> Self {
        Self {
            id,
            session,
            op,
            command,
            folder,
            state: TaskState::Queued,
            foreground: false,
            stdin: false,
            with_stdin: false,
            sandbox: None,
            timeout_ms: None,
            created,
            started: None,
            ended: None,
            duration_ms: None,
            pid: None,
            output_bytes: 0,
            omitted_bytes: 0,
            last_line: String::new(),
            remaining_processes: Vec::new(),
            again_of: None,
            paused: false,
            waits_for_input: false,
            ports: Vec::new(),
            ports_held: Vec::new(),
            unsaved: false,
        }
    }

    /// How many processes it left running.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining_processes.iter().map(Process::stands_for).sum()
    }

    /// Whether anything of it may still be running by itself: it is queued or its main process lives.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.state, TaskState::Queued | TaskState::Running)
    }
}

/// A process that outlived its task's main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Its command line, at most 200 characters.
    pub command: String,
}

impl Process {
    /// Stands for so many processes that are not told one by one.
    #[must_use]
    pub fn others(more: usize) -> Self {
        Self { pid: 0, command: format!("and {more} more processes") }
    }

    /// How many processes it stands for.
    #[must_use]
    pub fn stands_for(&self) -> usize {
        if self.pid != 0 {
            return 1;
        }
        self.command.split(' ').nth(1).and_then(|more| more.parse().ok()).unwrap_or(1)
    }
}

/// A port that outlived the task that listened on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortHeld {
    /// Which.
    pub port: u16,
    /// Who listens on it; absent if the system does not say, as of another user's process.
    #[serde(default)]
    pub by: Option<Process>,
}

/// Where a task stands. Statuses are true: nothing but exit 0 is `completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for a place among those that run at once.
    Queued,
    /// Its process lives.
    Running,
    /// Exit 0.
    Completed,
    /// Exit with another code.
    Failed {
        /// 1 to 255.
        code: i32,
    },
    /// Ended by a signal that neither the user, the agent nor the runner sent.
    Killed {
        /// Its name, such as `SIGSEGV`.
        signal: String,
    },
    /// Ended by the runner since it ran longer than its timeout.
    Timeout,
    /// Ended on request.
    Stopped {
        /// On whose.
        by: Party,
        /// The signal that did it, such as `SIGTERM`; absent if it had not started or exited by itself on
        /// being asked.
        #[serde(default)]
        signal: Option<String>,
    },
    /// The runner ended while it ran; how it fared is unknown. It is never run again by itself.
    Lost {
        /// What is known.
        reason: String,
    },
    /// It could not be started.
    Error {
        /// Which of shell, folder or limit it was, and the system's message.
        reason: String,
    },
}

impl TaskState {
    /// The status as one word, as the wire and the model see it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Killed { .. } => "killed",
            Self::Timeout => "timeout",
            Self::Stopped { .. } => "stopped",
            Self::Lost { .. } => "lost",
            Self::Error { .. } => "error",
        }
    }

    /// Whether this is an end.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Who asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The person at the page.
    User,
    /// The model, by a tool.
    Agent,
    /// The runner itself, when it stops.
    Runner,
}
