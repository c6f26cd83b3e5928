//! Processes, seen from outside: which are there, and ending those that a test itself brought about.
//!
//! Linux only, by `/proc`; elsewhere the tests that count processes say so by finding none of their own.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

/// Processes one of whose arguments is exactly this.
pub fn with_argument(argument: &str) -> Vec<Pid> {
    matching(|arguments| arguments.iter().any(|one| one == argument))
}

/// Processes one of whose arguments holds this text: tests mark their commands with a word that occurs
/// nowhere else.
pub fn holding(text: &str) -> Vec<Pid> {
    matching(|arguments| arguments.iter().any(|one| one.contains(text)))
}

/// Kills them. Those that have ended already are passed over.
pub fn kill_all(processes: &[Pid]) {
    for process in processes {
        let _ended = kill_process(*process, Signal::KILL);
    }
}

/// Whether a process is there and no zombie.
pub fn lives(process: Pid) -> bool {
    is_alive(process.as_raw_nonzero().get().unsigned_abs())
}

/// The same by its number.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// What is alive of all tasks, by the tag in the environment that each process of a task bears: number and
/// task.
pub fn of_tasks() -> Vec<(u32, String)> {
    let tagged = |process: Pid| {
        let pid = process.as_raw_nonzero().get().unsigned_abs();
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let task = variables.find_map(|variable| variable.strip_prefix(b"MEANWHILE_TASK="))?;
        is_alive(pid).then(|| (pid, String::from_utf8_lossy(task).into_owned()))
    };
    let mut found: Vec<_> = all().into_iter().filter_map(tagged).collect();
    found.sort_unstable();
    found
}

/// What is alive of these tasks, by the limit that each of their processes inherits whatever its environment,
/// session and parents, or by the tag in its environment.
pub fn left_of(tasks: &BTreeSet<String>) -> Vec<Pid> {
    let limits: BTreeSet<String> = tasks.iter().map(|task| limit_of(task).to_string()).collect();
    let by_limit = |process: &Pid| {
        let limits_of = fs::read_to_string(format!("/proc/{}/limits", process.as_raw_nonzero()));
        let line = limits_of.unwrap_or_default();
        let line = line.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
        let soft = line.and_then(|line| line.split_ascii_whitespace().next());
        soft.is_some_and(|soft| limits.contains(soft))
    };
    let mut left: Vec<Pid> =
        all().into_iter().filter(|process| lives(*process) && by_limit(process)).collect();
    let tagged = of_tasks().into_iter().filter(|(_, task)| tasks.contains(task));
    left.extend(tagged.filter_map(|(pid, _)| Pid::from_raw(pid.cast_signed())));
    left.sort_unstable_by_key(|process| process.as_raw_nonzero());
    left.dedup();
    left
}

/// How a task's id is written into the soft limit on the time of real-time processes: below its second
/// highest bit.
fn limit_of(task: &str) -> u64 {
    let hash = Sha256::digest(task.as_bytes());
    hash[..6].iter().fold(0, |tag, byte| tag << 8 | u64::from(*byte)) | 1 << 62
}

/// The children of a process, and theirs.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = all().into_iter().filter(|process| parent_of(*process) == Some(parent));
        found.extend(children);
    }
    found.split_off(1)
}

fn parent_of(process: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok().and_then(Pid::from_raw)
}

fn matching(mut fits: impl FnMut(&[String]) -> bool) -> Vec<Pid> {
    let own = rustix::process::getpid();
    let arguments = |process: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned());
        arguments.collect::<Vec<_>>()
    };
    all().into_iter().filter(|process| *process != own && fits(&arguments(process))).collect()
}

fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw);
    entries.filter_map(number).collect()
}
