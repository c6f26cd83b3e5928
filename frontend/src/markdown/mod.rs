//! Markdown as data: no HTML comes out of it, whatever goes in.
//!
//! HTML in the source is shown as the text it is. Links lead to `http` and `https` only. Images are not fetched: a link with their
//! description stands in their place. Nesting has a bound, since the page draws by recursion.
//!
//! A text that still grows is cut by [`closed_prefix`] into blocks that later text cannot change, so that only the last is drawn again.
//!
//! [`parse`] works in the two phases that `CommonMark` describes: `blocks` makes blocks of lines, with their text as it is written, then
//! `inlines` makes spans of each text and `tree` nests them. `scan`, `html`, `links` and `chars` say what lines, tags, addresses and
//! characters are. Each is written to be small in the page, and takes time in proportion to the length of the text.
//!
//! It reads `CommonMark` 0.31, and GitHub's tables, ticked items and strikethrough, with these differences:
//! - Only entities that models write have names here, and punctuation beyond ASCII is known for the common scripts.
//! - Names of links are compared in lower case, not case-folded. They have at most 999 bytes, and a text defines at most 500 of them;
//!   definitions beyond those are shown. A name that stands for a long address too often is not a link any more.
//! - Deeper than `DEPTH`, `>` and the marks of items are text, and spans are shown without their dress.
//! - A paragraph is interrupted by a table only if the table's head begins with a pipe. The line that describes columns has a pipe, as
//!   has the head.
//! - A single `~` strikes nothing out: models write `~5 min` for "about five minutes". `~~` opens within a word whatever follows.
//!
//! The tests hold it against pulldown-cmark, and leave out, since there that parser differs from `CommonMark` or from itself:
//! - White space at the beginning of a line within code or a tag of several lines, and `>` there: it keeps them. Tabs after a heading, a
//!   fence or in a table's second line, and before `>` after an empty quotation: it does not take them for white space.
//! - Single tildes, of which it makes strikethrough; `\~` before tildes, a backslash between two pairs of brackets, and a break at the end
//!   of a link's text: it mistakes them.
//! - A definition that goes on lazily on the next line: it takes it for text.
//! - Tables whose head or rows are indented like code, follow a definition, end with a backslash or contain only escaped pipes, and
//!   such with spaces between dashes: it accepts other ones. A ticked item that begins with a table: it loses the tick.

mod blocks;
mod chars;
mod html;
mod inlines;
mod links;
mod plain;
mod scan;
mod tree;

pub use plain::plain;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

/// How deep blocks and spans may nest together; a list and its item are two.
const DEPTH: usize = 24;
/// From how many bytes on a list that grows is cut between its items.
const LONG_LIST: usize = 8 * 1024;
/// From how many bytes on any other block is, but for code.
const LONG_BLOCK: usize = 32 * 1024;
/// The same for a table.
const LONG_TABLE: usize = 256 * 1024;

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// The text of a tight list's item: a paragraph without space around it.
    Plain(Vec<Inline>),
    /// A heading.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text.
        inlines: Vec<Inline>,
    },
    /// Code.
    Code {
        /// The language that was named, or empty.
        language: String,
        /// The code.
        text: String,
    },
    /// A quotation.
    Quote(Vec<Self>),
    /// A list.
    List {
        /// The first number, if it is numbered.
        start: Option<u64>,
        /// Its items.
        items: Vec<Item>,
    },
    /// A table.
    Table {
        /// A column each.
        alignments: Vec<Alignment>,
        /// The cells of the head.
        head: Vec<Vec<Inline>>,
        /// The rows of the body.
        rows: Vec<Vec<Vec<Inline>>>,
    },
    /// A rule.
    Rule,
}

/// An item of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Whether it is ticked, if it can be.
    pub ticked: Option<bool>,
    /// What it holds.
    pub blocks: Vec<Block>,
}

/// A span of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Text.
    Text(String),
    /// Code.
    Code(String),
    /// Emphasis.
    Emphasis(Vec<Self>),
    /// Strong emphasis.
    Strong(Vec<Self>),
    /// Struck out.
    Struck(Vec<Self>),
    /// A link to `http` or `https`.
    Link {
        /// Where to.
        href: String,
        /// Its text.
        inlines: Vec<Self>,
    },
    /// A forced line break.
    Break,
}

/// How the text of a table's column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// As it comes.
    None,
    /// To the left.
    Left,
    /// In the middle.
    Center,
    /// To the right.
    Right,
}

/// Parses a text.
pub fn parse(text: &str) -> Vec<Block> {
    let (mut blocks, mut definitions) = blocks::parse(text);
    inlines::fill(&mut blocks, &mut definitions, DEPTH);
    blocks
}

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts the steps of each search that may be long, so that tests can say how work grows.
#[cfg(test)]
fn spend(steps: usize) {
    STEPS.with(|spent| spent.set(spent.get() + steps));
}

#[cfg(not(test))]
const fn spend(_: usize) {}

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
        if let Some((mark, length, at_margin)) = fence {
            if is_fence_end(bare, mark, length) {
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
        let goes_on = !at_margin || (is_list && is_item(bare));
        if let Some(end) = blank_end.take()
            && !goes_on
        {
            return Some(end);
        }
        if let Some((mark, length)) = fence_start(bare) {
            if at_margin && start > 0 {
                return Some(start);
            }
            fence = Some((mark, length, at_margin));
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
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let info_is_plain = mark == '~' || !line[length..].contains('`');
    (length >= 3 && info_is_plain).then_some((mark, length))
}

fn is_fence_end(line: &str, mark: char, length: usize) -> bool {
    line.chars().count() >= length && line.chars().all(|c| c == mark)
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

/// The language and the text so far of a fence at the beginning of `text` that is not closed yet.
pub fn open_fence(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let (mark, length) = fence_start(first.trim_end()).filter(|_| !first.starts_with([' ', '\t']))?;
    let closed = rest.lines().any(|line| is_fence_end(line.trim(), mark, length));
    let language = first[length..].split_whitespace().next().unwrap_or_default();
    (!closed).then_some((language, rest))
}
