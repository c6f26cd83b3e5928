//! Processes as `ps` shows them.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Look, Member, Motion};
use crate::tag::Tags;

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

pub(super) fn motion(member: Member) -> Motion {
    let state = ps(&["-o", "stat=", "-p", &member.pid.as_raw_nonzero().to_string()]);
    match state.trim().chars().next() {
        None | Some('T' | 'Z') => Motion::Still,
        Some('U') => Motion::Waits,
        Some(_) => Motion::Moves,
    }
}

/// Nothing is kept of it here.
pub(super) fn start(_pid: Pid) -> Option<u64> {
    None
}

/// There is no such thing here.
pub(super) fn are_held() -> io::Result<()> {
    Ok(())
}

/// Nobody asks here: it serves what only Linux tells.
pub(super) fn below(_root: Pid) -> Vec<Member> {
    Vec::new()
}

pub(super) fn wake(child: Member) {
    let _already_dead = kill_process(child.pid, Signal::CONT);
}

/// The system does not tell the limits of another process, so nothing is found.
pub(super) fn look(_tags: &Tags) -> Look {
    Look::default()
}

pub(super) fn signal(member: Member, signals: &[Signal]) {
    for signal in signals {
        let _already_dead = kill_process(member.pid, *signal);
    }
}

pub(super) fn command(pid: Pid) -> String {
    ps(&["-o", "command=", "-p", &pid.as_raw_nonzero().to_string()]).trim().to_owned()
}

/// `ps` itself is a child of this process for a moment: the thread that reaps may take its status first, and
/// it is no longer there when its list is used, so it is harmless in it.
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
