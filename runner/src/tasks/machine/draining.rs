//! The wait for the last output after the end of the main process.

use std::time::Duration;

use shared::task::Process;
use tokio::time::Instant;

use crate::limits::Limits;

#[derive(Debug)]
pub(super) struct Draining {
    /// What the main process left running, as far as it is known.
    pub(super) remaining: Vec<Process>,
    quiet: Duration,
    quiet_at: Instant,
    most_at: Instant,
}

impl Draining {
    pub(super) fn new(now: Instant, remaining: Vec<Process>, limits: &Limits) -> Self {
        let quiet = limits.drain_quiet;
        Self { remaining, quiet, quiet_at: now + quiet, most_at: now + limits.drain_most }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.quiet_at = now + self.quiet;
    }

    pub(super) fn due(&self) -> Instant {
        self.quiet_at.min(self.most_at)
    }
}
