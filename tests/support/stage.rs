//! Where native tests are played: one thread, one `LocalSet`, and an end to everything.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// How long a whole test may take. Every wait within has an end of its own, and says what it waited for; this
/// one is for what waits without, and so has room for the longest of them on a machine that does much else.
const CURTAIN: Duration = Duration::from_secs(300);

/// Plays a test.
///
/// # Panics
/// If the test does, or takes longer than five minutes.
pub fn play<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let stage = LocalSet::new();
    let played = stage.block_on(&runtime, async { tokio::time::timeout(CURTAIN, test).await });
    played.unwrap_or_else(|_| panic!("the test took longer than {CURTAIN:?}"))
}
