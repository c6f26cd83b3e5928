//! What the person has set, for all sessions of this browser. The shell keeps it; the agent only reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Api;

/// The settings. Missing fields take their defaults, so that older ones still open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Which model new calls go to.
    pub model: ModelChoice,
    /// Models that were typed by name and then left for another, the last ones.
    pub typed: Vec<ModelChoice>,
    /// What needs an approval in sessions that were not told otherwise.
    pub mode: Mode,
    /// Whether completions start a turn by themselves.
    #[serde(rename = "no_wake", with = "negated")]
    pub wake: bool,
    /// What is always allowed.
    pub rules: Vec<Rule>,
    /// Whether a key for direct calls by the usual API is kept in this browser. The key itself never reaches
    /// the agent.
    pub has_key: bool,
    /// Where those calls go; empty for the address of the API's vendor.
    pub base_url: String,
    /// The same for the other APIs. Each has a key and an address of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<Api, Direct>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelChoice::default(),
            typed: Vec::new(),
            mode: Mode::default(),
            wake: true,
            rules: Vec::new(),
            has_key: false,
            base_url: String::new(),
            others: BTreeMap::new(),
        }
    }
}

/// A flag that is kept as its opposite: that was its name when the first settings were kept.
mod negated {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
    pub(super) fn serialize<S: Serializer>(flag: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(!flag)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        bool::deserialize(deserializer).map(|kept| !kept)
    }
}

/// What is known of direct calls by an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Direct {
    /// Whether a key is kept in this browser.
    pub has_key: bool,
    /// Where they go; empty for the address of the API's vendor.
    pub base_url: String,
}

impl Settings {
    /// What is known of direct calls by this API.
    #[must_use]
    pub fn direct(&self, api: Api) -> Direct {
        if api.is_usual() {
            return Direct { has_key: self.has_key, base_url: self.base_url.clone() };
        }
        self.others.get(&api).cloned().unwrap_or_default()
    }

    /// Sets it.
    pub fn set_direct(&mut self, api: Api, direct: Direct) {
        if api.is_usual() {
            (self.has_key, self.base_url) = (direct.has_key, direct.base_url);
        } else {
            self.others.insert(api, direct);
        }
    }

    /// What a browser keeps for all sessions: that everything is allowed belongs to one session, and no other
    /// inherits it.
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
    /// What is spoken there.
    #[serde(skip_serializing_if = "Api::is_usual")]
    pub api: Api,
    /// The model's id, such as `claude-opus-5-5`; empty for the demo.
    pub model: String,
}

impl ModelChoice {
    /// A model of the usual API.
    #[must_use]
    pub fn new(provider: Provider, model: &str) -> Self {
        Self { provider, model: model.to_owned(), ..Self::default() }
    }
}

/// The way to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Nothing chosen yet: through the runner if it has a key, from the page if that has one, otherwise the
    /// demo.
    #[default]
    Auto,
    /// The scripted model.
    Demo,
    /// Through the runner, with its key.
    Relay,
    /// From the page, with the key kept in this browser.
    Direct,
}

/// What needs an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Commands that are not known to read only, and every change of a file.
    AskAll,
    /// Commands that are not known to read only.
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
    /// Commands that begin with these words, whatever is known to be safe behind them follows, and hold no
    /// operator, substitution or redirection.
    Prefix {
        /// The shell's words.
        #[serde(rename = "words")]
        prefix: Vec<String>,
        /// The workspace it holds in.
        workspace: String,
    },
    /// Changes of files by `write_file` and `edit_file`.
    Edits {
        /// The workspace it holds in.
        workspace: String,
    },
}
