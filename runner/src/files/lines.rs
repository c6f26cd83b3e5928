//! An edit of a text whose lines may end with a carriage return and a line feed: models write lines with a line feed
//! alone. What is put there is fitted to the lines of the file, each to its own.

const LF: &str = "\n";
const CRLF: &str = "\r\n";

/// The text with the first occurrence of `old_text` replaced; `None` if there is none.
pub(super) fn edited(text: &str, old_text: &str, new_text: &str) -> Option<String> {
    let start = text.find(old_text)?;
    let (before, rest) = text.split_at(start);
    let (found, after) = rest.split_at(old_text.len());
    let mut new = String::with_capacity(text.len() + new_text.len());
    new.push_str(before);
    // Whoever writes a carriage return knows of them.
    if new_text.contains(CRLF) || !text.contains(CRLF) {
        new.push_str(new_text);
    } else {
        let mut ends = ends(found);
        ends.extend(ends_beside(before, after));
        let mut lines = new_text.split('\n');
        new.push_str(lines.next().unwrap_or_default());
        for (number, line) in lines.enumerate() {
            new.push_str(ends.get(number).or(ends.last()).copied().unwrap_or(LF));
            new.push_str(line);
        }
    }
    new.push_str(after);
    Some(new)
}

/// The ends of its lines, in order.
fn ends(text: &str) -> Vec<&'static str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(end).collect()
}

fn end(line: &str) -> &'static str {
    if line.ends_with(CRLF) { CRLF } else { LF }
}

/// How the line ends that an edit is in: as itself, or, being the last, as the one before.
fn ends_beside(before: &str, after: &str) -> Option<&'static str> {
    let own = after.split_inclusive('\n').next().filter(|line| line.ends_with('\n'));
    let earlier = || before.rfind('\n').map(|at| &before[..=at]);
    own.or_else(earlier).map(end)
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
            ("one\r\ntwo\r\n", "two", "2\r\n3\n4", "one\r\n2\r\n3\n4\r\n"),
            // Each line its own.
            ("a\nb\r\nc\n", "a", "1\n2", "1\n2\nb\r\nc\n"),
            ("a\nb\r\nc\n", "b", "1\n2", "a\n1\r\n2\r\nc\n"),
            ("a\nb\r\nc\n", "a\nb\r\nc", "1\n2\n3\n4", "1\n2\r\n3\n4\n"),
            (
                "\u{e4}\r\n\u{f6}\r\n\u{fc}",
                "\u{e4}\r\n\u{f6}",
                "\u{df}\n\u{df}",
                "\u{df}\r\n\u{df}\r\n\u{fc}",
            ),
            ("a\nb\n", "b", "1\n2", "a\n1\n2\n"),
            ("a\r\n", "a\r", "a", "a\n"),
        ] {
            assert_eq!(edited(text, old, new).as_deref(), Some(right), "{text:?}: {old:?} -> {new:?}");
        }
        assert_eq!(edited("a\r\nb", "a\nb", "x"), None, "another text is not what is there");
    }
}
