//! Ids and names of tool uses in letters that every server takes, each id only once in a conversation.

use std::collections::BTreeSet;

/// The most characters of a tool's id or name that was made from one which cannot be sent.
const MADE_CHARS: usize = 64;
/// The most characters that servers take of either.
const MOST_CHARS: usize = 128;

/// The id if it can be sent and none of `taken` is it; else one made from it, or from `otherwise` if it is
/// empty. It is added to them.
pub(super) fn unique(id: &str, otherwise: &str, taken: &mut BTreeSet<String>) -> String {
    let mut made = id.to_owned();
    if !can_be_sent(id) || taken.contains(id) {
        let stem = plain(id, otherwise);
        made.clone_from(&stem);
        for n in 2.. {
            if !taken.contains(&made) {
                break;
            }
            made = format!("{stem}_{n}");
        }
    }
    taken.insert(made.clone());
    made
}

/// A tool's name that servers take back. Some models put a whole command where the name belongs.
pub(super) fn name(name: &str) -> String {
    if can_be_sent(name) { name.to_owned() } else { plain(name, "unnamed") }
}

fn can_be_sent(word: &str) -> bool {
    (1..=MOST_CHARS).contains(&word.len()) && word.bytes().all(is_plain)
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The word in letters that can be sent; `otherwise` for an empty one.
fn plain(word: &str, otherwise: &str) -> String {
    if word.is_empty() {
        return otherwise.to_owned();
    }
    let fit = |char: char| if u8::try_from(char).is_ok_and(is_plain) { char } else { '_' };
    word.chars().take(MADE_CHARS).map(fit).collect()
}

/// Servers strip more than white space before they look whether anything is left.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || char.is_control())
}
