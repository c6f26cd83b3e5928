//! Reading what a task prints: always, in turns with other tasks, through one buffer a thread; and how long after the
//! leader's end.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::record::Record;
use crate::limits::Limits;

/// Bytes read at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// Reads in a row before others get their turn.
const READS: usize = 16;
thread_local! {
    /// One buffer for all tasks that a thread reads for.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Waits for output and takes what is there. 0 at the end, which also closes it.
pub(super) async fn read(output: &mut Option<pipe::Receiver>, record: &Record) -> usize {
    let Some(pipe) = output.as_mut() else { return pending().await };
    if pipe.readable().await.is_err() {
        *output = None;
        return 0;
    }
    read_ready(output, record)
}

/// Takes what is there now.
pub(super) fn read_ready(output: &mut Option<pipe::Receiver>, record: &Record) -> usize {
    let mut taken = 0;
    BUFFER.with_borrow_mut(|buffer| {
        for _ in 0..READS {
            let Some(pipe) = output.as_mut() else { break };
            match pipe.try_read(buffer) {
                Ok(0) => *output = None,
                Ok(count) => {
                    taken += count;
                    record.log.append(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(task = %record.id, %error, "the output cannot be read");
                    *output = None;
                }
            }
        }
    });
    taken
}

/// The wait for the last output after the leader's end.
pub(super) struct Drain {
    quiet: Duration,
    quiet_at: Instant,
    most_at: Instant,
}

impl Drain {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            quiet: limits.drain_quiet,
            quiet_at: now + limits.drain_quiet,
            most_at: now + limits.drain_most,
        }
    }

    pub(super) fn heard(&mut self) {
        self.quiet_at = Instant::now() + self.quiet;
    }

    pub(super) fn due(&self) -> Instant {
        self.quiet_at.min(self.most_at)
    }
}
