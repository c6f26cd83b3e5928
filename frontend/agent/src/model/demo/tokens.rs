//! Cuts words into tokens: at white space, and what is in quotes kept whole.

/// A word or something in quotes.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    /// As written: for a quote what is within it.
    pub(super) text: &'a str,
    /// In lower case without punctuation around it; empty for a quote.
    pub(super) word: String,
    pub(super) quoted: bool,
    /// Where it begins in the text, in bytes; for a quote with its sign.
    pub(super) start: usize,
    /// Where it ends in the text, in bytes.
    pub(super) end: usize,
}

impl Token<'_> {
    /// Whether it is a word and one of these, which stand between blanks.
    pub(super) fn is(&self, words: &str) -> bool {
        !self.quoted && is_one(&self.word, words)
    }
}

/// Where the first of the tokens stands that is one of these words.
#[inline(never)]
pub(super) fn place_of(tokens: &[Token<'_>], words: &str) -> Option<usize> {
    tokens.iter().position(|token| token.is(words))
}

/// How many tokens at the beginning are such words.
#[inline(never)]
pub(super) fn run_of(tokens: &[Token<'_>], words: &str) -> usize {
    tokens.iter().position(|token| !token.is(words)).unwrap_or(tokens.len())
}

/// Where the first quote stands.
#[inline(never)]
pub(super) fn first_quote(tokens: &[Token<'_>]) -> Option<usize> {
    tokens.iter().position(|token| token.quoted)
}

/// Whether a word is one of these, which stand between blanks. A list in one text takes less room in the page than as many texts.
#[inline(never)]
pub(super) fn is_one(word: &str, words: &str) -> bool {
    words.split(' ').any(|one| one == word)
}

/// Where the first of these phrases, which stand between bars, begins in a text.
#[inline(never)]
pub(super) fn find_one(text: &str, phrases: &str) -> Option<usize> {
    phrases.split('|').filter_map(|phrase| text.find(phrase)).min()
}

/// Without the punctuation around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|sign: char| matches!(sign, ',' | ';' | ':' | '!' | '?' | '(' | ')' | '…'))
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
                tokens.push(Token { text: inside, word: String::new(), quoted: true, start: at, end });
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
            tokens.push(Token { text: raw, word, quoted: false, start: at, end: at + length });
            at += length;
        }
        before = text[..at].chars().next_back().unwrap_or(' ');
    }
    tokens
}

/// The text in lower case with every quote made blank, byte for byte as long: what is found in it stands outside quotes.
pub(super) fn mask(text: &str) -> String {
    let mut masked = text.to_ascii_lowercase();
    for token in tokens(text).iter().filter(|token| token.quoted) {
        masked.replace_range(token.start..token.end, &"\"".repeat(token.end - token.start));
    }
    masked
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
