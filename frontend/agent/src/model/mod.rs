//! Models behind one interface: a conversation becomes a request, bytes come in, neutral events and one
//! answer come out.
//!
//! [`codec::Codec`] is the interface. Each [`api::Api`] has one, in a file of its own ([`messages`],
//! [`chat`]); [`endpoint`] knows which, and is the only place that does. [`stream::Stream`] takes an answer's
//! bytes apart and hands events to the codec's reader; [`error`] says what failures mean, for all of them.
//! The [`demo`] answers by itself, in the words of one of them.

pub mod answer;
pub mod api;
pub mod catalog;
mod chat;
pub mod codec;
pub mod demo;
pub mod endpoint;
pub mod error;
mod identifier;
pub mod logged;
pub mod messages;
pub mod sse;
pub mod stream;
mod surrogates;

pub use answer::{Answer, ModelEvent, Outcome, Partial};
pub use api::Api;
pub use codec::Request;
pub use error::backoff_ms;
pub use stream::Stream;

use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stop", rename_all = "snake_case")]
pub enum Stop {
    /// The model is done, or wants tools.
    End,
    /// It reached the limit of its answer's length.
    MaxTokens,
    /// It paused; the same request is to be sent again with what it said.
    Pause,
    /// It refused; its tools are not to be run.
    Refusal,
    /// The conversation does not fit any more.
    ContextFull,
    /// The person stopped it.
    Stopped,
    /// It broke off, and what had come was kept.
    Cut {
        /// Why.
        reason: String,
    },
    /// A reason this version does not know: shown, and the turn ends.
    Other {
        /// The word.
        word: String,
    },
}

impl Stop {
    /// The model said that it wants a tool, and named none.
    #[must_use]
    pub fn no_tool() -> Self {
        Self::Other { word: NO_TOOL.to_owned() }
    }

    /// Whether it is that.
    #[must_use]
    pub fn is_no_tool(&self) -> bool {
        matches!(self, Self::Other { word } if word == NO_TOOL)
    }
}

/// The word for it, in logs as in the first protocol that was spoken.
const NO_TOOL: &str = "tool_use";

/// What a call cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Read, not from the cache.
    pub input: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Written to the cache.
    pub cache_write: u64,
    /// Written.
    pub output: u64,
}

impl ModelError {
    /// Whether the server would refuse the same content whenever it is sent.
    #[must_use]
    pub const fn refuses_content(&self) -> bool {
        !self.retryable && matches!(self.status, Some(400 | 413 | 422))
    }

    /// Whether it refused it for its size.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let size =
            ["too long", "too large", "exceed context", "maximum context", "context length", "context size"];
        self.refuses_content() && (self.status == Some(413) || size.iter().any(|part| message.contains(part)))
    }
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelError {
    /// For the person: what happened and what to do.
    pub message: String,
    /// HTTP status, if one came; of an error within a stream, the status that it would have been told with.
    #[serde(default)]
    pub status: Option<u16>,
    /// The server's name of the request, if it gave one.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Whether the same call may go well later.
    pub retryable: bool,
    /// The server's own hint, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}
