//! The processes below this one, and signals to them.
//!
//! On Linux the agent is a subreaper, so whatever a command starts stays below it, however it hides. The list
//! comes from `/proc`. Between listing a process and signalling it, its number may be taken by another; a
//! pidfd, opened before the process is looked at once more, excludes that. Where there is none, the look is
//! what stands between the two. Elsewhere the list comes from `ps`, and what left both the tree and the main
//! process's group is not found.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use shared::task::Process;

use crate::tag::Tags;

#[cfg(target_os = "linux")]
#[path = "tree/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "tree/other.rs"]
mod system;

/// Characters of a command line that are told.
const COMMAND_CHARS: usize = 200;
/// Looks that find nothing before nothing is there.
const QUIET_ROUNDS: u32 = 3;
/// Rounds of KILL: each may free others that were being forked; so many end even a vicious tree.
pub(crate) const ROUNDS: u32 = 100;
/// Between two of them.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
/// Processes that are told one by one.
const DESCRIBED: usize = 32;

/// A process with what tells it from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pid: Pid,
    /// Clock ticks from boot to its start; 0 where that is not known.
    start: u64,
}

impl Member {
    /// The process that has this number now.
    pub(crate) fn with_number(pid: Pid) -> Self {
        Self { pid, start: system::start(pid).unwrap_or_default() }
    }

    /// The process that had this number and began at that time.
    pub(crate) const fn known(pid: Pid, start: u64) -> Self {
        Self { pid, start }
    }

    /// Its process id.
    pub(crate) fn number(self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// See [`Self::known`].
    pub(crate) const fn start(self) -> u64 {
        self.start
    }

    /// Whether the number is still its own, as far as the system tells.
    pub(crate) fn is_there(self) -> bool {
        self.start == 0 || system::start(self.pid) == Some(self.start)
    }
}

/// What a process does, as far as a freeze is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// It may run.
    Moves,
    /// It waits for a device and hears no signal until that answers; then it obeys before anything else.
    Waits,
    /// It is stopped, or dead.
    Still,
}

/// What has one of the tags, or is below what has.
#[derive(Debug, Default)]
struct Look {
    /// What no agent watches over.
    free: Vec<Found>,
    /// What an agent watches over: it may be another runner's, over a copy of the same store.
    watched: Vec<Found>,
    /// Agents that have not said the last of their task, or wait for the word that it is saved.
    agents: Vec<Found>,
}

/// A process, and which of the tasks it is of.
#[derive(Clone, Copy, Debug)]
struct Found {
    member: Member,
    task: usize,
}

/// Everything alive below this process (and, elsewhere than on Linux, in the main process's group).
pub(crate) fn members(main_pid: Option<Pid>) -> Vec<Member> {
    system::members(main_pid)
}

/// Everything alive below a process; nothing once its number is another's.
pub(crate) fn below(root: Member) -> Vec<Member> {
    let found = system::below(root.pid);
    // Looked at behind the list: so it was the same one all the time.
    if root.is_there() { found } else { Vec::new() }
}

/// Lets a child of this process go on, should it be stopped.
pub(crate) fn wake(child: Member) {
    system::wake(child);
}

/// Sends the signals, in order, to each member that is still the same process.
pub(crate) fn signal(members: &[Member], signals: &[Signal]) {
    for member in members {
        system::signal(*member, signals);
    }
}

/// Whether this system lets a process be held while it is signalled.
pub(crate) fn are_held() -> std::io::Result<()> {
    system::are_held()
}

pub(crate) fn motion(member: Member) -> Motion {
    system::motion(member)
}

/// The members for people: so many, and how many more there are, as one without a number.
pub(crate) fn describe(members: &[Member]) -> Vec<Process> {
    let more = members.len().saturating_sub(DESCRIBED);
    members
        .iter()
        .take(DESCRIBED)
        .map(|member| Process { pid: member.number(), command: shortened(&system::command(member.pid)) })
        .chain((more > 0).then(|| Process::others(more)))
        .collect()
}

fn shortened(command: &str) -> String {
    command.chars().take(COMMAND_CHARS).collect()
}

/// Looks at the command lines once more: a process that was listed just after its fork may be another program
/// by now.
pub fn name_again(processes: &mut [Process]) {
    for process in processes {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let command = pid.map(|pid| shortened(&system::command(pid))).unwrap_or_default();
        if !command.is_empty() {
            process.command = command;
        }
    }
}

/// Kills whatever has one of the tags: the last resort when agents were killed. Gives what could not be
/// killed. Without `watched`, what has an agent above it is left to that.
pub fn kill_tagged(tags: &Tags, watched: bool) -> Vec<Process> {
    describe(&members_of(&sweep(tags, watched, Duration::ZERO).free))
}

/// Ends what an earlier runner left: its agents are given some time to end their own trees and to write how
/// their commands ended; what none of them watches over is killed. Gives what lives on, by task.
pub fn end_tagged(tags: &Tags, patience: Duration) -> Vec<(String, Vec<Process>)> {
    let Look { mut free, mut watched, .. } = sweep(tags, false, patience);
    free.append(&mut watched);
    free.sort_by_key(|found| found.task);
    free.chunk_by(|one, other| one.task == other.task)
        .map(|found| (tags.task(found[0].task).to_owned(), describe(&members_of(found))))
        .collect()
}

/// What is there after the last round.
fn sweep(tags: &Tags, watched: bool, patience: Duration) -> Look {
    let begun = Instant::now();
    let (mut quiet, mut rounds) = (0, 0);
    loop {
        let mut look = system::look(tags);
        if watched {
            look.free.append(&mut look.watched);
            look.free.append(&mut look.agents);
        }
        let agents_end = !(look.watched.is_empty() && look.agents.is_empty()) && begun.elapsed() < patience;
        // One that is just being forked may be missed by a look.
        quiet = if look.free.is_empty() && !agents_end { quiet + 1 } else { 0 };
        rounds += u32::from(!agents_end);
        if quiet == QUIET_ROUNDS || rounds > ROUNDS {
            return look;
        }
        signal(&members_of(&look.free), &[Signal::KILL]);
        // One that its own command has stopped cannot end anything.
        signal(&members_of(&look.agents), &[Signal::CONT]);
        thread::sleep(PAUSE);
    }
}

fn members_of(found: &[Found]) -> Vec<Member> {
    found.iter().map(|found| found.member).collect()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
