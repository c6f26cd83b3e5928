//! What happens to a task, and what follows from it.

use std::time::Duration;

use exec::frames::Exited;
use shared::protocol::BackgroundedBy;
use shared::task::{Party, Process, Task, TaskState};
use shared::{Problem, Timestamp};
use tokio::time::Instant;

use crate::tasks::end::Ended;

/// The time: for spans, and for people.
#[derive(Clone, Copy, Debug)]
pub(in crate::tasks) struct Now {
    pub(in crate::tasks) at: Instant,
    pub(in crate::tasks) clock: Timestamp,
}

/// What came of a try to start the command.
#[derive(Debug)]
pub(in crate::tasks) enum Attempt {
    /// Its main process lives.
    Started { pid: u32 },
    /// Nothing was started because a resource is exhausted, and trying again may help. `line_moved`: when one
    /// that waited for the same began at last.
    Short { reason: String, line_moved: Option<Instant> },
    /// It is never tried again.
    Over(TaskState),
}

/// What happens to a task. `R` is by which whoever asked is answered.
#[derive(Debug)]
pub(in crate::tasks) enum Input<R> {
    /// It has a slot. `line_free`: nobody waits to start because a resource is exhausted.
    Slot { line_free: bool },
    /// The answer to [`Effect::Attempt`].
    Attempted(Attempt),
    /// The answer to [`Effect::AwaitTurn`].
    Turn,
    /// The main process was waited for.
    Exited(Exited),
    /// What is left of the tree now.
    Remaining(Vec<Process>),
    /// Nothing is.
    Empty,
    /// KILL does not end these.
    Unkillable(Vec<Process>),
    /// The tree was frozen, or thawed.
    Frozen(bool),
    /// The supervisor is no more.
    SupervisorDied,
    /// The answer to [`Effect::KillOrphans`]: what could not be ended, as a sentence behind others.
    Orphans(String),
    /// The output has changed: whether more is in the log, whether all that was read is, and whether its end
    /// was read.
    Output { grew: bool, written: bool, over: bool },
    /// The answer to [`Effect::LookForQuestion`]: the output's length, and whether its end looks like a
    /// question.
    Quiet { total: u64, asks: bool },
    /// Somebody wrote to its input when the output had this length, and perhaps closed it.
    Answered { at: u64, closed: bool },
    /// The tree is to end.
    Stop { by: Party, grace: Duration },
    /// The answer to [`Effect::LookForPorts`].
    Looked,
    /// The answer to [`Effect::Stop`].
    Stopping { grace: Duration },
    /// The answer to [`Effect::KillPast`]; `alone`: nothing is left below the supervisor.
    KilledPast { alone: bool },
    /// It is to go on in the background.
    Background(R),
    /// The tree is to be frozen, or thawed.
    Freeze { frozen: bool, reply: R },
    /// Time has passed. `line_moved` as in [`Attempt::Short`].
    Time { line_moved: Option<Instant> },
}

impl<R> Input<R> {
    /// Whether the supervisor has said something.
    pub(super) const fn is_a_word(&self) -> bool {
        matches!(
            self,
            Self::Exited(_) | Self::Remaining(_) | Self::Empty | Self::Unkillable(_) | Self::Frozen(_)
        )
    }
}

/// What is to be done.
#[derive(Debug)]
pub(in crate::tasks) enum Effect<R> {
    /// Take a supervisor and have it start the command.
    Attempt,
    /// Stand in line with others that something is short for.
    AwaitTurn,
    /// Let those behind it have their turn.
    GiveTurnBack,
    /// Let idle supervisors go: they hold what is short.
    Shrink,
    /// It runs: note that, tell it, watch it.
    Started(Task),
    /// Tell how it stands.
    Publish(Task),
    /// Tell how far its output has come.
    Progress,
    /// See whether the end of the output looks like a question.
    LookForQuestion,
    /// Save and tell that it went on in the background.
    Backgrounded(Task, BackgroundedBy),
    /// Close its input for good.
    CloseInput,
    /// Look a last time, and not for long, for the ports that it listens on.
    LookForPorts,
    /// Tell the supervisor to end the tree.
    Stop { grace: Duration },
    /// Tell the supervisor to freeze the tree, or to thaw it.
    Freeze(bool),
    /// Kill the tree in its supervisor's place.
    KillPast,
    /// Let go of the supervisor, or of the try that it may be busy with: nobody can speak with it.
    LetGo,
    /// Kill what bears the task's tag.
    KillOrphans,
    /// Say what cannot be killed, or that there is no such thing any more.
    Unkillable(Option<String>),
    /// Take what is left in the output's pipe.
    DrainOutput,
    /// Save and tell the end.
    End(Ended),
    /// Give the slot to others.
    ReleaseSlot,
    /// Nothing is left; `changed`: its row is to be written again.
    Reaped { task: Task, changed: bool },
    /// Answer whoever asked.
    Reply(R, Result<Task, Problem>),
}
