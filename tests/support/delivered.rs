//! What of a task's end a model was given, read from the bytes of requests and from nothing that the agent
//! says of itself.

use std::collections::BTreeMap;

use agent::record::{Entry, Record};

use crate::fake_anthropic::Request;
use crate::log::completion;

/// Begins a word that no two commands of all tests share. A command that prints one as its last line is known
/// by it.
const WORD: &str = "end-";

/// Such a word.
pub fn word() -> String {
    format!("{WORD}{}", uuid::Uuid::new_v4())
}

/// The tasks in a block of background results, as a reader takes them. None if the text is no such block.
pub fn entries(text: &str) -> Vec<&str> {
    let inner = text.strip_prefix("<background-results>\n").unwrap_or_default();
    inner.lines().filter_map(|line| line.strip_prefix("[bg:")?.get(..8)).collect()
}

/// Whether a tool's result says that this task has ended.
pub fn says_ended(result: &str, task: &str) -> bool {
    let (listed, told) = (format!("[bg:{task}] "), format!("Task {task} is "));
    let states = result
        .lines()
        .filter_map(|line| line.strip_prefix(listed.as_str()).or_else(|| line.strip_prefix(told.as_str())));
    states
        .into_iter()
        .any(|state| !["queued", "running", "paused"].iter().any(|word| state.starts_with(word)))
}

/// The words that commands printed into a request, as often as each is there: behind a notice's mark, or in a
/// tool's result.
fn printed(request: &Request) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in request.user_texts() {
        for line in text.lines() {
            let line = line.strip_prefix("| ").unwrap_or(line);
            if let Some((before, word)) = line.rsplit_once(WORD)
                && uuid::Uuid::try_parse(word).is_ok()
                && !before.contains("echo")
            {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    counts
}

/// An end that is in a request twice.
pub(crate) fn doubled(request: &Request) -> Option<String> {
    let mut told = BTreeMap::new();
    for id in request.notices().iter().flat_map(|text| entries(text)) {
        *told.entry(id.to_owned()).or_insert(0) += 1;
    }
    let twice = printed(request).into_iter().chain(told).find(|(_, count)| *count > 1);
    twice.map(|(what, count)| format!("the end of {what} is told {count} times"))
}

/// All that had ended before the last call is in its request, once: as a notice or as a tool's result.
///
/// # Panics
/// If an end is missing, or is there twice.
pub fn check(log: &[Entry], requests: &[Request]) {
    let calls = log.iter().rposition(|entry| matches!(entry.record, Record::RequestSent { .. }));
    let (Some(last), Some(request)) = (calls, requests.last()) else { return };
    let printed = printed(request);
    for task in log[..last].iter().filter_map(completion).filter(|task| task.state.word() == "completed") {
        let word = task.command.rsplit_once(WORD).map_or("", |(_, rest)| rest);
        if uuid::Uuid::try_parse(word).is_ok() {
            assert_eq!(
                printed.get(word),
                Some(&1),
                "the end of {} is told once: {:?}",
                task.id,
                request.body
            );
        }
    }
}
