//! Models behind one interface: a request is built, bytes come in, neutral events and one answer come out.

pub mod answer;
pub mod anthropic;
pub mod demo;
pub mod fault;
pub mod message;
pub mod request;
pub mod rules;
pub mod sse;
mod surrogates;

pub use answer::{Answer, ModelEvent, Outcome, Partial};
pub use anthropic::Stream;
pub use fault::backoff_ms;
pub use message::{Message, Role, strip_thinking};
pub use request::Request;

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

impl Fault {
    /// Whether the server would refuse the same content whenever it is sent.
    #[must_use]
    pub const fn refuses_content(&self) -> bool {
        !self.retryable && matches!(self.status, Some(400 | 413 | 422))
    }

    /// Whether it refused it for its size.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let said = self.message.to_ascii_lowercase();
        let size = ["too long", "too large", "exceed context", "maximum context", "context length"];
        self.refuses_content() && (self.status == Some(413) || size.iter().any(|words| said.contains(words)))
    }
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In words: what happened and what to do.
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
