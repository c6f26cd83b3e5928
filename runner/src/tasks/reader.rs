//! Reading what a task prints: always, in turns with other tasks, through one buffer a thread.
//!
//! The log is a file, and a disk may take its time, so it is written on threads that may block. Meanwhile
//! more is read, up to a bound; then the task waits for the disk, and nobody else does.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::entry::TaskEntry;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes that wait for the disk before no more are read.
const WAITING: usize = 128 * 1024;
/// Rounds of reading what is left once nobody of the task should write any more.
const ROUNDS: usize = 64;
/// How long the end of the output is waited for once nobody of the task should hold it.
const QUIET: Duration = Duration::from_millis(250);

thread_local! {
    /// One buffer for all tasks that a thread reads for.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// What a task prints, on its way into its log.
pub(super) struct Output {
    entry: Arc<TaskEntry>,
    pipe: Option<pipe::Receiver>,
    /// Read, and not yet being written.
    waiting: Vec<u8>,
    /// So many bytes are being written.
    writing: Option<(usize, JoinHandle<()>)>,
}

impl Output {
    pub(super) fn new(entry: Arc<TaskEntry>, pipe: pipe::Receiver) -> Self {
        Self { entry, pipe: Some(pipe), waiting: Vec::new(), writing: None }
    }

    /// Whether its end was read and all of it is in the log.
    pub(super) fn is_over(&self) -> bool {
        self.pipe.is_none() && self.is_written()
    }

    /// Whether all that was read is in the log.
    pub(super) fn is_written(&self) -> bool {
        self.writing.is_none() && self.waiting.is_empty()
    }

    /// Waits until there is output or some was written, and goes on with it. Gives how much more is in the
    /// log now. Must not be called once it is over. Nothing is lost if the future is dropped.
    pub(super) async fn step(&mut self) -> usize {
        let Self { pipe, waiting, writing, .. } = self;
        let written = tokio::select! {
            biased;
            written = finished(writing), if writing.is_some() => written,
            ready = readable(pipe.as_ref()), if pipe.is_some() && waiting.len() < WAITING => {
                match ready {
                    Ok(()) => { self.take(); }
                    Err(_) => self.pipe = None,
                }
                0
            }
        };
        self.write();
        written
    }

    /// Takes all that is still to come, and waits until it is written: nobody of the task writes any more, or
    /// should.
    pub(super) async fn drain(&mut self) {
        for _ in 0..ROUNDS {
            self.flush().await;
            if self.pipe.is_none() {
                return;
            }
            // Its end is there at once, unless somebody else's process holds it.
            match timeout(QUIET, readable(self.pipe.as_ref())).await {
                Ok(Ok(())) => {
                    self.take();
                }
                Ok(Err(_)) | Err(_) => return,
            }
        }
        self.flush().await;
    }

    /// Waits until all that was read is in the log.
    async fn flush(&mut self) {
        while !self.is_written() {
            self.write();
            finished(&mut self.writing).await;
        }
    }

    /// Takes what is there now, as far as there is room for it.
    fn take(&mut self) -> usize {
        let Self { entry, pipe, waiting, .. } = self;
        let before = waiting.len();
        BUFFER.with_borrow_mut(|buffer| {
            while waiting.len() < WAITING {
                let Some(open) = pipe.as_mut() else { break };
                match open.try_read(buffer) {
                    Ok(0) => *pipe = None,
                    Ok(count) => waiting.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        tracing::warn!(task = %entry.id, %error, "the output cannot be read");
                        *pipe = None;
                    }
                }
            }
        });
        waiting.len() - before
    }

    /// Has what waits written, if nothing is being written.
    fn write(&mut self) {
        if self.writing.is_none() && !self.waiting.is_empty() {
            let (entry, bytes) = (Arc::clone(&self.entry), std::mem::take(&mut self.waiting));
            let count = bytes.len();
            let written = tokio::task::spawn_blocking(move || entry.log.append(&bytes));
            self.writing = Some((count, written));
        }
    }
}

/// Waits until what is being written is, and gives how much that was.
async fn finished(writing: &mut Option<(usize, JoinHandle<()>)>) -> usize {
    let Some((count, written)) = writing else { return 0 };
    let count = *count;
    // The thread that writes may only fail with the runner.
    let _failed = written.await;
    *writing = None;
    count
}

async fn readable(pipe: Option<&pipe::Receiver>) -> io::Result<()> {
    match pipe {
        Some(pipe) => pipe.readable().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use shared::task::Task;
    use shared::{OpId, SessionId, TaskId, Timestamp};
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::mpsc;
    use uuid::Uuid;

    use super::*;
    use crate::tasks::entry::Phase;
    use crate::tasks::log::Log;

    /// So much had been read before the disk had taken it that nothing more could be, when the task ended.
    #[tokio::test]
    async fn the_last_is_read_though_the_disk_is_behind() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path().join("log"), 1 << 20, 1 << 20, Arc::default());
        let (session, op) = (SessionId(Uuid::nil()), OpId(Uuid::nil()));
        let task = Task::new(TaskId("a".into()), session, op, "true".into(), "/".into(), Timestamp(0));
        let entry = Arc::new(TaskEntry::new(task, log, Phase::Running, mpsc::channel(1).0));
        let (mut printing, pipe) = pipe::pipe().unwrap();
        let mut output = Output::new(Arc::clone(&entry), pipe);
        output.waiting = vec![b'x'; WAITING];
        printing.write_all(b"the end").await.unwrap();
        drop(printing);
        output.drain().await;
        assert_eq!(entry.log.total(), WAITING as u64 + 7);
        assert!(output.is_over());
    }
}
