//! The protocols that models are spoken to in. Each has a codec: a file of this folder.

use serde::{Deserialize, Serialize};

/// A protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Anthropic's Messages.
    #[default]
    Messages,
    /// `OpenAI`'s chat completions, which many servers speak.
    Chat,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Messages, Self::Chat];

    /// Its name in settings and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Chat => "chat",
        }
    }

    /// Whether it is the one that is spoken where nothing is said: logs and settings do not name it.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
