//! Edits of a text whose lines may end with a carriage return and a line feed: models write lines with a line
//! feed alone.
//!
//! A text all of whose lines end so stays one, whatever is written. In one of both kinds each line keeps its
//! own end.

use std::borrow::Cow;

const LF: &str = "\n";
const CRLF: &str = "\r\n";

/// What is said when a text was written otherwise than it was given.
const KEPT: &str = "The lines of this file end with \\r\\n, and so do those that were written. \
     To have \\n instead, convert the file with a command such as dos2unix or sed.";

/// The text with the first occurrence of `old_text` replaced; `None` if there is none. What differs in its
/// line ends alone is an occurrence if none is exact.
pub(super) fn edited(text: &str, old_text: &str, new_text: &str) -> Option<String> {
    let (start, end) = match text.find(old_text) {
        Some(start) => (start, start + old_text.len()),
        None => find_whatever_ends(text, old_text)?,
    };
    // A line feed is replaced with its carriage return.
    let start = if old_text.starts_with('\n') && text[..start].ends_with('\r') { start - 1 } else { start };
    let (before, found, after) = (&text[..start], &text[start..end], &text[end..]);
    let mut new = String::with_capacity(text.len() + new_text.len());
    new.push_str(before);
    if is_crlf(text) {
        new.push_str(&to_crlf(new_text));
    } else if new_text.contains(CRLF) || !text.contains(CRLF) {
        // Whoever writes a carriage return knows of them.
        new.push_str(new_text);
    } else {
        let mut line_ends = line_ends(found);
        line_ends.extend(line_end_beside(before, after));
        let mut lines = new_text.split('\n');
        new.push_str(lines.next().unwrap_or_default());
        for (number, line) in lines.enumerate() {
            new.push_str(line_ends.get(number).or(line_ends.last()).copied().unwrap_or(LF));
            new.push_str(line);
        }
    }
    new.push_str(after);
    Some(new)
}

/// A whole new text for a file as it is to be written, and what there is to say of that.
pub(super) fn fitted<'a>(old: &str, new: &'a str) -> (Cow<'a, str>, Option<String>) {
    let fitted = if is_crlf(old) { to_crlf(new) } else { Cow::Borrowed(new) };
    let note = matches!(fitted, Cow::Owned(_)).then(|| KEPT.to_owned());
    (fitted, note)
}

/// Whether it has line ends, all of them of two characters.
fn is_crlf(text: &str) -> bool {
    text.contains(CRLF) && bare(text).next().is_none()
}

/// Where a line ends with a line feed alone.
fn bare(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\n', bytes).filter(|at| !bytes[..*at].ends_with(b"\r"))
}

fn to_crlf(text: &str) -> Cow<'_, str> {
    let mut fitted = String::new();
    let mut from = 0;
    for at in bare(text) {
        fitted.push_str(&text[from..at]);
        fitted.push('\r');
        from = at;
    }
    if fitted.is_empty() {
        return Cow::Borrowed(text);
    }
    fitted.push_str(&text[from..]);
    Cow::Owned(fitted)
}

/// Where the first piece begins and ends that is `wanted` but for its line ends.
fn find_whatever_ends(text: &str, wanted: &str) -> Option<(usize, usize)> {
    if !wanted.contains('\n') || !(text.contains(CRLF) || wanted.contains(CRLF)) {
        return None;
    }
    let plain = text.replace(CRLF, LF);
    let wanted = wanted.replace(CRLF, LF);
    let start = plain.find(&wanted)?;
    // Each carriage return that is missing before a place moves it.
    let mut dropped = memchr::memmem::find_iter(text.as_bytes(), CRLF.as_bytes())
        .enumerate()
        .map(|(before, at)| at - before)
        .peekable();
    let mut moved = 0;
    let mut place = |at: usize| {
        while dropped.next_if(|dropped| *dropped < at).is_some() {
            moved += 1;
        }
        at + moved
    };
    Some((place(start), place(start + wanted.len())))
}

/// The ends of its lines, in order.
fn line_ends(text: &str) -> Vec<&'static str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(line_end).collect()
}

fn line_end(line: &str) -> &'static str {
    if line.ends_with(CRLF) { CRLF } else { LF }
}

/// How the line ends that an edit is in: as itself, or, being the last, as the one before.
fn line_end_beside(before: &str, after: &str) -> Option<&'static str> {
    let own = after.split_inclusive('\n').next().filter(|line| line.ends_with('\n'));
    let earlier = || before.rfind('\n').map(|at| &before[..=at]);
    own.or_else(earlier).map(line_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_ends_through_an_edit() {
        for (text, old, new, right) in [
            ("one\r\ntwo\r\n", "two", "2\n3", "one\r\n2\r\n3\r\n"),
            ("one\r\ntwo\r\n", "one\r\ntwo\r\n", "1\n2\n", "1\r\n2\r\n"),
            ("one\r\ntwo", "two", "2\n3\n", "one\r\n2\r\n3\r\n"),
            // A new text of both kinds, in a file of one.
            ("one\r\ntwo\r\n", "two", "2\r\n3\n4", "one\r\n2\r\n3\r\n4\r\n"),
            // An old one of several lines, as a model writes it.
            ("one\r\ntwo\r\nthree\r\n", "one\ntwo", "1\n2\n2", "1\r\n2\r\n2\r\nthree\r\n"),
            ("one\r\ntwo\r\nthree\r\n", "two\n", "", "one\r\nthree\r\n"),
            ("one\r\ntwo\r\nthree\r\n", "\ntwo", "\n2", "one\r\n2\r\nthree\r\n"),
            ("one\r\ntwo\r\n\r\nthree", "two\n\nthree", "2\r\n3\n", "one\r\n2\r\n3\r\n"),
            ("one\r\ntwo\r\nthree\r\n", "one\r\ntwo\nthree", "1", "1\r\n"),
            ("one\ntwo\nthree\n", "one\r\ntwo\r\n", "1\n", "1\nthree\n"),
            // Each line its own.
            ("a\nb\r\nc\n", "a", "1\n2", "1\n2\nb\r\nc\n"),
            ("a\nb\r\nc\n", "b", "1\n2", "a\n1\r\n2\r\nc\n"),
            ("a\nb\r\nc\n", "a\nb\r\nc", "1\n2\n3\n4", "1\n2\r\n3\n4\n"),
            ("a\nb\r\nc\n", "a\nb\nc", "1\n2\n3", "1\n2\r\n3\n"),
            ("a\nb\r\nc\n", "b", "1\r\n2", "a\n1\r\n2\r\nc\n"),
            (
                "\u{e4}\r\n\u{f6}\r\n\u{fc}",
                "\u{e4}\r\n\u{f6}",
                "\u{df}\n\u{df}",
                "\u{df}\r\n\u{df}\r\n\u{fc}",
            ),
            ("\u{e4}\r\n\u{f6}\r\n\u{fc}", "\u{f6}\n\u{fc}", "o\nu", "\u{e4}\r\no\r\nu"),
            ("a\nb\n", "b", "1\n2", "a\n1\n2\n"),
            ("a\r\n", "a\r", "a", "a\n"),
            // The exact one before an earlier one with other ends.
            ("a\r\nb\r\na\nb\n", "a\nb", "x", "a\r\nb\r\nx\n"),
        ] {
            assert_eq!(edited(text, old, new).as_deref(), Some(right), "{text:?}: {old:?} -> {new:?}");
        }
        for (text, old) in [("a\r\nb", "a\nc"), ("a\r\nb", "a\n\nb"), ("a\rb", "a\nb"), ("ab", "a\r\nb")] {
            assert_eq!(edited(text, old, "x"), None, "another text is not what is there");
        }
    }

    #[test]
    fn a_file_that_is_crlf_stays_so_when_it_is_written_anew() {
        for (old, new, right) in [
            ("a\r\nb\r\n", "1\n2\n", Some("1\r\n2\r\n")),
            ("a\r\nb", "1\r\n2\n\n3", Some("1\r\n2\r\n\r\n3")),
            ("a\r\n", "\n", Some("\r\n")),
            ("a\r\n", "1\r\n", None),
            ("a\r\n", "1", None),
            ("a\r\n", "", None),
            ("a\r\nb\n", "1\n2\n", None),
            ("a\n", "1\n", None),
            ("a\n", "1\r\n", None),
            ("a\r", "1\n", None),
            ("", "1\n", None),
        ] {
            let (written, note) = fitted(old, new);
            assert_eq!(
                (&*written, note.is_some()),
                (right.unwrap_or(new), right.is_some()),
                "{old:?} -> {new:?}"
            );
        }
    }

    /// Whatever is replaced in it, by whatever.
    #[test]
    fn no_edit_makes_a_crlf_file_a_mixed_one() {
        let pieces = ["a", "\n", "\r\n", "b\n", "\r\nb", ""];
        let texts: Vec<String> =
            pieces.iter().flat_map(|one| pieces.map(|two| format!("{one}{two}a"))).collect();
        for text in ["a\r\nb\r\na\r\nb\r\n", "a\r\n", "\r\n\r\na", "b\r\na\r\na"] {
            for old in texts.iter().filter(|old| !old.ends_with('\r')) {
                for new in &texts {
                    let Some(edited) = edited(text, old, new) else { continue };
                    assert_eq!(bare(&edited).count(), 0, "{text:?}: {old:?} -> {new:?} gave {edited:?}");
                }
            }
        }
    }
}
