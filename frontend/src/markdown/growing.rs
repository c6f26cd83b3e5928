//! Cutting a text that still grows, so that what can no longer change is not parsed and drawn again.

/// From how many bytes on a list that grows is cut between its items.
pub(super) const LONG_LIST: usize = 8 * 1024;
/// From how many bytes on any other block is, but for code.
pub(super) const LONG_BLOCK: usize = 32 * 1024;
/// The same for a table.
const LONG_TABLE: usize = 256 * 1024;

/// How many bytes at the beginning of a growing text are one or more blocks that nothing that follows can change. `None` if none are yet.
///
/// Only complete lines count. A blank line outside a fence ends a block if the next line is not indented and does not go on with a list.
/// A fence at the margin is a block of its own.
pub fn closed_prefix(text: &str) -> Option<usize> {
    let mut fence: Option<(char, usize, bool)> = None;
    let mut is_list = false;
    let mut blank_end = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.ends_with('\n') {
            return None;
        }
        let start = at;
        at += line.len();
        let bare = line.trim();
        if let Some((delimiter, length, at_margin)) = fence {
            if is_fence_end(bare, delimiter, length) {
                fence = None;
                if at_margin {
                    return Some(at);
                }
            }
            continue;
        }
        if bare.is_empty() {
            if start > 0 {
                blank_end = Some(at);
            }
            continue;
        }
        let at_margin = !line.starts_with([' ', '\t']);
        let continues = !at_margin || (is_list && is_item(bare));
        if let Some(end) = blank_end.take()
            && !continues
        {
            return Some(end);
        }
        if let Some((delimiter, length)) = fence_start(bare) {
            if at_margin && start > 0 {
                return Some(start);
            }
            fence = Some((delimiter, length, at_margin));
        } else if start == 0 || !is_list {
            is_list |= is_item(bare);
        }
    }
    None
}

/// Where a growing text that [`closed_prefix`] cannot cut is cut all the same, since drawing the whole of it anew with each frame takes too
/// long: a list between two of its items, all but code behind a line or a word.
pub fn forced_prefix(text: &str) -> Option<usize> {
    let first = text.lines().next()?;
    if text.len() <= LONG_LIST || fence_start(first.trim()).is_some() {
        return None;
    }
    if is_item(first)
        && let Some(end) = last_item(text)
    {
        return Some(end);
    }
    // What is cut off a table loses its head.
    let is_column = |c: char| matches!(c, '|' | '-' | ':' | ' ');
    let is_table = text.lines().nth(1).is_some_and(|line| line.contains('-') && line.chars().all(is_column));
    let most = if is_table { LONG_TABLE } else { LONG_BLOCK };
    if text.len() <= most {
        return None;
    }
    let head = &text[..crate::format::floor(text, most)];
    let end = head.rfind('\n').or_else(|| head.rfind(' ')).map(|end| end + 1);
    Some(end.filter(|end| *end > most / 2).unwrap_or(head.len()))
}

/// Where the last item of a list at the margin begins, if enough others lie before it. Whatever an item holds ends where the next begins.
fn last_item(text: &str) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    for line in text.split_inclusive('\n') {
        if is_item(line.trim_end()) && at >= LONG_LIST / 2 {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

fn fence_start(line: &str) -> Option<(char, usize)> {
    let delimiter = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == delimiter).count();
    let info_is_plain = delimiter == '~' || !line[length..].contains('`');
    (length >= 3 && info_is_plain).then_some((delimiter, length))
}

fn is_fence_end(line: &str, delimiter: char, length: usize) -> bool {
    line.chars().count() >= length && line.chars().all(|c| c == delimiter)
}

fn is_item(line: &str) -> bool {
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if after_number.len() < line.len() {
        after_number.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '+'])
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// A fence of code that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    delimiter: char,
    length: usize,
}

impl Fence {
    /// The fence that a growing text begins with at the margin, once its first line is complete: with the length of that line, and the language.
    pub fn at_start(text: &str) -> Option<(Self, usize, &str)> {
        let (first, _) = text.split_once('\n')?;
        let opens = fence_start(first.trim_end()).filter(|_| !first.starts_with([' ', '\t']));
        let (delimiter, length) = opens?;
        let language = first[length..].split_whitespace().next().unwrap_or_default();
        Some((Self { delimiter, length }, first.len() + 1, language))
    }

    /// Whether a line closes it.
    pub fn ends_with(self, line: &str) -> bool {
        is_fence_end(line.trim(), self.delimiter, self.length)
    }
}
