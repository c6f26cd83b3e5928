//! `OpenAI`'s chat completions, as far as all who speak them agree.
//!
//! An answer is kept as one assistant message. What a server puts beside the text, such as what it reasoned,
//! goes back to the model it came from, since some refuse a conversation without it; another model gets text
//! and tools alone.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::json;
use shared::tools::UNREADABLE;

use super::api::Api;
use super::codec::{self, Codec, KeyHeader, Request, Wire};
use super::identifier;
use super::surrogates::parse;
use crate::conversation::{Block, Role, Turn};

mod reader;

/// The fields in which servers put what a model reasoned, where it can be read.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];
/// What every server knows of an assistant's message.
const KNOWN: [&str; 3] = ["role", "content", "tool_calls"];

/// The codec.
#[derive(Debug)]
pub(super) struct Chat;

impl Codec for Chat {
    fn wire(&self) -> Wire {
        Wire {
            base: "https://api.openai.com",
            path: "/v1/chat/completions",
            base_has_version: true,
            upstream: None,
            headers: &[("content-type", "application/json")],
            page_headers: &[],
            key: KeyHeader { name: "authorization", prefix: "Bearer " },
        }
    }

    fn body(&self, request: &Request<'_>) -> String {
        let Request { model, system, tools, turns, stream } = *request;
        let mut messages = Vec::new();
        if !system.trim().is_empty() {
            messages.push(json!({"role": "system", "content": system}));
        }
        for turn in turns {
            match turn.role {
                Role::User => user(&turn.blocks, &mut messages),
                Role::Assistant => messages.extend(assistant(turn, model)),
            }
        }
        let mut body = json!({"model": model, "stream": stream});
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        let tools: Vec<Value> = tools.as_array().into_iter().flatten().map(tool).collect();
        if !tools.is_empty() {
            body["tools"] = Value::Array(tools);
        }
        body["messages"] = Value::Array(messages);
        json::to_text(&body)
    }

    fn reader(&self) -> Box<dyn codec::Reader> {
        Box::<reader::Reader>::default()
    }

    fn blocks(&self, items: &[Value]) -> Vec<Block> {
        items.iter().flat_map(blocks).collect()
    }

    fn fit(&self, items: Vec<Value>, ids: &mut BTreeSet<String>) -> Vec<Value> {
        let mut items: Vec<Value> = items.into_iter().filter(Value::is_object).collect();
        for item in &mut items {
            item["role"] = "assistant".into();
            if let Some(calls) = item.get_mut("tool_calls").and_then(Value::as_array_mut) {
                calls.retain(Value::is_object);
                for call in calls {
                    fit_call(call, ids);
                }
            }
            if item["tool_calls"].as_array().is_none_or(Vec::is_empty)
                && let Value::Object(fields) = item
            {
                fields.remove("tool_calls");
            }
        }
        items.retain(|item| !blocks(item).is_empty());
        items
    }

    /// What stands beside the text belongs to the calls, and its server wants it back with them.
    fn plain(&self, items: Vec<Value>) -> Vec<Value> {
        items
    }

    fn sent(&self, turn: &Turn, model: &str) -> Vec<Block> {
        match turn.role {
            Role::User => turn.blocks.clone(),
            Role::Assistant => self.blocks(&assistant(turn, model)),
        }
    }

    fn is_paused(&self, _items: &[Value]) -> bool {
        false
    }
}

/// A tool's definition in this API's form.
fn tool(tool: &Value) -> Value {
    json!({"type": "function", "function": {
        "name": tool["name"],
        "description": tool["description"],
        "parameters": tool["input_schema"],
    }})
}

/// A user's turn: a message for each result of a tool, then one for all text.
fn user(blocks: &[Block], messages: &mut Vec<Value>) {
    let mut texts = Vec::new();
    for block in blocks {
        match block {
            Block::ToolResult { id, text, .. } => {
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
            }
            Block::Text { text } => texts.push(text.as_str()),
            Block::Thinking { .. } | Block::ToolUse { .. } | Block::Foreign { .. } => {}
        }
    }
    if !texts.is_empty() {
        messages.push(json!({"role": "user", "content": texts.join("\n\n")}));
    }
}

/// A model's turn: as it came if it came by this API from this model, without what only that model knows if
/// from another, and otherwise by its blocks.
fn assistant(turn: &Turn, model: &str) -> Vec<Value> {
    match &turn.raw {
        Some(raw) if raw.api == Api::Chat && raw.model == model => raw.items.clone(),
        Some(raw) if raw.api == Api::Chat => raw.items.iter().map(plain).collect(),
        _ => vec![message_of(&turn.blocks)],
    }
}

fn message_of(blocks: &[Block]) -> Value {
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text { text } => texts.push(text.as_str()),
            Block::ToolUse { id, name, input } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()}
            })),
            Block::Thinking { .. } | Block::ToolResult { .. } | Block::Foreign { .. } => {}
        }
    }
    let content = match (texts.is_empty(), calls.is_empty()) {
        (true, true) => Value::from("(thought without words)"),
        (true, false) => Value::Null,
        (false, _) => texts.join("\n\n").into(),
    };
    let mut message = json!({"role": "assistant", "content": content});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    message
}

fn plain(item: &Value) -> Value {
    let fields = item.as_object().into_iter().flatten();
    let known = fields.filter(|(name, _)| KNOWN.contains(&name.as_str()));
    let mut message: Map<String, Value> = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(fields) = call {
            fields.retain(|name, _| ["id", "type", "function"].contains(&name.as_str()));
        }
    }
    Value::Object(message)
}

/// What a message says, in the order in which it is shown.
fn blocks(item: &Value) -> Vec<Block> {
    let thought = REASONING.iter().find_map(|name| item[*name].as_str().filter(|text| !text.is_empty()));
    let text = item["content"].as_str().filter(|text| !identifier::is_blank(text));
    let calls = item["tool_calls"].as_array().into_iter().flatten().map(|call| Block::ToolUse {
        id: call["id"].as_str().unwrap_or_default().to_owned(),
        name: call["function"]["name"].as_str().unwrap_or_default().to_owned(),
        input: arguments(call).unwrap_or_else(|| json!({})),
    });
    let blocks: Vec<Block> = text.map(Block::text).into_iter().chain(calls).collect();
    let thought =
        thought.filter(|_| !blocks.is_empty()).map(|text| Block::Thinking { text: text.to_owned() });
    thought.into_iter().chain(blocks).collect()
}

/// The arguments of a call, if they are an object.
fn arguments(call: &Value) -> Option<Value> {
    match &call["function"]["arguments"] {
        Value::String(text) if text.trim().is_empty() => Some(json!({})),
        Value::String(text) => parse(text).filter(Value::is_object),
        whole @ Value::Object(_) => Some(whole.clone()),
        Value::Null => Some(json!({})),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// A call that servers take back. What arguments there were the model shall see.
fn fit_call(call: &mut Value, ids: &mut BTreeSet<String>) {
    let id = identifier::unique(call["id"].as_str().unwrap_or_default(), "call", ids);
    let name = identifier::name(call["function"]["name"].as_str().unwrap_or_default());
    let text = match (&call["function"]["arguments"], arguments(call)) {
        (Value::String(text), Some(_)) if serde_json::from_str::<Value>(text).is_ok() => text.clone(),
        (_, Some(object)) => object.to_string(),
        (Value::String(text), None) => json!({UNREADABLE: text}).to_string(),
        (other, None) => json!({UNREADABLE: other.to_string()}).to_string(),
    };
    call["id"] = id.into();
    call["type"] = "function".into();
    call["function"] = json!({"name": name, "arguments": text});
}

#[cfg(test)]
mod tests;
