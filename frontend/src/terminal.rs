//! A task's output as lines of coloured text, made of bytes that may be cut anywhere.
//!
//! This is no terminal: colours and weights are kept; `\r`, backspace and the sequences that move or erase
//! within a line are obeyed, so that progress bars overwrite themselves; every other sequence is dropped.
//! What leaves here is plain text with a [`Style`], to be shown by text nodes.
//!
//! # Bounds
//! At most [`LINES`] lines are kept, in chunks of [`CHUNK`] that never change once full, so that a page draws
//! each of them once. What was cut at the beginning is counted by [`Screen::dropped`]; what the runner no
//! longer keeps leaves a line of its own.

use std::sync::Arc;

use shared::output::OutputSlice;
use shared::shown;
use vte::{Params, Parser, Perform};

use crate::format;

/// How many lines are kept.
pub const LINES: usize = 5_000;
/// How many lines make a chunk.
pub const CHUNK: usize = 100;
/// A longer line goes on in the next.
const LINE_CHARS: usize = 2_000;
const TAB: usize = 8;

/// Output as far as it came.
#[derive(Default)]
pub struct Screen {
    parser: Parser,
    buffer: Buffer,
    /// The offset of the byte that is expected next.
    next: u64,
    /// The beginning of a character.
    partial: Vec<u8>,
}

/// Lines that never change again.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The number of the first, from 0.
    pub first: u64,
    /// Their text.
    pub lines: Vec<Line>,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its text, a run a style.
    pub runs: Vec<Run>,
    /// Whether it is not output but says what is missing.
    pub is_marker: bool,
    /// Whether it was cut for its length, and goes on in the next.
    pub continues: bool,
}

/// Text of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The text.
    pub text: String,
    /// Its style.
    pub style: Style,
}

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the letters.
    pub fg: Color,
    /// Behind them.
    pub bg: Color,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Struck through.
    pub strike: bool,
    /// With the colours swapped.
    pub inverse: bool,
}

/// How many bytes of a character that is not whole yet are at the end.
fn cut_off(bytes: &[u8]) -> usize {
    let begun = |length: &usize| {
        let end = bytes.len().checked_sub(*length).and_then(|from| bytes.get(from..)).unwrap_or_default();
        std::str::from_utf8(end).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=3).find(begun).unwrap_or(0)
}

/// A colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// The page's own.
    #[default]
    Default,
    /// One of the sixteen that a theme defines.
    Theme(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Screen {
    /// Takes a piece of output. What was taken already is passed over; a hole leaves a marker.
    pub fn take_in(&mut self, slice: &OutputSlice) {
        let data = &slice.data.0;
        let mut skip = 0;
        if slice.from > self.next {
            let missing = format::bytes(slice.from - self.next);
            self.parser = Parser::default();
            self.partial.clear();
            self.buffer.push_marker(format!("… {missing} of output are no longer kept …"));
        } else {
            skip = usize::try_from(self.next - slice.from).unwrap_or(usize::MAX).min(data.len());
        }
        self.next = self.next.max(slice.from + data.len() as u64);
        // The parser would lose what follows a character that was cut, so it gets whole ones only.
        self.partial.extend_from_slice(&data[skip..]);
        let whole = self.partial.len() - cut_off(&self.partial);
        self.parser.advance(&mut self.buffer, &self.partial[..whole]);
        self.partial.drain(..whole);
    }

    /// The chunks that never change again.
    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.buffer.chunks
    }

    /// The lines after the last chunk, the unfinished one too.
    pub fn tail(&self) -> Vec<Line> {
        let mut lines = self.buffer.tail.clone();
        if !self.buffer.cells.is_empty() {
            lines.push(runs(&self.buffer.cells));
        }
        lines
    }

    /// How many lines were cut at the beginning.
    pub fn dropped(&self) -> u64 {
        self.buffer.dropped
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// How many bytes came, those that are no longer kept included.
    pub fn seen(&self) -> u64 {
        self.next
    }

    /// All kept lines as plain text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let tail = self.tail();
        for line in self.buffer.chunks.iter().flat_map(|chunk| &chunk.lines).chain(&tail) {
            for run in &line.runs {
                text.push_str(&run.text);
            }
            if !line.continues {
                text.push('\n');
            }
        }
        text
    }
}

/// A whole output as plain text: what [`Screen::text`] says of one that holds all of it.
pub fn plain(output: &[u8]) -> String {
    let mut screen = Screen::default();
    screen.buffer.keeps_all = true;
    let data = shared::output::Bytes(output.to_vec());
    screen.take_in(&OutputSlice { data, ..OutputSlice::default() });
    screen.text()
}

#[derive(Default)]
struct Buffer {
    chunks: Vec<Arc<Chunk>>,
    tail: Vec<Line>,
    cells: Vec<(char, Style)>,
    column: usize,
    attributes: Style,
    dropped: u64,
    closed: u64,
    keeps_all: bool,
}

impl Buffer {
    fn push_marker(&mut self, text: String) {
        if !self.cells.is_empty() {
            self.end_line(false);
        }
        self.attributes = Style::default();
        self.keep(Line {
            runs: vec![Run { text, style: Style::default() }],
            is_marker: true,
            continues: false,
        });
    }

    fn end_line(&mut self, continues: bool) {
        let line = Line { continues, ..runs(&self.cells) };
        self.cells.clear();
        self.column = 0;
        self.keep(line);
    }

    fn keep(&mut self, line: Line) {
        self.tail.push(line);
        if self.tail.len() < CHUNK {
            return;
        }
        let lines = std::mem::take(&mut self.tail);
        self.chunks.push(Arc::new(Chunk { first: self.closed, lines }));
        self.closed += CHUNK as u64;
        if self.chunks.len() > LINES / CHUNK && !self.keeps_all {
            self.chunks.remove(0);
            self.dropped += CHUNK as u64;
        }
    }

    fn put(&mut self, c: char) {
        if self.column >= LINE_CHARS {
            self.end_line(true);
        }
        let cell = (c, self.attributes);
        while self.cells.len() < self.column {
            self.cells.push((' ', Style::default()));
        }
        match self.cells.get_mut(self.column) {
            Some(old) => *old = cell,
            None => self.cells.push(cell),
        }
        self.column += 1;
    }

    fn erase(&mut self, how: u16) {
        match how {
            0 => self.cells.truncate(self.column),
            1 => {
                let end = self.cells.len().min(self.column + 1);
                self.cells[..end].fill((' ', Style::default()));
            }
            2 => self.cells.clear(),
            _ => {}
        }
    }

    fn colour(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(param) = params.next() {
            let attributes = &mut self.attributes;
            match *param.first().unwrap_or(&0) {
                0 => *attributes = Style::default(),
                1 => attributes.bold = true,
                2 => attributes.dim = true,
                3 => attributes.italic = true,
                4 => attributes.underline = param.get(1) != Some(&0),
                7 => attributes.inverse = true,
                9 => attributes.strike = true,
                21 | 22 => (attributes.bold, attributes.dim) = (false, false),
                23 => attributes.italic = false,
                24 => attributes.underline = false,
                27 => attributes.inverse = false,
                29 => attributes.strike = false,
                n @ 30..=37 => attributes.fg = theme(n - 30),
                n @ 40..=47 => attributes.bg = theme(n - 40),
                n @ 90..=97 => attributes.fg = theme(n - 90 + 8),
                n @ 100..=107 => attributes.bg = theme(n - 100 + 8),
                39 => attributes.fg = Color::Default,
                49 => attributes.bg = Color::Default,
                38 => {
                    if let Some(color) = extended(param, &mut params) {
                        attributes.fg = color;
                    }
                }
                48 => {
                    if let Some(color) = extended(param, &mut params) {
                        attributes.bg = color;
                    }
                }
                _ => {}
            }
        }
    }
}

impl Perform for Buffer {
    fn print(&mut self, c: char) {
        // The parser takes them for characters where a piece ends before them, and drops them elsewhere.
        if c.is_control() {
            return;
        }
        if shown::misleads(c) {
            shown::escape(c).chars().for_each(|c| self.put(c));
        } else {
            self.put(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(false),
            b'\r' => self.column = 0,
            8 => self.column = self.column.saturating_sub(1),
            b'\t' => {
                let stop = ((self.column / TAB + 1) * TAB).min(LINE_CHARS);
                while self.column < stop {
                    if self.column >= self.cells.len() {
                        self.put(' ');
                    } else {
                        self.column += 1;
                    }
                }
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if ignore || !intermediates.is_empty() {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        let steps = usize::from(first.max(1));
        match action {
            'm' => self.colour(params),
            'K' => self.erase(first),
            'C' => self.column = (self.column + steps).min(LINE_CHARS),
            'D' => self.column = self.column.saturating_sub(steps),
            'G' => self.column = (steps - 1).min(LINE_CHARS),
            _ => {}
        }
    }
}

fn theme(n: u16) -> Color {
    Color::Theme(u8::try_from(n).unwrap_or_default())
}

/// The colour of `38` or `48`: `;5;n`, `;2;r;g;b`, or the same with colons, where a colour space may come
/// before red.
fn extended<'a>(param: &[u16], rest: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let byte = |n: u16| u8::try_from(n).ok();
    if let Some((kind, values)) = param.get(1..).and_then(<[u16]>::split_first) {
        return match (kind, values) {
            (5, [n, ..]) => byte(*n).map(indexed),
            (2, [r, g, b] | [_, r, g, b, ..]) => Some(Color::Rgb(byte(*r)?, byte(*g)?, byte(*b)?)),
            _ => None,
        };
    }
    let mut next = || rest.next().and_then(|param| param.first().copied());
    match next()? {
        5 => byte(next()?).map(indexed),
        2 => Some(Color::Rgb(byte(next()?)?, byte(next()?)?, byte(next()?)?)),
        _ => None,
    }
}

/// A colour of the 256: sixteen of the theme, a cube of 6 × 6 × 6, a ramp of greys.
fn indexed(n: u8) -> Color {
    match n {
        0..=15 => Color::Theme(n),
        16..=231 => {
            let n = n - 16;
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            Color::Rgb(level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232..=255 => {
            let grey = 8 + 10 * (n - 232);
            Color::Rgb(grey, grey, grey)
        }
    }
}

fn runs(cells: &[(char, Style)]) -> Line {
    let mut runs: Vec<Run> = Vec::new();
    for (c, style) in cells {
        match runs.last_mut() {
            Some(run) if run.style == *style => run.text.push(*c),
            _ => runs.push(Run { text: c.to_string(), style: *style }),
        }
    }
    Line { runs, ..Line::default() }
}

#[cfg(test)]
mod tests {
    use shared::output::Bytes;

    use super::*;

    #[test]
    fn text_is_text() {
        check("one\ntwo", &["one", "two"]);
        check("one\r\ntwo\r\n", &["one", "two"]);
        check("a\tb", &["a       b"]);
        check("\n\nx", &["", "", "x"]);
    }

    #[test]
    fn lines_are_overwritten_in_place() {
        check("10 %\r20 %", &["20 %"]);
        check("long line\rshort", &["shortline"]);
        check("long line\r\x1b[Kshort", &["short"]);
        check("abc\x08\x08X", &["aXc"]);
        check("abc\x1b[2K\rd", &["d"]);
        check("ab\x1b[3Cc", &["ab   c"]);
        check("abcdef\x1b[3Gx", &["abxdef"]);
    }

    #[test]
    fn other_sequences_are_dropped() {
        check("a\x1b]0;title\x07b\x1b[2J\x1b[5;5Hc\x1b[?25ld\x1b(Be", &["abcde"]);
        check("a\x1bPq#0;2;0;0;0\x1b\\b", &["ab"]);
        check("bell\x07\x00!", &["bell!"]);
    }

    #[test]
    fn colours_and_weights() {
        let styled = |style| Style { ..style };
        for (sequence, style) in [
            ("31", styled(Style { fg: Color::Theme(1), ..Style::default() })),
            (
                "1;4;92",
                styled(Style { fg: Color::Theme(10), bold: true, underline: true, ..Style::default() }),
            ),
            ("38;5;196", styled(Style { fg: Color::Rgb(255, 0, 0), ..Style::default() })),
            ("38;5;3", styled(Style { fg: Color::Theme(3), ..Style::default() })),
            ("38;5;244;1", styled(Style { fg: Color::Rgb(128, 128, 128), bold: true, ..Style::default() })),
            ("48;2;1;2;3", styled(Style { bg: Color::Rgb(1, 2, 3), ..Style::default() })),
            ("38:2::1:2:3", styled(Style { fg: Color::Rgb(1, 2, 3), ..Style::default() })),
            ("38:2:1:2:3", styled(Style { fg: Color::Rgb(1, 2, 3), ..Style::default() })),
            (
                "7;2;3;9",
                styled(Style { inverse: true, dim: true, italic: true, strike: true, ..Style::default() }),
            ),
            ("1;31;0", Style::default()),
            ("", Style::default()),
            ("38;2;999;0;0", Style::default()),
        ] {
            let screen = shown(&format!("\x1b[{sequence}mx"));
            assert_eq!(screen.tail()[0].runs, [Run { text: "x".into(), style }], "{sequence}");
        }
    }

    #[test]
    fn a_line_is_cut_into_runs() {
        let lines = shown("ok \x1b[32mgreen\x1b[0m end").tail();
        let texts: Vec<_> = lines[0].runs.iter().map(|run| run.text.as_str()).collect();
        assert_eq!(texts, ["ok ", "green", " end"]);
    }

    #[test]
    fn bytes_may_be_cut_anywhere() {
        let whole = "é\x1b[38;5;196m€ x\x1b[0m\r\n漢字 \x1b]0;t\x07end\n".as_bytes();
        let expected = shown(std::str::from_utf8(whole).unwrap()).text();
        for cut in 0..=whole.len() {
            let mut screen = Screen::default();
            screen.take_in(&slice(0, &whole[..cut]));
            screen.take_in(&slice(cut as u64, &whole[cut..]));
            assert_eq!(screen.text(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_follows_a_character_that_was_cut_is_kept() {
        let whole = "é, ü: über für\n".as_bytes();
        for (one, two) in (0..=whole.len()).flat_map(|one| (one..=whole.len()).map(move |two| (one, two))) {
            let mut screen = Screen::default();
            for (from, to) in [(0, one), (one, two), (two, whole.len())] {
                screen.take_in(&slice(from as u64, &whole[from..to]));
            }
            assert_eq!(screen.text().as_bytes(), whole, "cut at {one} and {two}");
        }
    }

    #[test]
    fn control_characters_are_never_shown_however_they_are_cut() {
        let whole = "a\u{9b}b\u{85}c\x7fd\n".as_bytes();
        for cut in 0..=whole.len() {
            let mut screen = Screen::default();
            screen.take_in(&slice(0, &whole[..cut]));
            screen.take_in(&slice(cut as u64, &whole[cut..]));
            assert_eq!(screen.text(), "abcd\n", "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let mut screen = Screen::default();
        screen.take_in(&slice(0, b"a\xff\xfeb\n"));
        assert!(screen.text().contains('\u{fffd}'));
        assert!(screen.text().starts_with('a') && screen.text().ends_with("b\n"));
    }

    #[test]
    fn repeated_bytes_are_passed_over_and_holes_are_marked() {
        let mut screen = Screen::default();
        screen.take_in(&slice(0, b"one\n"));
        screen.take_in(&slice(0, b"one\ntwo\n"));
        assert_eq!(screen.text(), "one\ntwo\n");
        screen.take_in(&slice(2_008, b"three"));
        assert_eq!(screen.text(), "one\ntwo\n… 2.0 kB of output are no longer kept …\nthree\n");
        assert!(screen.tail()[2].is_marker);
    }

    #[test]
    fn lines_are_bounded_and_the_cut_is_counted() {
        let mut screen = Screen::default();
        let lines: Vec<String> = (0..LINES + 3 * CHUNK + 7).map(|n| n.to_string()).collect();
        let lines = lines.join("\n") + "\n";
        screen.take_in(&slice(0, lines.as_bytes()));
        assert_eq!(screen.dropped(), 3 * CHUNK as u64);
        assert_eq!(screen.chunks().len(), LINES / CHUNK);
        assert_eq!(screen.chunks()[0].first, 3 * CHUNK as u64);
        assert_eq!(screen.text().lines().next(), Some("300"));
        assert_eq!(screen.tail().len(), 7);
    }

    #[test]
    fn an_endless_line_goes_on_in_the_next() {
        let screen = shown(&"x".repeat(LINE_CHARS * 2 + 5));
        assert_eq!(screen.tail().len(), 3);
        assert_eq!(screen.text().lines().count(), 1, "as plain text it is one line");
        assert_eq!(screen.text().chars().filter(|c| *c == 'x').count(), LINE_CHARS * 2 + 5);
    }

    #[test]
    fn a_whole_output_reads_as_the_screen_does() {
        for output in [
            "a\r\nb\n",
            "long line\rshort",
            "10 %\r50 %\r\x1b[Kdone\n",
            "abc\x08\x08X",
            "\x1b[31mred\x1b[0m\tx",
            "\x1b]0;title\x07shown",
            "",
            &format!("{}\nend", "x".repeat(3 * LINE_CHARS)),
        ] {
            assert_eq!(plain(output.as_bytes()), shown(output).text(), "{output:?}");
        }
        let lines = "line\n".repeat(LINES + 2 * CHUNK);
        assert_eq!(plain(lines.as_bytes()), lines);
    }

    fn check(output: &str, lines: &[&str]) {
        let text = shown(output).text();
        assert_eq!(text.lines().collect::<Vec<_>>(), lines, "{output:?}");
    }

    fn shown(output: &str) -> Screen {
        let mut screen = Screen::default();
        screen.take_in(&slice(0, output.as_bytes()));
        screen
    }

    fn slice(from: u64, data: &[u8]) -> OutputSlice {
        let data = Bytes(data.to_vec());
        OutputSlice { from, total: from + data.0.len() as u64, data, ..OutputSlice::default() }
    }
}
