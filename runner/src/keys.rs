//! Keeps the keys of model providers out of what other programs of the same user can read of this process.
//!
//! A process's environment stands in `/proc` as it was at its start. So the runner takes its keys out of it,
//! hands them to itself in memory that has no name, and starts itself again without the variables, as the
//! same process. Besides, it forbids the system to let its memory be read. An administrator can do both all
//! the same.

use std::env;
use std::sync::OnceLock;

/// What is taken out of the environment.
const KEYS: [&str; 1] = ["ANTHROPIC_API_KEY"];
/// Names the descriptor behind which a runner that has started itself again finds what was taken out.
const HANDED: &str = "MEANWHILE_KEYS";

static TAKEN: OnceLock<Vec<(String, String)>> = OnceLock::new();

/// A variable's value, whether it was taken out of the environment or not. Absent if it is blank.
pub(crate) fn variable(name: &str) -> Option<String> {
    let taken = TAKEN.get().into_iter().flatten().find(|(key, _)| key == name);
    let value = taken.map(|(_, value)| value.clone()).or_else(|| env::var(name).ok());
    value.filter(|value| !value.trim().is_empty())
}

/// Hides the keys. To be called before anything else runs; it may start this program again, in place of this
/// one.
pub(crate) fn hide() {
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::hide() {
        tracing::warn!(%error, "the keys stay in this process's environment, where your other programs can read them");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{self, Read as _, Seek as _, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    use super::{HANDED, KEYS, TAKEN, env};

    pub(super) fn hide() -> io::Result<()> {
        if let Ok(handed) = env::var(HANDED) {
            take(&handed)?;
        } else {
            let keys: Vec<_> = KEYS.into_iter().filter_map(|key| Some((key, env::var(key).ok()?))).collect();
            if !keys.is_empty() {
                return Err(start_again(&keys));
            }
        }
        Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
    }

    /// Comes back only if it failed.
    fn start_again(keys: &[(&str, String)]) -> io::Error {
        let again = || -> io::Result<io::Error> {
            // Inherited by this program alone: it is closed for commands with all others that the runner was
            // given.
            let mut memory = File::from(memfd_create("keys", MemfdFlags::empty())?);
            memory.write_all(&serde_json::to_vec(keys)?)?;
            memory.rewind()?;
            let mut arguments = env::args_os();
            let mut command = Command::new(env::current_exe()?);
            if let Some(name) = arguments.next() {
                command.arg0(name);
            }
            for (key, _) in keys {
                command.env_remove(key);
            }
            Ok(command.args(arguments).env(HANDED, memory.as_raw_fd().to_string()).exec())
        };
        again().unwrap_or_else(|error| error)
    }

    fn take(handed: &str) -> io::Result<()> {
        let number: u32 = handed.parse().map_err(io::Error::other)?;
        let mut memory = File::options().read(true).write(true).open(format!("/dev/fd/{number}"))?;
        let mut text = String::new();
        memory.read_to_string(&mut text)?;
        memory.set_len(0)?;
        // The first to hide them is the only one.
        let _set_before = TAKEN.set(serde_json::from_str(&text)?);
        Ok(())
    }
}
