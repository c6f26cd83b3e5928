//! What was delivered to a model, read from the bytes of a request and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::TaskId;

/// How the simulated runner marks the output of a task that has ended: the mark, its id, ` of ` and its
/// command.
pub(crate) const END: &str = "END-";

/// What the user's side of a request says.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// Ends told by the runner's notices, each with the place of its message.
    pub(crate) notices: Vec<(TaskId, usize)>,
    /// Ends shown by the results of tools, each with the place of its message.
    pub(crate) shown: Vec<(TaskId, usize)>,
    /// Tasks of which a tool's result said that they began or go on.
    pub(crate) begun: BTreeSet<TaskId>,
    /// The text blocks that are no notices.
    pub(crate) messages: BTreeMap<String, u32>,
    /// Whether the server is only to go on after a pause: nothing can be delivered with that.
    pub(crate) goes_on: bool,
    /// What each use of a tool got.
    results: Vec<(Use, String)>,
}

/// A use of a tool, as the request has it.
#[derive(Clone, Debug)]
struct Use {
    id: String,
    name: String,
    input: Value,
}

pub(crate) fn read(body: &Value) -> Delivered {
    let mut delivered = Delivered::default();
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let messages = body["messages"].as_array().unwrap();
    for (n, message) in messages.iter().enumerate() {
        for block in message["content"].as_array().unwrap() {
            let text = |field: &str| block[field].as_str().unwrap_or_default().to_owned();
            match (message["role"] == "user", block["type"].as_str().unwrap_or_default()) {
                (false, "tool_use") => {
                    let one = Use { id: text("id"), name: text("name"), input: block["input"].clone() };
                    uses.insert(one.id.clone(), one);
                }
                (true, "tool_result") => {
                    let result = text("content");
                    let begun = ["Background task ", "as background task "];
                    delivered
                        .begun
                        .extend(begun.iter().flat_map(|mark| marked(&result, mark)).map(|(id, _)| id));
                    delivered.shown.extend(shown(&result).into_iter().map(|id| (id, n)));
                    delivered.results.push((uses[&text("tool_use_id")].clone(), result));
                }
                (true, "text") => match entries(&text("text")) {
                    Some(ids) => delivered.notices.extend(ids.into_iter().map(|id| (id, n))),
                    None => *delivered.messages.entry(text("text")).or_default() += 1,
                },
                _ => {}
            }
        }
    }
    delivered.goes_on = messages.last().unwrap()["role"] == "assistant";
    delivered
}

/// The tasks in a block of background results, as a reader takes them: lines that begin with `[bg:`. `None`
/// if it is none.
fn entries(text: &str) -> Option<Vec<TaskId>> {
    let inner = text.strip_prefix("<background-results>\n")?;
    let Some(inner) = inner.strip_suffix("\n</background-results>") else {
        panic!("the block is not closed at its end: {text}")
    };
    assert!(!inner.contains("</background-results"), "the block can be closed from within");
    let ids = inner.lines().filter_map(|line| line.strip_prefix("[bg:"));
    Some(ids.map(|line| TaskId(line[..8].to_owned())).collect())
}

/// The ids behind a mark, with what follows each to the end of its line.
fn marked<'a>(text: &'a str, mark: &str) -> Vec<(TaskId, &'a str)> {
    let rests = text.split(mark).skip(1).filter_map(|rest| rest.split_at_checked(8));
    let lines = rests.map(|(id, rest)| (id, rest.lines().next().unwrap_or_default()));
    lines.filter(|(id, _)| is_id(id)).map(|(id, rest)| (TaskId(id.to_owned()), rest)).collect()
}

fn is_id(id: &str) -> bool {
    id.chars().all(|char| char.is_ascii_hexdigit())
}

/// The tasks whose end a result shows: by their output, or by a word on their state.
fn shown(result: &str) -> BTreeSet<TaskId> {
    let mut shown: BTreeSet<TaskId> = marked(result, END).into_iter().map(|(id, _)| id).collect();
    if result.starts_with("Task ") {
        let active = [" is running", " is queued", " is paused"];
        let marks = marked(result, "Task ").into_iter();
        shown.extend(
            marks
                .filter(|(_, rest)| {
                    rest.starts_with(" is ") && !active.iter().any(|word| rest.starts_with(word))
                })
                .map(|(id, _)| id),
        );
    }
    shown
}

impl Delivered {
    /// How often the runner's notices tell an end.
    pub(crate) fn times(&self, task: &TaskId) -> usize {
        self.notices.iter().filter(|(id, _)| id == task).count()
    }

    /// Whether a completion is delivered at all.
    pub(crate) fn knows(&self, task: &TaskId) -> bool {
        self.times(task) > 0 || self.shown.iter().any(|(id, _)| id == task)
    }

    /// A completion that is delivered twice: by two notices, or by one when a tool's result had shown it.
    pub(crate) fn doubled(&self) -> Option<String> {
        for (n, (id, at)) in self.notices.iter().enumerate() {
            if self.notices[..n].iter().any(|(other, _)| other == id) {
                return Some(format!("{id} was delivered twice"));
            }
            if self.shown.iter().any(|(other, before)| other == id && before <= at) {
                return Some(format!("{id} was shown and then delivered"));
            }
        }
        None
    }

    /// A result that is not of the command or file of its own use. `commands` are those of all tasks there
    /// ever were.
    pub(crate) fn foreign(&self, commands: &BTreeMap<TaskId, String>) -> Option<String> {
        let mut started = BTreeSet::new();
        for (one, result) in &self.results {
            let own = |field: &str| one.input[field].as_str();
            let mut tasks: Vec<(TaskId, &str)> = marked(result, END);
            let wrong = match one.name.as_str() {
                "bash" | "background_run" => {
                    let begun = marked(result, "Background task ");
                    let twice = begun.iter().any(|(id, _)| !started.insert(id.clone()));
                    let goes_on = marked(result, "as background task ");
                    let other = begun
                        .iter()
                        .chain(&goes_on)
                        .any(|(id, _)| commands.get(id).map(String::as_str) != own("command"));
                    let output = |(_, rest): &(TaskId, &str)| rest.strip_prefix(" of ") != own("command");
                    twice || other || tasks.iter().any(output)
                }
                "write_file" => result.strip_prefix("Created ").is_some_and(|rest| {
                    rest.split_once(": ").is_none_or(|(path, _)| Some(path) != own("path"))
                }),
                "check_background" | "stop_background" => {
                    tasks.extend(marked(result, "Task "));
                    own("task_id").is_some_and(|asked| tasks.iter().any(|(id, _)| id.0 != asked))
                }
                _ => false,
            };
            if wrong {
                return Some(format!(
                    "{} ({} {}) got the result of another: {result}",
                    one.id, one.name, one.input
                ));
            }
        }
        None
    }
}
