//! Turns of blocks. Beside a model's turn stands what its server sent, raw, so that it can be sent back to
//! the byte.

use serde_json::Value;

use crate::model::api::Api;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person, tool results, and the runner's notices.
    User,
    /// The model.
    Assistant,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Text.
    Text {
        /// Never blank in a conversation.
        text: String,
    },
    /// What the model thought, as far as its server shows it.
    Thinking {
        /// Empty if nothing of it is shown.
        text: String,
    },
    /// The model wants a tool.
    ToolUse {
        /// Unique in the conversation.
        id: String,
        /// The tool's name as the model wrote it.
        name: String,
        /// The arguments: an object.
        input: Value,
    },
    /// What came of it.
    ToolResult {
        /// The use that it answers.
        id: String,
        /// What the model reads.
        text: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// A part of a kind that is not known here.
    Foreign {
        /// As it came.
        item: Value,
    },
}

impl Block {
    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A tool's result. An empty one is told in a sentence, since servers refuse empty blocks.
    #[must_use]
    pub fn result(id: &str, text: &str, is_error: bool) -> Self {
        let text = if text.trim().is_empty() { "(no output)" } else { text };
        Self::ToolResult { id: id.to_owned(), text: text.to_owned(), is_error }
    }

    /// Whether it is a tool's result.
    #[must_use]
    pub const fn is_result(&self) -> bool {
        matches!(self, Self::ToolResult { .. })
    }
}

/// All that one side says before the other does.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// Never empty.
    pub blocks: Vec<Block>,
    /// What the model's server sent. Absent for the user's turns.
    pub raw: Option<Raw>,
}

impl Turn {
    /// A user's turn.
    #[must_use]
    pub const fn user(blocks: Vec<Block>) -> Self {
        Self { role: Role::User, blocks, raw: None }
    }
}

/// What a server sent for a turn. It goes back to the same API as it came, and to another one as the blocks
/// say it.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// The API it came by.
    pub api: Api,
    /// The model it came from: thinking is bound to it.
    pub model: String,
    /// In the API's own form.
    pub items: Vec<Value>,
}
