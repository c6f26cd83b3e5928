//! The limit of open files.
//!
//! A runner raises its own once, since each running command costs four descriptors; agents put the old one
//! back before a command begins, because programs that use `select` break on descriptors above 1023.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the runner's own soft limit of open files to the hard one, and says what it was.
pub fn raise_open_files() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    // macOS refuses "unlimited" here; 65,536 is more than the limits above can use.
    let most = before.maximum.unwrap_or(65_536).min(65_536);
    if before.current.is_some_and(|current| current < most)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..before })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    before.current
}

/// Puts a soft limit of open files back, as far as the hard one allows.
pub(crate) fn restore_open_files(soft: u64) {
    let now = getrlimit(Resource::Nofile);
    let soft = now.maximum.map_or(soft, |hard| hard.min(soft));
    // A failure leaves the higher limit, with which nearly all programs live well.
    let _kept = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..now });
}
