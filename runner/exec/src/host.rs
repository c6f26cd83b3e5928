//! This machine, as a runner on it sees it for itself.
//!
//! Past its agents, for three reasons: one look serves all trees at once, an agent that was killed or stopped
//! answers nothing, and who asks over a socket of this machine has no agent above it.

use std::path::PathBuf;
use std::{fs, io, thread};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, test_kill_process};

use crate::tree::{self, Member};

pub use crate::sockets::{Owner, listening, owner_of_peer, ports_held};
pub use crate::tag::Tags;
pub use crate::tree::{end_tagged, kill_tagged, name_again};

/// The running program by a name that stays right on Linux.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// The processes below an agent of this process. Nothing once the agent has died, whoever has its number
/// then.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    agent: Option<Member>,
}

impl Tree {
    /// Of a child that was not waited for yet, so that its number is its own.
    pub(crate) fn below(agent: u32) -> Self {
        Self { agent: process(agent).map(Member::with_number) }
    }

    /// The sockets that its processes hold, by inode.
    #[must_use]
    pub fn sockets(self) -> Vec<u64> {
        let members = self.agent.map(tree::below).unwrap_or_default();
        members.iter().flat_map(|member| crate::sockets::held_by(member.number())).collect()
    }

    /// Kills it, and lets its agent go on. Whether nothing is left of it, as far as this system tells.
    pub fn kill(self) -> bool {
        let Some(agent) = self.agent else { return false };
        let mut alone = false;
        for _ in 0..tree::ROUNDS {
            let below = tree::below(agent);
            alone = below.is_empty();
            if alone {
                break;
            }
            tree::signal(&below, &[Signal::KILL]);
            thread::sleep(tree::PAUSE);
        }
        tree::wake(agent);
        alone && cfg!(target_os = "linux")
    }

    /// Lets its agent go on, should that have been stopped.
    pub fn wake_agent(self) {
        if let Some(agent) = self.agent {
            tree::wake(agent);
        }
    }
}

/// The running program. On Linux by the name that stays right when the file is replaced by a newer one
/// meanwhile: that one's agents would speak another version.
///
/// # Errors
/// The system does not say.
pub fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from(PROGRAM)) } else { std::env::current_exe() }
}

/// Whether whoever started this process (`nohup`) wants it to outlive its terminal.
#[must_use]
pub fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Whether there is such a process, which began at that time if one is given. One of another user counts,
/// since it cannot be asked.
#[must_use]
pub fn is_alive(pid: u32, start: Option<u64>) -> bool {
    let known = |pid| Member::known(pid, start.unwrap_or_default());
    process(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH) && known(pid).is_there())
}

/// When this process began, in the system's own measure; `None` where it does not say.
#[must_use]
pub fn own_start() -> Option<u64> {
    Some(Member::with_number(getpid()).start()).filter(|start| *start > 0)
}

fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
