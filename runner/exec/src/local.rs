//! Agents on this machine: starting them, speaking with them, keeping a few ready for the next commands.
//!
//! This is the only place of a runner where a program is started, and the program is the runner itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
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
use tokio::sync::oneshot;

use crate::exhaustion::exhausted;
use crate::frames::{self, FrameBuffer, FromAgent, ToAgent, VERSION};
use crate::host::Tree;
use crate::tree;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__agent";
/// Agents that are kept ready, so that a command need not wait for its own to start.
const READY: usize = 2;
/// Idle agents that are kept.
const IDLE: usize = 16;
/// Between two looks for agents that were stopped.
const LOOKS: Duration = Duration::from_millis(50);

/// All agents of this runner.
pub struct Agents {
    program: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    /// The soft limit of open files that commands get.
    open_files: Option<u64>,
    /// Those that no command could have changed.
    idle: Mutex<Vec<Agent>>,
    /// All that live, by their process ids.
    alive: Arc<Mutex<BTreeMap<u32, Tree>>>,
}

/// An agent that is idle or has one run.
pub struct Agent {
    /// What is below it.
    tree: Tree,
    control: UnixStream,
    received: FrameBuffer,
    /// Has it killed.
    kill: oneshot::Sender<()>,
}

impl Agents {
    pub fn new(
        program: PathBuf,
        environment: BTreeMap<OsString, OsString>,
        open_files: Option<u64>,
    ) -> Arc<Self> {
        // Rust's own descriptors are closed on exec already; those that the runner was started with may not
        // be.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        if let Err(error) = tree::are_held() {
            tracing::warn!(
                "This system gives no handles of processes (pidfd_open: {error}), which came with Linux 5.3 and which a container's \
                 filter may hide. Processes are ended all the same, by their numbers, right after a look at whose those are."
            );
        }
        Arc::new(Self { program, environment, open_files, idle: Mutex::default(), alive: Arc::default() })
    }

    /// An idle agent, or a new one.
    pub fn take(&self) -> io::Result<Agent> {
        let idle = self.idle().pop();
        match idle {
            Some(agent) => Ok(agent),
            None => self.spawn(),
        }
    }

    /// Makes those ready that the next commands will take.
    pub fn prepare(&self) {
        while self.idle().len() < READY {
            // What is short now is told to the command that needs it.
            let Ok(agent) = self.spawn() else { return };
            self.give_back(agent);
        }
    }

    /// Keeps an agent that had no command yet, or one that could not have changed it.
    pub fn give_back(&self, agent: Agent) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(agent);
        }
    }

    /// Lets an agent go whose tree is empty and whose task's end is saved. It is its command's parent and of
    /// the same user: a command may have lowered its limits, its priority or its processors for good, and
    /// whatever it starts later inherits those. So it is used again only after a command that was held to
    /// reading.
    pub async fn done(&self, mut agent: Agent, read_only: bool) {
        // One that has died needs no word.
        if agent.send(&ToAgent::Saved, &[]).await.is_ok() && read_only {
            self.give_back(agent);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Agent>> {
        locked(&self.idle)
    }

    /// Lets all idle agents go but one: where something is short they must not be what holds it.
    pub fn shrink(&self) {
        self.idle().truncate(1);
    }

    pub fn spawn(&self) -> io::Result<Agent> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        // There is room in a new socket.
        (&ours).write_all(&frames::encode(&ToAgent::Hello { version: VERSION, frames: false })?)?;
        ours.set_nonblocking(true)?;
        let control = UnixStream::from_std(ours)?;
        let mut child = Command::new(&self.program)
            .arg0("meanwhile")
            .arg(SUBCOMMAND)
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
                if exhausted(&error).is_some() {
                    return error;
                }
                io::Error::new(error.kind(), format!("{}: {error}", self.program.display()))
            })?;
        let pid = child.id().unwrap_or_default();
        let tree = Tree::below(pid);
        locked(&self.alive).insert(pid, tree);
        let alive = Arc::clone(&self.alive);
        let (kill, killed) = oneshot::channel();
        // Its end is known by its socket; this takes its status, so that no zombie stays, and until then its
        // number is its own.
        tokio::spawn(async move {
            tokio::select! {
                _ = child.wait() => {}
                Ok(()) = killed => {
                    // It may have died meanwhile.
                    let _died = child.start_kill();
                    let _status = child.wait().await;
                }
            }
            locked(&alive).remove(&pid);
        });
        Ok(Agent { tree, control, received: FrameBuffer::default(), kill })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Lets agents go on that their own commands have stopped, so that an end is seen whoever hides it. The
/// system tells when a child stops, and each look is at all of them, since one word may stand for several.
pub async fn keep_awake(agents: Weak<Agents>) {
    let Ok(mut changes) = signal(SignalKind::child()) else { return };
    while changes.recv().await.is_some() {
        let Some(alive) = agents.upgrade().map(|agents| locked(&agents.alive).clone()) else { return };
        // The thread that looks may only fail with the runner.
        let wake = move || alive.into_values().for_each(Tree::wake_agent);
        let _failed = tokio::task::spawn_blocking(wake).await;
        tokio::time::sleep(LOOKS).await;
    }
}

impl Agent {
    /// What is below it.
    #[must_use]
    pub const fn tree(&self) -> Tree {
        self.tree
    }

    /// Lets go of one that nobody can speak with. It is killed where what it watches over is found without
    /// it; elsewhere that ends by its agent alone, which is left to see that its runner has gone.
    pub fn give_up(self) {
        if cfg!(target_os = "linux") {
            // It may have died.
            let _died = self.kill.send(());
        }
    }

    /// Says something, with the descriptors of a run.
    ///
    /// # Errors
    /// It has died.
    pub async fn send(&mut self, frame: &ToAgent, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = frames::encode(frame)?;
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

    /// The next frame; `None` once the agent has died. May be dropped and called again.
    ///
    /// # Errors
    /// It is of another version, or the socket is broken.
    pub async fn receive(&mut self) -> io::Result<Option<FromAgent>> {
        loop {
            match self.received.take_frame()? {
                Some(FromAgent::Hello { version }) => frames::check_version(version)?,
                Some(frame) => return Ok(Some(frame)),
                None if self.control.read_buf(self.received.space()).await? == 0 => return Ok(None),
                None => {}
            }
        }
    }
}
