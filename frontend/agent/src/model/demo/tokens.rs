//! Cuts words into tokens: at white space, and what is in quotes kept whole.

/// A word or something in quotes.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    /// As written: for a quote what is within it.
    pub(super) text: &'a str,
    /// In lower case without punctuation around it; empty for a quote.
    pub(super) word: String,
    pub(super) quoted: bool,
    /// Where it ends in the text, in bytes.
    pub(super) end: usize,
}

/// Without the punctuation around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|sign: char| matches!(sign, ',' | ';' | ':' | '!' | '?' | '(' | ')'))
        .trim_end_matches('.')
}

/// Cuts a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(sign) = text[at..].chars().next() {
        if let Some((inside, end)) = quote(text, at, before) {
            let inside = inside.trim();
            if !inside.is_empty() {
                tokens.push(Token { text: inside, word: String::new(), quoted: true, end });
            }
            (at, before) = (end, '"');
            continue;
        }
        if sign.is_whitespace() {
            at += sign.len_utf8();
        } else {
            let length = text[at..]
                .char_indices()
                .skip(1)
                .find(|(offset, sign)| {
                    let before = text[at..at + offset].chars().next_back().unwrap_or(' ');
                    sign.is_whitespace() || quote(text, at + offset, before).is_some()
                })
                .map_or(text.len() - at, |(offset, _)| offset);
            let raw = &text[at..at + length];
            let word = trimmed(raw).to_ascii_lowercase().replace('’', "'");
            at += length;
            tokens.push(Token { text: raw, word, quoted: false, end: at });
        }
        before = text[..at].chars().next_back().unwrap_or(' ');
    }
    tokens
}

/// What is quoted at this place, and where the quote ends. `before` is the sign before it: an apostrophe within a word opens nothing.
fn quote(text: &str, at: usize, before: char) -> Option<(&str, usize)> {
    let rest = &text[at..];
    let open = rest.chars().next()?;
    if before.is_alphanumeric() {
        return None;
    }
    if open == '`' {
        let fence = &rest[..rest.len() - rest.trim_start_matches('`').len()];
        let inside = &rest[fence.len()..];
        let length = inside.find(fence)?;
        return Some((&inside[..length], at + 2 * fence.len() + length));
    }
    let closers: &[char] = match open {
        '"' => &['"'],
        '“' | '„' => &['”', '“', '"'],
        '«' => &['»'],
        '\'' => &['\''],
        '‘' | '‚' => &['’', '‘'],
        _ => return None,
    };
    let inside = &rest[open.len_utf8()..];
    let (length, closer) = inside.char_indices().find(|(offset, sign)| {
        let after = inside[offset + sign.len_utf8()..].chars().next();
        closers.contains(sign) && !after.is_some_and(char::is_alphanumeric)
    })?;
    Some((&inside[..length], at + open.len_utf8() + length + closer.len_utf8()))
}
