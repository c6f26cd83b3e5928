//! The change feed: what pages are told of tasks as it happens.

use std::sync::Arc;

use shared::TaskId;
use shared::protocol::Stats;
use shared::task::Task;

/// What changed, for whoever shows it. Passing: the newest is the truth.
#[derive(Clone, Debug)]
pub enum Change {
    /// A task as it stands now.
    Task(Arc<Task>),
    /// Tasks were forgotten.
    Cleared(Vec<TaskId>),
    /// The runner as a whole, without its tabs; at most twice a second.
    Stats(Stats),
}
