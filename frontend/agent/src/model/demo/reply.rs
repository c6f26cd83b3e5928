//! What the demo answers, and the pieces that it comes in.

use serde_json::Value;

/// A piece of an answer, and how long to wait before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The pause before it, in milliseconds.
    pub delay_ms: u32,
    /// A piece of the body: server-sent events.
    pub bytes: Vec<u8>,
}

/// What the demo answers: text, then tool uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    /// Paragraphs of Markdown; there are some if there are no tools.
    pub(super) texts: Vec<String>,
    /// Names and arguments.
    pub(super) tools: Vec<(&'static str, Value)>,
}
