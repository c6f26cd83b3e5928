//! Looking at the order of a session's log, and at the texts in it that a model reads. What the log says of
//! itself, as which tasks a call has drained, is not asked.

use agent::conversation::Block;
use agent::record::{Entry, Record};
use shared::TaskId;
use shared::protocol::TaskEvent;
use shared::task::Task;

use crate::delivered::{entries, says_ended};

/// The task, if the entry is the completion of one.
pub fn completion(entry: &Entry) -> Option<&Task> {
    let Record::CompletionReceived { event: TaskEvent::Ended { task, .. }, .. } = &entry.record else {
        return None;
    };
    Some(task)
}

/// How often a call's new words tell of this task; nothing if the entry is no call.
fn tells(entry: &Entry, task: &TaskId) -> Option<usize> {
    let Record::RequestSent { append, .. } = &entry.record else { return None };
    let told = append.iter().filter_map(|block| {
        let Block::Text { text } = block else { return None };
        Some(entries(text).into_iter().filter(|id| *id == task.as_str()).count())
    });
    Some(told.sum())
}

/// Whether the entry is a tool's result that shows how this task ended: the one of the use that waited for
/// it, or a look's.
fn shows(log: &[Entry], entry: &Entry, task: &TaskId) -> bool {
    let Record::ToolDone { call, index, outcome, .. } = &entry.record else { return false };
    let its_own = log.iter().any(|begun| {
        matches!(&begun.record, Record::ToolTask { call: of, index: at, task: one } if of == call && at == index && one == task)
    });
    let goes_on = outcome.content.contains(&format!("ackground task {task}"));
    (its_own && !goes_on) || says_ended(&outcome.content, task.as_str())
}

/// Each result went into the very first call after its task's completion, once; or a tool's result had shown
/// it by then.
///
/// # Panics
/// If one did not.
pub fn each_completion_is_in_the_next_call(log: &[Entry]) {
    for (place, task) in
        log.iter().enumerate().filter_map(|(place, entry)| Some((place, &completion(entry)?.id)))
    {
        let seen = log.iter().any(|entry| shows(log, entry, task));
        let told: Vec<usize> = log[place..].iter().filter_map(|entry| tells(entry, task)).collect();
        assert!(seen || told.first() == Some(&1), "task {task}: {told:?}");
        let times = usize::from(seen) + log.iter().filter_map(|entry| tells(entry, task)).sum::<usize>();
        assert_eq!(times, 1, "task {task} is told once");
    }
}
