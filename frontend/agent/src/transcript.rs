//! The conversation, and the only place that builds a request.
//!
//! It is append only: a message is made once, when it is first appended, and never changed but by growing while it is the last
//! and no answer has come, or by being cut or taken back then if a server refused it. Assistant blocks are kept as they came, but for what
//! no server takes back. A request never holds a call without
//! its result.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::call::CallId;
use crate::model::Request;
use crate::model::answer::{identify, is_known, keep};
use crate::model::message::{Message, Role, block_type, ends_on_server_tool, is_thinking};
use crate::notice::{cut_head, cut_tail};
use crate::record::{Entry, Record};

/// A result that is no longer than twice this is not cut when a server refuses a request as too large.
const SHORT_RESULT: usize = 2_000;

/// The messages so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    messages: Vec<Message>,
    /// Which model made the message at the same place; empty for the user's.
    makers: Vec<String>,
    /// The ids of all tool uses.
    ids: BTreeSet<String>,
}

impl Transcript {
    /// The messages, in order.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether the last message is the user's: then what comes next goes into it.
    #[must_use]
    pub fn ends_on_user(&self) -> bool {
        self.messages.last().is_some_and(|message| message.role == Role::User)
    }

    /// Whether it ends on what the server itself was doing, and so can be sent as it stands.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let last = self.messages.last();
        last.is_some_and(|last| last.role == Role::Assistant && ends_on_server_tool(&last.content))
    }

    /// Puts blocks at the end of the trailing user message, or into a new one.
    pub fn append(&mut self, blocks: &[Value]) {
        if blocks.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User => last.content.extend_from_slice(blocks),
            last => {
                let mut content = blocks.to_vec();
                answer_in_order(last.map_or(&[], |last| &last.content), &mut content);
                self.messages.push(Message { role: Role::User, content });
                self.makers.push(String::new());
            }
        }
    }

    /// The text of each result of a tool in the last message, if nobody has answered that.
    fn last_results(&mut self) -> impl Iterator<Item = &mut String> {
        let last = self.messages.last_mut().filter(|last| last.role == Role::User);
        let blocks = last.into_iter().flat_map(|last| &mut last.content);
        let results = blocks.filter(|block| block_type(block) == "tool_result");
        results.filter_map(|block| {
            if let Some(Value::String(text)) = block.get_mut("content") { Some(text) } else { None }
        })
    }

    /// To how many characters the results in the last message can be cut, so that it becomes much smaller; `None` if they are short.
    #[must_use]
    pub fn shorter(&self) -> Option<usize> {
        let last = self.messages.last().filter(|last| last.role == Role::User)?;
        let results = last.content.iter().filter(|block| block_type(block) == "tool_result");
        let longest = results.filter_map(|block| Some(block["content"].as_str()?.chars().count())).max()?;
        (longest > 2 * SHORT_RESULT).then(|| (longest / 4).max(SHORT_RESULT))
    }

    /// Cuts them. Nobody has taken them in yet.
    pub fn shorten(&mut self, limit: usize) {
        for text in self.last_results() {
            let chars = text.chars().count();
            if chars > limit {
                let (head, tail) = (cut_head(text, limit * 2 / 3), cut_tail(text, limit / 3));
                *text = format!(
                    "{head}\n[… {} characters were left out here: the server refused the request with them as too large. Read what is needed of them in parts. …]\n{tail}",
                    chars - limit / 3 - limit * 2 / 3
                );
            }
        }
    }

    /// Removes the last message, which no server took, and what the answer before it holds that not every server knows, and gives what of it must stay: all but these words, or the results without their
    /// texts.
    pub fn take_back(&mut self, words: &[String], results: bool) -> Vec<Value> {
        if results {
            for text in self.last_results() {
                "(This result was left out: the server refused the request that held it.)".clone_into(text);
            }
        }
        if !self.ends_on_user() {
            return Vec::new();
        }
        self.makers.pop();
        let mut left = self.messages.pop().map(|last| last.content).unwrap_or_default();
        // That answer has not been sent back before: it may be what was refused.
        if let Some(answer) = self.messages.last_mut() {
            answer.content.retain(is_known);
            while answer.content.last().is_some_and(is_thinking) {
                answer.content.pop();
            }
            if answer.content.is_empty() {
                self.messages.pop();
                self.makers.pop();
            }
        }
        for word in words {
            if let Some(place) = left.iter().position(|block| block["text"].as_str() == Some(word)) {
                left.remove(place);
            }
        }
        if results {
            left.retain(|block| block_type(block) == "tool_result");
        }
        left
    }

    /// An answer in the form in which it can be sent again, after all that is here. One that has that form already stays as it is.
    #[must_use]
    pub fn fit(&self, content: Vec<Value>) -> Vec<Value> {
        let mut content = keep(content);
        identify(&mut content, &mut self.ids.clone());
        content
    }

    /// Appends an answer and gives it as it was taken in. An empty one leaves no message; one that goes on after a pause joins the message
    /// before it.
    pub fn answer(&mut self, content: &[Value], model: &str) -> Vec<Value> {
        let mut content = keep(content.to_vec());
        identify(&mut content, &mut self.ids);
        if content.is_empty() {
            return content;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.content.extend_from_slice(&content),
            Some(_) | None => {
                self.messages.push(Message { role: Role::Assistant, content: content.clone() });
                self.makers.push(model.to_owned());
            }
        }
        content
    }

    /// The messages for a request to `model`. Thinking is bound to the model that thought it, so that of others is left out.
    #[must_use]
    pub fn for_model(&self, model: &str) -> Vec<Message> {
        let mut messages = Vec::with_capacity(self.messages.len());
        for (message, maker) in self.messages.iter().zip(&self.makers) {
            let mut message = message.clone();
            if message.role == Role::Assistant && maker != model {
                message.content.retain(|block| !is_thinking(block));
                if message.content.is_empty() {
                    message.content.push(json!({"type": "text", "text": "(thought without words)"}));
                }
            }
            messages.push(message);
        }
        messages
    }
}

/// Results come in the order of the uses they answer. In a log from before ids were made fit to be sent they still bear the old ones.
fn answer_in_order(answer: &[Value], blocks: &mut [Value]) {
    let results = blocks.iter_mut().filter(|block| block_type(block) == "tool_result");
    for (result, (id, ..)) in results.zip(tool_uses(answer)) {
        result["tool_use_id"] = id.into();
    }
}

/// The tool uses of an answer, in order: id, name, input.
#[must_use]
pub fn tool_uses(content: &[Value]) -> Vec<(String, String, Value)> {
    content
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
            (text("id"), text("name"), block["input"].clone())
        })
        .collect()
}

/// A tool result's block. An empty result is told in words, since an empty block is refused.
#[must_use]
pub fn tool_result(id: &str, content: &str, is_error: bool) -> Value {
    let content = if content.trim().is_empty() { "(no output)" } else { content };
    let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
    if is_error {
        block["is_error"] = Value::Bool(true);
    }
    block
}

/// The body that a call sent. `None` if the log holds no such call.
#[must_use]
pub fn request_of_call(log: &[Entry], call: CallId) -> Option<Value> {
    let mut transcript = Transcript::default();
    let (mut system, mut tools) = ("", &Value::Null);
    let mut model_of = String::new();
    for entry in log {
        match &entry.record {
            Record::Preamble { system: text, tools: list, .. } => (system, tools) = (text, list),
            Record::RequestSent { call: asked, append, model, .. } => {
                transcript.append(append);
                model_of.clone_from(&model.model);
                if *asked == call {
                    let messages = transcript.for_model(&model_of);
                    let request =
                        Request { model: &model_of, system, tools, messages: &messages, stream: true };
                    return serde_json::from_str(&request.body()).ok();
                }
            }
            Record::ResponseReceived { content, .. } => {
                transcript.answer(content, &model_of);
            }
            Record::Shortened { limit, .. } => transcript.shorten(*limit),
            Record::TakenBack { .. } => {
                // What stays of it is in the next call's own.
                transcript.take_back(&[], true);
            }
            Record::Began { .. }
            | Record::Queued { .. }
            | Record::Cancelled { .. }
            | Record::Edited { .. }
            | Record::CompletionReceived { .. }
            | Record::CallFailed { .. }
            | Record::ApprovalResolved { .. }
            | Record::ToolBegan { .. }
            | Record::ToolTask { .. }
            | Record::ToolDone { .. }
            | Record::StoppedReply
            | Record::BudgetReached { .. }
            | Record::Titled { .. }
            | Record::ModeSet { .. }
            | Record::ToolRefused { .. }
            | Record::NewEpoch { .. }
            | Record::Missed { .. }
            | Record::Unknown => {}
        }
    }
    None
}
