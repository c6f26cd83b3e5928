//! Bounded waits. A wait that runs out panics with what it waited for, at the place in the test that waited.

use std::future::Future;
use std::panic::Location;
use std::time::{Duration, Instant};

/// How long anything may take that depends on other processes. Generous, since tests share two cores with a
/// compiler.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits something that must happen.
///
/// # Panics
/// If it has not happened within [`PATIENCE`].
#[track_caller]
pub fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    // Waits lie within waits: each would be as large as all within it.
    let future = Box::pin(future);
    async move {
        let happened = tokio::time::timeout(PATIENCE, future).await;
        happened.unwrap_or_else(|_| panic!("{caller}: waited {PATIENCE:?} in vain for {what}"))
    }
}

/// Asks again and again until there is an answer: for conditions that nobody announces, such as a file or a
/// process.
///
/// # Panics
/// If there is none within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = look() {
                return value;
            }
            assert!(Instant::now() < end, "{caller}: waited {PATIENCE:?} in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
