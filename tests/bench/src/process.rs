//! What the system says of a process: memory, processor time, children.

use std::fs;

use anyhow::Context as _;

/// A line of `/proc/PID/status` in bytes: `VmRSS` now, `VmHWM` at most.
pub(crate) fn status(pid: u32, name: &str) -> anyhow::Result<u64> {
    kilobytes(&format!("/proc/{pid}/status"), name)
}

/// What it holds of the machine's memory, what it shares with others counted in parts.
pub(crate) fn proportional(pid: u32) -> anyhow::Result<u64> {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss")
}

fn kilobytes(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(number.with_context(|| format!("{path} has no {name}"))? * 1024)
}

/// Nanoseconds of processor time that all of its threads that live have used.
pub(crate) fn processor(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let used = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    used.sum()
}

/// Its direct children.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|word| word.parse().ok()).collect()
}
