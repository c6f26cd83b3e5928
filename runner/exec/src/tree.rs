//! The processes below this one, and signals to them.
//!
//! On Linux the agent is a subreaper, so whatever a command starts stays below it, however it hides. The list comes from
//! `/proc`. Between listing a process and signalling it, its number may be taken by another; a pidfd, opened before the
//! process is looked at once more, excludes that. Elsewhere the list comes from `ps`, and what left both the tree and
//! the main process's group is not found.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use shared::task::Process;

use crate::tag::Tags;

/// How the command line of an agent begins.
#[cfg(target_os = "linux")]
const AGENT: &str = "meanwhile __agent";
/// Characters of a command line that are told.
const COMMAND_CHARS: usize = 200;
/// Looks that find nothing before nothing is there.
const QUIET_ROUNDS: u32 = 3;
/// Processes that are told one by one.
const DESCRIBED: usize = 32;

/// A process with what tells it from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pid: Pid,
    /// Clock ticks from boot to its start; 0 where that is not known.
    start: u64,
}

impl Member {
    /// Its process id.
    pub(crate) fn number(self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }
}

/// Everything alive below this process (and, elsewhere than on Linux, in the main process's group).
pub(crate) fn members(main_pid: Option<Pid>) -> Vec<Member> {
    system::members(main_pid)
}

/// Everything alive below a process.
pub(crate) fn below(root: Pid) -> Vec<Member> {
    system::below(root)
}

/// Lets a child of this process go on, should it be stopped.
pub(crate) fn wake(child: Pid) {
    system::wake(child);
}

/// Everything alive, anywhere, that has one of the tags; what an agent watches over only if `watched`.
pub(crate) fn tagged(tags: &Tags, watched: bool) -> Vec<Member> {
    system::tagged(tags, watched)
}

/// Sends the signals, in order, to each member that is still the same process.
pub(crate) fn signal(members: &[Member], signals: &[Signal]) {
    for member in members {
        system::signal(*member, signals);
    }
}

/// Whether it is stopped, or dead.
pub(crate) fn stands_still(member: Member) -> bool {
    system::stands_still(member)
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

/// Looks at the command lines once more: a process that was listed just after its fork may be another program by now.
pub fn name_again(processes: &mut [Process]) {
    for process in processes {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let command = pid.map(|pid| shortened(&system::command(pid))).unwrap_or_default();
        if !command.is_empty() {
            process.command = command;
        }
    }
}

/// Kills whatever has one of the tags: the last resort when agents were killed. Gives what could not be killed. Without
/// `watched`, what has an agent above it is left to that: it may be another runner's, over a copy of the same store.
pub fn kill_tagged(tags: &Tags, watched: bool) -> Vec<Process> {
    let mut quiet = 0;
    // Each round may free others that were being forked; a hundred rounds end even a vicious tree.
    for _ in 0..100 {
        let tagged = tagged(tags, watched);
        // One that is just being forked may be missed by a look.
        quiet = if tagged.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            return Vec::new();
        }
        signal(&tagged, &[Signal::KILL]);
        std::thread::sleep(Duration::from_millis(10));
    }
    describe(&tagged(tags, watched))
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::{Member, Tags};

    pub(super) fn members(_main_pid: Option<Pid>) -> Vec<Member> {
        below(rustix::process::getpid())
    }

    pub(super) fn below(root: Pid) -> Vec<Member> {
        let mut found = Vec::new();
        // A kernel without CONFIG_PROC_CHILDREN has no lists of children.
        let Some(mut open) = children(root) else { return by_parents(root) };
        while let Some(pid) = open.pop() {
            if let Some(stat) = stat(pid) {
                if stat.alive {
                    found.push(Member { pid, start: stat.start });
                }
                open.extend(children(pid).unwrap_or_default());
            }
        }
        found
    }

    /// The direct children of all threads of a process. `None` if the kernel does not say.
    fn children(pid: Pid) -> Option<Vec<Pid>> {
        let mut found = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).ok()?.flatten() {
            let list = match fs::read_to_string(thread.path().join("children")) {
                Ok(list) => list,
                Err(_) if thread.path().exists() => return None,
                Err(_) => continue,
            };
            found.extend(list.split_ascii_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)));
        }
        Some(found)
    }

    fn all() -> impl Iterator<Item = (Pid, Stat)> {
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            Some((pid, stat(pid)?))
        })
    }

    pub(super) fn tagged(tags: &Tags, watched: bool) -> Vec<Member> {
        let mut found: Vec<_> = all()
            .filter(|(pid, stat)| stat.alive && tags.are_of(*pid) && (watched || !is_watched(stat.parent)))
            .map(|(pid, stat)| Member { pid, start: stat.start })
            .collect();
        // A runner that a task has started gives its own tasks other tags.
        for place in 0..found.len() {
            found.extend(below(found[place].pid));
        }
        found
    }

    pub(super) fn wake(child: Pid) {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        if let Some(stat) = stat(child)
            && stat.stopped
            && stat.parent == own
        {
            signal(Member { pid: child, start: stat.start }, &[Signal::CONT]);
        }
    }

    /// Whether this process or one above it is an agent that can act.
    fn is_watched(mut parent: i32) -> bool {
        while let Some(pid) = Pid::from_raw(parent) {
            let Some(stat) = stat(pid) else { return false };
            if command(pid).starts_with(super::AGENT) {
                return !stat.stopped;
            }
            parent = stat.parent;
        }
        false
    }

    fn by_parents(own: Pid) -> Vec<Member> {
        let all: Vec<_> = all().collect();
        let mut below = vec![own];
        let mut found = Vec::new();
        while let Some(parent) = below.pop() {
            for (pid, stat) in all.iter().filter(|(_, stat)| stat.parent == parent.as_raw_nonzero().get()) {
                below.push(*pid);
                if stat.alive {
                    found.push(Member { pid: *pid, start: stat.start });
                }
            }
        }
        found
    }

    /// Stopped by a signal or by a debugger, or dead.
    pub(super) fn stands_still(member: Member) -> bool {
        stat(member.pid).is_none_or(|stat| stat.stopped || !stat.alive)
    }

    struct Stat {
        alive: bool,
        stopped: bool,
        parent: i32,
        start: u64,
    }

    /// See `proc_pid_stat(5)`: the name in parentheses may hold anything, so the fields are counted from its end.
    fn stat(pid: Pid) -> Option<Stat> {
        let line = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let end = line.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(line.get(end + 1..)?).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        let (alive, stopped) = (!matches!(state, "Z" | "X" | "x"), matches!(state, "T" | "t"));
        Some(Stat { alive, stopped, parent, start })
    }

    pub(super) fn signal(member: Member, signals: &[Signal]) {
        // A process that has gone since it was listed needs no signal, so errors say nothing new.
        let Ok(descriptor) = pidfd_open(member.pid, PidfdFlags::empty()) else { return };
        if stat(member.pid).is_some_and(|stat| stat.start == member.start) {
            for signal in signals {
                let _already_dead = pidfd_send_signal(&descriptor, *signal);
            }
        }
    }

    pub(super) fn command(pid: Pid) -> String {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let line = fs::read(format!("{folder}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(String::from_utf8_lossy)
            .collect();
        if arguments.is_empty() {
            return fs::read_to_string(format!("{folder}/comm")).unwrap_or_default().trim_end().to_owned();
        }
        arguments.join(" ")
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::{Member, Tags};

    pub(super) fn members(main_pid: Option<Pid>) -> Vec<Member> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let main_pid = main_pid.map(|pid| pid.as_raw_nonzero().get());
        let all: Vec<[i32; 3]> = ps(&["-axo", "pid=,ppid=,pgid="])
            .lines()
            .filter_map(|line| {
                let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().ok());
                Some([numbers.next()??, numbers.next()??, numbers.next()??])
            })
            .collect();
        let mut below = vec![own];
        let mut found: Vec<i32> = Vec::new();
        while let Some(parent) = below.pop() {
            for [pid, ppid, pgid] in &all {
                if (*ppid == parent || (parent == own && Some(*pgid) == main_pid)) && !found.contains(pid) {
                    found.push(*pid);
                    below.push(*pid);
                }
            }
        }
        found.into_iter().filter_map(Pid::from_raw).map(|pid| Member { pid, start: 0 }).collect()
    }

    pub(super) fn stands_still(member: Member) -> bool {
        let state = ps(&["-o", "stat=", "-p", &member.pid.as_raw_nonzero().to_string()]);
        state.trim().is_empty() || state.starts_with(['T', 'Z'])
    }

    /// Nobody asks here: it serves what only Linux tells.
    pub(super) fn below(_root: Pid) -> Vec<Member> {
        Vec::new()
    }

    pub(super) fn wake(child: Pid) {
        let _already_dead = kill_process(child, Signal::CONT);
    }

    /// The system does not tell the limits of another process, so nothing is found.
    pub(super) fn tagged(_tags: &Tags, _watched: bool) -> Vec<Member> {
        Vec::new()
    }

    pub(super) fn signal(member: Member, signals: &[Signal]) {
        for signal in signals {
            let _already_dead = kill_process(member.pid, *signal);
        }
    }

    pub(super) fn command(pid: Pid) -> String {
        ps(&["-o", "command=", "-p", &pid.as_raw_nonzero().to_string()]).trim().to_owned()
    }

    /// `ps` itself is a child of this process for a moment: the thread that reaps may take its status first, and it is
    /// no longer there when its list is used, so it is harmless in it.
    fn ps(arguments: &[&str]) -> String {
        let mut text = String::new();
        let child = Command::new("ps")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut child) = child {
            if let Some(mut output) = child.stdout.take() {
                // What could be read is the best there is.
                let _partial = output.read_to_string(&mut text);
            }
            let _reaped_elsewhere = child.wait();
        }
        text
    }
}
