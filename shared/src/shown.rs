//! Text of others as a person may see them: nothing in them is invisible, moves other signs about or obeys a
//! terminal.
//!
//! A sign that would is drawn as an escape, such as `\u{202e}`, and long runs of blanks are counted.

use std::borrow::Cow;

/// More empty lines in a row than this are counted instead.
const EMPTY_LINES: usize = 3;
/// More spaces and tabs in a row than this are counted instead.
const SPACES: usize = 24;
/// More marks on one sign than this are drawn beside it.
const MARKS: usize = 2;

/// A piece of a text as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The escape of a sign that cannot be seen, or moves others.
    Sign(String),
    /// Blanks, counted: `300 spaces`.
    Blank(String),
}

/// Controls but for tab and line end, formats (bidirectional marks, joiners, tags), line ends of other kinds,
/// spaces of other kinds, and what else is drawn as nothing.
const HIDDEN: [(u32, u32); 31] = [
    (0x00, 0x08),
    (0x0b, 0x1f),
    (0x7f, 0xa0),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x1680, 0x1680),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0xfffe, 0xffff),
    (0x110bd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d159, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// Marks that stand on the sign before them.
const STACKED: [(u32, u32); 5] =
    [(0x300, 0x36f), (0x1ab0, 0x1aff), (0x1dc0, 0x1dff), (0x20d0, 0x20ff), (0xfe20, 0xfe2f)];

/// Hidden signs that are at home in what programs print: spaces of other kinds, joiners and variants of
/// signs, and the empty pattern of braille, with which bars are drawn.
const AT_HOME: [(u32, u32); 8] = [
    (0xa0, 0xa0),
    (0x2000, 0x200a),
    (0x200c, 0x200d),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0xfe00, 0xfe0f),
];

/// Whether a sign in what a program printed moves others about, or hides among them.
#[must_use]
pub fn misleads(sign: char) -> bool {
    is_hidden(sign) && !within(&AT_HOME, sign)
}

/// What a program printed, without its commands to a terminal: signs that mislead are escapes, and all else
/// stays as it is.
#[must_use]
pub fn output(text: &str) -> Cow<'_, str> {
    if !text.contains(misleads) {
        return Cow::Borrowed(text);
    }
    let drawn = text.chars().fold(String::with_capacity(text.len() + 16), |mut drawn, sign| {
        if misleads(sign) {
            drawn.push_str(&escape(sign));
        } else {
            drawn.push(sign);
        }
        drawn
    });
    Cow::Owned(drawn)
}

/// Whether a sign cannot be seen as what it is.
#[must_use]
pub fn is_hidden(sign: char) -> bool {
    within(&HIDDEN, sign)
}

fn within(ranges: &[(u32, u32)], sign: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(sign)))
}

/// How many signs of a text cannot be seen as what they are.
#[must_use]
pub fn hidden(text: &str) -> usize {
    pieces(text).iter().filter(|piece| matches!(piece, Piece::Sign(_))).count()
}

/// A text in pieces.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let (mut rest, mut marks, mut starts_line) = (text, 0, true);
    while let Some(sign) = rest.chars().next() {
        let (empty, length) = if starts_line { empty_lines(rest) } else { (0, 0) };
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if empty > EMPTY_LINES {
            flush(&mut plain, &mut pieces);
            pieces.push(Piece::Blank(format!("{empty} empty lines")));
            plain.push('\n');
            rest = &rest[length..];
            continue;
        }
        if blank > SPACES {
            flush(&mut plain, &mut pieces);
            let tabs = rest[..blank].contains('\t');
            pieces.push(Piece::Blank(format!("{blank} {}", if tabs { "spaces and tabs" } else { "spaces" })));
            (rest, marks, starts_line) = (&rest[blank..], 0, false);
            continue;
        }
        marks = if within(&STACKED, sign) { marks + 1 } else { 0 };
        // What makes an emoji of the sign before it is seen in that.
        let colours = sign == '\u{fe0f}'
            && plain
                .chars()
                .last()
                .is_some_and(|before| matches!(u32::from(before), 0x203c..=0x3299 | 0x1f000..));
        if (is_hidden(sign) && !colours) || marks > MARKS {
            flush(&mut plain, &mut pieces);
            pieces.push(Piece::Sign(escape(sign)));
        } else {
            plain.push(sign);
        }
        starts_line = sign == '\n';
        rest = &rest[sign.len_utf8()..];
    }
    flush(&mut plain, &mut pieces);
    pieces
}

/// A sign in ASCII, such as `\u{202e}`.
#[must_use]
pub fn escape(sign: char) -> String {
    if sign == '\r' { "\\r".to_owned() } else { sign.escape_unicode().to_string() }
}

/// How many lines at the beginning hold nothing but blanks, and how long they are.
fn empty_lines(text: &str) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    while let Some(end) = text[length..].find('\n') {
        if !text[length..length + end].bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
            break;
        }
        count += 1;
        length += end + 1;
    }
    (count, length)
}

fn flush(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

/// A text of several lines.
#[must_use]
pub fn block(text: &str) -> String {
    let mut drawn = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) | Piece::Sign(text) => drawn.push_str(&text),
            Piece::Blank(name) => {
                drawn.push('⟨');
                drawn.push_str(&name);
                drawn.push('⟩');
            }
        }
    }
    drawn
}

/// A text in one line, in which a run of blanks is one.
#[must_use]
pub fn line(text: &str) -> String {
    let mut drawn = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => drawn.push_str(&text.replace('\n', "\\n").replace('\t', " ")),
            Piece::Sign(escape) => drawn.push_str(&escape),
            Piece::Blank(name) if name.ends_with("lines") => drawn.push_str(&format!("⟨{name}⟩")),
            Piece::Blank(_) => drawn.push(' '),
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_keeps_what_belongs_there_and_shows_what_misleads() {
        let plain =
            "a\tb\n ⚠\u{fe0f} \u{1f469}\u{200d}\u{1f4bb} \u{a0}\u{2800}█ \u{3000}日本 می\u{200c}خواهم";
        assert_eq!(output(plain), plain);
        assert_eq!(
            output("a\u{202e}b\u{2066}c\u{200b}d\u{e0041}"),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{e0041}"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_an_escape() {
        for (text, drawn) in [
            ("echo \u{202e};DENWP hcuot\u{202c} x", "echo \\u{202e};DENWP hcuot\\u{202c} x"),
            (
                "true \u{202e} \u{2066}; touch pwned \u{2069} \u{2066}# all good\u{2069}",
                "true \\u{202e} \\u{2066}; touch pwned \\u{2069} \\u{2066}# all good\\u{2069}",
            ),
            ("a\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}b", "a\\u{200b}\\u{200c}\\u{200d}\\u{2060}\\u{feff}b"),
            ("a\rb\u{1b}[2K\u{7f}\u{9b}31m\0", "a\\rb\\u{1b}[2K\\u{7f}\\u{9b}31m\\u{0}"),
            ("a\u{200e}\u{200f}\u{61c}\u{ad}", "a\\u{200e}\\u{200f}\\u{61c}\\u{ad}"),
            ("rm\u{a0}-rf\u{3000}x\u{2003}\u{202f}", "rm\\u{a0}-rf\\u{3000}x\\u{2003}\\u{202f}"),
            ("a\u{2028}b\u{2029}c\u{85}", "a\\u{2028}b\\u{2029}c\\u{85}"),
            ("\u{e0001}\u{e0041}\u{3164}\u{2800}\u{fffe}", "\\u{e0001}\\u{e0041}\\u{3164}\\u{2800}\\u{fffe}"),
            ("a\u{301}\u{301}\u{301}", "a\u{301}\u{301}\\u{301}"),
            ("ünï 日本 שלום ✔\u{fe0f} a\u{fe0f}", "ünï 日本 שלום ✔\u{fe0f} a\\u{fe0f}"),
            ("a\n\tb", "a\n\tb"),
        ] {
            assert_eq!(block(text), drawn);
        }
        assert_eq!(line("a\n\tb\r"), "a\\n b\\r");
        assert_eq!(line(&format!("a{}b", " ".repeat(60))), "a b");
    }

    #[test]
    fn blanks_are_counted() {
        let hides = format!("touch a{}rm -rf important", "\n".repeat(300));
        assert_eq!(block(&hides), "touch a\n⟨299 empty lines⟩\nrm -rf important");
        assert_eq!(block(&format!("\n \n\t\n\n{}x", " ".repeat(30))), "⟨4 empty lines⟩\n⟨30 spaces⟩x");
        assert_eq!(block("a\n\n\n\nb        c"), "a\n\n\n\nb        c");
        assert_eq!(
            pieces(&format!("a{}\tb", " ".repeat(40))),
            [Piece::Text("a".into()), Piece::Blank("41 spaces and tabs".into()), Piece::Text("b".into())]
        );
    }

    mod properties {
        use proptest::prelude::*;

        use super::super::*;

        proptest! {
            #[test]
            fn nothing_hidden_is_left(text in r"(?s).{0,60}", run in 0_usize..60, blank in r"[ \t\n]") {
                let text = format!("{text}{}{text}", blank.repeat(run));
                let seen = |text: &str| text.chars().filter(|sign| is_hidden(*sign)).all(|sign| sign == '\u{fe0f}');
                let (block, line) = (block(&text), line(&text));
                prop_assert!(seen(&block), "{block:?}");
                prop_assert!(seen(&line) && !line.contains(['\n', '\t']), "{line:?}");
            }
        }
    }
}
