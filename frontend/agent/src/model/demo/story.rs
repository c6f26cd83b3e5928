//! Reads a conversation: the last wish, the steps since, and every task that it knows of.

use serde_json::Value;
use shared::sorted::Map;

use super::report;
use crate::model::message::block_type;

/// What a conversation tells.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The last words of the person's.
    pub(super) wish: Option<String>,
    /// The tool uses since, with their results.
    pub(super) steps: Vec<Step>,
    /// The tasks, in the order in which they became known.
    pub(super) tasks: Vec<Task>,
    /// Which tasks' ends the last message tells, as places in `tasks`.
    pub(super) fresh: Vec<usize>,
    /// Whether the last message holds words of the person's.
    pub(super) asked: bool,
    /// Whether the last message holds results of tools.
    pub(super) resumed: bool,
    /// Whether the demo has said what it is.
    pub(super) introduced: bool,
    /// Whether it has said how to connect a real model.
    pub(super) advised: bool,
    /// How many tool uses the conversation holds.
    pub(super) tool_uses: usize,
    /// How many messages it holds.
    pub(super) messages: usize,
    wishes: usize,
}

/// A tool use with its result.
#[derive(Debug)]
pub(super) struct Step {
    /// The part of the wish that it was taken for, from 0.
    pub(super) part: usize,
    pub(super) name: String,
    pub(super) input: Value,
    pub(super) result: String,
    pub(super) failed: bool,
}

/// A task as far as the conversation tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) command: String,
    /// The wish it was started for; 0 if for none.
    pub(super) wish: usize,
    /// The part of that wish.
    pub(super) part: usize,
    /// How it ended; absent while it is not known to have ended.
    pub(super) end: Option<End>,
}

/// A task's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Such as `completed`.
    pub(super) word: String,
    /// Such as `exit 0, 5.0s`; may be empty.
    pub(super) facts: String,
    /// What is shown of its output, without marks and remarks.
    pub(super) output: Vec<String>,
}

impl Step {
    pub(super) fn text(&self, name: &str) -> &str {
        self.input[name].as_str().unwrap_or_default()
    }

    /// Whether the person did not allow it.
    pub(super) fn denied(&self) -> bool {
        self.failed && self.result.starts_with("The user did not allow this.")
    }

    /// Whether the person stopped the reply before or while it was carried out.
    pub(super) fn stopped(&self) -> bool {
        self.result.starts_with("The user stopped the reply")
            || self.result.starts_with("Not carried out: the reply was stopped")
    }

    /// The task that it started or left running.
    pub(super) fn task_id(&self) -> Option<&str> {
        let result = self.result.as_str();
        let id = match self.name.as_str() {
            "background_run" => result.strip_prefix("Background task ")?.split(' ').next()?,
            "bash" if is_moved(result) => {
                let after = result.split_once("goes on as background task ")?.1;
                after.split(|sign: char| !sign.is_ascii_alphanumeric()).next()?
            }
            _ => return None,
        };
        Some(id).filter(|id| !id.is_empty())
    }
}

/// Whether a result of `bash` says that the command goes on in the background.
fn is_moved(result: &str) -> bool {
    [
        "It ran longer than its timeout:",
        "The user sent it to the background:",
        "The user stopped the reply while this command ran.",
    ]
    .iter()
    .any(|start| result.starts_with(start))
}

impl Story {
    /// The tasks that were started for the last wish.
    pub(super) fn own_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.wish == self.wishes && self.wishes > 0)
    }

    /// A task by its id.
    pub(super) fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    fn place(&mut self, id: &str) -> usize {
        if let Some(place) = self.tasks.iter().position(|task| task.id == id) {
            return place;
        }
        self.tasks.push(Task { id: id.to_owned(), command: String::new(), wish: 0, part: 0, end: None });
        self.tasks.len() - 1
    }

    fn take_step(&mut self, step: Step) {
        if let Some(id) = step.task_id().map(str::to_owned) {
            let (wish, place) = (self.wishes, self.place(&id));
            (self.tasks[place].wish, self.tasks[place].part) = (wish, step.part);
            step.text("command").clone_into(&mut self.tasks[place].command);
        }
        match step.name.as_str() {
            "check_background" if !step.failed => {
                for entry in entries(&step.result) {
                    let place = self.place(&entry.id);
                    let task = &mut self.tasks[place];
                    if task.command.is_empty() {
                        entry.first.clone_into(&mut task.command);
                    }
                    if is_end(&entry.end.word) && task.end.is_none() {
                        task.end = Some(entry.end);
                    }
                }
            }
            "stop_background" if !step.failed => {
                let told = step.result.strip_prefix("Task ").and_then(|rest| rest.split_once(" is "));
                if let Some((id, rest)) = told {
                    let (word, facts) = status(rest.split(". ").next().unwrap_or(rest));
                    let place = self.place(id);
                    self.tasks[place].end.get_or_insert(End { word, facts, output: Vec::new() });
                }
            }
            _ => {}
        }
        self.steps.push(step);
    }

    fn take_words(&mut self, words: &str) {
        self.wishes += 1;
        self.wish = Some(words.to_owned());
        self.steps.clear();
        self.asked = true;
    }

    fn take_notice(&mut self, notice: &str) {
        for mut entry in entries(notice) {
            let place = self.place(&entry.id);
            let task = &mut self.tasks[place];
            // What the command printed stands behind a mark, and what the runner says of it does not.
            let said = std::mem::take(&mut entry.end.output);
            let command = said.iter().find_map(|line| line.strip_prefix("(command: ")?.strip_suffix(')'));
            if task.command.is_empty() {
                command.unwrap_or_default().clone_into(&mut task.command);
            }
            if !entry.first.is_empty() && entry.first != "(no output)" {
                entry.end.output.push(entry.first);
            }
            let printed = said.iter().filter_map(|line| line.strip_prefix('|'));
            entry.end.output.extend(printed.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()));
            task.end = Some(entry.end);
            self.fresh.push(place);
        }
    }
}

/// Reads a request's messages.
pub(super) fn read(request: &Value) -> Story {
    let mut story = Story::default();
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    story.messages = messages.len();
    // Content that is a string counts as one block.
    let plain = [Value::Null];
    let mut open: Map<&str, &Value> = Map::new();
    for message in messages {
        let blocks = message["content"].as_array().map_or(&plain[..], Vec::as_slice);
        if message["role"] == "assistant" {
            for block in blocks {
                let text = block["text"].as_str().or_else(|| message["content"].as_str()).unwrap_or_default();
                story.introduced |= text.contains(report::INTRODUCTION);
                story.advised |= text.contains(report::ADVICE);
                if block_type(block) == "tool_use" {
                    story.tool_uses += 1;
                    open.insert(block["id"].as_str().unwrap_or_default(), block);
                }
            }
            continue;
        }
        story.fresh.clear();
        (story.asked, story.resumed) = (false, false);
        for block in blocks {
            if block_type(block) == "tool_result" {
                story.resumed = true;
                if let Some(call) = open.remove(block["tool_use_id"].as_str().unwrap_or_default()) {
                    story.take_step(Step {
                        part: part_of(call["id"].as_str().unwrap_or_default()),
                        name: call["name"].as_str().unwrap_or_default().to_owned(),
                        input: call["input"].clone(),
                        result: text_of(&block["content"]),
                        failed: block["is_error"] == true,
                    });
                }
                continue;
            }
            match block["text"].as_str().or_else(|| message["content"].as_str()) {
                Some(notice) if notice.starts_with("<background-results>") => story.take_notice(notice),
                Some(words) => story.take_words(words),
                None => {}
            }
        }
    }
    story
}

/// The part of a wish that a tool use belongs to, by its id.
fn part_of(id: &str) -> usize {
    let part = id.strip_prefix("toolu_demo_").and_then(|rest| rest.split_once('_'));
    part.and_then(|(_, part)| part.parse().ok()).unwrap_or(0)
}

fn text_of(content: &Value) -> String {
    match content.as_array() {
        Some(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        None => content.as_str().unwrap_or_default().to_owned(),
    }
}

/// Whether a status is an end.
fn is_end(word: &str) -> bool {
    !matches!(word, "queued" | "running")
}

/// An entry of the form `[bg:ID] STATUS: FIRST`, with the lines that follow it as they are.
#[derive(Debug)]
struct Entry {
    id: String,
    end: End,
    first: String,
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        let head = line.strip_prefix("[bg:").and_then(|rest| rest.split_once("] "));
        if let Some((id, rest)) = head {
            // A status holds no colon but for the one behind it.
            let (told, first) = rest.split_once(':').unwrap_or((rest, ""));
            let (word, facts) = status(told);
            entries.push(Entry {
                id: id.to_owned(),
                end: End { word, facts, output: Vec::new() },
                first: first.trim().to_owned(),
            });
        } else if let Some(entry) = entries.last_mut()
            && line != "</background-results>"
        {
            entry.end.output.push(line.to_owned());
        }
    }
    entries
}

/// What a `check_background` says: of each task its id, its status as told, and its command.
pub(super) fn looks(text: &str) -> Vec<(String, String, String)> {
    let told = |end: &End| {
        if end.facts.is_empty() { end.word.clone() } else { format!("{} ({})", end.word, end.facts) }
    };
    entries(text).into_iter().map(|entry| (entry.id, told(&entry.end), entry.first)).collect()
}

/// Splits `completed (exit 0, 5.0s)`.
fn status(told: &str) -> (String, String) {
    let (word, facts) = told.split_once(" (").unwrap_or((told, ""));
    (word.trim().to_owned(), facts.trim_end().trim_end_matches(['.', ')']).to_owned())
}
