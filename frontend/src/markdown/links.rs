//! Addresses: where a link leads, how it is written, and what its name is defined as.

use super::chars::entity;
use super::{scan, spend};

/// How many names a text may define. What defines more of them stays text.
const DEFINITIONS: usize = 500;

/// How long a link's name may be, in bytes.
const LABEL: usize = 999;

/// How deep the parentheses of an address may nest.
const PARENTHESES: usize = 32;

/// The names that a text defines for addresses.
#[derive(Default)]
pub(super) struct Definitions {
    named: Vec<(String, String)>,
    /// How many bytes of addresses names may still stand for: a short name can stand for a long address, often.
    pub(super) budget: usize,
}

impl Definitions {
    /// Takes the definitions at the beginning of a paragraph and says how long they are.
    pub(super) fn take(&mut self, text: &str) -> usize {
        let mut at = 0;
        while self.named.len() < DEFINITIONS
            && let Some((name, href, end)) = definition(text, at)
        {
            at = end;
            if self.position(&name).is_none() {
                self.named.push((name, href));
            }
        }
        at
    }

    /// The address that is defined for a name.
    pub(super) fn find(&mut self, label: &str) -> Option<&str> {
        if self.named.is_empty() {
            return None;
        }
        let (_, href) = &self.named[self.position(&folded(label))?];
        self.budget = self.budget.checked_sub(href.len())?;
        Some(href)
    }

    fn position(&self, name: &str) -> Option<usize> {
        spend(self.named.len());
        self.named.iter().position(|(known, _)| known == name)
    }
}

/// A name without regard to case and to how white space is written.
fn folded(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    spend(label.len());
    for word in label.split_whitespace() {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(&crate::format::lowercase(word));
    }
    name
}

fn definition(text: &str, at: usize) -> Option<(String, String, usize)> {
    let (name, end) = label(text, at)?;
    let name = folded(name);
    if name.is_empty() || text.as_bytes().get(end) != Some(&b':') {
        return None;
    }
    let (href, end) = destination(text, space(text, end + 1))?;
    let title_at = space(text, end);
    if title_at > end
        && let Some(title_end) = title(text, title_at)
        && let Some(line_end) = line_end(text, title_end)
    {
        return Some((name, href, line_end));
    }
    Some((name, href, line_end(text, end)?))
}

/// Where the next line begins, if nothing but white space comes before it.
fn line_end(text: &str, at: usize) -> Option<usize> {
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    spend(end - at);
    scan::trim(&text[at..end]).is_empty().then_some(end)
}

/// The name in brackets at `at`, and where the brackets end.
pub(super) fn label(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    let mut end = at + 1;
    loop {
        match bytes.get(end)? {
            b']' => break,
            b'[' => return None,
            b'\\' if bytes.get(end + 1).is_some_and(u8::is_ascii_punctuation) => end += 2,
            _ => end += 1,
        }
        spend(1);
        if end - at > LABEL {
            return None;
        }
    }
    Some((&text[at + 1..end], end + 1))
}

/// The address in the parentheses that were opened before `at`, and where they end.
pub(super) fn target(text: &str, at: usize) -> Option<(String, usize)> {
    let is_end = |at: usize| text.as_bytes().get(at) == Some(&b')');
    let start = space(text, at);
    if is_end(start) {
        return Some((String::new(), start + 1));
    }
    let (href, end) = destination(text, start)?;
    let mut next = space(text, end);
    if next > end
        && let Some(title_end) = title(text, next)
    {
        next = space(text, title_end);
    }
    is_end(next).then_some((href, next + 1))
}

fn space(text: &str, mut at: usize) -> usize {
    while matches!(text.as_bytes().get(at), Some(b' ' | b'\t' | b'\n')) {
        at += 1;
        spend(1);
    }
    at
}

/// The address at `at`, and where it ends.
fn destination(text: &str, at: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let mut end = at;
    if bytes.get(at) == Some(&b'<') {
        loop {
            end += 1;
            spend(1);
            match bytes.get(end)? {
                b'>' => return Some((unescaped(&text[at + 1..end]), end + 1)),
                b'<' | b'\n' => return None,
                b'\\' if bytes.get(end + 1).is_some_and(u8::is_ascii_punctuation) => end += 1,
                _ => {}
            }
        }
    }
    let mut open = 0;
    while let Some(byte) = bytes.get(end) {
        spend(1);
        match byte {
            b'(' if open == PARENTHESES => return None,
            b'(' => open += 1,
            b')' if open == 0 => break,
            b')' => open -= 1,
            b'\\' if bytes.get(end + 1).is_some_and(u8::is_ascii_punctuation) => end += 1,
            b' ' => break,
            byte if byte.is_ascii_control() => break,
            _ => {}
        }
        end += 1;
    }
    (end > at && open == 0).then(|| (unescaped(&text[at..end]), end))
}

/// Where the title at `at` ends.
fn title(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let close = match bytes.get(at)? {
        quote @ (b'"' | b'\'') => *quote,
        b'(' => b')',
        _ => return None,
    };
    let mut end = at + 1;
    loop {
        spend(1);
        match *bytes.get(end)? {
            byte if byte == close => return Some(end + 1),
            b'(' if close == b')' => return None,
            b'\\' if bytes.get(end + 1).is_some_and(u8::is_ascii_punctuation) => end += 2,
            _ => end += 1,
        }
    }
}

/// A text without its backslashes and entities.
pub(super) fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut from, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' && bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) {
            out.push_str(&text[from..at]);
            from = at + 1;
            at += 2;
        } else if *byte == b'&'
            && let Some((meant, len)) = entity(&text[at..])
        {
            out.push_str(&text[from..at]);
            out.push(meant);
            at += len;
            from = at;
        } else {
            at += 1;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// The address in angle brackets at `at`, and where they end: a scheme and what it says, or an address of mail.
pub(super) fn autolink(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let start = at + 1;
    let mut end = start;
    let mut colon = None;
    let mut sign = None;
    loop {
        spend(1);
        match bytes.get(end)? {
            b'>' => break,
            b'<' | b' ' => return None,
            byte if byte.is_ascii_control() => return None,
            b':' if colon.is_none() => colon = Some(end),
            b'@' => sign = Some(end),
            _ => {}
        }
        end += 1;
    }
    let is_scheme = colon.is_some_and(|colon| {
        let scheme = &bytes[start..colon];
        (2..=32).contains(&scheme.len())
            && scheme[0].is_ascii_alphabetic()
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
    });
    let is_mail = || {
        sign.is_some_and(|sign| {
            let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(byte);
            start < sign && bytes[start..sign].iter().all(is_local) && is_host(&bytes[sign + 1..end])
        })
    };
    (is_scheme || is_mail()).then(|| (&text[start..end], end + 1))
}

fn is_host(host: &[u8]) -> bool {
    host.split(|byte| *byte == b'.').all(|name| {
        (1..=63).contains(&name.len())
            && name.first() != Some(&b'-')
            && name.last() != Some(&b'-')
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    })
}

/// The address, if a page may lead there.
pub(super) fn safe(href: &str) -> Option<&str> {
    let href = href.trim();
    for scheme in ["http://", "https://"] {
        if href.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
            return Some(href);
        }
    }
    None
}

/// The first bare address in a text: where it begins and ends.
pub(super) fn bare(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("http") {
        let at = from + found;
        let after = text[at + 4..].strip_prefix('s').unwrap_or(&text[at + 4..]);
        from = at + 4;
        if !after.starts_with("://") {
            continue;
        }
        let address = &text[at..];
        let end = address
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`'))
            .unwrap_or(address.len());
        let mut href = address[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        spend(found + end);
        let mut excess = 0_usize;
        let mut opened = 0;
        for byte in href.bytes() {
            match byte {
                b'(' => opened += 1,
                b')' => excess += 1,
                _ => {}
            }
        }
        excess = excess.saturating_sub(opened);
        while excess > 0 && href.ends_with(')') {
            href = &href[..href.len() - 1];
            excess -= 1;
        }
        from = at + href.len();
        if !href.ends_with("://") {
            return Some((at, from));
        }
    }
    None
}
