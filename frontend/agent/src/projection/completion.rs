//! How a task's completion reads to people: its line among those of a call, and how grave it is.

use shared::shown;
use shared::task::TaskState;

use crate::notice;
use crate::queue::Completion;
use crate::view::{DrainedLine, Severity};

pub(super) fn drained_line(completion: &Completion) -> DrainedLine {
    let preview = &completion.preview;
    let whole = if preview.tail.trim().is_empty() { &preview.head } else { &preview.tail };
    let last = whole.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    DrainedLine {
        task: completion.task.id.clone(),
        status: notice::status(&completion.task),
        text: notice::cut_head(&shown::line(last.trim()), 200),
        severity: task_severity(&completion.task.state),
    }
}

/// How a task's state looks.
#[must_use]
pub const fn task_severity(state: &TaskState) -> Severity {
    match state {
        TaskState::Queued | TaskState::Running => Severity::Plain,
        TaskState::Completed => Severity::Good,
        TaskState::Stopped { .. } => Severity::Warn,
        TaskState::Failed { .. }
        | TaskState::Killed { .. }
        | TaskState::Timeout
        | TaskState::Lost { .. }
        | TaskState::Error { .. } => Severity::Bad,
    }
}
