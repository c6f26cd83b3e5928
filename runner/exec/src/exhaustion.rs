//! Resource exhaustion: what the system may be short of.

use rustix::io::Errno;

/// Which resource is exhausted, as a sentence, if that is why something failed: it is transient.
#[must_use]
pub fn exhausted(error: &std::io::Error) -> Option<String> {
    match Errno::from_raw_os_error(error.raw_os_error()?) {
        Errno::MFILE | Errno::NFILE => Some(format!(
            "The limit of open files is reached ({error}). End some tasks, or raise it with ulimit -n."
        )),
        Errno::AGAIN => Some(format!(
            "The limit of processes is reached ({error}). End some tasks, or raise it with ulimit -u."
        )),
        Errno::NOMEM => Some(format!("There is no memory for another process ({error}).")),
        _ => None,
    }
}
