//! The dead: each is reaped, and the end of the main process is noted before.
//!
//! The number of a main process is given back only after its end is noted, so whoever sees it gone may kill
//! the runner and finds what the agent left ([`Last::leave`]).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, wait, waitid};

use super::run::{Last, Mode, Running};
use crate::clock::since_boot;
use crate::frames::Exited;

/// How long before the runner's death a main process with an open input must have ended for its end to be its
/// own.
const MOMENT: Duration = Duration::from_millis(100);
/// The most that are reaped before the tree is looked at: others may die all the time.
const BATCH: usize = 1000;

/// What one look at the dead has found.
pub(super) struct Reaped {
    /// How the main process ended.
    pub(super) main: Option<(Exited, Last)>,
    /// Whether anybody was reaped.
    pub(super) any: bool,
    /// Whether there is nobody left to wait for.
    pub(super) all: bool,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl Running {
    /// All that are dead by now, before the tree is looked at, for that costs as much as the tree is wide.
    pub(super) fn reap(&mut self) -> Reaped {
        let mut reaped = Reaped { main: None, any: false, all: false, more: false };
        for _ in 0..BATCH {
            let open = !self.ended && reaped.main.is_none();
            if open && let Ok(Some(status)) = self.is_dead() {
                reaped.main = Some(self.note(status.exit_status(), status.terminating_signal()));
            }
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    reaped.any = true;
                    // It died between the two calls. Later a remaining process may get its number.
                    if pid == self.pid && !self.ended && reaped.main.is_none() {
                        reaped.main = Some(self.note(status.exit_status(), status.terminating_signal()));
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) => return reaped,
                Err(_) => {
                    reaped.all = true;
                    return reaped;
                }
            }
        }
        reaped.more = true;
        reaped
    }

    /// How the main process ended, if it has; it stays to be reaped.
    fn is_dead(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.pid), options)
    }

    /// How the main process ended, and what is kept for the case that the runner dies.
    fn note(&mut self, code: Option<i32>, signal: Option<i32>) -> (Exited, Last) {
        let read = self.witness.take().map(|output| is_read(&output));
        let exited = Exited {
            code,
            signal,
            asked: self.mode != Mode::Free,
            ran_us: u64::try_from(since_boot().saturating_sub(self.begun).as_micros()).unwrap_or(u64::MAX),
            remaining: Vec::new(),
        };
        let last =
            Last { exit_file: self.exit_file.clone(), exited: exited.clone(), at: Instant::now(), read };
        (exited, last)
    }
}

impl Last {
    /// The runner has died, and may not have saved this. One that ended when nobody read its output any more,
    /// or just after its input did, may have ended of that.
    pub(super) fn leave(self) {
        let Self { exit_file, exited, at, read } = self;
        if read.unwrap_or_else(|| at.elapsed() > MOMENT)
            && let Ok(text) = serde_json::to_vec(&exited)
        {
            // Without it the task is lost, which is said.
            let _unsaid = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(exit_file)
                .and_then(|mut file| file.write_all(&text));
        }
    }
}

/// Whether the reading end of a pipe is open.
fn is_read(output: &std::os::fd::OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(output, PollFlags::OUT)];
    let polled = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && !descriptors[0].revents().contains(PollFlags::ERR)
}
