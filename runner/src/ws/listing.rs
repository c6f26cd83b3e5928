//! The tasks of a welcome. All may be too much for a frame, so those that matter most come with it, and the
//! others behind it as `task` frames, as there is room.

use shared::SessionId;
use shared::task::Task;

/// Bytes of the tasks in a welcome; escaped they may be six times as many.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a task beside its command and lists.
const TASK_BYTES: usize = 2 * 1024;

/// What comes at once and what comes later, both in their order: first the session's own, then what runs,
/// then the newest.
pub(super) fn split(tasks: Vec<Task>, session: SessionId) -> (Vec<Task>, Vec<Task>) {
    let mut order: Vec<(usize, &Task)> = tasks.iter().enumerate().rev().collect();
    order.sort_by_key(|(_, task)| (task.session != session, !task.is_active()));
    let mut room = PAGE_BYTES;
    let mut first = vec![false; tasks.len()];
    for (place, task) in order {
        let Some(rest) = room.checked_sub(weight(task)) else { continue };
        room = rest;
        first[place] = true;
    }
    let mut first = first.into_iter();
    tasks.into_iter().partition(|_| first.next().unwrap_or_default())
}

fn weight(task: &Task) -> usize {
    let remaining: usize = task.remaining_processes.iter().map(|process| process.command.len() + 64).sum();
    TASK_BYTES + task.command.len() + task.folder.len() + remaining
}

#[cfg(test)]
mod tests {
    use shared::{OpId, TaskId, Timestamp};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_matters_comes_first_and_nothing_is_cut_or_lost() {
        let session = |number| SessionId(Uuid::from_u128(number));
        let task = |number: u64, of: u128, bytes: usize, ended: bool| {
            let id = TaskId(format!("t{number}"));
            let op = OpId(Uuid::from_u128(number.into()));
            let task = Task::new(id, session(of), op, "x".repeat(bytes), "/".into(), Timestamp(number));
            let state = if ended { shared::task::TaskState::Completed } else { task.state.clone() };
            Task { state, ..task }
        };
        let mut tasks = vec![task(0, 1, 900_000, true), task(1, 2, 900_000, false)];
        tasks.extend((2..1_000).map(|number| task(number, 2, 5_000, true)));
        let (first, later) = split(tasks.clone(), session(1));
        assert_eq!((first[0].id.as_str(), first[1].id.as_str()), ("t0", "t1"));
        assert_eq!(first[first.len() - 1].id.as_str(), "t999");
        assert!(first.iter().map(weight).sum::<usize>() <= PAGE_BYTES && first.len() > 30);
        let mut all: Vec<_> = first.into_iter().chain(later).collect();
        all.sort_by_key(|task| task.created.0);
        assert_eq!(all, tasks);
    }
}
