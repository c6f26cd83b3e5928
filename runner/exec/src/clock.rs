//! A clock that does not jump, and goes on while the machine sleeps: `std`'s stands still then, on Linux.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Since the machine was started.
#[must_use]
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // It goes on there.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// So much more than the other clocks shall the one that counts sleep show.
    const SLEPT: Duration = Duration::from_secs(1_000_000);

    /// No test can put the machine to sleep. But where only the clock that counts sleep was set ahead, it is
    /// told from the others.
    #[test]
    fn time_asleep_counts() {
        let ahead = SLEPT.as_secs().to_string();
        let unshare = ["--user", "--map-root-user", "--time", "--boottime", &ahead];
        let able = Command::new("unshare").args(unshare).arg("true").output();
        if !able.is_ok_and(|output| output.status.success()) {
            let text = b"\nLEFT OUT: this system lets nobody have a clock of their own\n";
            let _told = std::io::Write::write_all(&mut std::io::stdout(), text);
            return;
        }
        let mut there = Command::new("unshare");
        there.args(unshare).arg(std::env::current_exe().unwrap());
        there.args(["--exact", "--ignored", "clock::tests::where_the_machine_has_slept"]);
        let output = there.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
    }

    #[test]
    #[ignore = "only as a process of another test"]
    fn where_the_machine_has_slept() {
        assert!(since_boot() > SLEPT, "{:?}", since_boot());
    }
}
