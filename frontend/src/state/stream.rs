//! Text that grows at its end, cut into parts that no longer change and one that does.
//!
//! What a push costs is in proportion to what is new and to the part that still grows. Of blocks that is the
//! last one, of code that is still being written its last lines. Parts lie in sections, so that neither a
//! frame nor the browser's layout goes through all parts of a long text; a full section is passed over where
//! it is not seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leptos::prelude::*;

use crate::markdown::{self, Cut, Fence};

/// The least bytes of a part, where there are more, and of a piece of code: a browser sets a piece anew as a
/// whole.
pub const PART: usize = 4 * 1024;
/// From how many bytes on a section is full.
const SECTION: usize = 8 * 1024;
/// How many bytes fill a line of the conversation, about.
const LINE: usize = 85;

/// Text that grows at its end.
#[derive(Clone, Default)]
pub struct Stream {
    /// What cannot change any more, but for code that is open.
    pub closed: ArcRwSignal<Vec<Section>>,
    /// What still grows: a block, or the last lines of the code that is open.
    pub tail: ArcRwSignal<String>,
    /// Whether the tail continues the block before it, which was cut for its length.
    pub continues: ArcRwSignal<bool>,
    /// Whether more may come.
    pub live: ArcRwSignal<bool>,
    /// How many bytes are in front of the tail.
    passed: Arc<AtomicUsize>,
}

/// Parts that lie in one box. Code that was seen to grow has a section of its own.
#[derive(Clone)]
pub struct Section {
    /// Unique to this section.
    pub serial: u64,
    /// Whether it continues the block before it, which was cut for its length.
    pub continues: bool,
    /// In their order.
    pub parts: ArcRwSignal<Vec<Part>>,
    /// How many lines high it is, about, once it is full. It does not change any more then.
    pub height: ArcRwSignal<Option<usize>>,
}

impl Section {
    fn new(first: Part) -> Self {
        let section = Self {
            serial: super::serial(),
            continues: first.continues,
            parts: ArcRwSignal::default(),
            height: ArcRwSignal::default(),
        };
        section.push(first);
        section
    }

    fn takes(&self, part: &Part) -> bool {
        let is_blocks = |part: &Part| matches!(part.body, PartBody::Blocks(_));
        is_blocks(part)
            && self.height.with_untracked(Option::is_none)
            && self.parts.with_untracked(|parts| parts.iter().all(is_blocks))
    }

    fn push(&self, part: Part) {
        self.parts.update(|parts| parts.push(part));
        let sources = self.parts.with_untracked(|parts| {
            parts.iter().map(|part| (part.source().len(), estimated_lines(part.source()))).collect::<Vec<_>>()
        });
        let bytes: usize = sources.iter().map(|(bytes, _)| bytes).sum();
        if bytes >= SECTION {
            self.height.set(Some(sources.iter().map(|(_, lines)| lines).sum()));
        }
    }
}

/// How many lines high a text is, about: blocks are half a line apart.
fn estimated_lines(source: &str) -> usize {
    let halves = |line: &str| if line.trim().is_empty() { 1 } else { 2 * line.len().div_ceil(LINE) };
    source.lines().map(halves).sum::<usize>().div_ceil(2)
}

/// A part of a growing text.
#[derive(Clone)]
pub struct Part {
    /// The offset it begins at.
    pub start: usize,
    /// Whether it continues the block before it, which was cut for its length.
    pub continues: bool,
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

    /// Takes the complete lines at the start of `text`, and says how many bytes are done with, and whether it
    /// is closed.
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
    /// Its blocks as they were written; nothing of code.
    fn source(&self) -> &str {
        match &self.body {
            PartBody::Blocks(source) => source,
            PartBody::Code(_) => "",
        }
    }

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
        self.closed.with(|sections| {
            for section in sections {
                section.parts.with(|parts| parts.iter().for_each(|part| part.write(&mut text)));
            }
        });
        self.tail.with(|tail| text.push_str(tail));
        text
    }

    /// The code that is open, if the text ends within one. Reads reactively.
    pub fn open_code(&self) -> Option<OpenCode> {
        let last = self.closed.with(|sections| sections.last().map(|section| section.parts.clone()))?;
        last.with(|parts| match parts.last().map(|part| &part.body) {
            Some(PartBody::Code(code)) if code.closing.with(Option::is_none) => Some(code.clone()),
            Some(PartBody::Code(_) | PartBody::Blocks(_)) | None => None,
        })
    }

    pub(super) fn push(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut open = untrack(|| self.open_code());
        let continues = self.continues.get_untracked();
        let cut = self.tail.try_update(|tail| {
            tail.push_str(text);
            let base = self.passed.load(Ordering::Relaxed);
            let mut cutter = Cutter {
                tail,
                base,
                start: 0,
                start_continues: continues,
                at: 0,
                at_continues: continues,
                closed: Vec::new(),
            };
            while cutter.step(&mut open) {}
            cutter.close();
            let (closed, at, at_continues) = (cutter.closed, cutter.at, cutter.at_continues);
            self.passed.store(base + at, Ordering::Relaxed);
            tail.drain(..at);
            (closed, at_continues)
        });
        let Some((closed, at_continues)) = cut else { return };
        self.add(closed);
        if at_continues != continues {
            self.continues.set(at_continues);
        }
    }

    /// Puts parts into sections: the last one until it is full, then new ones.
    fn add(&self, parts: Vec<Part>) {
        let mut last = self.closed.with_untracked(|sections| sections.last().cloned());
        let mut new = Vec::new();
        for part in parts {
            if let Some(section) = last.as_ref().filter(|section| section.takes(&part)) {
                section.push(part);
            } else {
                let section = Section::new(part);
                last = Some(section.clone());
                new.push(section);
            }
        }
        if !new.is_empty() {
            self.closed.update(|sections| sections.extend(new));
        }
    }

    pub(super) fn replace(&self, text: &str, live: bool) {
        let shown = untrack(|| self.text());
        if let Some(more) = text.strip_prefix(shown.as_str()) {
            self.push(more);
        } else {
            self.closed.update(Vec::clear);
            self.tail.update(String::clear);
            self.continues.set(false);
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
    /// Where the blocks begin that make the next part, and whether they continue the block before.
    start: usize,
    start_continues: bool,
    /// How far it is done, and whether what follows continues the block before.
    at: usize,
    at_continues: bool,
    closed: Vec<Part>,
}

impl Cutter<'_> {
    /// One step; false if nothing more is done.
    fn step(&mut self, open: &mut Option<OpenCode>) -> bool {
        let rest = &self.tail[self.at..];
        if let Some(code) = open {
            let (taken, is_closed) = code.take(rest);
            self.pass(taken);
            if is_closed {
                *open = None;
            }
            return is_closed;
        }
        if let Some(Cut { length, is_forced }) = markdown::next_cut(rest) {
            self.at += length;
            self.at_continues = is_forced;
            // Many small blocks at once make one part.
            if is_forced || self.at - self.start > PART {
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
        let body = PartBody::Code(code.clone());
        self.closed.push(Part { start: self.base + self.at, continues: false, body });
        self.pass(length);
        *open = Some(code);
        true
    }

    /// Goes over what makes no part of blocks.
    fn pass(&mut self, length: usize) {
        self.at += length;
        self.start = self.at;
        (self.start_continues, self.at_continues) = (false, false);
    }

    /// Makes a part of the blocks that were passed.
    fn close(&mut self) {
        if self.at > self.start {
            let body = PartBody::Blocks(Arc::from(&self.tail[self.start..self.at]));
            self.closed.push(Part { start: self.base + self.start, continues: self.start_continues, body });
            (self.start, self.start_continues) = (self.at, self.at_continues);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_lies_in_sections_of_bounded_length() {
        let text = format!("{}\n\n", "Words that fill a line. ".repeat(8)).repeat(2_000) + "The end.";
        for step in [100, 5_000, text.len()] {
            let stream = Stream::new("", true);
            for piece in text.as_bytes().chunks(step) {
                stream.push(std::str::from_utf8(piece).expect("it is ASCII"));
            }
            assert_eq!(stream.text(), text);
            let sections = stream.closed.get_untracked();
            assert!((30..100).contains(&sections.len()), "{step}: {} sections", sections.len());
            for section in &sections[..sections.len() - 1] {
                let bytes: usize = section.parts.get_untracked().iter().map(|part| part.source().len()).sum();
                assert!((SECTION..SECTION + 2 * PART).contains(&bytes), "{step}: {bytes}");
                // Three lines and a half for each 194 bytes.
                let lines = section.height.get_untracked().expect("it is full");
                assert!((bytes / 70..bytes / 45).contains(&lines), "{step}: {lines} lines for {bytes} bytes");
                assert!(!section.continues);
            }
        }
    }

    #[test]
    fn a_long_list_comes_in_parts_and_each_continues_the_one_before() {
        let text =
            (1..=2_000).map(|n| format!("{n}. item with some words")).collect::<Vec<_>>().join("\n") + "\n";
        for step in [26, text.len()] {
            let stream = Stream::new("", true);
            for piece in text.as_bytes().chunks(step) {
                stream.push(std::str::from_utf8(piece).expect("it is ASCII"));
            }
            assert_eq!(stream.text(), text);
            let parts = || stream.closed.get_untracked().into_iter().flat_map(|s| s.parts.get_untracked());
            assert!(parts().all(|part| part.source().len() <= PART), "{step}");
            assert!(parts().enumerate().all(|(n, part)| part.continues == (n > 0)), "{step}");
            assert!(stream.continues.get_untracked() && parts().count() > 10, "{step}");
            stream.push("\nThe end.\n\nOf all.");
            assert!(!stream.continues.get_untracked());
        }
    }

    #[test]
    fn code_has_a_section_of_its_own() {
        let stream = Stream::new("Look:\n\n```rust\nlet a", true);
        stream.push(" = 1;\n```\nOne.\n\nTwo.\n\nThree.");
        let sections = stream.closed.get_untracked();
        let counts: Vec<_> = sections.iter().map(|section| section.parts.with_untracked(Vec::len)).collect();
        assert_eq!(counts, [1, 1, 1]);
        assert!(sections.iter().all(|section| section.height.get_untracked().is_none()));
    }

    #[test]
    fn lines_are_counted_as_they_break() {
        for (source, lines) in
            [("", 0), ("a", 1), ("a\n\nb", 3), ("- a\n- b\n", 2), ("x".repeat(200).as_str(), 3)]
        {
            assert_eq!(estimated_lines(source), lines, "{source:?}");
        }
    }
}
