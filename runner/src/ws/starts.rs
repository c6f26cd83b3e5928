//! Starts that have no reply yet: no event of such a task is sent before its reply.
//!
//! A command may end before the reply to its start is on its way, and then the two would race. So whoever
//! reads up to the reply has not read past the end.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use shared::OpId;
use tokio::sync::Notify;

/// Those of one connection. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct Starts {
    open: Arc<Mutex<HashSet<OpId>>>,
    replied: Arc<Notify>,
}

/// Dropped once the reply is in the queue.
pub(super) struct Open {
    op: OpId,
    starts: Starts,
}

impl Starts {
    fn open(&self) -> MutexGuard<'_, HashSet<OpId>> {
        self.open.lock()
    }

    pub(super) fn begin(&self, op: OpId) -> Open {
        self.open().insert(op);
        Open { op, starts: self.clone() }
    }

    /// Whether this start has no reply yet.
    pub(super) fn awaits(&self, op: OpId) -> bool {
        self.open().contains(&op)
    }

    /// Whether all have their reply.
    pub(super) fn are_replied(&self) -> bool {
        self.open().is_empty()
    }

    /// Waits for the next reply.
    pub(super) async fn replied(&self) {
        self.replied.notified().await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.starts.open().remove(&self.op);
        self.starts.replied.notify_one();
    }
}
