//! A clock that does not jump, and goes on while the machine sleeps: `std`'s stands still then, on Linux.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Since the machine was started.
pub(crate) fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // It goes on there.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}
