//! The change feed: what pages are told of tasks as it happens.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use shared::TaskId;
use shared::protocol::{ServerFrame, Stats};
use shared::task::Task;

/// What changed, for whoever shows it. Transient: the newest is the truth.
#[derive(Clone, Debug)]
pub enum Change {
    /// A task as it stands now.
    Task(Arc<Told>),
    /// Tasks were forgotten.
    Cleared(Vec<TaskId>),
    /// The runner as a whole, without its tabs; at most twice a second.
    Stats(Stats),
}

/// A task as it stood, and the frame that says so: encoded once, however many pages are told.
#[derive(Debug)]
pub struct Told {
    pub(crate) id: TaskId,
    task: Arc<Task>,
    frame: OnceLock<Bytes>,
}

impl Told {
    pub(crate) fn new(task: Arc<Task>) -> Arc<Self> {
        Arc::new(Self { id: task.id.clone(), task, frame: OnceLock::new() })
    }

    /// By its id.
    pub(crate) fn keyed(task: Task) -> (TaskId, Arc<Self>) {
        (task.id.clone(), Self::new(Arc::new(task)))
    }

    pub(crate) fn frame(&self) -> Bytes {
        let encode = || {
            let frame = ServerFrame::Task { task: Box::new(Task::clone(&self.task)) };
            serde_json::to_vec(&frame).expect("frames are plain data with string keys").into()
        };
        self.frame.get_or_init(encode).clone()
    }
}
