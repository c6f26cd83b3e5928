//! Looking at the order of a session's log.

use agent::record::{Entry, Record};
use shared::TaskId;
use shared::protocol::TaskEvent;
use shared::task::Task;

/// The task, if the entry is the completion of one.
pub fn completion(entry: &Entry) -> Option<&Task> {
    let Record::CompletionReceived { event: TaskEvent::Ended { task, .. }, .. } = &entry.record else {
        return None;
    };
    Some(task)
}

/// Whether the entry is a call that told of this task; nothing if it is no call.
fn tells(entry: &Entry, task: &TaskId) -> Option<bool> {
    let Record::RequestSent { drained, .. } = &entry.record else { return None };
    Some(drained.contains(task))
}

/// Whether the entry is a tool's result that showed this task's completion.
fn shows(entry: &Entry, task: &TaskId) -> bool {
    matches!(&entry.record, Record::ToolDone { consumed, .. } if consumed.contains(task))
}

/// Each result went into the very first call after its task's completion, once; or a tool's result had shown it by then.
///
/// # Panics
/// If one did not.
pub fn each_completion_is_in_the_next_call(log: &[Entry]) {
    for (place, task) in
        log.iter().enumerate().filter_map(|(place, entry)| Some((place, &completion(entry)?.id)))
    {
        let seen = log.iter().any(|entry| shows(entry, task));
        let told: Vec<bool> = log[place..].iter().filter_map(|entry| tells(entry, task)).collect();
        assert!(seen || told.first() == Some(&true), "task {task}: {told:?}");
        let times = usize::from(seen) + told.iter().filter(|told| **told).count();
        assert_eq!(times, 1, "task {task} is told once");
    }
}

/// How many calls were made.
pub fn calls(log: &[Entry]) -> usize {
    log.iter().filter(|entry| matches!(entry.record, Record::RequestSent { .. })).count()
}
