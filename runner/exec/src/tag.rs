//! What tells the processes of one task from all others, whatever they do to their environment, session,
//! group and parents: a limit that every process inherits from the one that started it, and that nobody uses.
//!
//! It is the soft limit on the time that a real-time process may run without waiting, in microseconds: a
//! hundred thousand years, so that it limits nothing, and in the lower bits a hash of the task's id. A
//! variable would not do: a process can be started without it, and an editor that a task has only called may
//! hand it on to a person's own shell. A command can take the limit off if it means to, and so can a system
//! that sets limits of its own when it changes the user.

use std::collections::HashMap;

#[cfg(target_os = "linux")]
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest as _, Sha256};

/// Above it lie the tags.
const BASE: u64 = 1 << 62;

/// A task's tag, by its id.
fn of(task: &str) -> u64 {
    let hash = Sha256::digest(task.as_bytes());
    hash.iter().take(6).fold(0, |tag, byte| tag << 8 | u64::from(*byte)) | BASE
}

/// The variable that names the task to its processes.
pub(crate) const VARIABLE: &str = "MEANWHILE_TASK";

/// Tasks whose processes are looked for.
pub struct Tags {
    tasks: Vec<String>,
    /// Each with its task's index.
    numbers: HashMap<u64, usize>,
    /// Where the system leaves no room for tags, this has to do.
    variables: HashMap<String, usize>,
}

impl Tags {
    /// Of these.
    pub fn new<'a>(tasks: impl IntoIterator<Item = &'a str>) -> Self {
        let tasks: Vec<String> = tasks.into_iter().map(ToOwned::to_owned).collect();
        let (mut numbers, mut variables) = (HashMap::new(), HashMap::new());
        let room = has_room();
        for (index, task) in tasks.iter().enumerate() {
            if room {
                numbers.insert(of(task), index);
            } else {
                variables.insert(format!("{VARIABLE}={task}"), index);
            }
        }
        Self { tasks, numbers, variables }
    }

    /// A task's id, by its index.
    pub(crate) fn task(&self, index: usize) -> &str {
        &self.tasks[index]
    }

    /// The index of the task whose tag a process has.
    #[cfg(target_os = "linux")]
    pub(crate) fn task_of(&self, pid: Pid) -> Option<usize> {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        if self.variables.is_empty() {
            let limits = std::fs::read_to_string(folder + "/limits").unwrap_or_default();
            return read(&limits).and_then(|tag| self.numbers.get(&tag).copied());
        }
        let environment = std::fs::read(folder + "/environ").unwrap_or_default();
        let mut variables =
            environment.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
        variables.find_map(|variable| self.variables.get(variable).copied())
    }
}

#[cfg(target_os = "linux")]
fn has_room() -> bool {
    getrlimit(Resource::Rttime).maximum.is_none_or(|most| most >= 2 * BASE - 1)
}

#[cfg(not(target_os = "linux"))]
const fn has_room() -> bool {
    true
}

/// The soft limit, from the system's table of a process's limits.
#[cfg(target_os = "linux")]
fn read(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// As long as it is there, this process and what it starts have the tag.
#[cfg(target_os = "linux")]
pub(crate) struct Worn(Rlimit);

#[cfg(target_os = "linux")]
impl Worn {
    /// Where the system allows no such limit, there is no tag.
    pub(crate) fn new(task: &str) -> Self {
        let before = getrlimit(Resource::Rttime);
        let _none = setrlimit(Resource::Rttime, Rlimit { current: Some(of(task)), ..before });
        Self(before)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Worn {
    fn drop(&mut self) {
        let _unchanged = setrlimit(Resource::Rttime, self.0);
    }
}

/// Elsewhere nobody could look for it.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Worn;

#[cfg(not(target_os = "linux"))]
impl Worn {
    pub(crate) fn new(_task: &str) -> Self {
        Self
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_with_a_tag_has_it_and_nothing_else_has() {
        let start = || std::process::Command::new("sleep").arg("60").env_clear().spawn().unwrap();
        let worn = Worn::new("one");
        let mut tagged = start();
        drop(worn);
        let mut free = start();
        let has = |child: &std::process::Child, task| {
            Tags::new([task]).task_of(Pid::from_raw(child.id().cast_signed()).unwrap()).is_some()
        };
        let seen = [has(&tagged, "one"), has(&tagged, "two"), has(&free, "one")];
        for child in [&mut tagged, &mut free] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(seen, [true, false, false]);
    }

    #[test]
    fn a_table_of_limits_is_read() {
        let table = "Max realtime priority     0                    0                    \n\
                     Max realtime timeout      4611686018427393927  unlimited            us        \n";
        assert_eq!(read(table), Some(4_611_686_018_427_393_927));
        assert_eq!(read(&table.replace("4611686018427393927", "unlimited          ")), None);
    }
}
