//! This process, as the system knows it.

use std::io;
use std::path::PathBuf;

/// The running program. On Linux by the name that stays right when the file is replaced by a newer one meanwhile: that one's
/// agents would speak another version.
///
/// # Errors
/// The system does not say.
pub fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from(SELF)) } else { std::env::current_exe() }
}

/// Its name on Linux.
pub(crate) const SELF: &str = "/proc/self/exe";

/// Whether whoever started this process (`nohup`) wants it to outlive its terminal.
#[must_use]
pub fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
