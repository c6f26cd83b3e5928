//! When transient frames are due: `settled` after a burst of events, `stats` not too often.

use std::time::Duration;

use tokio::time::Instant;

/// How long after the last event of a burst `settled` is sent.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(150);
/// How long after its first event at the latest.
pub(super) const DEBOUNCE_MOST: Duration = Duration::from_millis(500);
/// The least time between two `stats`.
pub(super) const STATS: Duration = Duration::from_millis(500);

/// A burst of events, and when it counts as over.
#[derive(Default)]
pub(super) struct Burst {
    times: Option<(Instant, Instant)>,
}

impl Burst {
    /// An event was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        let first = self.times.map_or(now, |(first, _)| first);
        self.times = Some((first, now));
    }

    /// Whether `settled` is still to be sent.
    pub(super) const fn is_open(&self) -> bool {
        self.times.is_some()
    }

    /// It was sent early.
    pub(super) const fn end(&mut self) {
        self.times = None;
    }

    /// When `settled` is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.times.map(|(first, last)| (last + DEBOUNCE).min(first + DEBOUNCE_MOST))
    }

    /// Whether `settled` is to be sent now; the burst is over then.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let over = self.due().is_some_and(|due| due <= now);
        if over {
            self.times = None;
        }
        over
    }
}

/// Something that is sent at once, unless it was sent a moment ago; then a moment later.
pub(super) struct RateLimited {
    least: Duration,
    last: Option<Instant>,
    wanted: bool,
}

impl RateLimited {
    /// Not more often than once in `least`.
    pub(super) const fn new(least: Duration) -> Self {
        Self { least, last: None, wanted: false }
    }

    /// There is something to send.
    pub(super) const fn want(&mut self) {
        self.wanted = true;
    }

    /// When it is due.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.wanted.then(|| self.last.map_or(now, |last| last + self.least))
    }

    /// Whether it is to be sent now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.due(now).is_some_and(|due| due <= now);
        if due {
            self.wanted = false;
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_over_after_its_last_event_and_in_any_case_in_time() {
        let begin = Instant::now();
        let mut burst = Burst::default();
        assert_eq!(burst.due(), None);
        burst.sent(begin);
        assert_eq!(burst.due(), Some(begin + DEBOUNCE));
        for step in 1..8 {
            burst.sent(begin + Duration::from_millis(step * 100));
        }
        assert_eq!(burst.due(), Some(begin + DEBOUNCE_MOST));
        assert!(!burst.take(begin + DEBOUNCE_MOST - Duration::from_millis(1)));
        assert!(burst.take(begin + DEBOUNCE_MOST));
        assert_eq!(burst.due(), None);
    }

    #[test]
    fn what_is_rate_limited_comes_at_once_and_then_seldom() {
        let begin = Instant::now();
        let mut limited = RateLimited::new(STATS);
        assert!(!limited.take(begin));
        limited.want();
        assert!(limited.take(begin));
        limited.want();
        assert!(!limited.take(begin + STATS / 2));
        assert_eq!(limited.due(begin + STATS / 2), Some(begin + STATS));
        assert!(limited.take(begin + STATS));
    }
}
