//! The store: one `SQLite` file that remembers tasks, undelivered events, operations and paired clients.
//!
//! One thread owns the writing connection. Jobs come to it over a channel, in order; it runs as many as are waiting in
//! one transaction, so that many small changes share one flush to the disk, and only then tells their senders. A job
//! that *must* happen (the end of a task) is tried again every second while the disk is full or failing; any other
//! fails at once, so that a full disk refuses new work and loses no result. A job that *may wait*, since nobody waits
//! for it and its loss in a crash would be harmless, shares the flush of the next one that may not, if that comes soon.
//! Reads use a second connection.
//!
//! A store that `SQLite` finds corrupt, or with rows that cannot be read, is moved aside under a dated name and a new one, with a new epoch, takes its place; [`Store::warning`] says so.

mod clients;
mod open;
mod ops;
pub(crate) mod rows;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use shared::{Epoch, Problem, ProblemCode};
use thiserror::Error;
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use open::in_memory;

pub use clients::Client;
pub use ops::Intended;

use crate::state_dir::StateDir;

/// Jobs that one transaction takes at most.
const BATCH: usize = 256;
/// How long jobs that may wait do.
const LINGER: Duration = Duration::from_millis(25);
/// Between two tries of what must be written.
const RETRY: Duration = Duration::from_secs(1);
const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
/// Tries after the runner began to close.
const LAST_TRIES: u32 = 3;

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// `SQLite` refused.
    #[error("the store could not be read or written: {0}. Is the disk full?")]
    Sqlite(String),
    /// A file of the store belongs to somebody else, or is none.
    #[error("{} {reason}. Choose another folder with --state-dir", path.display())]
    Untrusted {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Written by a later version.
    #[error("the store {} was written by a newer version of meanwhile (format {version}). Use that version, or another --state-dir", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        version: i64,
    },
    /// The runner is stopping.
    #[error("the store is closed: the runner is stopping")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::retryable(ProblemCode::Stopping, error.to_string()),
            StoreError::Io { .. }
            | StoreError::Sqlite(_)
            | StoreError::Untrusted { .. }
            | StoreError::Newer { .. } => Self::retryable(ProblemCode::System, error.to_string()),
        }
    }
}

/// A handle; copies are cheap.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    epoch: Epoch,
    warning: Option<String>,
    writer: Mutex<Option<Writer>>,
    reader: Mutex<Connection>,
    loaded: Mutex<Option<rows::Loaded>>,
}

struct Writer {
    jobs: Sender<Box<dyn Job>>,
    thread: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            drop(writer.jobs);
            // The last handle may die inside a callback on the writer's own thread.
            if writer.thread.thread().id() != std::thread::current().id() {
                let _panicked = writer.thread.join();
            }
        }
    }
}

impl Store {
    /// Opens the store in the state folder, making its file as needed, readable by this user alone. Whoever opens it
    /// keeps the folder held as long. Blocks.
    ///
    /// # Errors
    /// See [`StoreError`]. A corrupt store is no error: see [`Self::warning`].
    pub fn open(state: &StateDir) -> Result<Self, StoreError> {
        let dir = state.path();
        let opened = open::open(dir)?;
        let (jobs, receiver) = mpsc::channel();
        let connection = opened.writer;
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write_jobs(&connection, &receiver))
            .map_err(|source| StoreError::Io { what: "start a thread for", path: dir.to_owned(), source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                epoch: opened.epoch,
                warning: opened.warning,
                writer: Mutex::new(Some(Writer { jobs, thread })),
                reader: Mutex::new(opened.reader),
                loaded: Mutex::new(Some(opened.loaded)),
            }),
        })
    }

    /// The life of this store.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// The state folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What the user must be told: that a corrupt store was moved aside, and where to.
    pub fn warning(&self) -> Option<&str> {
        self.inner.warning.as_deref()
    }

    /// What the store held when it was opened, for whoever asks first; later it is read again.
    pub(crate) async fn loaded(&self) -> Result<rows::Loaded, StoreError> {
        let loaded = self.inner.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        match loaded {
            Some(loaded) => Ok(loaded),
            None => self.read(rows::load).await,
        }
    }

    /// Writes everything that waits and closes. Later writes fail with [`StoreError::Closed`]. Blocks.
    pub fn close(&self) {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            drop(writer.jobs);
            let _panicked = writer.thread.join();
        }
    }

    /// Runs `run` inside the next transaction and gives its value once that is on the disk.
    pub(crate) async fn write<T, R>(&self, run: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        // The caller may have gone: nobody is left to tell.
        self.submit(Urgency::Now, run, None, move |outcome| drop(sender.send(outcome)));
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `run` inside a transaction, again and again while the store cannot be written, then `done` on the writer's
    /// thread. Jobs keep their order. `held` is called there once, when the job has to wait for that. `done` sees an error
    /// when the store closes, and when what it says is no lack that may pass.
    pub(crate) fn must_write<T, R, H, D>(&self, run: R, held: H, done: D)
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        H: FnOnce() + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        self.submit(Urgency::Must, run, Some(Box::new(held)), done);
    }

    /// Runs `run` inside a transaction of the next moments, then `done` on the writer's thread. Jobs keep their order. For
    /// what may be lost in a crash, as long as nothing that was written after it is there.
    pub(crate) fn write_soon<T, R, D>(&self, run: R, done: D)
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        self.submit(Urgency::Soon, run, None, done);
    }

    /// Runs `done` on the writer's thread behind everything that was submitted before and may not wait. Writes nothing.
    /// `held` as for [`Self::must_write`].
    pub(crate) fn after_all<H, D>(&self, held: H, done: D)
    where
        H: FnOnce() + Send + 'static,
        D: FnOnce(Result<(), StoreError>) + Send + 'static,
    {
        self.submit(Urgency::Nothing, |_| Ok(()), Some(Box::new(held)), done);
    }

    fn submit<T, R, D>(&self, urgency: Urgency, run: R, held: Held, done: D)
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        let job = Box::new(Typed { urgency, run, held, value: None, done });
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let refused: Box<dyn Job> = match writer.as_ref() {
            Some(writer) => match writer.jobs.send(job) {
                Ok(()) => return,
                Err(refused) => refused.0,
            },
            None => job,
        };
        drop(writer);
        refused.done(Err(StoreError::Closed));
    }

    /// Reads on a thread that may block.
    pub(crate) async fn read<T, R>(&self, run: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            let reader = inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
            run(&reader).map_err(StoreError::from)
        })
        .await
        .unwrap_or(Err(StoreError::Closed))
    }
}

/// How a job is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
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
type Held = Option<Box<dyn FnOnce() + Send>>;

/// One change, whatever its value.
trait Job: Send {
    fn urgency(&self) -> Urgency;

    fn must(&self) -> bool {
        // What waits for those before it waits with them.
        matches!(self.urgency(), Urgency::Must | Urgency::Nothing)
    }

    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn held(&mut self);
    fn done(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Typed<T, R, D> {
    urgency: Urgency,
    run: R,
    held: Held,
    value: Option<T>,
    done: D,
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
fn write_jobs(connection: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    let mut waiting: Vec<Box<dyn Job>> = Vec::new();
    let mut closed = false;
    let mut tries = 0;
    loop {
        if waiting.is_empty() {
            match jobs.recv() {
                Ok(mut job) if job.urgency() == Urgency::Nothing => {
                    // Runs nothing, but gives the value without which it would count as refused.
                    let outcome = job.run(connection).map_err(StoreError::from);
                    job.done(outcome);
                    continue;
                }
                Ok(job) => waiting.push(job),
                Err(mpsc::RecvError) => break,
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
        let linger = Instant::now() + LINGER;
        while waiting.len() < BATCH {
            let may_wait = !closed && waiting.iter().all(|job| job.urgency() == Urgency::Soon);
            let pause =
                if may_wait { linger.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
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
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::debug!(%error, "the write-ahead log stays beside the store");
    }
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

/// Each job in a transaction of its own. Once one that must happen has failed, those behind it that must happen wait
/// with it; the others, which may be what makes room, do not.
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

/// Whether trying again may help: the disk is full, failing or busy.
fn is_passing(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(DiskFull | SystemIoFailure | DatabaseBusy | DatabaseLocked | CannotOpen | OutOfMemory)
    )
}

#[cfg(test)]
mod tests;
