//! The agent's clock and its one alarm.
//!
//! The clock is the system's, but never goes back within a session: neither when the system's does, nor
//! behind what the log says. And it never stands still: where the system's is behind, it goes on by one that
//! only counts. The alarm is one timer of the browser's; dropping the clock or [`Clock::stop`] ends it.

use std::cell::{Cell, RefCell};

use agent::clock::Steady;
use agent::{Event, Pump};
use gloo_timers::callback::Timeout;
use gloo_utils::window;
use shared::Timestamp;

/// The longest wait a browser's timer knows, in milliseconds. The agent sets the alarm anew when it rings
/// early.
const LONGEST: u32 = i32::MAX as u32;

/// One session's clock.
pub(super) struct Clock {
    time: Cell<Steady>,
    alarm: RefCell<Option<Timeout>>,
}

impl Clock {
    /// A clock that never shows a time before `not_before`.
    pub(super) fn new(not_before: Timestamp) -> Self {
        Self { time: Cell::new(Steady::new(not_before, counted())), alarm: RefCell::default() }
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
        let alarm = at.map(|at| {
            let wait = u32::try_from(at.since(self.now())).map_or(LONGEST, |wait| wait.min(LONGEST));
            let pump = pump.clone();
            Timeout::new(wait, move || pump.send(Event::Tick))
        });
        self.alarm.replace(alarm);
    }

    /// Ends the alarm for good, and lets go of the pump.
    pub(super) fn stop(&self) {
        self.alarm.take();
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
