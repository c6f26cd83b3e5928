//! The time: [`now`] for people and for what outlives the process, [`since_boot`] for spans.

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use exec::since_boot;
use shared::Timestamp;

/// By the system's clock, which may be set.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
