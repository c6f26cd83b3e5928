//! What is kept of an output in memory.

use std::collections::VecDeque;

/// Bytes of the end that are at hand for the last line.
const TAIL_BUFFER: usize = 4 * 1024;
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

/// Adds to the end that is at hand.
pub(super) fn push_tail(buffer: &mut Vec<u8>, chunk: &[u8]) {
    let chunk = &chunk[chunk.len().saturating_sub(TAIL_BUFFER)..];
    let surplus = (buffer.len() + chunk.len()).saturating_sub(TAIL_BUFFER);
    buffer.drain(..surplus);
    buffer.extend_from_slice(chunk);
}
