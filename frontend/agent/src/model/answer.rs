//! What comes of a model call: events while it streams, and one answer, or what is kept of it and why it
//! failed.
//!
//! An answer is items in its API's own form; [`super::codec::Codec`] reads them and makes them fit to be sent
//! back.

use serde_json::Value;

use super::{ModelError, Stop, Usage};

/// What happened in a stream. `block` counts the answer's blocks from 0 in the order in which they began.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    /// Text.
    TextDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// Thinking, as far as the server shows it.
    ThinkingDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// A tool use begins.
    ToolStart {
        /// Which block.
        block: usize,
        /// The tool use's id.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// A piece of a tool use's arguments: JSON, cut anywhere.
    ToolArgsDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// A block is complete.
    BlockDone {
        /// Which.
        block: usize,
        /// The whole of it, in the API's own form.
        content: Value,
    },
    /// What the call has cost so far; replaces what was said before.
    Usage(Usage),
    /// The end, good or bad: the result can be taken. Comes once.
    Done,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What came, in the API's own form, unknown parts too; known ones with the fields that they may be sent
    /// back with. May be empty: then nothing enters the conversation.
    pub content: Vec<Value>,
    /// Why it ended.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
}

/// What is left of an answer that broke off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// What may stay in the conversation: complete blocks and the text so far. May be empty.
    pub content: Vec<Value>,
    /// What it cost, as far as known.
    pub usage: Usage,
    /// Whether any of it was shown, so that it must be taken back before the call is made again.
    pub shown: bool,
}

/// A call's outcome.
pub type Outcome = Result<Answer, (Partial, ModelError)>;
