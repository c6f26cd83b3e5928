//! What the person has set, for all sessions of this browser. The shell keeps it; the agent only reads it.

use shared::json::{Deserialize, Serialize};

/// The settings. Missing fields take their defaults, so that older ones still open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Which model new calls go to.
    pub model: ModelChoice,
    /// Models that were typed by name and then left for another, the last ones.
    pub typed: Vec<ModelChoice>,
    /// What needs an approval in sessions that were not told otherwise.
    pub mode: Mode,
    /// Whether completions do *not* start a turn by themselves.
    pub no_wake: bool,
    /// What is always allowed.
    pub rules: Vec<Rule>,
    /// Whether a key for direct calls is kept in this browser. The key itself never reaches the agent.
    pub has_key: bool,
    /// Where direct calls go; empty for `https://api.anthropic.com`.
    pub base_url: String,
}

impl Settings {
    /// What a browser keeps for all sessions: that everything is allowed belongs to one session, and no other inherits it.
    #[must_use]
    pub fn of_all_sessions(mut self) -> Self {
        if self.mode == Mode::Auto {
            self.mode = Mode::default();
        }
        self
    }
}

/// A model and the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelChoice {
    /// The way.
    pub provider: Provider,
    /// The model's id, such as `claude-opus-5-5`; empty for the demo.
    pub model: String,
}

/// The way to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Nothing chosen yet: through the runner if it has a key, otherwise the demo.
    #[default]
    Auto,
    /// The scripted model.
    Demo,
    /// Anthropic's Messages through the runner, with its key.
    Relay,
    /// Anthropic's Messages from the page, with the key kept in this browser.
    Direct,
}

/// What needs an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Commands that are not known to be harmless, and every change of a file.
    AskAll,
    /// Commands that are not known to be harmless.
    #[default]
    AskCommands,
    /// Nothing.
    Auto,
}

/// Something that is always allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// This command, to the letter.
    Exact {
        /// The command.
        command: String,
        /// The workspace it holds in.
        workspace: String,
    },
    /// Commands that begin with these words, whatever known to be harmless follows, and hold no operator, substitution or redirection.
    Prefix {
        /// The words.
        words: Vec<String>,
        /// The workspace it holds in.
        workspace: String,
    },
    /// Changes of files by `write_file` and `edit_file`.
    Edits {
        /// The workspace it holds in.
        workspace: String,
    },
}
