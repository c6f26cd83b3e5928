//! The writer's thread: it runs as many jobs as are waiting in one transaction, and only then tells their
//! senders.

use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{StoreError, is_passing};

/// Jobs that one transaction takes at most.
const BATCH: usize = 256;
/// How long jobs that may wait do, for others of their transaction.
const GROUP_DELAY: Duration = Duration::from_millis(25);
/// How long nothing is to be written before the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(1);
/// Between two tries of what must be written.
const RETRY: Duration = Duration::from_secs(1);
const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
/// Tries after the runner began to close.
const LAST_TRIES: u32 = 3;

/// How a job is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It only waits for those before it.
    Nothing,
    /// It shares the next transaction.
    Soon,
    /// It fails at once if it fails.
    Now,
    /// It is tried until it succeeds.
    Must,
}

/// Called when a job has to wait.
pub(super) type Held = Option<Box<dyn FnOnce() + Send>>;

/// One change, whatever its value.
pub(super) trait Job: Send {
    fn urgency(&self) -> Urgency;

    fn must(&self) -> bool {
        // What waits for those before it waits with them.
        matches!(self.urgency(), Urgency::Must | Urgency::Nothing)
    }

    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn held(&mut self);
    fn done(self: Box<Self>, outcome: Result<(), StoreError>);
}

pub(super) struct Typed<T, R, D> {
    urgency: Urgency,
    run: R,
    held: Held,
    value: Option<T>,
    done: D,
}

impl<T, R, D> Typed<T, R, D> {
    pub(super) fn new(urgency: Urgency, run: R, held: Held, done: D) -> Self {
        Self { urgency, run, held, value: None, done }
    }
}

impl<T, R, D> Job for Typed<T, R, D>
where
    T: Send,
    R: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    D: FnOnce(Result<T, StoreError>) + Send,
{
    fn urgency(&self) -> Urgency {
        self.urgency
    }

    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.run)(connection)?);
        Ok(())
    }

    fn held(&mut self) {
        if let Some(held) = self.held.take() {
            held();
        }
    }

    fn done(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, done, .. } = *self;
        done(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

/// The writer's thread: until all senders are gone and nothing waits.
pub(super) fn write_jobs(connection: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    let mut waiting: Vec<Box<dyn Job>> = Vec::new();
    let mut closed = false;
    let mut tries = 0;
    // Whether something lies in the write-ahead log alone.
    let mut written = false;
    loop {
        if waiting.is_empty() {
            match next(connection, jobs, &mut written) {
                Ok(mut job) if job.urgency() == Urgency::Nothing => {
                    // Runs nothing, but gives the value without which it would count as refused.
                    let outcome = job.run(connection).map_err(StoreError::from);
                    job.done(outcome);
                    continue;
                }
                Ok(job) => waiting.push(job),
                Err(RecvError) => break,
            }
        } else if !closed {
            match jobs.recv_timeout(RETRY) {
                Ok(job) => waiting.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => closed = true,
            }
        } else if tries < LAST_TRIES {
            tries += 1;
            std::thread::sleep(RETRY);
        } else {
            for job in waiting.drain(..) {
                job.done(Err(StoreError::Closed));
            }
            break;
        }
        let due = Instant::now() + GROUP_DELAY;
        while waiting.len() < BATCH {
            let may_wait = !closed && waiting.iter().all(|job| job.urgency() == Urgency::Soon);
            let pause = if may_wait { due.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            match jobs.recv_timeout(pause) {
                Ok(mut job) if may_wait && job.urgency() == Urgency::Nothing => {
                    let outcome = job.run(connection).map_err(StoreError::from);
                    job.done(outcome);
                }
                Ok(job) => waiting.push(job),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        waiting = write_batch(connection, waiting);
        written = true;
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::debug!(%error, "the write-ahead log stays beside the store");
    }
}

/// Waits for the next job. Once there is none for a while, what lies in the write-ahead log is put into its
/// place, so that no commit has to.
fn next(
    connection: &Connection,
    jobs: &Receiver<Box<dyn Job>>,
    written: &mut bool,
) -> Result<Box<dyn Job>, RecvError> {
    if std::mem::take(written) {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => {
                *written = true;
                return Ok(job);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
                    tracing::debug!(%error, "the write-ahead log stays as long as it is");
                }
            }
        }
    }
    jobs.recv()
}

/// Runs the jobs and returns those that must be tried again.
fn write_batch(connection: &Connection, mut jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    match write_together(connection, &mut jobs) {
        Ok(()) => {
            for job in jobs {
                job.done(Ok(()));
            }
            Vec::new()
        }
        Err(error) => {
            tracing::debug!(%error, "a transaction failed; its parts are tried one by one");
            undo(connection);
            write_singly(connection, jobs)
        }
    }
}

/// All jobs in one transaction. Fails as a whole, with nothing written, if it or any of them does.
fn write_together(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let writes = jobs.iter().any(|job| job.urgency() != Urgency::Nothing);
    if writes {
        execute(connection, BEGIN)?;
    }
    for job in jobs {
        job.run(connection)?;
    }
    if writes {
        execute(connection, COMMIT)?;
    }
    Ok(())
}

fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

/// Each job in a transaction of its own. Once one that must happen has failed, those behind it that must
/// happen wait with it; the others, which may be what makes room, do not.
fn write_singly(connection: &Connection, jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let mut again: Vec<Box<dyn Job>> = Vec::new();
    for mut job in jobs {
        if job.must() && !again.is_empty() {
            job.held();
            again.push(job);
            continue;
        }
        let written = execute(connection, BEGIN)
            .and_then(|()| job.run(connection))
            .and_then(|()| execute(connection, COMMIT));
        match written {
            Ok(()) => job.done(Ok(())),
            Err(error) => {
                undo(connection);
                if job.must() && is_passing(&error) {
                    tracing::error!(%error, "the store cannot be written and is tried again");
                    job.held();
                    again.push(job);
                } else {
                    job.done(Err(error.into()));
                }
            }
        }
    }
    again
}

fn undo(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction cannot be undone");
    }
}
