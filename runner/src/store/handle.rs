//! The handle: what it is given to write becomes a job of the writer's thread, and what it reads is read
//! beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use shared::Epoch;
use tokio::sync::oneshot;

use super::error::StoreError;
use super::rows::{self, Loaded};
use super::writer::{Held, Job, Typed, Urgency, write_jobs};

/// A store that was found good.
pub(super) struct Opened {
    pub(super) dir: PathBuf,
    pub(super) writer: Connection,
    pub(super) reader: Connection,
    pub(super) epoch: Epoch,
    pub(super) loaded: Loaded,
    pub(super) warning: Option<String>,
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
    loaded: Mutex<Option<Loaded>>,
}

struct Writer {
    jobs: Sender<Box<dyn Job>>,
    thread: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.get_mut().take() {
            drop(writer.jobs);
            // The last handle may die inside a callback on the writer's own thread.
            if writer.thread.thread().id() != std::thread::current().id() {
                let _panicked = writer.thread.join();
            }
        }
    }
}

impl Store {
    /// Over connections that are open, with a thread for the writing one.
    pub(super) fn over(opened: Opened) -> io::Result<Self> {
        let Opened { dir, writer: connection, reader, epoch, loaded, warning } = opened;
        let (jobs, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write_jobs(&connection, &receiver))?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                epoch,
                warning,
                writer: Mutex::new(Some(Writer { jobs, thread })),
                reader: Mutex::new(reader),
                loaded: Mutex::new(Some(loaded)),
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
    pub(crate) async fn loaded(&self) -> Result<Loaded, StoreError> {
        let loaded = self.inner.loaded.lock().take();
        match loaded {
            Some(loaded) => Ok(loaded),
            None => self.read(rows::load).await,
        }
    }

    /// Writes everything that waits and closes. Later writes fail with [`StoreError::Closed`]. Blocks.
    pub fn close(&self) {
        let writer = self.inner.writer.lock().take();
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

    /// Runs `run` inside a transaction, again and again while the store cannot be written, then `done` on the
    /// writer's thread. Jobs keep their order. `held` is called there once, when the job has to wait for
    /// that. `done` sees an error when the store closes, and when what it says is no transient error.
    pub(crate) fn must_write<T, R, H, D>(&self, run: R, held: H, done: D)
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        H: FnOnce() + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        self.submit(Urgency::Must, run, Some(Box::new(held)), done);
    }

    /// Runs `run` inside a transaction of the next moments, then `done` on the writer's thread. Jobs keep
    /// their order. For what may be lost in a crash, as long as nothing that was written after it is there.
    pub(crate) fn write_soon<T, R, D>(&self, run: R, done: D)
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        self.submit(Urgency::Soon, run, None, done);
    }

    /// Runs `done` on the writer's thread behind everything that was submitted before and may not wait.
    /// Writes nothing. `held` as for [`Self::must_write`].
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
        let job = Box::new(Typed::new(urgency, run, held, done));
        let writer = self.inner.writer.lock();
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
            let reader = inner.reader.lock();
            run(&reader).map_err(StoreError::from)
        })
        .await
        .unwrap_or(Err(StoreError::Closed))
    }
}
