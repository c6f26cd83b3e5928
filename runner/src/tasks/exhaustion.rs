//! When descriptors, processes or memory run out: who waits tries again one at a time, in the order they
//! came.
//!
//! Were they all to try at once, each would hold a part of what is short and none would get all that it
//! needs. A line that moves keeps its patience: it is given up only when nobody at all has begun for a while.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Line, OwnedMutexGuard};
use tokio::time::Instant;

/// The line, shared by all tasks.
#[derive(Default)]
pub(super) struct Exhaustion {
    line: Arc<Line<()>>,
    moved: Mutex<Option<Instant>>,
}

/// The right to try.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Exhaustion {
    /// Whether nobody waits.
    pub(super) fn is_over(&self) -> bool {
        self.line.try_lock().is_ok()
    }

    /// Waits for the turn.
    pub(super) fn turn(&self) -> impl Future<Output = Turn> + use<> {
        Arc::clone(&self.line).lock_owned()
    }

    /// One that waited has begun.
    pub(super) fn moves(&self) {
        *self.moved.lock() = Some(Instant::now());
    }

    /// When that was last so.
    pub(super) fn moved(&self) -> Option<Instant> {
        *self.moved.lock()
    }
}
