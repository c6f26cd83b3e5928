//! Raw HTML: found so that it is shown as it is written, not as Markdown.

use super::spend;

/// What begins like this is raw text until it ends like that.
const SPANS: [(&str, &str); 4] = [("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>"), ("<!", ">")];

/// Elements whose content is raw until they end.
const RAW: [(&str, &str); 4] =
    [("pre", "</pre>"), ("script", "</script>"), ("style", "</style>"), ("textarea", "</textarea>")];

/// Elements that stand for blocks: what begins with one of their tags is raw until a blank line.
const BLOCKS: &str = " address article aside base basefont blockquote body caption center col colgroup dd details dialog dir \
     div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe legend li \
     link main menu menuitem nav noframes ol optgroup option p param search section summary table tbody td tfoot th thead \
     title tr track ul ";

/// With what the block of HTML ends that the line begins, or nothing if that is a blank line.
pub(super) fn block(line: &str, in_paragraph: bool) -> Option<&'static str> {
    let after = line.strip_prefix('<')?;
    let closing = after.starts_with('/');
    let after = after.strip_prefix('/').unwrap_or(after);
    let name = &after[..name(after.as_bytes(), 0)];
    let next = after.as_bytes().get(name.len());
    let is_apart = matches!(next, None | Some(b' ' | b'\t' | b'>'));
    for (raw, end) in RAW {
        if !closing && is_apart && name.eq_ignore_ascii_case(raw) {
            return Some(end);
        }
    }
    if let Some(span) = span(line) {
        return Some(SPANS[span].1);
    }
    let is_tag = is_apart || after[name.len()..].starts_with("/>");
    if is_tag && !name.is_empty() && BLOCKS.contains(&format!(" {} ", name.to_ascii_lowercase())) {
        return Some("");
    }
    let end = tag(line.as_bytes(), 0)?;
    (!in_paragraph && line[end..].trim_ascii().is_empty()).then_some("")
}

/// Whether a block of HTML ends with this line.
pub(super) fn ends(line: &str, end: &str) -> bool {
    line.to_ascii_lowercase().contains(end)
}

/// Finds HTML within a text.
#[derive(Default)]
pub(super) struct Finder {
    /// Which of the spans do not end any more in what is left of the text.
    endless: [bool; SPANS.len()],
}

impl Finder {
    /// Where the HTML at `at` ends.
    pub(super) fn find(&mut self, text: &str, at: usize) -> Option<usize> {
        let rest = &text[at..];
        let Some(span) = span(rest) else { return tag(text.as_bytes(), at) };
        if rest.starts_with("<!-->") {
            return Some(at + 5);
        }
        let (start, end) = SPANS[span];
        if self.endless[span] {
            return None;
        }
        let found = rest[start.len()..].find(end);
        spend(found.unwrap_or(rest.len()));
        self.endless[span] = found.is_none();
        found.map(|found| at + start.len() + found + end.len())
    }
}

fn span(text: &str) -> Option<usize> {
    let span = SPANS.iter().position(|(start, _)| text.starts_with(start))?;
    let is_declaration = || text.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic);
    (span < 3 || is_declaration()).then_some(span)
}

/// Where the tag's name at `at` ends.
fn name(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some(byte) = bytes.get(end) {
        let fits = byte.is_ascii_alphabetic() || (end > at && (byte.is_ascii_digit() || *byte == b'-'));
        if !fits {
            break;
        }
        end += 1;
    }
    end
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n')) {
        at += 1;
    }
    at
}

/// Where the tag that begins at `at` ends.
fn tag(bytes: &[u8], at: usize) -> Option<usize> {
    let is_closing = bytes.get(at + 1) == Some(&b'/');
    let start = at + 1 + usize::from(is_closing);
    let mut at = name(bytes, start);
    if at == start {
        return None;
    }
    loop {
        let next = space(bytes, at);
        spend(1 + next - at);
        match bytes.get(next)? {
            b'>' => return Some(next + 1),
            _ if is_closing => return None,
            b'/' => return (bytes.get(next + 1) == Some(&b'>')).then_some(next + 2),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' if next > at => {}
            _ => return None,
        }
        at = next + 1;
        while matches!(
            bytes.get(at),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'-')
        ) {
            at += 1;
        }
        spend(at - next);
        let equals = space(bytes, at);
        if bytes.get(equals) == Some(&b'=') {
            at = value(bytes, space(bytes, equals + 1))?;
        }
    }
}

/// Where the value of an attribute at `at` ends.
fn value(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = *bytes.get(at)?;
    let mut end = at;
    if matches!(quote, b'"' | b'\'') {
        loop {
            end += 1;
            spend(1);
            if *bytes.get(end)? == quote {
                return Some(end + 1);
            }
        }
    }
    while !matches!(
        bytes.get(end),
        None | Some(b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'=' | b'<' | b'>' | b'`')
    ) {
        end += 1;
        spend(1);
    }
    (end > at).then_some(end)
}
