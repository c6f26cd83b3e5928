//! The runner as a whole, in numbers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use shared::protocol::Stats;
use shared::task::TaskState;

use super::context::Context;
use super::feed::Change;

/// Between two reports.
const STATS_EVERY: Duration = Duration::from_millis(500);

impl Context {
    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats { kept_bytes: self.disk.load(Ordering::Relaxed), ..Stats::default() };
        for entry in self.registry().order.values() {
            let count = match entry.task().state {
                TaskState::Queued => &mut stats.queued,
                TaskState::Running => &mut stats.running,
                TaskState::Completed
                | TaskState::Failed { .. }
                | TaskState::Killed { .. }
                | TaskState::Timeout
                | TaskState::Stopped { .. }
                | TaskState::Lost { .. }
                | TaskState::Error { .. } => &mut stats.ended,
            };
            *count += 1;
        }
        stats
    }
}

/// Tells of the runner as a whole when something changed, at most twice a second, as long as it lives.
pub(super) async fn report(context: Weak<Context>) {
    let Some(changed) = context.upgrade().map(|context| Arc::clone(&context.changed)) else { return };
    let mut last = None;
    loop {
        let Some(strong) = context.upgrade() else { return };
        let stats = strong.stats();
        if last != Some(stats) {
            last = Some(stats);
            strong.tell(Change::Stats(stats));
        }
        drop(strong);
        changed.notified().await;
        tokio::time::sleep(STATS_EVERY).await;
    }
}
