//! The clock of a page: the product's own, over a system's clock that people set and a count that only goes
//! on.

use agent::clock::Steady;
use shared::Timestamp;

/// The clock of one page, as the page's shell makes it.
#[derive(Debug)]
pub(crate) struct Clock {
    time: Steady,
    /// The true time at which it was loaded.
    since: u64,
}

impl Clock {
    /// A clock that never shows less than the log's last entry.
    pub(crate) const fn new(not_before: u64, now: u64) -> Self {
        Self { time: Steady::new(Timestamp(not_before), 0), since: now }
    }

    /// The time, if the system's clock shows this.
    pub(crate) fn now(&mut self, system: u64, now: u64) -> u64 {
        self.time.now(Timestamp(system), now - self.since).0
    }
}
