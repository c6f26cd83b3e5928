//! The end of an output in memory, once the disk has refused it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::sync::atomic::Ordering;

use super::Log;

/// Bytes of the end that are kept in memory when the disk refuses.
pub(super) const FALLBACK: usize = 256 * 1024;

/// After a failure of the disk.
pub(super) struct FallbackRing {
    /// The output's length on the disk.
    pub(super) from: u64,
    pub(super) bytes: VecDeque<u8>,
}

impl FallbackRing {
    pub(super) const fn empty(from: u64) -> Self {
        Self { from, bytes: VecDeque::new() }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(FALLBACK)..];
        let surplus = (self.bytes.len() + chunk.len()).saturating_sub(FALLBACK);
        self.bytes.drain(..surplus);
        self.bytes.extend(chunk);
    }
}

impl Log {
    /// Takes the end of the output into memory and its room off the disk, so that what must be written finds
    /// room: this task's end. `from`: the output's length on the disk. Blocks on that, so nobody may wait for
    /// `state` meanwhile.
    pub(super) fn give_back(&self, from: u64) {
        // Of a ring that was written round, only the head is in order from here on.
        let wrapped = from > self.head + self.tail;
        let taken = if wrapped { from - self.head } else { from }.min(FALLBACK as u64);
        let keep = if wrapped { self.head } else { from - taken };
        let read = || {
            let file = File::open(&self.path)?;
            let mut bytes = vec![0; usize::try_from(taken).unwrap_or(FALLBACK)];
            self.read_pieces(&file, from - taken, &mut bytes)?;
            Ok::<_, io::Error>((bytes, OpenOptions::new().write(true).open(&self.path)?))
        };
        let (ring, file) = match read() {
            Ok((bytes, file)) => (FallbackRing { from: keep, bytes: bytes.into() }, Some(file)),
            // There is no file, or it cannot be changed: what lies in it stays there.
            Err(_) => (FallbackRing::empty(if wrapped { self.head } else { from }), None),
        };
        // It is in memory before it leaves the disk, so whoever reads finds it in one of them.
        self.state().fallback = Some(ring);
        if file.is_some_and(|file| file.set_len(keep).is_ok()) {
            let mut state = self.state();
            self.disk.fetch_sub(state.on_disk.saturating_sub(keep), Ordering::Relaxed);
            state.on_disk = state.on_disk.min(keep);
        }
    }
}
