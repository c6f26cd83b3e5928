//! Text that grows at its end, cut into parts that no longer change and one that does.
//!
//! What a push costs is in proportion to what is new and to the part that still grows. Of blocks that is the last one, of code that is still
//! being written its last lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leptos::prelude::*;

use crate::markdown::{self, Fence};

/// The least bytes of a part, where there are more, and of a piece of code: a browser sets a piece anew as a whole.
pub const PART: usize = 4 * 1024;

/// Text that grows at its end.
#[derive(Clone, Default)]
pub struct Stream {
    /// What cannot change any more, but for code that is open.
    pub closed: ArcRwSignal<Vec<Part>>,
    /// What still grows: a block, or the last lines of the code that is open.
    pub tail: ArcRwSignal<String>,
    /// Whether more may come.
    pub live: ArcRwSignal<bool>,
    /// How many bytes are in front of the tail.
    passed: Arc<AtomicUsize>,
}

/// A part of a growing text.
#[derive(Clone)]
pub struct Part {
    /// The offset it begins at.
    pub start: usize,
    /// What it is.
    pub body: PartBody,
}

/// What a part is.
#[derive(Clone)]
pub enum PartBody {
    /// One or more blocks, as they were written.
    Blocks(Arc<str>),
    /// Code that was seen to grow.
    Code(OpenCode),
}

/// Code between two fences, the second of which may not have come.
#[derive(Clone)]
pub struct OpenCode {
    /// What it is written in; may be empty.
    pub language: Arc<str>,
    /// Its complete lines, in pieces, each with its last line's end.
    pub pieces: ArcRwSignal<Vec<Arc<str>>>,
    /// The line that closed it.
    pub closing: ArcRwSignal<Option<Arc<str>>>,
    opening: Arc<str>,
    fence: Fence,
}

impl OpenCode {
    /// Its complete lines.
    pub fn text(&self) -> String {
        self.pieces.with(|pieces| pieces.iter().map(|piece| &**piece).collect())
    }

    /// Takes the complete lines at the start of `text`, and says how many bytes are done with, and whether it is closed.
    fn take(&self, text: &str) -> (usize, bool) {
        let (mut new, mut start, mut at) = (Vec::new(), 0, 0);
        let mut closing = None;
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if self.fence.ends_with(line) {
                closing = Some(line);
                break;
            }
            at += line.len();
            // An empty line at the end of a piece would not be seen.
            if at - start > PART && !line.trim().is_empty() {
                new.push(Arc::from(&text[start..at]));
                start = at;
            }
        }
        if closing.is_some() && at > start {
            new.push(Arc::from(&text[start..at]));
            start = at;
        }
        if !new.is_empty() {
            self.pieces.update(|pieces| pieces.extend(new));
        }
        if let Some(line) = closing {
            self.closing.set(Some(Arc::from(line)));
        }
        (start + closing.map_or(0, str::len), closing.is_some())
    }
}

impl Part {
    fn write(&self, text: &mut String) {
        match &self.body {
            PartBody::Blocks(source) => text.push_str(source),
            PartBody::Code(code) => {
                text.push_str(&code.opening);
                text.push_str(&code.text());
                code.closing.with(|closing| text.push_str(closing.as_deref().unwrap_or_default()));
            }
        }
    }
}

impl Stream {
    pub(super) fn new(text: &str, live: bool) -> Self {
        let stream = Self { live: ArcRwSignal::new(live), ..Self::default() };
        stream.push(text);
        stream
    }

    /// The whole text so far.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.closed.with(|closed| closed.iter().for_each(|part| part.write(&mut text)));
        self.tail.with(|tail| text.push_str(tail));
        text
    }

    /// The code that is open, if the text ends within one. Reads reactively.
    pub fn open_code(&self) -> Option<OpenCode> {
        self.closed.with(|closed| match closed.last().map(|part| &part.body) {
            Some(PartBody::Code(code)) if code.closing.with(Option::is_none) => Some(code.clone()),
            Some(PartBody::Code(_) | PartBody::Blocks(_)) | None => None,
        })
    }

    pub(super) fn push(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut open = untrack(|| self.open_code());
        let closed = self.tail.try_update(|tail| {
            tail.push_str(text);
            let base = self.passed.load(Ordering::Relaxed);
            let mut cutter = Cutter { tail, base, start: 0, at: 0, closed: Vec::new() };
            while cutter.step(&mut open) {}
            cutter.close();
            let (closed, at) = (cutter.closed, cutter.at);
            self.passed.store(base + at, Ordering::Relaxed);
            tail.drain(..at);
            closed
        });
        if let Some(new) = closed.filter(|new: &Vec<Part>| !new.is_empty()) {
            self.closed.update(|closed| closed.extend(new));
        }
    }

    pub(super) fn replace(&self, text: &str, live: bool) {
        let shown = untrack(|| self.text());
        if let Some(more) = text.strip_prefix(shown.as_str()) {
            self.push(more);
        } else {
            self.closed.update(Vec::clear);
            self.tail.update(String::clear);
            self.passed.store(0, Ordering::Relaxed);
            self.push(text);
        }
        if self.live.with_untracked(|old| *old != live) {
            self.live.set(live);
        }
    }
}

/// Takes from a tail what is done.
struct Cutter<'a> {
    tail: &'a str,
    /// The offset of the tail's beginning.
    base: usize,
    /// Where the blocks begin that make the next part.
    start: usize,
    at: usize,
    closed: Vec<Part>,
}

impl Cutter<'_> {
    /// One step; false if nothing more is done.
    fn step(&mut self, open: &mut Option<OpenCode>) -> bool {
        let rest = &self.tail[self.at..];
        if let Some(code) = open {
            let (taken, is_closed) = code.take(rest);
            self.at += taken;
            self.start = self.at;
            if is_closed {
                *open = None;
            }
            return is_closed;
        }
        if let Some(length) = markdown::closed_prefix(rest).or_else(|| markdown::forced_prefix(rest)) {
            self.at += length;
            // Many small blocks at once make one part: parts are looked at with each frame.
            if self.at - self.start > PART {
                self.close();
            }
            return true;
        }
        let Some((fence, length, language)) = Fence::at_start(rest) else { return false };
        self.close();
        let code = OpenCode {
            language: Arc::from(language),
            pieces: ArcRwSignal::default(),
            closing: ArcRwSignal::default(),
            opening: Arc::from(&rest[..length]),
            fence,
        };
        self.closed.push(Part { start: self.base + self.at, body: PartBody::Code(code.clone()) });
        self.at += length;
        self.start = self.at;
        *open = Some(code);
        true
    }

    /// Makes a part of the blocks that were passed.
    fn close(&mut self) {
        if self.at > self.start {
            let source = Arc::from(&self.tail[self.start..self.at]);
            self.closed.push(Part { start: self.base + self.start, body: PartBody::Blocks(source) });
            self.start = self.at;
        }
    }
}
