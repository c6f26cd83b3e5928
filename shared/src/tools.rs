//! The tools as the model sees them: names, arguments and JSON schemas.
//!
//! The definitions are fixed for a conversation: a request repeats them byte for byte, or the prompt cache is lost and
//! signed thinking blocks are refused.

use serde_json::json;

use crate::json::{self, Deserialize, FromJson, Serialize, Value};

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

impl ToolCall {
    /// Reads a call as the model wrote it.
    ///
    /// # Errors
    /// A sentence for the model: no such tool, or which argument is missing or of the wrong kind.
    pub fn parse(name: &str, input: &Value) -> Result<Self, String> {
        fn read<T: FromJson>(name: &str, input: &Value) -> Result<T, String> {
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
    json!([
        tool(
            "bash",
            "Run a shell command in the workspace and wait for it. For quick commands. If it runs longer than `timeout` seconds (120 unless told), it is not killed: it goes on as a background task and the result says so.",
            &json!({
                "command": {"type": "string", "description": "The shell command."},
                "timeout": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_S, "description": "Seconds to wait before it goes on in the background."}
            }),
            &["command"],
        ),
        tool(
            "read_file",
            "Read a text file in the workspace.",
            &json!({
                "path": {"type": "string", "description": "Path relative to the workspace."},
                "offset": {"type": "integer", "minimum": 1, "description": "First line, counted from 1."},
                "limit": {"type": "integer", "minimum": 1, "description": "At most this many lines."}
            }),
            &["path"],
        ),
        tool(
            "write_file",
            "Write a text file in the workspace, whole. Folders are made as needed; a file that is there is replaced.",
            &json!({
                "path": {"type": "string", "description": "Path relative to the workspace."},
                "content": {"type": "string", "description": "The whole content."}
            }),
            &["path", "content"],
        ),
        tool(
            "edit_file",
            "Replace the first occurrence of a text in a file.",
            &json!({
                "path": {"type": "string", "description": "Path relative to the workspace."},
                "old_text": {"type": "string", "description": "Text that is in the file, exactly."},
                "new_text": {"type": "string", "description": "Text to put in its place."}
            }),
            &["path", "old_text", "new_text"],
        ),
        tool(
            "background_run",
            "Start a shell command in the background and return at once with its task id. Use it for whatever takes more than a few seconds. You are told when it ends: do not poll, go on with what does not depend on it, or end your turn.",
            &json!({
                "command": {"type": "string", "description": "The shell command. Do not append '&'."},
                "timeout": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_S, "description": "Seconds after which it is ended. Without it there is no limit."},
                "stdin": {"type": "boolean", "description": "Keep its standard input open for send_input."}
            }),
            &["command"],
        ),
        tool(
            "check_background",
            "Look at one background task, or list all of this session. Only needed to read more output than the notice held, or to look at a task that still runs.",
            &json!({
                "task_id": {"type": "string", "description": "The task; all without it."},
                "tail": {"type": "integer", "minimum": 1, "maximum": 2000, "description": "How many of the last lines of output."},
                "grep": {"type": "string", "description": "Only lines that match this regular expression."}
            }),
            &[],
        ),
        tool(
            "stop_background",
            "End a background task and all of its processes.",
            &json!({"task_id": {"type": "string", "description": "The task."}}),
            &["task_id"],
        ),
        tool(
            "send_input",
            "Write text to the standard input of a background task that was started with stdin: true. Add a newline yourself where the program waits for a line.",
            &json!({
                "task_id": {"type": "string", "description": "The task."},
                "text": {"type": "string", "description": "The text, sent as it is."}
            }),
            &["task_id", "text"],
        ),
    ])
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    json!({
        "name": name,
        "description": description,
        "input_schema": {"type": "object", "properties": properties, "required": required, "additionalProperties": false}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
