//! A page's time, made of the clocks that a browser has. It reads neither: both come as arguments.

use shared::Timestamp;

/// Time that never goes back and never stands still, made of the system's and of a count that does neither
/// but may stop while the machine sleeps. Whichever is further counts.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    /// A time, and the count at that moment.
    from: (u64, u64),
}

impl Steady {
    /// A time that is not before this one, at this count.
    #[must_use]
    pub const fn new(not_before: Timestamp, counted: u64) -> Self {
        Self { from: (not_before.0, counted) }
    }

    /// The time, if the system's clock and the count show this.
    pub fn now(&mut self, system: Timestamp, counted: u64) -> Timestamp {
        let now = self.from.0.saturating_add(counted.saturating_sub(self.from.1));
        if system.0 > now {
            self.from = (system.0, counted);
            return system;
        }
        Timestamp(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

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
