//! When descriptors, processes or memory run out: who waits tries again one at a time, in the order they came.
//!
//! Were they all to try at once, each would hold a part of what is short and none would get all that it needs. A line
//! that moves keeps its patience: it is given up only when nobody at all has begun for a while.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};
use tokio::time::Instant;

/// The line, shared by all tasks.
#[derive(Default)]
pub(super) struct Scarcity {
    line: Arc<Line<()>>,
    moved: Mutex<Option<Instant>>,
}

/// The right to try.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Scarcity {
    /// Whether nobody waits.
    pub(super) fn is_over(&self) -> bool {
        self.line.try_lock().is_ok()
    }

    /// Waits for the turn.
    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.line).lock_owned().await
    }

    /// One that waited has begun.
    pub(super) fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Since when one that waits since `begun` has seen no hope.
    pub(super) fn stands_since(&self, begun: Instant) -> Instant {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).map_or(begun, |moved| moved.max(begun))
    }
}
