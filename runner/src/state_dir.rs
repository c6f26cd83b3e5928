//! The state folder: ours alone, and held by one runner at a time.
//!
//! It is made with mode 0700. One that is there must be a folder and no symlink, owned by us; if others may
//! look in, it is closed to them when it is empty or was ours before, and refused otherwise. The lock is the
//! system's (`flock`), so it goes with the process however that ends; the file also says who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exec::host::{is_alive, own_start};
use thiserror::Error;

const LOCK: &str = "lock";
/// How long the lock of a runner that has died is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The folder, held.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub enum StateDirError {
    #[error("The state folder {path} cannot be used: {error}. Name another with --state-dir DIR.")]
    System { path: PathBuf, error: io::Error },
    #[error("The state folder {0} is a symlink. Name the folder itself with --state-dir DIR.")]
    Symlink(PathBuf),
    #[error("The state folder {0} is not a folder. Name another with --state-dir DIR.")]
    NotAFolder(PathBuf),
    #[error("The state folder {0} belongs to another user. Name one of your own with --state-dir DIR.")]
    Foreign(PathBuf),
    #[error(
        "Others may look into {0}, and it is not empty. Run: chmod 700 {0}   or name another with --state-dir DIR."
    )]
    Open(PathBuf),
    #[error(
        "Meanwhile already runs for this workspace (process {pid}; its state folder is {path}). `meanwhile pair` gives you a link \
         to it; stop it with Ctrl-C where it runs; or start a second one with another --state-dir DIR."
    )]
    Held { path: PathBuf, pid: String },
}

impl StateDir {
    /// Makes or checks the folder, and takes its lock.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let system = |error| StateDirError::System { path: path.to_owned(), error };
        make(path).map_err(system)?;
        check(path)?;
        let mut lock = open_private(&path.join(LOCK)).map_err(system)?;
        let give_up = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&mut lock);
                    // A process that a runner was starting when it was killed, or let go, holds its lock for
                    // another moment.
                    let elsewhere = |(pid, start)| pid != std::process::id() && is_alive(pid, start);
                    if holder.is_some_and(elsewhere) || Instant::now() > give_up {
                        let pid = holder.map_or_else(|| "unknown".to_owned(), |(pid, _)| pid.to_string());
                        return Err(StateDirError::Held { path: path.to_owned(), pid });
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::Error(error)) => return Err(system(error)),
            }
        }
        // In place, so that a full disk has room for it: the file has had a line before.
        let start = own_start().map(|start| format!(" {start}")).unwrap_or_default();
        let line = format!("{}{start}\n", std::process::id());
        lock.rewind()
            .and_then(|()| lock.write_all(line.as_bytes()))
            .and_then(|()| lock.set_len(line.len() as u64))
            .map_err(system)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whose process the lock says it is, and when that began: its number may be another's by now.
fn holder(lock: &mut File) -> Option<(u32, Option<u64>)> {
    let mut line = String::new();
    lock.rewind().ok()?;
    lock.take(64).read_to_string(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next().and_then(|start| start.parse().ok())))
}

fn make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn check(path: &Path) -> Result<(), StateDirError> {
    let system = |error| StateDirError::System { path: path.to_owned(), error };
    let metadata = fs::symlink_metadata(path).map_err(system)?;
    if metadata.is_symlink() {
        return Err(StateDirError::Symlink(path.to_owned()));
    }
    if !metadata.is_dir() {
        return Err(StateDirError::NotAFolder(path.to_owned()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(StateDirError::Foreign(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        let empty = fs::read_dir(path).map_err(system)?.next().is_none();
        if !empty && !path.join(LOCK).is_file() {
            return Err(StateDirError::Open(path.to_owned()));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(system)?;
    }
    Ok(())
}

/// Opens or makes a file that is ours alone from its first byte; follows no symlink.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_private_and_held_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let held = StateDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join(LOCK)).unwrap().permissions().mode() & 0o777, 0o600);
        let message = StateDir::open(&path).unwrap_err().to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(held);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn the_lock_of_a_runner_that_has_died_is_waited_for() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let held = StateDir::open(&path).unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(path.join(LOCK), dead.id().to_string()).unwrap();
        assert!(is_waited_for(held, &path));
    }

    /// Whether the folder is had once it is let go of, some time after it is asked for.
    fn is_waited_for(held: StateDir, path: &Path) -> bool {
        let begin = Instant::now();
        let other = std::thread::spawn(move || {
            // Time is what is tested: it lets go after a while.
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        let waited = StateDir::open(path).is_ok() && begin.elapsed() >= Duration::from_millis(200);
        other.join().unwrap();
        waited
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_that_has_the_number_of_a_runner_that_has_died_is_not_taken_for_it() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let held = StateDir::open(&path).unwrap();
        let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(path.join(LOCK), format!("{} 1\n", other.id())).unwrap();
        let waited = is_waited_for(held, &path);
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(waited, "it began later");
    }

    #[test]
    fn a_lock_says_whose_it_is_as_earlier_runners_wrote_it_too() {
        let mut file = tempfile::tempfile().unwrap();
        for (text, known) in
            [("12\n", Some((12, None))), ("12 345\n", Some((12, Some(345)))), ("", None), ("x 1", None)]
        {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(holder(&mut file), known, "{text:?}");
        }
    }

    #[test]
    fn a_symlink_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &path).unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateDirError::Symlink(_))));
    }

    #[test]
    fn a_lock_that_is_a_symlink_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("target"), "keep").unwrap();
        std::os::unix::fs::symlink(parent.path().join("target"), parent.path().join(LOCK)).unwrap();
        assert!(matches!(StateDir::open(parent.path()), Err(StateDirError::System { .. })));
        assert_eq!(fs::read_to_string(parent.path().join("target")).unwrap(), "keep");
    }

    #[test]
    fn an_open_folder_is_closed_if_empty_and_refused_if_not() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        drop(StateDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(StateDir::open(&other), Err(StateDirError::Open(_))));
    }
}
