//! Processes, seen from outside: which are there, and ending those that a test itself brought about.
//!
//! Linux only, by `/proc`; elsewhere the tests that count processes say so by finding none of their own.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Processes one of whose arguments is exactly this.
pub fn with_argument(argument: &str) -> Vec<Pid> {
    matching(|arguments| arguments.iter().any(|one| one == argument))
}

/// Processes one of whose arguments holds this text: tests mark their commands with a word that occurs nowhere else.
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

/// What is alive of all tasks, by the tag in the environment that each process of a task bears: number and task.
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
