//! All tasks that are known, by number, id and the operation that started them; and for a while those that
//! were.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use shared::{OpId, TaskId, Timestamp};

use super::entry::TaskEntry;
use crate::store::rows;

#[derive(Default)]
pub(super) struct Registry {
    next_number: u64,
    /// In the order they were created.
    pub(super) order: BTreeMap<u64, Arc<TaskEntry>>,
    pub(super) numbers: HashMap<TaskId, u64>,
    pub(super) ops: HashMap<OpId, TaskId>,
    pub(super) forgotten: Forgotten,
}

impl Registry {
    pub(super) fn get(&self, task: &TaskId) -> Option<Arc<TaskEntry>> {
        self.order.get(self.numbers.get(task)?).cloned()
    }

    /// Whether the operation started a task.
    pub(super) fn is_start(&self, op: OpId) -> bool {
        self.ops.contains_key(&op) || self.forgotten.get(op).is_some()
    }

    pub(super) fn insert(&mut self, entry: Arc<TaskEntry>, op: OpId) {
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(entry.id.clone(), number);
        self.ops.insert(op, entry.id.clone());
        self.order.insert(number, entry);
    }

    /// Takes tasks out, and remembers for a while what had started them.
    pub(super) fn forget(&mut self, tasks: &[TaskId], now: Timestamp) -> Vec<Arc<TaskEntry>> {
        let removed: Vec<_> = tasks.iter().filter_map(|task| self.remove(task)).collect();
        for entry in &removed {
            self.forgotten.add(entry.task().op, entry.id.clone(), now);
        }
        removed
    }

    fn remove(&mut self, task: &TaskId) -> Option<Arc<TaskEntry>> {
        let number = self.numbers.remove(task)?;
        let entry = self.order.remove(&number)?;
        self.ops.remove(&entry.task().op);
        Some(entry)
    }
}

/// What started tasks that are no longer known: for a day, and at most a hundred thousand of them.
#[derive(Default)]
pub(super) struct Forgotten {
    tasks: HashMap<OpId, TaskId>,
    order: VecDeque<(Timestamp, OpId)>,
}

impl Forgotten {
    pub(super) fn add(&mut self, op: OpId, task: TaskId, now: Timestamp) {
        self.tasks.insert(op, task);
        self.order.push_back((now, op));
        while let Some((at, op)) = self.order.front().copied()
            && (self.order.len() > rows::FORGOTTEN_MOST || now.since(at) > rows::FORGOTTEN_MS)
        {
            self.order.pop_front();
            self.tasks.remove(&op);
        }
    }

    /// The task that the operation had started.
    pub(super) fn get(&self, op: OpId) -> Option<&TaskId> {
        self.tasks.get(&op)
    }
}
