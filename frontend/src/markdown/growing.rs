//! Cutting a text that still grows, so that what can no longer change is not parsed and drawn again.

use crate::format;

/// From how many bytes on a list is cut between its items: each is an element or more, so that few bytes are
/// much to draw.
const LONG_LIST: usize = 4 * 1024;
/// From how many bytes on any other block is, but for code.
pub(super) const LONG_BLOCK: usize = 32 * 1024;
/// The same for a table.
const LONG_TABLE: usize = 256 * 1024;

/// How many bytes at the beginning of a growing text are one or more blocks that nothing that follows can
/// change. `None` if none are yet.
///
/// Only complete lines count. A blank line outside a fence ends a block if the next line is not indented and
/// does not go on with a list. A fence at the margin is a block of its own.
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

/// Where a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes lie before it.
    pub length: usize,
    /// Whether what follows continues the same block.
    pub is_forced: bool,
}

/// Where the beginning of a growing text is cut off: behind what [`closed_prefix`] finds, or where it finds
/// nothing for long, since drawing the whole of it anew with each frame takes too long: a list between two of
/// its items, all but code behind a line or a word.
pub fn next_cut(text: &str) -> Option<Cut> {
    let closed = |most: usize| {
        let length = closed_prefix(&text[..format::floor(text, most)])?;
        Some(Cut { length, is_forced: false })
    };
    let forced = |length: Option<usize>| length.map(|length| Cut { length, is_forced: true });
    if text.len() <= LONG_LIST {
        return closed(text.len());
    }
    // What is near is looked at first: the whole may be very long.
    closed(LONG_LIST)
        .or_else(|| forced(list_prefix(text)))
        .or_else(|| closed(LONG_TABLE))
        .or_else(|| forced(block_prefix(text)))
        .or_else(|| closed(text.len()))
}

/// Where a list at the margin is cut: between items, since whatever an item holds ends where the next begins.
fn list_prefix(text: &str) -> Option<usize> {
    if text.len() <= LONG_LIST || !is_item(text.lines().next()?) {
        return None;
    }
    let (mut at, mut found) = (0, None);
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        if at > LONG_LIST && found.is_some() {
            break;
        }
        if at >= LONG_LIST / 2 && is_item(line.trim_end()) {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

/// Where any other block is cut, if it is very long. Code grows by itself, and what is cut off a table loses
/// its head.
fn block_prefix(text: &str) -> Option<usize> {
    let first = text.lines().next()?;
    let is_column = |c: char| matches!(c, '|' | '-' | ':' | ' ');
    let is_table = text.lines().nth(1).is_some_and(|line| line.contains('-') && line.chars().all(is_column));
    let most = if is_table { LONG_TABLE } else { LONG_BLOCK };
    if text.len() <= most || fence_start(first.trim()).is_some() {
        return None;
    }
    let head = &text[..format::floor(text, most)];
    let end = head.rfind('\n').or_else(|| head.rfind(' ')).map(|end| end + 1);
    Some(end.filter(|end| *end > most / 2).unwrap_or(head.len()))
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
    /// The fence that a growing text begins with at the margin, once its first line is complete: with the
    /// length of that line, and the language.
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
