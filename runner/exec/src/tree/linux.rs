//! Processes as `/proc` shows them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal};

use super::{Found, Look, Member, Motion};
use crate::tag::Tags;

/// How the command line of an agent begins.
const AGENT: &str = "meanwhile __agent";
/// What its program is called, unless this one is called otherwise.
const PROGRAM: &str = "meanwhile";

pub(super) fn members(_main_pid: Option<Pid>) -> Vec<Member> {
    below(getpid())
}

/// By the lists of children, which costs as much as the tree is large, not the machine.
pub(super) fn below(root: Pid) -> Vec<Member> {
    // A kernel without CONFIG_PROC_CHILDREN has no such lists.
    let Some(mut open) = children(root) else { return Table::read().below([number(root)]) };
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    while let Some(pid) = open.pop() {
        // One that gets another parent meanwhile may stand in two lists.
        if !seen.insert(pid) {
            continue;
        }
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
    for thread in fs::read_dir(format!("/proc/{}/task", number(pid))).ok()?.flatten() {
        let list = match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => list,
            Err(_) if thread.path().exists() => return None,
            Err(_) => continue,
        };
        found.extend(list.split_ascii_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)));
    }
    Some(found)
}

/// All processes at once, each read once, however they are related.
#[derive(Default)]
pub(super) struct Table {
    /// In the order of their numbers.
    all: BTreeMap<i32, Stat>,
    children: HashMap<i32, Vec<i32>>,
}

impl Table {
    fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        Self::of(entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(Pid::from_raw(pid)?)?))
        }))
    }

    pub(super) fn of(stats: impl IntoIterator<Item = (i32, Stat)>) -> Self {
        let mut table = Self::default();
        for (pid, stat) in stats {
            table.children.entry(stat.parent).or_default().push(pid);
            table.all.insert(pid, stat);
        }
        table
    }

    fn member(&self, pid: i32) -> Option<Member> {
        let stat = self.all.get(&pid).filter(|stat| stat.alive)?;
        Some(Member { pid: Pid::from_raw(pid)?, start: stat.start })
    }

    /// Everything alive below these, each once.
    pub(super) fn below(&self, roots: impl IntoIterator<Item = i32>) -> Vec<Member> {
        self.walk(roots, &mut HashSet::new())
    }

    /// The same, but for what was seen before, which it adds to.
    fn walk(&self, roots: impl IntoIterator<Item = i32>, seen: &mut HashSet<i32>) -> Vec<Member> {
        let mut open: Vec<i32> = roots.into_iter().collect();
        let mut found = Vec::new();
        while let Some(parent) = open.pop() {
            for child in self.children.get(&parent).into_iter().flatten().copied() {
                if seen.insert(child) {
                    found.extend(self.member(child));
                    open.push(child);
                }
            }
        }
        found
    }

    /// These and what is below them: a runner that a task has started gives its own tasks other tags.
    fn with_below(&self, roots: Vec<Found>, seen: &mut HashSet<i32>) -> Vec<Found> {
        let mut found = Vec::new();
        for root in roots {
            let pid = number(root.member.pid);
            found.extend(seen.insert(pid).then_some(root));
            found.extend(self.walk([pid], seen).into_iter().map(|member| Found { member, ..root }));
        }
        found
    }

    /// A process and those above it. Ends, whatever the numbers that were read one after another say.
    fn above(&self, pid: i32) -> impl Iterator<Item = (i32, &Stat)> {
        let mut next = Some(pid);
        let line = std::iter::from_fn(move || {
            let pid = next?;
            let stat = self.all.get(&pid)?;
            next = Some(stat.parent);
            Some((pid, stat))
        });
        line.take(self.all.len())
    }
}

pub(super) fn look(tags: &Tags) -> Look {
    let table = Table::read();
    // This process is not looked for; and an agent above it watches over it, not over what an earlier one has
    // left.
    let own: HashSet<i32> = table.above(number(getpid())).map(|(pid, _)| pid).collect();
    let mut known: HashMap<i32, bool> = HashMap::new();
    let mut watches = |pid: i32| {
        *known.entry(pid).or_insert_with(|| !own.contains(&pid) && Pid::from_raw(pid).is_some_and(is_agent))
    };
    let mut look = Look::default();
    for (pid, stat) in table.all.iter().filter(|(pid, _)| !own.contains(pid)) {
        let Some(member) = table.member(*pid) else { continue };
        let Some(task) = tags.task_of(member.pid) else { continue };
        let found = Found { member, task };
        if watches(*pid) {
            look.agents.push(found);
            continue;
        }
        // By one that can act.
        let above = table.above(stat.parent).find(|(pid, _)| watches(*pid));
        let watched = above.is_some_and(|(_, agent)| !agent.stopped);
        if watched { &mut look.watched } else { &mut look.free }.push(found);
    }
    let mut seen = HashSet::new();
    look.free = table.with_below(look.free, &mut seen);
    look.watched = table.with_below(look.watched, &mut seen);
    // What has taken its tag off.
    for agent in look.agents.clone() {
        let below = table.walk([number(agent.member.pid)], &mut seen);
        look.watched.extend(below.into_iter().map(|member| Found { member, ..agent }));
    }
    look
}

/// Whether it is an agent, of whatever runner. Any program may have such a command line, so the program
/// counts, too; which one an agent is, the system tells root alone, since nobody may look into an agent.
fn is_agent(pid: Pid) -> bool {
    let program = |link: io::Result<PathBuf>| {
        let name = link.ok()?.file_name()?.to_str()?.to_owned();
        // A newer one may have taken its place.
        Some(name.trim_end_matches(" (deleted)").to_owned())
    };
    command(pid).starts_with(AGENT)
        && program(fs::read_link(format!("/proc/{}/exe", number(pid))))
            .is_none_or(|name| name == PROGRAM || program(std::env::current_exe()) == Some(name))
}

pub(super) fn wake(child: Member) {
    if let Some(stat) = stat(child.pid)
        && stat.stopped
        && stat.parent == number(getpid())
    {
        signal(child, &[Signal::CONT]);
    }
}

pub(super) fn motion(member: Member) -> Motion {
    match stat(member.pid) {
        Some(stat) if !stat.alive || stat.stopped || !is(member, &stat) => Motion::Still,
        Some(stat) if stat.waits => Motion::Waits,
        Some(_) => Motion::Moves,
        None => Motion::Still,
    }
}

pub(super) fn start(pid: Pid) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

#[derive(Clone, Copy)]
pub(super) struct Stat {
    pub(super) alive: bool,
    /// By a signal or by a debugger.
    pub(super) stopped: bool,
    /// For a device, so that it hears no signal.
    pub(super) waits: bool,
    pub(super) parent: i32,
    pub(super) start: u64,
}

/// See `proc_pid_stat(5)`: the name in parentheses may hold anything, so the fields are counted from its end.
fn stat(pid: Pid) -> Option<Stat> {
    let line = fs::read(format!("/proc/{}/stat", number(pid))).ok()?;
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(line.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    let (alive, stopped) = (!matches!(state, "Z" | "X" | "x"), matches!(state, "T" | "t"));
    Some(Stat { alive, stopped, waits: state == "D", parent, start })
}

fn is(member: Member, stat: &Stat) -> bool {
    member.start == 0 || stat.start == member.start
}

pub(super) fn are_held() -> io::Result<()> {
    Ok(pidfd_open(getpid(), PidfdFlags::empty()).map(drop)?)
}

pub(super) fn signal(member: Member, signals: &[Signal]) {
    let descriptor = match pidfd_open(member.pid, PidfdFlags::empty()) {
        Ok(descriptor) => Some(descriptor),
        // It has gone since it was listed, and needs no signal.
        Err(Errno::SRCH) => return,
        // An older kernel, a container's filter of calls, or no descriptor is left: its number alone must do.
        Err(_) => None,
    };
    if !stat(member.pid).is_some_and(|stat| is(member, &stat)) {
        return;
    }
    for signal in signals {
        match descriptor.as_ref().map(|descriptor| pidfd_send_signal(descriptor, *signal)) {
            Some(Ok(()) | Err(Errno::SRCH)) => {}
            // It may have died since the look; what else is wrong is seen by its living on.
            Some(Err(_)) | None => drop(kill_process(member.pid, *signal)),
        }
    }
}

pub(super) fn command(pid: Pid) -> String {
    let folder = format!("/proc/{}", number(pid));
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

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
