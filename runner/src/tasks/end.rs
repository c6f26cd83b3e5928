//! That an end is told once: [`Untold`] is the right to tell it, and telling uses it up.

use shared::task::{Process, Task};

/// The right to tell a task's end. There is one a task, and no copy of it.
#[derive(Debug)]
pub(super) struct Untold {
    _private: (),
}

/// An end that is to be told. Nothing but [`Untold::tell`] makes one.
#[derive(Debug)]
pub(super) struct Ended(Task);

impl Untold {
    /// For a task that has just been taken in, or that an earlier runner left without an end.
    pub(super) const fn new() -> Self {
        Self { _private: () }
    }

    /// The task as it ended.
    pub(super) fn tell(self, task: Task) -> Ended {
        let Self { _private: () } = self;
        debug_assert!(task.state.is_end(), "an end is told of what has ended");
        Ended(task)
    }
}

impl Ended {
    pub(super) fn remaining_processes(&self) -> &[Process] {
        &self.0.remaining_processes
    }

    /// With what was found out since.
    pub(super) fn with(self, change: impl FnOnce(&mut Task)) -> Self {
        let mut task = self.0;
        change(&mut task);
        Self(task)
    }

    pub(super) fn into_task(self) -> Task {
        self.0
    }
}
