//! A browser's clocks: the system's, which people and time servers set, and the one of a page, which is made of it.

/// The clock of one page, as the page's shell makes it.
#[derive(Debug)]
pub(crate) struct Clock {
    latest: u64,
}

impl Clock {
    /// A clock that never shows less than the log's last entry.
    pub(crate) const fn new(floor: u64) -> Self {
        Self { latest: floor }
    }

    /// The time, if the system's clock shows this.
    pub(crate) fn now(&mut self, system: u64) -> u64 {
        self.latest = self.latest.max(system);
        self.latest
    }
}
