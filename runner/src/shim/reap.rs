//! The dead: each is reaped, and the leader's end is noted before.
//!
//! The number of a leader is given back only after its end is noted, so whoever sees it gone may kill the runner and
//! finds what the shim left (`leave_record`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, wait, waitid};

use super::ends::is_read;
use super::wire::{Exited, FromShim};
use super::{Last, Leader, Mode, ROUND, Shared, tree};
use crate::clock::since_boot;

/// How long before the runner's death a leader with an open input must have ended for its end to be its own.
const MOMENT: Duration = Duration::from_millis(100);
/// The most that are reaped before the tree is looked at: others may die all the time.
const BATCH: usize = 1000;

/// What one look at the dead has found.
struct Reaped {
    leader: Option<Exited>,
    /// Whether there is nobody left to wait for.
    all: bool,
}

impl Shared {
    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock()
    }

    /// The runner has saved how the newest leader ended.
    pub(super) fn saved(&self) {
        drop(self.last().take());
    }

    /// Waits until there is nothing to wait for. Gives what is still to be said, if the leader was the last.
    pub(super) fn reap(&self, mut leader: Leader<'_>) -> Option<FromShim> {
        let mut ended = false;
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => break,
            }
            let Reaped { leader: exited, all } = self.reap_dead(&mut leader, ended);
            if let Some(mut exited) = exited {
                ended = true;
                let alone = cfg!(target_os = "linux") && all;
                // What is being ended is not left behind, though some of it may take a moment longer than its leader.
                if !alone && !exited.asked {
                    exited.left = tree::describe(&tree::members(Some(leader.pid)));
                }
                if alone {
                    return Some(FromShim::Exited(exited));
                }
                self.say(&FromShim::Exited(exited));
            } else if ended && !all {
                let begun = Instant::now();
                self.say(&FromShim::Left(tree::describe(&tree::members(Some(leader.pid)))));
                // A wide tree whose processes end one by one takes a fifth of a processor, not all of one.
                if self.state().mode == Mode::Free {
                    thread::sleep((begun.elapsed() * 4).min(ROUND));
                }
            }
            self.go_on_stopping(false);
        }
        #[cfg(not(target_os = "linux"))]
        self.watch_group(leader.pid);
        None
    }

    /// All that are dead by now, before the tree is looked at, for that costs as much as the tree is wide.
    fn reap_dead(&self, leader: &mut Leader<'_>, ended: bool) -> Reaped {
        let mut exited = None;
        for _ in 0..BATCH {
            let open = !ended && exited.is_none();
            if open && let Ok(Some(status)) = is_dead(leader.pid) {
                exited = Some(self.note(leader, status.exit_status(), status.terminating_signal()));
            }
            match wait(WaitOptions::NOHANG) {
                // It died between the two calls. Later a process left behind may get its number.
                Ok(Some((pid, status))) if pid == leader.pid && !ended && exited.is_none() => {
                    exited = Some(self.note(leader, status.exit_status(), status.terminating_signal()));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return Reaped { leader: exited, all: true },
            }
        }
        Reaped { leader: exited, all: false }
    }

    /// How the leader ended, kept for the case that the runner dies.
    fn note(&self, leader: &mut Leader<'_>, code: Option<i32>, signal: Option<i32>) -> Exited {
        let read = leader.witness.take().map(|output| is_read(&output));
        let exited = Exited {
            code,
            signal,
            asked: self.state().mode != Mode::Free,
            ran_us: u64::try_from(since_boot().saturating_sub(leader.begun).as_micros()).unwrap_or(u64::MAX),
            left: Vec::new(),
        };
        let record = leader.record.to_owned();
        *self.last() = Some(Last { record, exited: exited.clone(), at: Instant::now(), read });
        exited
    }

    /// The runner has died, and may not have saved how the newest leader ended. One that ended when nobody read its output
    /// any more, or just after its input did, may have ended of that.
    pub(super) fn leave_record(&self) {
        let last = self.last().take();
        if let Some(Last { record, exited, at, read }) = last
            && read.unwrap_or_else(|| at.elapsed() > MOMENT)
            && let Ok(text) = serde_json::to_vec(&exited)
        {
            // Without it the task is lost, which is said.
            let _unsaid = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(record)
                .and_then(|mut file| file.write_all(&text));
        }
    }

    /// Where there is no subreaper, the rest of the group can only be looked at now and then.
    #[cfg(not(target_os = "linux"))]
    fn watch_group(&self, leader: Pid) {
        while !tree::members(Some(leader)).is_empty() {
            self.go_on_stopping(false);
            thread::sleep(ROUND);
        }
    }
}

/// How this child ended, if it has; it stays to be reaped.
fn is_dead(child: Pid) -> rustix::io::Result<Option<WaitIdStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    waitid(WaitId::Pid(child), options)
}
