//! Output as text for the model: escape sequences removed, overwritten frames collapsed, invalid bytes
//! replaced.
//!
//! The bytes go through the parser that terminals use. A carriage return that is not part of a line end makes
//! the next character begin its line anew, so of a progress bar the last state remains. So does a cursor that
//! goes up, for as many lines as a screen may have.

use std::collections::VecDeque;

use shared::output::Preview;
use shared::task::Process;
use vte::{Params, Parser, Perform};

/// Characters that [`last_line`] gives at most.
const LINE_CHARS: usize = 200;
/// Lines that a cursor may go up: the height of a large screen.
const SCREEN: usize = 100;
/// Ends whatever sequence the parser is in.
const CANCEL: &[u8] = b"\x18";

struct Cleaner {
    /// The lines above the screen, each with its end.
    text: String,
    /// Those that a cursor can reach. There is always one.
    screen: VecDeque<String>,
    /// The current one.
    at: usize,
    /// A carriage return came, and nothing after it yet.
    returned: bool,
}

impl Cleaner {
    fn new(bytes: usize) -> Self {
        let screen = VecDeque::from([String::new()]);
        Self { text: String::with_capacity(bytes), screen, at: 0, returned: false }
    }

    fn line(&mut self) -> &mut String {
        &mut self.screen[self.at]
    }

    /// Empties the line, if what comes next begins it anew.
    fn begin_anew(&mut self) {
        if std::mem::take(&mut self.returned) {
            self.line().clear();
        }
    }

    fn up(&mut self, count: usize) {
        self.at = self.at.saturating_sub(count);
        self.returned = true;
    }

    fn down(&mut self, count: usize) {
        for _ in 0..count.min(self.screen.len() - 1 - self.at) {
            self.next_line();
        }
    }

    /// To the next line: a new one, or one that is there already and stays if nothing is written over it.
    fn next_line(&mut self) {
        self.at += 1;
        if self.at == self.screen.len() {
            self.screen.push_back(String::new());
        }
        if self.screen.len() > SCREEN + 1 {
            let above = self.screen.pop_front().unwrap_or_default();
            self.text.push_str(&above);
            self.text.push('\n');
            self.at -= 1;
        }
        self.returned = !self.line().is_empty();
    }

    fn finished(mut self) -> String {
        let last = self.screen.pop_back().unwrap_or_default();
        for line in self.screen {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        self.text + &last
    }
}

impl Perform for Cleaner {
    fn print(&mut self, character: char) {
        // The parser takes them for characters where the text was cut before them, and drops them elsewhere.
        if character.is_control() && character != '\t' {
            return;
        }
        self.begin_anew();
        self.line().push(character);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.next_line(),
            b'\r' => self.returned = true,
            b'\t' => self.print('\t'),
            // Of nothing it takes nothing.
            0x08 => drop(self.line().pop()),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: char) {
        // "Erase the line", as progress displays do before they draw it again.
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        let count = usize::from(first.max(1));
        match action {
            'K' if first == 2 => {
                self.returned = true;
                self.begin_anew();
            }
            'K' if first == 0 => self.begin_anew(),
            // "Erase from here on".
            'J' if first == 0 => {
                self.begin_anew();
                self.screen.truncate(self.at + 1);
            }
            'A' | 'F' => self.up(count),
            'B' | 'E' => self.down(count),
            'G' if first <= 1 => self.returned = true,
            _ => {}
        }
    }
}

/// The bytes as plain text.
pub(crate) fn clean(bytes: &[u8]) -> String {
    let mut cleaner = Cleaner::new(bytes.len());
    let mut parser = Parser::new();
    for part in Parts::new(bytes) {
        parser.advance(&mut cleaner, part);
    }
    // Ends a character that was cut off, so that it shows as U+FFFD.
    parser.advance(&mut cleaner, CANCEL);
    cleaner.finished()
}

/// The bytes with what the parser does not know: a string such as a title ends with its line at the latest,
/// and a control character above ASCII is the sequence that it stands for.
struct Parts<'a> {
    rest: &'a [u8],
    /// Within such a string.
    string: bool,
    ready: Option<&'static [u8]>,
}

impl<'a> Parts<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, string: false, ready: None }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(ready) = self.ready.take() {
            return Some(ready);
        }
        if self.rest.is_empty() {
            return None;
        }
        let (mut at, mut taken) = (0, 0);
        while let Some(byte) = self.rest.get(at) {
            let next = self.rest.get(at + 1).copied();
            match (*byte, next) {
                (0x1b, Some(b']' | b'P' | b'X' | b'^' | b'_')) => {
                    self.string = true;
                    at += 1;
                }
                (0x1b | 0x18 | 0x1a, _) => self.string = false,
                (0x07, _) if self.string => {
                    // Of the strings only a title ends with a bell by itself.
                    self.string = false;
                    self.ready = Some(CANCEL);
                    at += 1;
                    break;
                }
                (b'\n', _) if self.string => {
                    self.string = false;
                    self.ready = Some(CANCEL);
                    break;
                }
                (0xc2, Some(code @ 0x80..=0x9f)) => {
                    taken = 2;
                    if self.string && code == 0x9c {
                        self.string = false;
                        self.ready = Some(CANCEL);
                    } else if !self.string {
                        self.ready = seven_bit(code, &self.rest[at + 2..]);
                        self.string = !matches!(self.ready, None | Some(b"\x1b["));
                    }
                    break;
                }
                _ => {}
            }
            at += 1;
        }
        let (part, rest) = self.rest.split_at(at.min(self.rest.len()));
        self.rest = &rest[taken..];
        Some(part)
    }
}

/// What a control character above ASCII is in seven bits, if it begins something. `rest` is what follows.
fn seven_bit(code: u8, rest: &[u8]) -> Option<&'static [u8]> {
    match code {
        0x9b => {
            let params = rest.iter().take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
            let end = rest.get(params)?;
            // Alone before a letter it may as well be rubbish in a text.
            let fits = if params > 0 { (0x40..=0x7e).contains(end) } else { b"ABCDHJKm".contains(end) };
            fits.then_some(b"\x1b[")
        }
        0x90 => Some(b"\x1bP"),
        0x98 => Some(b"\x1bX"),
        0x9d => Some(b"\x1b]"),
        0x9e => Some(b"\x1b^"),
        0x9f => Some(b"\x1b_"),
        _ => None,
    }
}

/// The end of some output as plain text, from its first whole line if it has one, else its first whole
/// character; and how many bytes lie before that.
pub(super) fn clean_tail(bytes: &[u8]) -> (String, usize) {
    const LINE: usize = 4_096;
    let start = match memchr::memchr(b'\n', &bytes[..bytes.len().min(LINE)]) {
        Some(end) if end + 1 < bytes.len() => end + 1,
        _ => bytes.iter().take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count(),
    };
    (clean(&bytes[start..]), start)
}

/// The last line that is not blank, at most 200 characters of it.
pub(super) fn last_line(bytes: &[u8]) -> String {
    let text = clean(bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LINE_CHARS).collect()
}

/// The text, or its first and last half of `most` characters.
pub(super) fn cut(text: String, most: usize) -> Preview {
    let count = text.chars().count();
    if count <= most {
        return Preview { head: text, tail: String::new(), omitted_chars: 0 };
    }
    let (head, tail) = (most / 2, most - most / 2);
    Preview {
        head: first(&text, head).to_owned(),
        tail: last(&text, tail).to_owned(),
        omitted_chars: (count - most) as u64,
    }
}

/// The first characters of `head` and the last of `tail`, between which `between` characters were not looked
/// at.
pub(super) fn join(head: &str, tail: &str, between: u64, most: usize) -> Preview {
    let (head_most, tail_most) = (most / 2, most - most / 2);
    let (kept_head, kept_tail) = (first(head, head_most), last(tail, tail_most));
    let dropped =
        head[kept_head.len()..].chars().count() + tail[..tail.len() - kept_tail.len()].chars().count();
    Preview {
        head: kept_head.to_owned(),
        tail: kept_tail.to_owned(),
        omitted_chars: between + dropped as u64,
    }
}

/// How many characters begin in the bytes.
pub(super) fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count() as u64
}

fn first(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}

fn last(text: &str, characters: usize) -> &str {
    if characters == 0 {
        return "";
    }
    text.char_indices().rev().nth(characters - 1).map_or(text, |(at, _)| &text[at..])
}

/// The last `count` lines.
pub(super) fn last_lines(text: &str, count: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let start = body.rmatch_indices('\n').nth(count.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    if count == 0 { "" } else { &text[start..] }
}

/// The lines that match, each with its number (a question mark if that of the first is not known) and a
/// colon; the last `tail` of them, and how many there were.
pub(super) fn matching(
    text: &str,
    pattern: &regex::Regex,
    first_number: Option<u64>,
    tail: usize,
) -> (String, u64) {
    let mut found = VecDeque::new();
    let mut matches = 0;
    for (number, line) in (0..).zip(text.lines()) {
        if pattern.is_match(line) {
            matches += 1;
            if found.len() == tail {
                found.pop_front();
            }
            found.push_back((number, line));
        }
    }
    let mut lines = String::new();
    for (number, line) in found {
        let number: String = first_number.map_or_else(|| "?".into(), |first| (first + number).to_string());
        lines.push_str(&format!("{number}: {line}\n"));
    }
    (lines, matches)
}

/// Processes in one line.
pub(super) fn names(processes: &[Process]) -> String {
    let name = |process: &Process| match process.pid {
        // It stands for those beyond a bound.
        0 => process.command.clone(),
        pid => format!("{pid} ({})", process.command),
    };
    processes.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What could not be ended of a task, as a sentence behind others; nothing, if that is nothing.
pub(super) fn live_on(processes: &[Process]) -> String {
    if processes.is_empty() {
        return String::new();
    }
    format!(" These processes of it could not be ended, and live on: {}.", names(processes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_links_go() {
        assert_eq!(
            clean(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\y\x1b]8;;\x1b\\\n"),
            "red xy\n"
        );
    }

    #[test]
    fn frames_collapse_to_the_last() {
        assert_eq!(clean(b"10%\r50%\r100%\ndone\r\n"), "100%\ndone\n");
        assert_eq!(clean(b"a long line\r\x1b[Kshort\n"), "short\n");
    }

    #[test]
    fn frames_that_go_up_collapse_to_the_last() {
        let mut bytes = b"header\n".to_vec();
        for frame in 0..200 {
            if frame > 0 {
                bytes.extend_from_slice(b"\x1b[3A");
            }
            for bar in ["a", "b", "c"] {
                bytes.extend_from_slice(format!("\x1b[2K\r{bar} {frame}%\n").as_bytes());
            }
        }
        assert_eq!(clean(&bytes), "header\na 199%\nb 199%\nc 199%\n");
        bytes.extend_from_slice(b"\x1b[3A");
        assert_eq!(clean(&bytes), "header\na 199%\nb 199%\nc 199%\n", "what is not written over stays");
        bytes.extend_from_slice(b"\x1b[Jdone\n");
        assert_eq!(clean(&bytes), "header\ndone\n");
        assert_eq!(clean(b"one\ntwo\n\x1b[99999Athree\n"), "three\ntwo\n");
        assert_eq!(clean(b"one\ntwo\n\x1b[2A\x1b[1Bnew"), "one\nnew\n");
    }

    /// Each way up or down costs as much, however long the lines are.
    #[test]
    fn a_cursor_that_goes_up_and_down_beside_long_lines_takes_no_longer_for_it() {
        let mut bytes = vec![b'x'; 4 << 20];
        bytes.push(b'\n');
        bytes.extend_from_slice(&vec![b'y'; 4 << 20]);
        let moves = b"\x1b[A\x1b[B".repeat(100_000);
        bytes.extend_from_slice(&moves);
        let begun = std::time::Instant::now();
        let text = clean(&bytes);
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert_eq!(text.len(), (8 << 20) + 1);
    }

    #[test]
    fn a_string_that_is_not_closed_ends_with_its_line() {
        assert_eq!(clean(b"\x1b]0;never closed\nnext line\nlast\n"), "\nnext line\nlast\n");
        for begin in ["\x1bP", "\x1b_", "\x1b^", "\x1bX", "\u{9d}", "\u{90}", "\u{9f}"] {
            assert_eq!(clean(format!("a{begin}never\nb").as_bytes()), "a\nb", "{begin:?}");
            assert_eq!(clean(format!("a{begin}x\x1b\\b").as_bytes()), "ab", "{begin:?}");
            assert_eq!(clean(format!("a{begin}x\u{9c}b").as_bytes()), "ab", "{begin:?}");
        }
    }

    #[test]
    fn sequences_of_control_characters_above_ascii_leave_nothing() {
        assert_eq!(clean("\u{9b}31mred\u{9b}0m \u{9b}K\u{9d}0;title\u{7}x\u{84}\n".as_bytes()), "red x\n");
    }

    #[test]
    fn a_frame_that_was_not_overwritten_stays() {
        assert_eq!(clean(b"90%\r"), "90%");
    }

    #[test]
    fn invalid_bytes_become_one_sign() {
        assert_eq!(clean(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn control_characters_go_also_those_above_ascii() {
        assert_eq!(clean("a\u{9b}b\u{85}c\x7fd\x1bY\x7fe".as_bytes()), "abcde");
    }

    #[test]
    fn a_tail_begins_with_a_whole_line_or_character() {
        assert_eq!(clean_tail(b"31mrest\nline\n"), ("line\n".into(), 8));
        assert_eq!(clean_tail(&"\u{e9}x".as_bytes()[1..]), ("x".into(), 1));
    }

    #[test]
    fn the_last_line_is_not_blank_and_not_long() {
        assert_eq!(last_line(b"one\n\x1b[32mtwo\x1b[0m\n  \n"), "two");
        assert_eq!(last_line("\u{e4}".repeat(300).as_bytes()).chars().count(), 200);
    }

    #[test]
    fn a_cut_counts_what_it_leaves_out() {
        let cut = cut("\u{e4}bcdefghij".into(), 4);
        assert_eq!((cut.head.as_str(), cut.tail.as_str(), cut.omitted_chars), ("\u{e4}b", "ij", 6));
    }

    #[test]
    fn last_lines_count_lines_and_not_line_ends() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a\n", 5), "a\n");
    }

    #[test]
    fn matches_are_numbered_and_counted() {
        let pattern = regex::Regex::new("[ac]").unwrap();
        assert_eq!(matching("a\nb\nc\na\n", &pattern, Some(1), 2), ("3: c\n4: a\n".into(), 3));
        assert_eq!(matching("a\nb\n", &pattern, None, 2), ("?: a\n".into(), 1));
    }
}
