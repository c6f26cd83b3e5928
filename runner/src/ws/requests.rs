//! What each request does. The connection has decided that it may.

use serde::Deserialize;
use shared::protocol::{Op, Outcome, Reply};
use shared::task::Party;
use shared::{ClientId, OpId, Problem, ProblemCode, SessionId, TaskId};

use crate::app::App;
use crate::clock::now;
use crate::files::ChangeRequest;
use crate::pairing::CODE_LIFE;
use crate::sessions::{Content, Memory};
use crate::tasks::reused;

/// What every request has, readable or not.
#[derive(Deserialize)]
pub(super) struct AnyRequest {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: OpId,
}

/// Whether an operation changes something, so that only who holds the session's lease may ask for it, and
/// once an id.
pub(super) const fn changes(op: &Op) -> bool {
    match op {
        Op::Start(_)
        | Op::Stop { .. }
        | Op::SendInput { .. }
        | Op::Background { .. }
        | Op::Pause { .. }
        | Op::Resume { .. }
        | Op::Clear { .. }
        | Op::WriteFile { .. }
        | Op::EditFile { .. } => true,
        Op::Watch { .. }
        | Op::Unwatch { .. }
        | Op::ReadOutput { .. }
        | Op::Check { .. }
        | Op::ReadFile { .. }
        | Op::ModelCall(_)
        | Op::ModelCancel { .. }
        | Op::Pair => false,
    }
}

/// Does what is wished, once an id if it changes something.
pub(super) async fn run(app: &App, client: ClientId, session: SessionId, id: OpId, op: Op) -> Outcome {
    if changes(&op) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are alike")]
        let memory = match op {
            Op::Start(_) => Memory::Elsewhere,
            Op::Stop { .. } => Memory::IfSoon,
            _ => Memory::Kept,
        };
        if memory != Memory::Elsewhere && app.tasks.was_start(id) {
            return Outcome::Err(reused());
        }
        let content = Content::of(session, &op);
        let doing = attempt(app, client, session, id, op, Some(content.clone()));
        app.operations.once(id, content, memory, doing).await
    } else {
        attempt(app, client, session, id, op, None).await
    }
}

async fn attempt(
    app: &App,
    client: ClientId,
    session: SessionId,
    id: OpId,
    op: Op,
    content: Option<Content>,
) -> Outcome {
    match reply(app, client, session, id, op, content).await {
        Ok(reply) => Outcome::Ok(reply),
        Err(problem) => Outcome::Err(problem),
    }
}

async fn reply(
    app: &App,
    client: ClientId,
    session: SessionId,
    id: OpId,
    op: Op,
    what: Option<Content>,
) -> Result<Reply, Problem> {
    let tasks = &app.tasks;
    match op {
        Op::Start(start) => Ok(Reply::Started { task: Box::new(tasks.start(session, id, start).await?) }),
        Op::Stop { task, by, now } => {
            if by == Party::Runner {
                let message =
                    "A stop is asked for by the user or by the agent; the runner's own are its own.";
                return Err(Problem::new(ProblemCode::Malformed, message));
            }
            // The user may stop whatever the list shows; a model only what its own conversation started.
            if by == Party::Agent {
                own(app, session, &task)?;
            }
            Ok(Reply::Stopped { task: Box::new(tasks.stop(&task, by, now).await?) })
        }
        Op::SendInput { task, text, eof } => {
            own(app, session, &task)?;
            tasks.send_input(&task, text, eof).await?;
            Ok(Reply::Done)
        }
        Op::Background { task } => {
            own(app, session, &task)?;
            Ok(Reply::Task { task: Box::new(tasks.background(&task).await?) })
        }
        // As for a stop: whatever the list shows. A model has no tool for these.
        Op::Pause { task } => Ok(Reply::Task { task: Box::new(tasks.freeze(&task, true).await?) }),
        Op::Resume { task } => Ok(Reply::Task { task: Box::new(tasks.freeze(&task, false).await?) }),
        Op::ReadOutput { task, from, max } => {
            let slice = tasks.read_output(&task, from, max).await?;
            Ok(Reply::Output { task, slice })
        }
        Op::Check { task, tail, grep, max_chars } => {
            Ok(Reply::Checked { tasks: tasks.check(session, task, tail, grep, max_chars).await? })
        }
        Op::Clear { tasks: which } => {
            tasks.clear(session, which).await?;
            Ok(Reply::Done)
        }
        Op::ReadFile { path, offset, limit } => Ok(Reply::File(app.files.read(path, offset, limit).await?)),
        Op::WriteFile { path, content, approved } => {
            change(app, id, what, ChangeRequest::Write { path, content }, approved).await
        }
        Op::EditFile { path, old_text, new_text, approved } => {
            change(app, id, what, ChangeRequest::Edit { path, old_text, new_text }, approved).await
        }
        Op::Pair => {
            let url = app.pairing_link(Some(client)).map_err(|error| {
                Problem::retryable(
                    ProblemCode::System,
                    format!("The system's random source failed: {error}."),
                )
            })?;
            let life = u64::try_from(CODE_LIFE.as_millis()).unwrap_or(u64::MAX);
            Ok(Reply::PairedWith { url, expires: now().plus(life) })
        }
        Op::Watch { .. } | Op::Unwatch { .. } | Op::ModelCall(_) | Op::ModelCancel { .. } => {
            Err(Problem::new(ProblemCode::Internal, "This operation belongs to the connection."))
        }
    }
}

/// Changes a file, journaled under the operation's id, by which a later runner knows whether it was done.
async fn change(
    app: &App,
    id: OpId,
    content: Option<Content>,
    wanted: ChangeRequest,
    approved: bool,
) -> Result<Reply, Problem> {
    let journal = app.operations.journal(id, content);
    Ok(Reply::Changed(app.files.approved(approved).change(wanted, id.0, journal).await?))
}

fn own(app: &App, session: SessionId, task: &TaskId) -> Result<(), Problem> {
    if app.tasks.get(task)?.session == session {
        Ok(())
    } else {
        Err(Problem::new(ProblemCode::Forbidden, format!("Task {task} belongs to another conversation.")))
    }
}
