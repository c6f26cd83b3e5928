//! Tasks: a handle each, with the task as the runner last told it and its output as far as it is watched.

use leptos::prelude::*;
use shared::TaskId;
use shared::output::OutputSlice;
use shared::task::Task;

use crate::terminal::Screen;

/// A task. Clones share its signals.
#[derive(Clone)]
pub struct TaskHandle {
    /// Its name.
    pub id: TaskId,
    /// Unique to this handle: a task that comes again after a reset must be drawn anew.
    pub serial: u64,
    /// As it stands.
    pub task: ArcRwSignal<Task>,
    /// Its output while it is watched.
    pub screen: ArcRwSignal<Screen>,
}

impl TaskHandle {
    fn new(task: Task) -> Self {
        Self {
            id: task.id.clone(),
            serial: super::serial(),
            task: ArcRwSignal::new(task),
            screen: ArcRwSignal::default(),
        }
    }

    fn refresh(&self, task: Task) {
        if self.task.with_untracked(|old| *old != task) {
            self.task.set(task);
        }
    }
}

/// Takes the full set: handles of tasks that stay keep their output.
pub(super) fn replace(tasks: RwSignal<Vec<TaskHandle>>, all: Vec<Task>) {
    let mut old = tasks.get_untracked();
    old.sort_by(|a, b| a.id.cmp(&b.id));
    let handles = all.into_iter().map(|task| match old.binary_search_by(|handle| handle.id.cmp(&task.id)) {
        Ok(place) => {
            old[place].refresh(task);
            old[place].clone()
        }
        Err(_) => TaskHandle::new(task),
    });
    // Each one's place is looked up once, not at each comparison.
    let mut placed: Vec<_> = handles.map(|handle| (order(&handle), handle)).collect();
    placed.sort_by(|a, b| a.0.cmp(&b.0));
    tasks.set(placed.into_iter().map(|(_, handle)| handle).collect());
}

/// Takes one task, new or changed.
pub(super) fn put(tasks: RwSignal<Vec<TaskHandle>>, task: Task) {
    let old = tasks.with_untracked(|tasks| tasks.iter().find(|handle| handle.id == task.id).cloned());
    match old {
        Some(handle) => handle.refresh(task),
        None => tasks.update(|tasks| {
            let new = TaskHandle::new(task);
            let place = tasks.partition_point(|handle| order(handle) <= order(&new));
            tasks.insert(place, new);
        }),
    }
}

/// Takes a piece of a watched task's output.
pub(super) fn output(tasks: RwSignal<Vec<TaskHandle>>, id: &TaskId, slice: &OutputSlice) {
    let handle = tasks.with_untracked(|tasks| tasks.iter().find(|handle| handle.id == *id).cloned());
    if let Some(handle) = handle {
        handle.screen.update(|screen| screen.take_in(slice));
    }
}

fn order(handle: &TaskHandle) -> (std::cmp::Reverse<u64>, TaskId) {
    (std::cmp::Reverse(handle.task.with_untracked(|task| task.created.0)), handle.id.clone())
}
