//! Markdown as data: no HTML comes out of it, whatever goes in.
//!
//! pulldown-cmark reads it, with GitHub's tables, ticked items and strikethrough; [`reader`] makes blocks of
//! its events and [`links`] finds bare addresses. HTML in the source is shown as the text it is. Links lead
//! to `http`, `https` and mail; of any other the target stands behind its text. Images are not fetched: a
//! link with their description stands in their place. Nesting has a bound, since the page draws by recursion.
//! Single tildes are text: models write `~5 min` for "about five minutes".
//!
//! A text that still grows is cut by [`next_cut`] into blocks that later text cannot change, so that only the
//! last is drawn again.

mod growing;
mod inline;
mod links;
mod plain;
mod reader;

pub use growing::{Cut, Fence, closed_prefix, next_cut};
pub use plain::plain;
pub use pulldown_cmark::Alignment;
pub use reader::parse;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

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
    /// A link to a page of the web, or for a mail.
    Link {
        /// Where to.
        href: String,
        /// Its text.
        inlines: Vec<Self>,
    },
    /// A forced line break.
    Break,
}
