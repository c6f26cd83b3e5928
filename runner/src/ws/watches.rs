//! Output as it comes, for pages that look at it.
//!
//! One task follows one command's output for one page: it waits for more, then for room in the page's queue,
//! reads what there is, sends it, and rests. So many small writes make one frame, a slow page holds up
//! nobody, and a page that falls far behind is taken to the end; the gap shows in the offsets.

use std::time::Duration;

use shared::TaskId;
use shared::protocol::ServerFrame;
use tokio::sync::watch;

use super::queue::SendQueue;
use crate::tasks::Tasks;

/// The most bytes of output in a frame.
pub(super) const CHUNK: u32 = 64 * 1024;
/// The rest after a frame.
pub(super) const REST: Duration = Duration::from_millis(50);
/// A page that is further behind than this is taken …
pub(super) const LAG: u64 = 4 * 1024 * 1024;
/// … to this many bytes before the end.
pub(super) const KEPT: u64 = 256 * 1024;

/// Sends output from an offset on, until the task is forgotten.
pub(super) async fn follow(
    tasks: Tasks,
    task: TaskId,
    mut from: u64,
    mut length: watch::Receiver<u64>,
    queue: SendQueue,
) {
    loop {
        if length.wait_for(|length| *length > from).await.is_err() {
            return;
        }
        queue.room().await;
        let total = *length.borrow();
        if total.saturating_sub(from) > LAG {
            from = total - KEPT;
        }
        let Ok(slice) = tasks.read_output(&task, from, CHUNK).await else { return };
        let next = slice.from.saturating_add(slice.data.0.len() as u64);
        if next > from {
            from = next;
            queue.push(&ServerFrame::Output { task: task.clone(), slice });
        }
        tokio::time::sleep(REST).await;
    }
}
