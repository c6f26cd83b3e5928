//! One try to start a command: its pipes, its sandbox, and a supervisor that is told to begin.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use exec::frames::{FromAgent, ReadOnly, Run, ToAgent};
use exec::host::{Tags, kill_tagged};
use exec::local::Agent;
use shared::TaskId;
use shared::protocol::{Sandbox, Start};
use shared::task::TaskState;
use tokio::net::unix::pipe;

use super::context::Context;
use super::entry::{Input, TaskEntry};
use super::environment::read_only;
use super::machine::Attempt;
use super::text::live_on;

const KILLED_AT_ONCE: &str =
    "Its supervisor was killed as it began. It may not have run at all; what it had started was ended.";
const UNREAD: &str = "It was not started: three supervisors, one after another, ended before they had read the command. See what \
    ends processes here, such as a limit of memory, and start it again.";

/// Supervisors that may die before they have read what to start, one after another, before that is told.
const TRIES: u32 = 3;

/// A command that has begun.
pub(super) struct Launched {
    pub(super) supervisor: Agent,
    pub(super) output: pipe::Receiver,
    pub(super) pid: u32,
}

/// A supervisor that is busy with a start: nobody waits for it if this is dropped.
struct Busy(Option<Agent>);

impl Busy {
    fn agent(&mut self) -> &mut Agent {
        self.0.as_mut().expect("only `free` takes it, and the guard with it")
    }

    /// It has answered.
    fn free(mut self) -> Agent {
        self.0.take().expect("only this takes it, once")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(agent) = self.0.take() {
            agent.give_up();
        }
    }
}

/// Dropping this lets go of the supervisor that was asked, whatever it has begun.
pub(super) async fn launch(
    context: &Arc<Context>,
    entry: &TaskEntry,
    start: &Start,
) -> Result<Launched, Attempt> {
    let mut tries = 0;
    loop {
        tries += 1;
        match launch_by(context, entry, start, tries > 1).await {
            Ok(launched) => return launched,
            // It had not read what to start.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                if tries == TRIES {
                    let reason = UNREAD.to_owned();
                    return Err(Attempt::Over(TaskState::Error { reason }));
                }
            }
            Err(error) => return Err(missed(context, &error)),
        }
    }
}

/// By an idle supervisor or a `fresh` one. An error: nothing was started.
async fn launch_by(
    context: &Arc<Context>,
    entry: &TaskEntry,
    start: &Start,
    fresh: bool,
) -> io::Result<Result<Launched, Attempt>> {
    let (mut supervisor, output, input) = begin(context, entry, start, fresh).await?;
    loop {
        match supervisor.agent().receive().await? {
            Some(FromAgent::Started { pid }) => {
                let agents = Arc::clone(&context.agents);
                tokio::spawn(async move { agents.prepare() });
                *entry.input.lock().await = input;
                return Ok(Ok(Launched { supervisor: supervisor.free(), output, pid }));
            }
            Some(FromAgent::Failed(failure)) => {
                context.agents.give_back(supervisor.free());
                return Ok(Err(if failure.transient {
                    short(context, failure.message)
                } else {
                    Attempt::Over(TaskState::Error { reason: failure.message })
                }));
            }
            Some(_) => {}
            None => {
                // It had read what to start: had it not, the system would say so by an error.
                let reason = KILLED_AT_ONCE.to_owned() + &kill_orphans(&entry.id).await;
                return Ok(Err(Attempt::Over(TaskState::Lost { reason })));
            }
        }
    }
}

/// Tells a supervisor what to start.
async fn begin(
    context: &Context,
    entry: &TaskEntry,
    start: &Start,
    fresh: bool,
) -> io::Result<(Busy, pipe::Receiver, Input)> {
    let (output, theirs) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
    let theirs = OwnedFd::from(theirs);
    let (input, their_input) = if start.stdin {
        let (their_input, input) = io::pipe()?;
        (Input::Open(pipe::Sender::from_owned_fd(OwnedFd::from(input))?), Some(OwnedFd::from(their_input)))
    } else {
        (Input::None, None)
    };
    let run = ToAgent::Run(Box::new(Run {
        task: entry.id.0.clone(),
        shell: context.shell.clone(),
        command: start.command.clone(),
        folder: entry.task().folder.clone(),
        stdin: their_input.is_some(),
        read_only: held(context, start.sandbox).await?,
        writable: context.sandboxes.writable.clone(),
        exit_file: context.exit_file(&entry.id).to_string_lossy().into_owned(),
    }));
    let mut descriptors = vec![theirs.as_fd()];
    descriptors.extend(their_input.iter().map(OwnedFd::as_fd));
    // An idle one may have died; a fresh one did not.
    let agent = if fresh { context.agents.spawn() } else { context.agents.take() }?;
    let mut supervisor = Busy(Some(agent));
    supervisor.agent().send(&run, &descriptors).await?;
    Ok((supervisor, output, input))
}

/// How it is held to reading, if it is to be.
async fn held(context: &Context, sandbox: Option<Sandbox>) -> io::Result<Option<ReadOnly>> {
    if sandbox != Some(Sandbox::ReadOnly) {
        return Ok(None);
    }
    let Some(ground) = context.sandboxes.read_only.as_ref().ok().cloned() else {
        return Err(io::Error::other("it cannot be held to reading"));
    };
    let held = tokio::task::spawn_blocking(move || read_only(&ground));
    held.await.map_err(io::Error::other)?.map(Some)
}

/// Nothing was started.
fn missed(context: &Context, error: &io::Error) -> Attempt {
    if let Some(reason) = exec::exhausted(error) {
        return short(context, reason);
    }
    Attempt::Over(TaskState::Error { reason: format!("The supervisor could not be started: {error}.") })
}

fn short(context: &Context, reason: String) -> Attempt {
    tracing::debug!(%reason, "a task waits to start");
    Attempt::Short { reason, line_moved: context.exhaustion.moved() }
}

/// Kills what is left of a task whose supervisor is no more. Gives what could not be killed, as a sentence
/// behind others.
pub(super) async fn kill_orphans(task: &TaskId) -> String {
    let tags = Tags::new([task.0.as_str()]);
    let kill = move || kill_tagged(&tags, true);
    // The thread that looks may only fail with the runner.
    let left = tokio::task::spawn_blocking(kill).await.unwrap_or_default();
    let note = live_on(&left);
    if !note.is_empty() {
        tracing::warn!(%task, "A supervisor was killed.{note}");
    }
    note
}
