//! The tools as the model sees them: names, arguments and JSON schemas.
//!
//! The definitions are fixed for a conversation: a request repeats them byte for byte, or the prompt cache is
//! lost and signed thinking blocks are refused.

use crate::json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Seconds that a `bash` call waits before its command goes on in the background.
pub const BASH_TIMEOUT_S: u64 = 120;
/// The most seconds that `bash` and `background_run` accept: one day.
pub const MAX_TIMEOUT_S: u64 = 86_400;

/// A tool call with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolCall {
    /// Runs a command and waits for it.
    Bash(Bash),
    /// Reads a text file.
    ReadFile(ReadFile),
    /// Writes a text file.
    WriteFile(WriteFile),
    /// Replaces text in a file.
    EditFile(EditFile),
    /// Starts a command and goes on.
    BackgroundRun(BackgroundRun),
    /// Looks at background tasks.
    CheckBackground(CheckBackground),
    /// Ends a background task.
    StopBackground(StopBackground),
    /// Writes to a background task's standard input.
    SendInput(SendInput),
}

/// Arguments of `bash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bash {
    /// The command.
    pub command: String,
    /// Seconds to wait before it goes on in the background.
    #[serde(default)]
    pub timeout: Option<u64>,
}

/// Arguments of `read_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// Which file.
    pub path: String,
    /// First line, counted from 1.
    #[serde(default)]
    pub offset: Option<u64>,
    /// At most this many lines.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Arguments of `write_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFile {
    /// Which file.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// Arguments of `edit_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditFile {
    /// Which file.
    pub path: String,
    /// What is there.
    pub old_text: String,
    /// What shall be there.
    pub new_text: String,
}

/// Arguments of `background_run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundRun {
    /// The command.
    pub command: String,
    /// Seconds after which it is ended.
    #[serde(default)]
    pub timeout: Option<u64>,
    /// Whether its standard input stays open.
    #[serde(default)]
    pub stdin: Option<bool>,
}

/// Arguments of `check_background`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBackground {
    /// One task, or all.
    #[serde(default)]
    pub task_id: Option<String>,
    /// How many of the last lines.
    #[serde(default)]
    pub tail: Option<u32>,
    /// Only matching lines.
    #[serde(default)]
    pub grep: Option<String>,
}

/// Arguments of `stop_background`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopBackground {
    /// Which task.
    pub task_id: String,
}

/// Arguments of `send_input`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendInput {
    /// Which task.
    pub task_id: String,
    /// The text; nothing is added to it.
    pub text: String,
}

/// The field that holds what a model wrote in place of arguments that are a JSON object.
pub const UNREADABLE: &str = "unreadable";

impl ToolCall {
    /// Reads a call as the model wrote it.
    ///
    /// # Errors
    /// A sentence for the model: no such tool, or which argument is missing or of the wrong kind.
    pub fn parse(name: &str, input: &Value) -> Result<Self, String> {
        fn read<T: DeserializeOwned>(name: &str, input: &Value) -> Result<T, String> {
            if input.get(UNREADABLE).is_some() {
                return Err(format!(
                    "{name}: the arguments are not a JSON object, so nothing was done. Call it again with arguments that fit its schema."
                ));
            }
            json::read(input.clone()).map_err(|error| format!("{name}: the arguments do not fit: {error}. Call it again with arguments that fit its schema."))
        }
        match name {
            "bash" => read(name, input).map(Self::Bash),
            "read_file" => read(name, input).map(Self::ReadFile),
            "write_file" => read(name, input).map(Self::WriteFile),
            "edit_file" => read(name, input).map(Self::EditFile),
            "background_run" => read(name, input).map(Self::BackgroundRun),
            "check_background" => read(name, input).map(Self::CheckBackground),
            "stop_background" => read(name, input).map(Self::StopBackground),
            "send_input" => read(name, input).map(Self::SendInput),
            _ => Err(format!("There is no tool named {name:?}. The tools are: {}.", NAMES.join(", "))),
        }
    }

    /// The tool's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bash(_) => "bash",
            Self::ReadFile(_) => "read_file",
            Self::WriteFile(_) => "write_file",
            Self::EditFile(_) => "edit_file",
            Self::BackgroundRun(_) => "background_run",
            Self::CheckBackground(_) => "check_background",
            Self::StopBackground(_) => "stop_background",
            Self::SendInput(_) => "send_input",
        }
    }

    /// What a person reads behind the name: the command, the path or the task.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Bash(Bash { command, .. }) | Self::BackgroundRun(BackgroundRun { command, .. }) => command,
            Self::ReadFile(ReadFile { path, .. })
            | Self::WriteFile(WriteFile { path, .. })
            | Self::EditFile(EditFile { path, .. }) => path,
            Self::CheckBackground(CheckBackground { task_id, .. }) => {
                task_id.as_deref().unwrap_or("all tasks")
            }
            Self::StopBackground(StopBackground { task_id }) | Self::SendInput(SendInput { task_id, .. }) => {
                task_id
            }
        }
    }
}

/// The names, in the order of [`definitions`].
pub const NAMES: [&str; 8] = [
    "bash",
    "read_file",
    "write_file",
    "edit_file",
    "background_run",
    "check_background",
    "stop_background",
    "send_input",
];

/// The tool definitions in the form of Anthropic's Messages: `name`, `description`, `input_schema`.
#[must_use]
pub fn definitions() -> Value {
    serde_json::from_str(include_str!("tools.json")).expect("a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_timeout_is_said() {
        for (place, name) in [(0, "bash"), (4, "background_run")] {
            let tool = &definitions()[place];
            assert_eq!(tool["name"], name);
            assert_eq!(tool["input_schema"]["properties"]["timeout"]["maximum"], MAX_TIMEOUT_S);
        }
    }

    #[test]
    fn arguments_that_are_no_object_do_nothing_whatever_the_tool_needs() {
        for name in NAMES {
            let message = ToolCall::parse(name, &json!({ UNREADABLE: "{\"task_id\": \"t" })).unwrap_err();
            assert!(message.starts_with(name) && message.contains("not a JSON object"), "{message}");
        }
    }

    #[test]
    fn every_name_is_defined_in_order_and_parses() {
        let definitions = definitions();
        let names: Vec<_> =
            definitions.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, NAMES);
        let full = json!({"command": "c", "path": "p", "content": "", "old_text": "a", "new_text": "b", "task_id": "t", "text": "x"});
        for name in NAMES {
            assert_eq!(ToolCall::parse(name, &full).unwrap().name(), name);
        }
    }

    #[test]
    fn a_missing_argument_is_named() {
        let error = ToolCall::parse("bash", &json!({})).unwrap_err();
        assert!(error.contains("`command`"), "{error}");
        assert!(ToolCall::parse("fly", &json!({})).unwrap_err().contains("background_run"));
    }
}
