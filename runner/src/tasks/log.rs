//! The output of one task: a file that keeps the first megabyte and, in a ring behind it, the last fifteen.
//!
//! Byte `o` of the output lies at `o` while `o` is below the head's size, else at `head + (o - head) % tail`.
//! The file is made with the first byte, so silent tasks cost none. Writing never fails towards the task:
//! when the disk refuses, the file stays as it is, and a fallback ring in memory keeps the end. The count of
//! what is lost is exact.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use shared::output::{Bytes, OutputSlice, Preview};
use tokio::sync::watch;

use super::text;

mod memory;

use memory::{FALLBACK, FallbackRing};

/// Bytes that a preview looks at, at either end, at least.
const WINDOW: u64 = 64 * 1024;

pub(super) struct Log {
    path: PathBuf,
    head: u64,
    tail: u64,
    total: watch::Sender<u64>,
    /// Held while the file is written to, which may take as long as the disk does. Before `state`, if both
    /// are.
    file: Arc<Mutex<Option<File>>>,
    /// Never held as long as that.
    state: Mutex<State>,
    /// Bytes of all logs of this runner.
    disk: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    tail_buffer: Vec<u8>,
    /// The output's length once what is being written is there: of the ring, that is written over already.
    coming: u64,
    /// Of all that was ever printed; not known of a log of an earlier life.
    counted: Option<Counted>,
    on_disk: u64,
    fallback: Option<FallbackRing>,
    /// Nothing is kept any more.
    removed: bool,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    lines: u64,
    characters: u64,
}

/// The beginning and the end of an output.
struct HeadAndTail {
    head: Vec<u8>,
    /// Nothing if all of it is in the head.
    tail: Option<Vec<u8>>,
    /// Characters between the two.
    between: u64,
}

/// Which offsets are kept: those below `head_end`, and from `tail_start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) head_end: u64,
    pub(super) tail_start: u64,
    pub(super) total: u64,
}

impl Kept {
    pub(super) const fn omitted(self) -> u64 {
        self.tail_start - self.head_end
    }
}

impl Log {
    pub(super) fn new(path: PathBuf, head: u64, tail: u64, disk: Arc<AtomicU64>) -> Self {
        let state = Mutex::new(State { counted: Some(Counted::default()), ..State::default() });
        let (tail, total) = (tail.max(1), watch::Sender::new(0));
        Self { path, head, tail, total, file: Arc::default(), state, disk }
    }

    /// The log of an earlier life of the runner. `total` is what its entry says, if the task's end was
    /// recorded.
    pub(super) fn restored(
        path: PathBuf,
        head: u64,
        tail: u64,
        disk: Arc<AtomicU64>,
        total: Option<u64>,
    ) -> Self {
        let log = Self::new(path, head, tail, disk);
        let on_disk = std::fs::metadata(&log.path).map_or(0, |metadata| metadata.len());
        log.disk.fetch_add(on_disk, Ordering::Relaxed);
        let wrapped = on_disk >= log.head + log.tail;
        let mut state = log.state();
        state.on_disk = on_disk;
        state.counted = None;
        let total = match total {
            Some(total) if wrapped => total.max(on_disk),
            Some(total) => {
                state.removed = on_disk == 0 && total > 0;
                total.max(on_disk)
            }
            // Where the ring's end lay is not known, so only the head counts.
            None if wrapped => {
                state.fallback = Some(FallbackRing::empty(log.head));
                on_disk
            }
            None => on_disk,
        };
        log.total.send_replace(total);
        drop(state);
        log
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock()
    }

    pub(super) fn length(&self) -> watch::Receiver<u64> {
        self.total.subscribe()
    }

    pub(super) fn total(&self) -> u64 {
        *self.total.borrow()
    }

    pub(super) fn kept(&self) -> Kept {
        self.kept_of(&self.state())
    }

    fn kept_of(&self, state: &State) -> Kept {
        let total = self.total();
        let (head_end, tail_start) = match &state.fallback {
            _ if state.removed => (0, total),
            Some(ring) => (ring.from, total - (ring.bytes.len() as u64).min(total - ring.from)),
            None => {
                let head_end = total.min(self.head);
                let overwritten = state.coming.max(total).saturating_sub(self.tail);
                (head_end, overwritten.clamp(head_end, total))
            }
        };
        Kept { head_end, tail_start, total }
    }

    /// Blocks on the disk.
    pub(super) fn append(&self, chunk: &[u8]) {
        let mut file = self.file();
        let from = self.total();
        let fallen_back = {
            let mut state = self.state();
            state.coming = from + chunk.len() as u64;
            state.fallback.is_some()
        };
        let written = if fallen_back { Ok(()) } else { self.write(&mut file, from, chunk) };
        if let Err(error) = &written {
            tracing::warn!(path = %self.path.display(), %error, "the log ends here, the task goes on");
            self.give_back(from);
        }
        let mut state = self.state();
        if written.is_ok() && !fallen_back {
            let size = state.coming.min(self.head + self.tail).max(state.on_disk);
            self.disk.fetch_add(size - state.on_disk, Ordering::Relaxed);
            state.on_disk = size;
        }
        if let Some(ring) = &mut state.fallback {
            ring.push(chunk);
        }
        if let Some(counted) = &mut state.counted {
            counted.lines += memchr::memchr_iter(b'\n', chunk).count() as u64;
            counted.characters += text::characters(chunk);
        }
        memory::push_tail(&mut state.tail_buffer, chunk);
        // Inside the lock: the length and what is kept change together.
        self.total.send_replace(from + chunk.len() as u64);
    }

    fn write(&self, file: &mut Option<File>, from: u64, chunk: &[u8]) -> io::Result<()> {
        let file = match file {
            Some(file) => file,
            None => file.insert(
                OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(from == 0)
                    .mode(0o600)
                    .open(&self.path)?,
            ),
        };
        let mut at = from;
        let mut rest = chunk;
        while !rest.is_empty() {
            let (place, room) = self.place(at);
            let (now, later) =
                rest.split_at(usize::try_from(room).map_or(rest.len(), |room| room.min(rest.len())));
            file.write_all_at(now, place)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Takes the end of the output into memory and its room off the disk, so that what must be written finds
    /// room: this task's end. `from`: the output's length on the disk. Blocks on that, so nobody may wait for
    /// `state` meanwhile.
    fn give_back(&self, from: u64) {
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

    /// Where an offset lies in the file, and how many bytes follow it there in order.
    fn place(&self, offset: u64) -> (u64, u64) {
        if offset < self.head {
            return (offset, self.head - offset);
        }
        let around = (offset - self.head) % self.tail;
        (self.head + around, self.tail - around)
    }

    /// Lets go of the file, on a thread that may wait for the disk. More output opens it again.
    pub(super) fn close(&self) {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || drop(file.lock().take()));
    }

    /// Deletes what is kept.
    pub(super) fn remove(&self) {
        let mut file = self.file();
        *file = None;
        let on_disk = {
            let mut state = self.state();
            let counted = state.counted;
            std::mem::replace(&mut *state, State { removed: true, counted, ..State::default() }).on_disk
        };
        match std::fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "the log stays"),
        }
        self.disk.fetch_sub(on_disk, Ordering::Relaxed);
    }

    pub(super) fn on_disk(&self) -> u64 {
        self.state().on_disk
    }

    /// Whether all of it is in memory.
    pub(super) fn is_at_hand(&self) -> bool {
        let state = self.state();
        state.tail_buffer.len() as u64 == self.total()
    }

    pub(super) fn last_line(&self) -> String {
        let tail = self.state().tail_buffer.clone();
        text::last_line(&tail)
    }

    /// The last bytes, and the length of all.
    pub(super) fn tail_buffer(&self) -> (Vec<u8>, u64) {
        let state = self.state();
        (state.tail_buffer.clone(), self.total())
    }

    /// At most `max` bytes from `from` on, or from the first kept offset after it. Blocks on the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, from: u64, max: usize) -> io::Result<OutputSlice> {
        // A task that prints may overtake a reader of the ring; then what was read is not what it seems.
        for _ in 0..8 {
            let (kept, from, data) = match self.read_once(from, max) {
                Ok(read) => read,
                // Its end was taken off the disk meanwhile and is in memory now.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            };
            let after = self.kept();
            if from < kept.head_end || from >= after.tail_start {
                return Ok(slice(from, data, after));
            }
        }
        let kept = self.kept();
        Ok(slice(kept.total, Vec::new(), kept))
    }

    fn read_once(&self, from: u64, max: usize) -> io::Result<(Kept, u64, Vec<u8>)> {
        let state = self.state();
        let kept = self.kept_of(&state);
        let from = if from < kept.head_end { from } else { from.max(kept.tail_start).min(kept.total) };
        let end = if from < kept.head_end { kept.head_end } else { kept.total };
        let end = end.min(from + max as u64);
        let wanted = usize::try_from(end - from).unwrap_or(max);
        if let Some(ring) = &state.fallback
            && from >= kept.tail_start
        {
            let skip = usize::try_from(from - kept.tail_start).unwrap_or(usize::MAX);
            return Ok((kept, from, ring.bytes.iter().skip(skip).take(wanted).copied().collect()));
        }
        if wanted == 0 {
            return Ok((kept, from, Vec::new()));
        }
        // The newest bytes are at hand, and so is all of a short output.
        if let Some(skip) = (state.tail_buffer.len() as u64).checked_sub(kept.total - from) {
            let newest = state.tail_buffer.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
            return Ok((kept, from, newest.take(wanted).copied().collect()));
        }
        drop(state);
        let file = File::open(&self.path)?;
        let mut data = vec![0; wanted];
        self.read_pieces(&file, from, &mut data)?;
        Ok((kept, from, data))
    }

    /// Fills the buffer with the output from an offset on.
    fn read_pieces(&self, file: &File, from: u64, data: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            let (place, room) = self.place(from + done as u64);
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(data.len() - done);
            file.read_exact_at(&mut data[done..done + room], place)?;
            done += room;
        }
        Ok(())
    }

    /// The first bytes and the last, as many as asked for of each.
    fn head_and_tail(&self, window: u64) -> io::Result<HeadAndTail> {
        let (kept, counted) = {
            let state = self.state();
            (self.kept_of(&state), state.counted)
        };
        let window = window.max(WINDOW);
        if kept.omitted() == 0 && kept.total <= 2 * window {
            return Ok(HeadAndTail { head: self.range(0, kept.total)?.0, tail: None, between: 0 });
        }
        let head_end = kept.head_end.min(window);
        // Where nothing is lost, what is kept is in one piece, and where its parts meet does not bound the
        // end.
        let kept_from = if kept.omitted() == 0 { head_end } else { kept.tail_start };
        let tail_start = kept.total.saturating_sub(window).max(kept_from);
        let (head, _) = self.range(0, head_end)?;
        let (tail, tail_start) = self.range(tail_start, kept.total)?;
        let between = match counted {
            Some(counted) => {
                counted.characters.saturating_sub(text::characters(&head) + text::characters(&tail))
            }
            None => {
                self.characters(head_end, kept.head_end.min(tail_start))?
                    + kept.omitted()
                    + self.characters(kept.tail_start.max(head_end), tail_start)?
            }
        };
        Ok(HeadAndTail { head, tail: Some(tail), between })
    }

    /// The characters from `from` up to `to`, all kept.
    fn characters(&self, mut from: u64, to: u64) -> io::Result<u64> {
        let mut count = 0;
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(1024 * 1024);
            let slice = self.read(from, most)?;
            if slice.data.0.is_empty() {
                break;
            }
            count += text::characters(&slice.data.0);
            from = slice.from + slice.data.0.len() as u64;
        }
        Ok(count)
    }

    /// The bytes from `from` up to `to`, all kept, and where they begin in the end.
    fn range(&self, from: u64, to: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut data = Vec::new();
        let (mut at, mut start) = (from, from);
        while at < to {
            let slice = self.read(at, usize::try_from(to - at).unwrap_or(usize::MAX))?;
            if slice.from > at {
                // Overtaken: what is left begins here.
                data.clear();
                start = slice.from;
            }
            if slice.data.0.is_empty() {
                break;
            }
            at = slice.from + slice.data.0.len() as u64;
            data.extend_from_slice(&slice.data.0);
        }
        Ok((data, start))
    }

    /// Text for the model: the first and last half of `most` characters. Blocks on the disk.
    pub(super) fn preview(&self, most: usize) -> Preview {
        match self.head_and_tail(4 * most as u64) {
            Ok(HeadAndTail { head, tail: None, .. }) => text::cut(text::clean(&head), most),
            Ok(HeadAndTail { head, tail: Some(tail), between }) => {
                let (shown, before) = text::clean_tail(&tail);
                let between = between + text::characters(&tail[..before]);
                text::join(&text::clean(&head), &shown, between, most)
            }
            Err(error) => unreadable(&error),
        }
    }

    /// The last lines as text. Blocks on the disk.
    pub(super) fn tail(&self, lines: usize, most: usize) -> Preview {
        if lines == 0 || most == 0 {
            return Preview::default();
        }
        match self.head_and_tail(8 * most as u64) {
            Ok(HeadAndTail { head, tail, .. }) => {
                let text = tail.map_or_else(|| text::clean(&head), |tail| text::clean_tail(&tail).0);
                text::cut(text::last_lines(&text, lines).to_owned(), most)
            }
            Err(error) => unreadable(&error),
        }
    }

    /// The last matching lines of what is kept, and how many match. Blocks on the disk.
    pub(super) fn grep(&self, pattern: &regex::Regex, lines: usize, most: usize) -> (Preview, u64) {
        let kept = self.kept();
        let parts = self
            .range(0, kept.head_end)
            .and_then(|(head, _)| Ok((head, self.range(kept.tail_start, kept.total)?)));
        let (mut head, (tail, tail_start)) = match parts {
            Ok(parts) => parts,
            Err(error) => return (unreadable(&error), 0),
        };
        if tail_start == kept.head_end {
            head.extend_from_slice(&tail);
            let (found, matches) = text::matching(&text::clean(&head), pattern, Some(1), lines);
            return (text::cut(found, most), matches);
        }
        let (mut found, matches) = text::matching(&text::clean(&head), pattern, Some(1), lines);
        let (tail, _) = text::clean_tail(&tail);
        let line_ends = tail.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let first = self.state().counted.map(|counted| counted.lines.saturating_sub(line_ends) + 1);
        let (found_tail, matches_tail) = text::matching(&tail, pattern, first, lines);
        found.push_str(&found_tail);
        (text::cut(text::last_lines(&found, lines).to_owned(), most), matches + matches_tail)
    }
}

fn slice(from: u64, data: Vec<u8>, kept: Kept) -> OutputSlice {
    OutputSlice {
        from,
        data: Bytes(data),
        total: kept.total,
        omitted_from: kept.head_end,
        omitted_to: kept.tail_start,
    }
}

fn unreadable(error: &io::Error) -> Preview {
    Preview { head: format!("(The runner could not read this task's log: {error}.)"), ..Preview::default() }
}

#[cfg(test)]
mod tests;
