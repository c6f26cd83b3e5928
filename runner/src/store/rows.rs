//! Tasks, sessions and the outbox: what must change together changes in one job.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::{OpId, Seq, SessionId, TaskId, Timestamp};
use uuid::Uuid;

use super::error::is_passing;

/// A task as the store has it.
pub(crate) struct StoredTask {
    pub(crate) task: Task,
    /// The event of its end, once it has one.
    pub(crate) end_seq: Option<Seq>,
}

/// What a runner needs to know at its start.
pub(crate) struct Loaded {
    /// In the order they were created.
    pub(crate) tasks: Vec<StoredTask>,
    /// Each session's last event, and the last acknowledged one.
    pub(crate) sessions: Vec<(SessionId, Seq, Seq)>,
    /// What started tasks that are no longer known, the oldest first.
    pub(crate) forgotten: Vec<(OpId, TaskId, Timestamp)>,
}

fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn from_json<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// The row of a task without its command, which is long, never changes, and has its own column.
fn row_json(task: &Task) -> rusqlite::Result<String> {
    to_json(&Task { command: String::new(), ..task.clone() })
}

pub(crate) fn insert_task(connection: &Connection, task: &Task) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO tasks (id, op, session, command, task, active) VALUES (?1, ?2, ?3, ?4, ?5, 1)",
        )?
        .execute(params![task.id.as_str(), task.op.0, task.session.0, task.command, row_json(task)?])
        .map(drop)
}

pub(crate) fn update_task(connection: &Connection, task: &Task) -> rusqlite::Result<()> {
    update(connection, task, None)
}

fn update(connection: &Connection, task: &Task, end: Option<u64>) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE tasks SET task = ?2, active = ?3, ended = ?4, end_seq = coalesce(?5, end_seq) WHERE id = ?1",
        )?
        .execute(params![
            task.id.as_str(),
            row_json(task)?,
            task.is_active(),
            task.ended.map(|ended| ended.0),
            end
        ])
        .map(drop)
}

/// An event's number, and why the store keeps no more of it, if it refuses that for good.
pub(crate) struct Numbered {
    pub(crate) seq: Seq,
    pub(crate) refused: Option<rusqlite::Error>,
}

/// Writes the event into its session's outbox, and the task that it speaks of, and gives the event's number:
/// the next one, and one after `given`. Of an event that is refused for good at least the number is written:
/// it is told, and no later life of the runner may give it to another.
pub(crate) fn save_event(
    connection: &Connection,
    event: &TaskEvent,
    given: Seq,
) -> rusqlite::Result<Numbered> {
    connection.prepare_cached("SAVEPOINT event")?.execute([])?;
    let (seq, refused) = match write_event(connection, event, given) {
        Ok(seq) => (seq, None),
        // Where all of the transaction is undone, so is this.
        Err(error) if is_passing(&error) || connection.is_autocommit() => return Err(error),
        Err(error) => {
            connection.prepare_cached("ROLLBACK TO event")?.execute([])?;
            (next_number(connection, parts(event).0.session, given)?, Some(error))
        }
    };
    connection.prepare_cached("RELEASE event")?.execute([])?;
    Ok(Numbered { seq, refused })
}

/// The task that it speaks of, and whether it tells its end.
const fn parts(event: &TaskEvent) -> (&Task, bool) {
    match event {
        TaskEvent::Ended { task, .. } => (task, true),
        TaskEvent::Backgrounded { task, .. } => (task, false),
    }
}

fn next_number(connection: &Connection, session: SessionId, given: Seq) -> rusqlite::Result<Seq> {
    let next = connection
        .prepare_cached(
            "INSERT INTO sessions (id, last, acknowledged) VALUES (?1, ?2 + 1, 0)
             ON CONFLICT (id) DO UPDATE SET last = max(last, ?2) + 1 RETURNING last",
        )?
        .query_row(params![session.0, given.0], |row| row.get(0))?;
    Ok(Seq(next))
}

fn write_event(connection: &Connection, event: &TaskEvent, given: Seq) -> rusqlite::Result<Seq> {
    let (task, is_end) = parts(event);
    let seq = next_number(connection, task.session, given)?;
    connection
        .prepare_cached("INSERT INTO outbox (session, seq, event) VALUES (?1, ?2, ?3)")?
        .execute(params![task.session.0, seq.0, to_json(event)?])?;
    update(connection, task, is_end.then_some(seq.0))?;
    Ok(seq)
}

/// At most `limit` events after `after`, oldest first, of at most `max_bytes` together but at least one.
pub(crate) fn events_after(
    connection: &Connection,
    session: SessionId,
    after: Seq,
    limit: usize,
    max_bytes: usize,
) -> rusqlite::Result<Vec<(Seq, TaskEvent)>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, event FROM outbox WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = statement.query(params![session.0, after.0, limit])?;
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_str()?;
        bytes += text.len();
        if bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push((Seq(row.get(0)?), from_json(1, text)?));
    }
    Ok(events)
}

/// Reads every event once, to see whether it can be.
pub(crate) fn read_outbox(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT session, seq, event FROM outbox")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (_session, _seq): (Uuid, u64) = (row.get(0)?, row.get(1)?);
        let _event: TaskEvent = from_json(2, row.get_ref(2)?.as_str()?)?;
    }
    Ok(())
}

/// Forgets the events up to `through`, and gives what is acknowledged now. It never goes back.
pub(crate) fn acknowledge(
    connection: &Connection,
    session: SessionId,
    through: Seq,
) -> rusqlite::Result<Seq> {
    let acknowledged: Option<u64> = connection
        .prepare_cached(
            "UPDATE sessions SET acknowledged = max(acknowledged, min(?2, last)) WHERE id = ?1 RETURNING acknowledged",
        )?
        .query_row(params![session.0, through.0], |row| row.get(0))
        .optional()?;
    let Some(acknowledged) = acknowledged else { return Ok(Seq(0)) };
    connection
        .prepare_cached("DELETE FROM outbox WHERE session = ?1 AND seq <= ?2")?
        .execute(params![session.0, acknowledged])?;
    Ok(Seq(acknowledged))
}

/// Forgets sessions of which nothing is left.
pub(crate) fn forget_sessions(connection: &Connection, sessions: &[SessionId]) -> rusqlite::Result<()> {
    let mut forget = connection.prepare_cached(
        "DELETE FROM sessions WHERE id = ?1 AND acknowledged = last
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE session = ?1)",
    )?;
    for session in sessions {
        forget.execute([session.0])?;
    }
    Ok(())
}

/// How long the start of a task that is no longer known is remembered, in milliseconds: one day.
pub(crate) const FORGOTTEN_MS: u64 = 24 * 60 * 60 * 1_000;
/// How many of them at most.
pub(crate) const FORGOTTEN_MOST: usize = 100_000;

/// Deletes tasks, and remembers the operations that started them, so that none starts again.
pub(crate) fn delete_tasks(
    connection: &Connection,
    tasks: &[TaskId],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut remember = connection.prepare_cached(
        "INSERT OR REPLACE INTO forgotten (op, task, at) SELECT op, id, ?2 FROM tasks WHERE id = ?1 AND active = 0",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM tasks WHERE id = ?1 AND active = 0")?;
    for task in tasks {
        remember.execute(params![task.as_str(), now.0])?;
        delete.execute([task.as_str()])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM forgotten WHERE at < ?1
             OR at < (SELECT at FROM forgotten ORDER BY at DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![now.0.saturating_sub(FORGOTTEN_MS), FORGOTTEN_MOST])?;
    Ok(())
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredTask> {
    let mut task: Task = from_json(1, row.get_ref(1)?.as_str()?)?;
    task.command = row.get(0)?;
    Ok(StoredTask { task, end_seq: row.get::<_, Option<u64>>(2)?.map(Seq) })
}

pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let tasks = connection
        .prepare("SELECT command, task, end_seq FROM tasks ORDER BY number")?
        .query_map([], stored)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let sessions = connection
        .prepare("SELECT id, last, acknowledged FROM sessions")?
        .query_map([], |row| Ok((SessionId(row.get::<_, Uuid>(0)?), Seq(row.get(1)?), Seq(row.get(2)?))))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let forgotten = connection
        .prepare("SELECT op, task, at FROM forgotten ORDER BY at")?
        .query_map([], |row| Ok((OpId(row.get(0)?), TaskId(row.get(1)?), Timestamp(row.get(2)?))))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Loaded { tasks, sessions, forgotten })
}
