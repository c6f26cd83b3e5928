//! Every bound of the supervision in one place, with its default and its unit.
//!
//! The runner takes one [`Limits`] at its start and never changes it.

use std::time::Duration;

/// What a runner allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that run at once. More wait in the queue.
    pub running: usize,
    /// Of these, of one session.
    pub running_session: usize,
    /// Tasks that wait. More are refused.
    pub queued: usize,
    /// Bytes of one command.
    pub command_bytes: usize,
    /// Bytes of the name of the folder that it is to run in.
    pub folder_bytes: usize,
    /// Bytes of one `send_input`.
    pub input_bytes: usize,
    /// How long one `send_input` waits for a program that does not read.
    pub input_wait: Duration,
    /// Bytes kept from the beginning of one task's output.
    pub log_head: u64,
    /// Bytes kept from the end of one task's output.
    pub log_tail: u64,
    /// Bytes of logs that one look at all tasks of a session reads. Of the others it says that it did not.
    pub check_bytes: u64,
    /// Bytes of all logs together. Beyond it the oldest ended tasks lose theirs.
    pub logs_total: u64,
    /// Ended and acknowledged tasks that stay listed.
    pub ended_kept: usize,
    /// Ended tasks that stay listed at most, acknowledged or not. Their events wait all the same.
    pub ended_most: usize,
    /// How long acknowledged ones stay listed.
    pub ended_age: Duration,
    /// Sessions whose events are numbered. Beyond it those of which nothing is left are forgotten, and no
    /// others begin tasks.
    pub sessions: usize,
    /// Events of one session that wait for its page. Beyond it no task of it begins.
    pub untaken: u64,
    /// Time between TERM and KILL.
    pub grace: Duration,
    /// How long an end waits for a pipe that others hold open but nobody writes to.
    pub drain_quiet: Duration,
    /// How long it waits in all.
    pub drain_most: Duration,
    /// How long a start waits for descriptors, processes or memory to become free.
    pub start_patience: Duration,
    /// How long a task is quiet before what it printed last is looked at for a question.
    pub prompt_quiet: Duration,
    /// Time between two reports of the same task's progress.
    pub progress: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 128,
            running_session: 64,
            queued: 1_000,
            command_bytes: 1024 * 1024,
            folder_bytes: 4_096,
            input_bytes: 64 * 1024,
            input_wait: Duration::from_secs(10),
            log_head: 1024 * 1024,
            log_tail: 15 * 1024 * 1024,
            check_bytes: 64 * 1024 * 1024,
            logs_total: 1024 * 1024 * 1024,
            ended_kept: 1_000,
            ended_most: 20_000,
            ended_age: Duration::from_secs(7 * 24 * 60 * 60),
            sessions: 20_000,
            untaken: 20_000,
            grace: Duration::from_secs(5),
            drain_quiet: Duration::from_millis(250),
            drain_most: Duration::from_secs(2),
            start_patience: Duration::from_secs(5),
            prompt_quiet: Duration::from_secs(2),
            progress: Duration::from_millis(250),
        }
    }
}

impl Limits {
    /// So many tasks at once, and half of them of one session.
    #[must_use]
    pub fn with_running(self, running: usize) -> Self {
        Self { running, running_session: (running / 2).max(1), ..self }
    }
}
