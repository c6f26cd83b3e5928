//! Reads the stream of chat completions. Every field may be missing, and no two servers leave out the same.

use serde_json::{Map, Value, json};

use super::REASONING;
use crate::model::answer::ModelEvent;
use crate::model::codec::{self, Step};
use crate::model::identifier;
use crate::model::surrogates::{Halves, join, parse, parse_piece};
use crate::model::{Stop, Usage};

/// An answer as it comes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What is to be sent back beside the text: reasoning, and what is not known here.
    beside: Map<String, Value>,
    text: String,
    calls: Vec<Call>,
    usage: Usage,
    stop: Option<Stop>,
    wants_tools: bool,
    refused: bool,
    /// The halves of characters at the ends of what came last, and the first half of one whose second half
    /// may come.
    halves: Halves,
    half: Option<u16>,
    /// The places of what is shown, in the order in which it began.
    shown: Vec<Shown>,
}

/// A block of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Thinking,
    Text,
    Call(usize),
}

/// A call of a tool as far as it came.
#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    beside: Map<String, Value>,
    /// Whether it is shown: it is once its name is known.
    begun: bool,
}

/// The most calls in an answer.
const MOST_CALLS: usize = 256;

impl codec::Reader for Reader {
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<ModelEvent>) -> Step {
        if data.trim() == "[DONE]" {
            return Step::End;
        }
        let Some((data, halves)) = parse_piece(data) else {
            if !matches!(name, "" | "message" | "error") {
                return Step::More;
            }
            let shown: String = data.chars().take(80).collect();
            return Step::Unreadable(format!("an event is no JSON: {shown:?}"));
        };
        if data["error"].is_object() || data["error"].is_string() || data["object"] == "error" {
            return Step::Error(data);
        }
        self.count(&data["usage"], out);
        self.halves = halves;
        // A server may send several answers if it is asked to; this is the only one that was asked for.
        let first = |choice: &&Value| choice["index"].as_u64().unwrap_or_default() == 0;
        if let Some(choice) = data["choices"].as_array().and_then(|choices| choices.iter().find(first)) {
            self.delta(&choice["delta"], out);
            self.count(&choice["usage"], out);
            self.ended(&choice["finish_reason"]);
        }
        if self.calls.len() > MOST_CALLS {
            return Step::Unreadable(format!("it wants more than {MOST_CALLS} tools at once"));
        }
        Step::More
    }

    fn whole(&mut self, value: &Value, out: &mut Vec<ModelEvent>) -> Option<Step> {
        let choice = value["choices"].as_array()?.first()?;
        self.delta(&choice["message"], out);
        self.count(&value["usage"], out);
        self.ended(&choice["finish_reason"]);
        self.stop.get_or_insert(Stop::End);
        Some(Step::End)
    }

    fn is_answered(&self) -> bool {
        self.stop.is_some()
    }

    fn items(&self, cut: bool) -> Vec<Value> {
        let cut = cut || matches!(self.stop, None | Some(Stop::MaxTokens));
        let whole = |call: &&Call| !cut || parse(&call.arguments).is_some_and(|input| input.is_object());
        let calls: Vec<Value> = self.calls.iter().filter(whole).map(Call::value).collect();
        let text: String = self.text.chars().chain(join(self.half, None)).collect();
        let text = (!identifier::is_blank(&text)).then_some(text);
        if text.is_none() && calls.is_empty() {
            return Vec::new();
        }
        let mut message = json!({"role": "assistant", "content": text});
        if let Value::Object(fields) = &mut message {
            fields.extend(self.beside.clone());
        }
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        vec![message]
    }

    fn stop(&self, items: &[Value]) -> Stop {
        let has_tools = items.iter().any(|item| item["tool_calls"].is_array());
        if self.wants_tools && !has_tools {
            return Stop::no_tool();
        }
        self.stop.clone().unwrap_or(Stop::End)
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

impl Reader {
    fn delta(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) {
        for (name, value) in delta.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("role" | "tool_calls" | "refusal" | "function_call", _) | (_, Value::Null) => {}
                ("content", content) => {
                    let text = self.joined(&text_of(content));
                    self.push_text(&text, out);
                }
                (name, Value::String(text)) if REASONING.contains(&name) => {
                    let text = self.joined(text);
                    self.think(name, &text, out);
                }
                (name, value) => grow(&mut self.beside, name, value),
            }
        }
        if let Some(refusal) = delta["refusal"].as_str().filter(|text| !text.is_empty()) {
            self.push_text(refusal, out);
            self.refused = true;
        }
        let pieces = delta["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (place, piece) in pieces.iter().enumerate() {
            self.call((pieces.len() > 1).then_some(place), piece, out);
        }
    }

    /// A piece with the half before it and its own, and without one whose other half may come.
    fn joined(&mut self, piece: &str) -> String {
        let halves = std::mem::take(&mut self.halves);
        if piece.is_empty() && halves == Halves::default() {
            return String::new();
        }
        let first = join(self.half.take(), halves.low);
        self.half = halves.high;
        first.into_iter().chain(piece.chars()).collect()
    }

    fn push_text(&mut self, text: &str, out: &mut Vec<ModelEvent>) {
        if !text.is_empty() {
            self.text.push_str(text);
            out.push(ModelEvent::TextDelta { block: self.place(Shown::Text), text: text.to_owned() });
        }
    }

    fn think(&mut self, name: &str, text: &str, out: &mut Vec<ModelEvent>) {
        // Some servers say the same in two fields.
        let first = REASONING.iter().find(|name| self.beside.contains_key(**name));
        let repeats = first.is_some_and(|first| *first != name);
        grow(&mut self.beside, name, &text.into());
        if !text.is_empty() && !repeats {
            out.push(ModelEvent::ThinkingDelta { block: self.place(Shown::Thinking), text: text.to_owned() });
        }
    }

    fn call(&mut self, place: Option<usize>, piece: &Value, out: &mut Vec<ModelEvent>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, index) = (text(&piece["id"]), piece["index"].as_u64());
        let name = text(&piece["function"]["name"]);
        let at = self.find(place, index, &id, &name).unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        let more = match &piece["function"]["arguments"] {
            Value::String(text) => self.joined(text),
            whole @ Value::Object(_) => whole.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => String::new(),
        };
        let block = self.place(Shown::Call(at));
        let call = &mut self.calls[at];
        for (mine, given) in [(&mut call.id, id), (&mut call.name, name)] {
            if mine.is_empty() {
                *mine = given;
            }
        }
        for (name, value) in piece.as_object().into_iter().flatten() {
            if !["index", "id", "type", "function"].contains(&name.as_str()) {
                grow(&mut call.beside, name, value);
            }
        }
        call.arguments.push_str(&more);
        // What came before the name is shown with it.
        let shown = if call.begun { more } else { call.arguments.clone() };
        if !call.begun && !call.name.is_empty() {
            call.begun = true;
            out.push(ModelEvent::ToolStart { block, id: call.id.clone(), name: call.name.clone() });
        }
        if call.begun && !shown.is_empty() {
            out.push(ModelEvent::ToolArgsDelta { block, text: shown });
        }
    }

    /// The call that a piece belongs to: by its index, else its id, else its place, else the last; a new id
    /// with a name is a new call.
    fn find(&self, place: Option<usize>, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let goes_on = |call: &Call| name.is_empty() || id.is_empty() || call.id.is_empty() || call.id == id;
        if let Some(index) = index {
            return self.calls.iter().rposition(|call| call.index == Some(index) && goes_on(call));
        }
        if !id.is_empty() {
            return self.calls.iter().rposition(|call| call.id == id);
        }
        // With a name and nothing else, it is another.
        if !name.is_empty() {
            return None;
        }
        let last = self.calls.len().checked_sub(1)?;
        Some(place.map_or(last, |place| place.min(last)))
    }

    /// Where something is shown: blocks are counted in the order in which they begin.
    fn place(&mut self, what: Shown) -> usize {
        self.shown.iter().position(|shown| *shown == what).unwrap_or_else(|| {
            self.shown.push(what);
            self.shown.len() - 1
        })
    }

    fn ended(&mut self, reason: &Value) {
        let Some(word) = reason.as_str() else { return };
        self.wants_tools |= matches!(word, "tool_calls" | "function_call");
        self.stop = Some(match word {
            _ if self.refused => Stop::Refusal,
            "stop" | "tool_calls" | "function_call" => Stop::End,
            "length" => Stop::MaxTokens,
            "content_filter" => Stop::Refusal,
            word => Stop::Other { word: word.to_owned() },
        });
    }

    /// The last count that comes is the whole; a cached part is a part of what was read.
    fn count(&mut self, usage: &Value, out: &mut Vec<ModelEvent>) {
        let Some(read) = usage["prompt_tokens"].as_u64() else { return };
        let cached = usage["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .or_else(|| usage["prompt_cache_hit_tokens"].as_u64())
            .unwrap_or_default()
            .min(read);
        // Some do not count among what was written what was thought; the sum does.
        let written = usage["completion_tokens"].as_u64().unwrap_or_default();
        let output = usage["total_tokens"].as_u64().unwrap_or_default().saturating_sub(read).max(written);
        let now = Usage { input: read - cached, cache_read: cached, cache_write: 0, output };
        if self.usage != now {
            self.usage = now;
            out.push(ModelEvent::Usage(now));
        }
    }
}

impl Call {
    fn value(&self) -> Value {
        let mut call = json!({
            "id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}
        });
        if let Value::Object(fields) = &mut call {
            fields.extend(self.beside.clone());
        }
        call
    }
}

/// The text of a content: a text, or a list of parts that have one.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// Texts and lists grow, all else replaces. A list's part that names its index goes on with the one of that
/// index.
fn grow(fields: &mut Map<String, Value>, name: &str, more: &Value) {
    match (fields.get_mut(name), more) {
        (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
        (Some(Value::Array(list)), Value::Array(more)) => {
            for part in more {
                let same = |one: &&mut Value| {
                    part["index"].is_number()
                        && one["index"] == part["index"]
                        && (part["type"].is_null() || one["type"] == part["type"])
                };
                match (list.iter_mut().find(same), part) {
                    (Some(Value::Object(one)), Value::Object(part)) => {
                        for (name, value) in part {
                            match (one.get_mut(name), value) {
                                (_, Value::Null) => {}
                                (Some(Value::String(text)), Value::String(more))
                                    if matches!(name.as_str(), "text" | "data" | "summary") =>
                                {
                                    text.push_str(more);
                                }
                                _ => {
                                    one.insert(name.clone(), value.clone());
                                }
                            }
                        }
                    }
                    _ => list.push(part.clone()),
                }
            }
        }
        _ => {
            fields.insert(name.to_owned(), more.clone());
        }
    }
}
