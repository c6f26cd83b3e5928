//! The conversation, and the only place that builds a request.
//!
//! It is append only: a message is made once, when it is first appended, and never changed but by growing while it is the last
//! and no answer has come. Assistant blocks are kept as they came, but for what no server takes back. A request never holds a call without
//! its result.

use shared::json::{self, Value};
use shared::sorted::Set;

use crate::effect::CallId;
use crate::model::Request;
use crate::model::answer::{identify, keep};
use crate::model::message::{Message, Role, block_type, ends_on_server_tool, is_thinking};
use crate::record::{Entry, Record};

/// The messages so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    messages: Vec<Message>,
    /// Which model made the message at the same place; empty for the user's.
    makers: Vec<String>,
    /// The ids of all tool uses.
    ids: Set<String>,
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
                    message
                        .content
                        .push(json::object(&[("type", &"text"), ("text", &"(thought without words)")]));
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
    let mut block = json::object(&[("type", &"tool_result"), ("tool_use_id", &id), ("content", &content)]);
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
            Record::Fixed { system: text, tools: list, .. } => (system, tools) = (text, list),
            Record::Asked { call: asked, append, model, .. } => {
                transcript.append(append);
                model_of.clone_from(&model.model);
                if *asked == call {
                    let messages = transcript.for_model(&model_of);
                    let request =
                        Request { model: &model_of, system, tools, messages: &messages, stream: true };
                    return json::parse(&request.body()).ok();
                }
            }
            Record::Answered { content, .. } => {
                transcript.answer(content, &model_of);
            }
            Record::Began { .. }
            | Record::Said { .. }
            | Record::Unsaid { .. }
            | Record::Resaid { .. }
            | Record::Arrived { .. }
            | Record::CallFailed { .. }
            | Record::Decided { .. }
            | Record::ToolBegan { .. }
            | Record::ToolTask { .. }
            | Record::ToolDone { .. }
            | Record::StoppedReply
            | Record::BudgetReached { .. }
            | Record::Titled { .. }
            | Record::ModeSet { .. }
            | Record::ToolRefused { .. }
            | Record::NewEpoch { .. }
            | Record::Unknown => {}
        }
    }
    None
}
