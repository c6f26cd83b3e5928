//! What a line of Markdown begins with: marks that are read from the line alone.

use super::{Alignment, spend};

/// A line that is being read from its beginning, in columns: a tab goes to the next multiple of four.
pub(super) struct Line<'a> {
    text: &'a str,
    at: usize,
    /// Where `at` is on the screen.
    column: usize,
    /// Columns of the tab before `at` that have not been taken.
    spare: usize,
}

impl<'a> Line<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, column: 0, spare: 0 }
    }

    /// How many columns of white space come next, and where they end.
    fn space(&self) -> (usize, usize) {
        let bytes = self.text.as_bytes();
        let (mut at, mut column) = (self.at, self.column);
        while let Some(byte @ (b' ' | b'\t')) = bytes.get(at) {
            column += if *byte == b' ' { 1 } else { 4 - column % 4 };
            at += 1;
        }
        spend(1 + at - self.at);
        (self.spare + column - self.column, at)
    }

    /// How many columns of white space come next.
    pub(super) fn indent(&self) -> usize {
        self.space().0
    }

    /// What comes after the white space.
    pub(super) fn ahead(&self) -> &'a str {
        &self.text[self.space().1..]
    }

    pub(super) fn is_blank(&self) -> bool {
        self.space().1 == self.text.len()
    }

    /// Takes white space of at most so many columns.
    pub(super) fn skip(&mut self, mut columns: usize) {
        while columns > 0 {
            if self.spare == 0 {
                match self.text.as_bytes().get(self.at) {
                    Some(b' ') => self.spare = 1,
                    Some(b'\t') => self.spare = 4 - self.column % 4,
                    _ => return,
                }
                self.at += 1;
                self.column += self.spare;
            }
            self.spare -= 1;
            columns -= 1;
        }
    }

    /// Takes the white space and so many columns of what follows.
    pub(super) fn take(&mut self, columns: usize) {
        let (space, at) = self.space();
        self.column += space - self.spare + columns;
        self.at = at + columns;
        self.spare = 0;
    }

    /// Adds what is left to a text of which lines matter.
    pub(super) fn push_to(&self, text: &mut String, newline: bool) {
        for _ in 0..self.spare {
            text.push(' ');
        }
        text.push_str(&self.text[self.at..]);
        if newline {
            text.push('\n');
        }
    }
}

/// Without the white space around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n'])
}

/// The level and the text of a heading that begins with `#`.
pub(super) fn heading(line: &str) -> Option<(u8, &str)> {
    let mut level = 0;
    while line.as_bytes().get(usize::from(level)) == Some(&b'#') {
        level += 1;
        if level > 6 {
            return None;
        }
    }
    let rest = &line[usize::from(level)..];
    if level == 0 || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let text = trim(rest);
    let open = text.trim_end_matches('#');
    let is_closed = open.is_empty() || open.ends_with([' ', '\t']);
    Some((level, if is_closed { trim(open) } else { text }))
}

/// The level that a line gives to the paragraph above.
pub(super) fn underline(line: &str) -> Option<u8> {
    let line = trim(line);
    if line.is_empty() {
        None
    } else if line.bytes().all(|byte| byte == b'=') {
        Some(1)
    } else {
        line.bytes().all(|byte| byte == b'-').then_some(2)
    }
}

/// Whether the line is a rule.
pub(super) fn is_rule(line: &str) -> bool {
    let mut marks = 0;
    let first = line.as_bytes().first();
    for byte in line.bytes() {
        if matches!(byte, b'*' | b'-' | b'_') && Some(&byte) == first {
            marks += 1;
        } else if byte != b' ' && byte != b'\t' {
            return false;
        }
    }
    spend(line.len());
    marks >= 3
}

/// What a list's item begins with.
pub(super) struct Marker {
    /// The mark that all items of the list share.
    pub(super) mark: u8,
    /// Its number, if it is numbered.
    pub(super) number: Option<u64>,
    /// How long it is.
    pub(super) len: usize,
}

/// The mark of an item of a list.
pub(super) fn marker(line: &str) -> Option<Marker> {
    let bytes = line.as_bytes();
    let mut len = 0;
    let mut number = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(len) {
        number = number * 10 + u64::from(digit - b'0');
        len += 1;
        if len > 9 {
            return None;
        }
    }
    let mark = *bytes.get(len)?;
    let fits = if len == 0 { matches!(mark, b'-' | b'*' | b'+') } else { matches!(mark, b'.' | b')') };
    if !fits || !matches!(bytes.get(len + 1), None | Some(b' ' | b'\t')) {
        return None;
    }
    Some(Marker { mark, number: (len > 0).then_some(number), len: len + 1 })
}

/// Whether an item that begins like this is ticked, and how long the mark is.
pub(super) fn tick(line: &str) -> Option<bool> {
    let ticked = match line.as_bytes() {
        [b'[', b' ' | b'\t', b']', ..] => false,
        [b'[', b'x' | b'X', b']', ..] => true,
        _ => return None,
    };
    matches!(line.as_bytes().get(3), None | Some(b' ' | b'\t')).then_some(ticked)
}

/// The raw cells of a table's row. A pipe after a backslash is part of its cell.
pub(super) fn cells(row: &str) -> Vec<String> {
    let row = trim(row);
    let mut rest = row.strip_prefix('|').unwrap_or(row);
    let mut cells = Vec::new();
    spend(row.len());
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return cells;
        }
        let mut cell = String::new();
        let mut from = 0;
        loop {
            let Some(pipe) = rest[from..].find('|') else {
                cell.push_str(&rest[from..]);
                rest = "";
                break;
            };
            let pipe = from + pipe;
            if pipe > 0 && rest.as_bytes()[pipe - 1] == b'\\' {
                cell.push_str(&rest[from..pipe - 1]);
                cell.push('|');
                from = pipe + 1;
            } else {
                cell.push_str(&rest[from..pipe]);
                rest = &rest[pipe + 1..];
                break;
            }
        }
        cell.truncate(trim(&cell).len());
        cells.push(cell);
    }
}

/// The columns that the line below a table's head describes.
pub(super) fn columns(line: &str) -> Option<Vec<Alignment>> {
    if !line.contains('|') || line.bytes().any(|byte| !matches!(byte, b'|' | b'-' | b':' | b' ' | b'\t')) {
        return None;
    }
    let mut alignments = Vec::new();
    for cell in cells(line) {
        let (left, bare) = cell.strip_prefix(':').map_or((false, &*cell), |bare| (true, bare));
        let (right, bare) = bare.strip_suffix(':').map_or((false, bare), |bare| (true, bare));
        if bare.is_empty() || bare.bytes().any(|byte| byte != b'-') {
            return None;
        }
        alignments.push(match (left, right) {
            (false, false) => Alignment::None,
            (true, false) => Alignment::Left,
            (true, true) => Alignment::Center,
            (false, true) => Alignment::Right,
        });
    }
    Some(alignments)
}
