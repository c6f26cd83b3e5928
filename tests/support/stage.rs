//! Where native tests are played: one thread, one `LocalSet`, and an end to everything.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// How long a whole test may take.
const CURTAIN: Duration = Duration::from_secs(120);

/// Plays a test.
///
/// # Panics
/// If the test does, or takes longer than two minutes.
pub fn play<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let stage = LocalSet::new();
    let played = stage.block_on(&runtime, async { tokio::time::timeout(CURTAIN, test).await });
    played.unwrap_or_else(|_| panic!("the test took longer than {CURTAIN:?}"))
}
