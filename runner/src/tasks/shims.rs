//! The runner's end of the shims: starting them, speaking with them, keeping a few ready for the next tasks.
//!
//! This is the only place of the runner where a program is started, and the program is the runner itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::shim::wire::{self, FromShim, ToShim};

/// Shims that are kept ready, so that a command need not wait for its own to start.
const READY: usize = 2;
/// Idle shims that are kept.
const IDLE: usize = 16;
/// Between two looks for shims that were stopped.
const LOOKS: Duration = Duration::from_millis(50);

pub(super) struct Shims {
    program: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    /// The soft limit of open files that commands get.
    open_files: Option<u64>,
    /// Those that no command could have changed.
    idle: Mutex<Vec<Shim>>,
    /// The process ids of all that live.
    alive: Arc<Mutex<BTreeSet<u32>>>,
}

/// A shim that is idle or has one run.
pub(super) struct Shim {
    /// Its process id, above those of its run.
    pub(super) pid: u32,
    control: UnixStream,
    received: Vec<u8>,
}

impl Shims {
    pub(super) fn new(
        program: PathBuf,
        environment: BTreeMap<OsString, OsString>,
        open_files: Option<u64>,
    ) -> Arc<Self> {
        // Rust's own descriptors are closed on exec already; those that the runner was started with may not be.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        Arc::new(Self { program, environment, open_files, idle: Mutex::default(), alive: Arc::default() })
    }

    /// An idle shim, or a new one.
    pub(super) fn take(&self) -> io::Result<Shim> {
        let idle = self.idle().pop();
        match idle {
            Some(shim) => Ok(shim),
            None => self.spawn(),
        }
    }

    /// Makes those ready that the next commands will take.
    pub(super) fn prepare(&self) {
        while self.idle().len() < READY {
            // What is short now is told to the command that needs it.
            let Ok(shim) = self.spawn() else { return };
            self.give_back(shim);
        }
    }

    /// Keeps a shim that had no command yet, or one that could not have changed it.
    pub(super) fn give_back(&self, shim: Shim) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(shim);
        }
    }

    /// Lets a shim go whose tree is empty and whose task's end is saved. It is its command's parent and of the same user: a
    /// command may have lowered its limits, its priority or its processors for good, and whatever it starts later inherits
    /// those. So it is used again only after a command that was held to reading.
    pub(super) async fn done(&self, mut shim: Shim, held: bool) {
        // One that has died needs no word.
        if shim.send(&ToShim::Saved, &[]).await.is_ok() && held {
            self.give_back(shim);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Shim>> {
        locked(&self.idle)
    }

    /// Lets all idle shims go but one: where something is short they must not be what holds it.
    pub(super) fn shrink(&self) {
        self.idle().truncate(1);
    }

    pub(super) fn spawn(&self) -> io::Result<Shim> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let control = UnixStream::from_std(ours)?;
        let mut child = Command::new(&self.program)
            .arg0("meanwhile")
            .arg("__shim")
            .args(self.open_files.map(|soft| soft.to_string()))
            .env_clear()
            .envs(&self.environment)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                // What may pass is known by its number.
                if is_passing(&error) {
                    return error;
                }
                io::Error::new(error.kind(), format!("{}: {error}", self.program.display()))
            })?;
        let pid = child.id().unwrap_or_default();
        locked(&self.alive).insert(pid);
        let alive = Arc::clone(&self.alive);
        // Its end is known by its socket; this only takes its status, so that no zombie stays.
        tokio::spawn(async move {
            let _status = child.wait().await;
            locked(&alive).remove(&pid);
        });
        Ok(Shim { pid, control, received: Vec::new() })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Lets shims go on that their own commands have stopped, so that an end is seen whoever hides it. The system tells when a
/// child stops, and each look is at all of them, since one word may stand for several.
pub(super) async fn keep_awake(shims: Weak<Shims>) {
    let Ok(mut changes) = signal(SignalKind::child()) else { return };
    while changes.recv().await.is_some() {
        let Some(alive) = shims.upgrade().map(|shims| locked(&shims.alive).clone()) else { return };
        // The thread that looks may only fail with the runner.
        let _failed =
            tokio::task::spawn_blocking(move || alive.into_iter().for_each(crate::shim::wake)).await;
        tokio::time::sleep(LOOKS).await;
    }
}

impl Shim {
    pub(super) async fn send(&mut self, frame: &ToShim, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = wire::encode(frame)?;
        let mut sent = 0;
        if !descriptors.is_empty() {
            let control = &self.control;
            sent = control
                .async_io(Interest::WRITABLE, || {
                    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                    let mut ancillary = SendAncillaryBuffer::new(&mut space);
                    if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
                        return Err(io::Error::other("too many descriptors for one frame"));
                    }
                    let all = io::IoSlice::new(&bytes);
                    Ok(sendmsg(control.as_fd(), &[all], &mut ancillary, SendFlags::empty())?)
                })
                .await?;
        }
        self.control.write_all(&bytes[sent..]).await
    }

    /// The next frame; `None` once the shim has died. May be dropped and called again.
    pub(super) async fn receive(&mut self) -> io::Result<Option<FromShim>> {
        loop {
            if let Some(frame) = wire::decode(&mut self.received)? {
                return Ok(Some(frame));
            }
            if self.control.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Whether a failed start was a lack that may pass.
fn is_passing(error: &io::Error) -> bool {
    crate::shim::lack(error).is_some()
}
