//! How a task begins: in the line for a place, then with a shim that starts the command.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use shared::protocol::Sandbox;
use shared::task::{Party, Task, TaskState};
use shared::{Problem, ProblemCode};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::{Supervisor, Why};
use crate::shim::tag::VARIABLE;
use crate::shim::wire::{FromShim, Run, ToShim};
use crate::tasks::environment::read_only;
use crate::tasks::queue::Place;
use crate::tasks::record::{Command, Input};
use crate::tasks::restore::exit_record;
use crate::tasks::scarcity::Turn;
use crate::tasks::shims::Shim;

/// First wait after a lack of descriptors, processes or memory.
const PATIENCE: Duration = Duration::from_millis(25);
/// And the longest between two tries of the first in line.
const LONGEST: Duration = Duration::from_millis(200);

const KILLED_AT_ONCE: &str =
    "Its supervisor was killed as it began. It may not have run at all; what it had started was ended.";

/// Why there is no command yet.
enum Missed {
    /// Nothing was started, and trying again may help.
    Passing(String),
    /// It is never tried again.
    Over(TaskState),
}

impl From<io::Error> for Missed {
    fn from(error: io::Error) -> Self {
        if let Some(words) = crate::shim::lack(&error) {
            return Self::Passing(words);
        }
        // It had not read what to start.
        if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
            return Self::Passing("The supervisor died before the command began.".into());
        }
        Self::Over(TaskState::Error { reason: format!("The supervisor could not be started: {error}.") })
    }
}

/// A command that has begun.
pub(super) struct Running {
    pub(super) shim: Shim,
    /// `None` after its end.
    pub(super) output: pipe::Receiver,
    pub(super) pid: u32,
}

impl Supervisor {
    /// Waits for a place; `None` if the task was stopped first.
    pub(super) async fn queue(&mut self, mut waiting: oneshot::Receiver<Place>) -> Option<Place> {
        loop {
            let foreground_until = self.foreground_until;
            tokio::select! {
                // A stop comes before a place that it would leave unused.
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Stop { by, .. }) => {
                        self.why = Some(Why::Asked(by));
                        drop(waiting);
                        self.inner.queue.forget_gone();
                        return None;
                    }
                    Some(Command::Background { reply }) => self.background(Some(reply)).await,
                    Some(Command::Hold { reply, .. }) => self.not_yet(reply),
                    // It has no input yet.
                    Some(Command::Answered { .. }) => {}
                    None => return None,
                },
                place = &mut waiting => return place.ok(),
                () = at(foreground_until) => self.background(None).await,
            }
        }
    }

    /// Takes a shim and has it start the command. Waits out what may pass, in line with others.
    pub(super) async fn launch(&mut self) -> Result<Running, TaskState> {
        let inner = Arc::clone(&self.inner);
        let begun = Instant::now();
        let mut turn: Option<Turn> = None;
        let mut wait = PATIENCE;
        // Nobody overtakes those who wait.
        let mut attempt = inner.scarcity.is_over();
        let mut words = "Descriptors, processes or memory are short.".to_owned();
        loop {
            if attempt {
                words = match self.try_launch().await {
                    Ok(running) => {
                        if turn.is_some() {
                            inner.scarcity.moves();
                        }
                        return Ok(running);
                    }
                    Err(Missed::Passing(words)) => {
                        inner.shims.shrink();
                        words
                    }
                    Err(Missed::Over(state)) => return Err(state),
                };
                tracing::debug!(task = %self.record.id, %words, "waits to start");
            }
            let give_up = inner.scarcity.stands_since(begun) + inner.limits.start_patience;
            if Instant::now() >= give_up {
                return Err(TaskState::Error { reason: words });
            }
            let again = if turn.is_some() { give_up.min(Instant::now() + wait) } else { give_up };
            tokio::select! {
                mine = inner.scarcity.turn(), if turn.is_none() => {
                    turn = Some(mine);
                    attempt = true;
                }
                () = sleep_until(again) => {
                    attempt = turn.is_some();
                    wait = LONGEST.min(wait * 2);
                }
                command = self.commands.recv() => {
                    attempt = false;
                    match command {
                        Some(Command::Stop { by, .. }) => {
                            return Err(TaskState::Stopped { by, signal: None });
                        }
                        Some(Command::Background { reply }) => self.background(Some(reply)).await,
                        Some(Command::Hold { reply, .. }) => self.not_yet(reply),
                        Some(Command::Answered { .. }) => {}
                        None => return Err(TaskState::Stopped { by: Party::Runner, signal: None }),
                    }
                }
            }
        }
    }

    async fn try_launch(&mut self) -> Result<Running, Missed> {
        let (output, theirs) = io::pipe()?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let theirs = OwnedFd::from(theirs);
        let (input, their_input) = if self.start.stdin {
            let (their_input, input) = io::pipe()?;
            (
                Input::Open(pipe::Sender::from_owned_fd(OwnedFd::from(input))?),
                Some(OwnedFd::from(their_input)),
            )
        } else {
            (Input::None, None)
        };
        let ground = self.inner.sandboxes.read_only.as_ref().ok().cloned();
        let read_only = match (self.start.sandbox, ground) {
            (Some(Sandbox::ReadOnly), Some(ground)) => {
                let held = tokio::task::spawn_blocking(move || read_only(&ground));
                Some(held.await.map_err(io::Error::other)??)
            }
            (Some(Sandbox::ReadOnly), None) => {
                return Err(io::Error::other("it cannot be held to reading").into());
            }
            (Some(Sandbox::Open | Sandbox::Workspace) | None, _) => None,
        };
        let run = ToShim::Run(Box::new(Run {
            task: self.record.id.0.clone(),
            shell: self.inner.shell.clone(),
            command: self.start.command.clone(),
            folder: self.task.folder.clone(),
            env: vec![(VARIABLE.into(), self.record.id.0.clone())],
            stdin: their_input.is_some(),
            read_only,
            writable: self.inner.sandboxes.writable.clone(),
            record: exit_record(&self.inner.logs, &self.record.id).to_string_lossy().into_owned(),
        }));
        let mut descriptors = vec![theirs.as_fd()];
        descriptors.extend(their_input.iter().map(OwnedFd::as_fd));
        let mut shim = self.inner.shims.take()?;
        if shim.send(&run, &descriptors).await.is_err() {
            // It died while it was idle; a fresh one did not.
            shim = self.inner.shims.spawn()?;
            shim.send(&run, &descriptors).await?;
        }
        drop((theirs, their_input));
        loop {
            match shim.receive().await? {
                Some(FromShim::Started { pid }) => {
                    let shims = Arc::clone(&self.inner.shims);
                    tokio::spawn(async move { shims.prepare() });
                    *self.record.input.lock().await = input;
                    return Ok(Running { shim, output, pid });
                }
                Some(FromShim::Failed(failure)) => {
                    self.inner.shims.give_back(shim);
                    return Err(if failure.passing {
                        Missed::Passing(failure.words)
                    } else {
                        Missed::Over(TaskState::Error { reason: failure.words })
                    });
                }
                Some(_) => {}
                None => {
                    // It had read what to start: had it not, the system would say so by an error.
                    let reason = KILLED_AT_ONCE.to_owned() + &self.kill_orphans().await;
                    return Err(Missed::Over(TaskState::Lost { reason }));
                }
            }
        }
    }

    fn not_yet(&self, reply: oneshot::Sender<Result<Task, Problem>>) {
        let words =
            format!("Task {} has not started yet, so it cannot be paused or resumed.", self.record.id);
        // Whoever asked may have gone.
        let _gone = reply.send(Err(Problem::new(ProblemCode::Conflict, words)));
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
