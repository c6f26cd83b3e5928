//! Output as text for the model: escape sequences removed, overwritten frames collapsed, invalid bytes replaced.
//!
//! The bytes go through the parser that terminals use. A carriage return that is not part of a line end makes the next
//! character begin its line anew, so of a progress bar the last state remains.

use std::collections::VecDeque;

use shared::output::Excerpt;
use vte::{Params, Parser, Perform};

/// Characters that [`last_line`] gives at most.
const LINE_CHARS: usize = 200;

#[derive(Default)]
struct Cleaner {
    text: String,
    /// Where the current line begins in `text`.
    line: usize,
    /// A carriage return came, and nothing after it yet.
    returned: bool,
}

impl Perform for Cleaner {
    fn print(&mut self, character: char) {
        // The parser takes them for characters where the text was cut before them, and drops them elsewhere.
        if character.is_control() && character != '\t' {
            return;
        }
        if self.returned {
            self.text.truncate(self.line);
            self.returned = false;
        }
        self.text.push(character);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.returned = false;
                self.text.push('\n');
                self.line = self.text.len();
            }
            b'\r' => self.returned = true,
            b'\t' => self.print('\t'),
            0x08 if self.text.len() > self.line => {
                self.text.pop();
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: char) {
        // "Erase the line", as progress displays do before they draw it again.
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        if action == 'K' && (first == 2 || (first == 0 && self.returned)) {
            self.text.truncate(self.line);
            self.returned = false;
        }
    }
}

/// The bytes as plain text.
pub(crate) fn clean(bytes: &[u8]) -> String {
    let mut cleaner = Cleaner { text: String::with_capacity(bytes.len()), ..Cleaner::default() };
    let mut parser = Parser::new();
    parser.advance(&mut cleaner, bytes);
    // Ends a character that was cut off, so that it shows as U+FFFD.
    parser.advance(&mut cleaner, b"\x18");
    cleaner.text
}

/// The end of some output as plain text, from its first whole line if it has one, else its first whole character; and
/// how many bytes lie before that.
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
pub(super) fn cut(text: String, most: usize) -> Excerpt {
    let count = text.chars().count();
    if count <= most {
        return Excerpt { head: text, tail: String::new(), omitted_chars: 0 };
    }
    let (head, tail) = (most / 2, most - most / 2);
    Excerpt {
        head: first(&text, head).to_owned(),
        tail: last(&text, tail).to_owned(),
        omitted_chars: (count - most) as u64,
    }
}

/// The first characters of `head` and the last of `tail`, between which `between` bytes were not looked at.
pub(super) fn join(head: &str, tail: &str, between: u64, most: usize) -> Excerpt {
    let (head_most, tail_most) = (most / 2, most - most / 2);
    let (kept_head, kept_tail) = (first(head, head_most), last(tail, tail_most));
    let dropped =
        head[kept_head.len()..].chars().count() + tail[..tail.len() - kept_tail.len()].chars().count();
    Excerpt {
        head: kept_head.to_owned(),
        tail: kept_tail.to_owned(),
        omitted_chars: between + dropped as u64,
    }
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

/// The lines that match, each with its number behind which a colon stands; the last `tail` of them, and how many there were.
pub(super) fn matching(text: &str, pattern: &regex::Regex, first_number: u64, tail: usize) -> (String, u64) {
    let mut found = VecDeque::new();
    let mut matches = 0;
    for (number, line) in (first_number..).zip(text.lines()) {
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
        lines.push_str(&format!("{number}: {line}\n"));
    }
    (lines, matches)
}

/// Such as `SIGTERM`.
pub(super) fn signal_name(number: i32) -> String {
    signal_hook::low_level::signal_name(number).map_or_else(|| format!("signal {number}"), ToOwned::to_owned)
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
        assert_eq!(matching("a\nb\nc\na\n", &pattern, 1, 2), ("3: c\n4: a\n".into(), 3));
    }
}
