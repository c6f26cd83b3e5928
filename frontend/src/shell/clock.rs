//! The agent's clock and its one alarm.
//!
//! The clock is the system's, but never goes back within a session: neither when the system's does, nor behind what the
//! log says. And it never stands still: where the system's is behind, it goes on by one that only counts. The alarm is one
//! `setTimeout`; dropping the clock or [`Clock::stop`] ends it.

use std::cell::{Cell, RefCell};

use agent::{Event, Pump};
use shared::Timestamp;
use wasm_bindgen::prelude::*;

use super::js::{function, window};

/// The longest wait `setTimeout` knows, in milliseconds. The agent sets the alarm anew when it rings early.
const LONGEST: u64 = i32::MAX as u64;

/// One session's clock.
pub(super) struct Clock {
    time: Cell<Steady>,
    timer: Cell<Option<i32>>,
    ring: RefCell<Option<Closure<dyn FnMut()>>>,
}

impl Clock {
    /// A clock that never shows less than `floor`.
    pub(super) fn new(floor: Timestamp) -> Self {
        let time = Steady::new(floor, counted());
        Self { time: Cell::new(time), timer: Cell::new(None), ring: RefCell::new(None) }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        let mut time = self.time.get();
        let now = time.now(system(), counted());
        self.time.set(time);
        now
    }

    /// Sends a `Tick` at this time, instead of the one set before.
    pub(super) fn alarm(&self, at: Option<Timestamp>, pump: &Pump) {
        self.silence();
        let Some(at) = at else { return };
        let mut ring = self.ring.borrow_mut();
        let ring = ring.get_or_insert_with(|| {
            let pump = pump.clone();
            Closure::new(move || pump.send(Event::Tick))
        });
        let wait = i32::try_from(at.since(self.now()).min(LONGEST)).unwrap_or(i32::MAX);
        let timer = window().set_timeout_with_callback_and_timeout_and_arguments_0(function(ring), wait);
        self.timer.set(timer.ok());
    }

    /// Ends the alarm for good, and lets go of the pump.
    pub(super) fn stop(&self) {
        self.silence();
        self.ring.replace(None);
    }

    fn silence(&self) {
        if let Some(timer) = self.timer.take() {
            window().clear_timeout_with_handle(timer);
        }
    }
}

/// Time that never goes back and never stands still, made of the system's and of a count that does neither but may stop while the
/// machine sleeps. Whichever is further counts.
#[derive(Clone, Copy, Debug)]
struct Steady {
    /// A time, and the count at that moment.
    from: (u64, u64),
}

impl Steady {
    const fn new(floor: Timestamp, counted: u64) -> Self {
        Self { from: (floor.0, counted) }
    }

    fn now(&mut self, system: Timestamp, counted: u64) -> Timestamp {
        let now = self.from.0.saturating_add(counted.saturating_sub(self.from.1));
        if system.0 > now {
            self.from = (system.0, counted);
            return system;
        }
        Timestamp(now)
    }
}

/// The system's time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970 fit well below 2^53"
)]
pub(super) fn system() -> Timestamp {
    Timestamp(js_sys::Date::now() as u64)
}

/// Milliseconds since the page was opened, whatever happens to the system's time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a page does not live for 2^53 ms"
)]
fn counted() -> u64 {
    window().performance().map_or(0, |performance| performance.now() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_from_a_clock_ahead_does_not_make_time_stand_still() {
        let ahead = 3_600_000;
        let mut clock = Steady::new(Timestamp(1_000_000 + ahead), 50);
        for passed in [0, 1, 999, 30_000] {
            let now = clock.now(Timestamp(1_000_000 + passed), 50 + passed);
            assert_eq!(now.0, 1_000_000 + ahead + passed);
        }
        // Once the system's is further again, it counts.
        assert_eq!(clock.now(Timestamp(9_000_000), 40_000).0, 9_000_000);
    }

    #[test]
    fn it_goes_on_whatever_the_systems_clock_does() {
        let mut clock = Steady::new(Timestamp(0), 0);
        let mut last = clock.now(Timestamp(1_000_000), 0);
        let mut counted = 0;
        // Back, ahead, a sleep that is not counted, back again, and a clock that stands.
        for system in [1_000_010, 400_000, 400_010, 5_000_000, 9_000_000, 1_000, 1_000, 1_000] {
            counted += 10;
            let now = clock.now(Timestamp(system), counted);
            assert!(now.0 >= last.0 + 10, "{system}: {last:?} {now:?}");
            last = now;
        }
        // Looking often makes it no faster.
        let before = clock.now(Timestamp(1_000), counted);
        for _ in 0..1_000 {
            clock.now(Timestamp(1_000), counted);
        }
        assert_eq!(clock.now(Timestamp(1_001), counted + 1).0, before.0 + 1);
    }
}
