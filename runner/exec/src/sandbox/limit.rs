//! Limits that a process gives itself and all that it starts.

use rustix::process::{Resource, Rlimit, setrlimit};

pub(super) fn limit(resource: Resource, most: u64) -> Result<(), String> {
    // A lower limit that is there already stays.
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(most, |maximum| most.min(maximum));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(|error| format!("its limits could not be set: {error}"))
}
