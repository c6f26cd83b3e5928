//! A recorded request, and how a conversation may grow.

use std::time::Instant;

use axum::http::HeaderMap;
use serde_json::Value;

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    /// Its number: 1, 2, 3 …
    pub n: usize,
    /// When it had come whole.
    pub at: Instant,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

impl Request {
    /// The messages.
    pub fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The messages as blocks, without the cache markers, which may move.
    pub fn said(&self) -> Vec<Value> {
        normal(self).messages
    }

    /// The blocks of the last message; a string counts as one text block.
    pub fn last_blocks(&self) -> Vec<Value> {
        self.messages().last().map(blocks).unwrap_or_default()
    }

    /// All text blocks of the last message, one after the other.
    pub fn last_text(&self) -> String {
        texts(&self.last_blocks())
    }

    /// All text blocks of the first message: by it a closure tells conversations apart.
    pub fn first_text(&self) -> String {
        self.messages().first().map(|message| texts(&blocks(message))).unwrap_or_default()
    }

    /// The tool results in the last message: id, text, and whether it is an error.
    pub fn results(&self) -> Vec<(String, String, bool)> {
        let result = |block: &Value| {
            let id = block["tool_use_id"].as_str().unwrap_or_default().to_owned();
            (id, result_text(&block["content"]), block["is_error"] == true)
        };
        self.last_blocks().iter().filter(|block| block["type"] == "tool_result").map(result).collect()
    }

    /// The text of all tool results and text blocks of all the user's messages, message by message.
    pub fn user_texts(&self) -> Vec<String> {
        let whole = |message: &Value| {
            let text = |block: &Value| match block["type"].as_str() {
                Some("tool_result") => result_text(&block["content"]),
                _ => block["text"].as_str().unwrap_or_default().to_owned(),
            };
            blocks(message).iter().map(text).collect::<Vec<_>>().join("\n")
        };
        self.messages().iter().filter(|message| message["role"] == "user").map(whole).collect()
    }

    /// The text blocks in which the runner's completions are told, in the whole conversation.
    pub fn notices(&self) -> Vec<String> {
        let users = self.messages().iter().filter(|message| message["role"] == "user");
        users.flat_map(blocks).filter_map(|block| notice(&block)).collect()
    }

    /// The same, of the last message alone.
    pub fn last_notices(&self) -> Vec<String> {
        self.last_blocks().into_iter().filter_map(|block| notice(&block)).collect()
    }
}

fn notice(block: &Value) -> Option<String> {
    let text = block["text"].as_str()?;
    (block["type"] == "text" && text.contains("<background-results>")).then(|| text.to_owned())
}

fn result_text(content: &Value) -> String {
    let blocks = || texts(content.as_array().map_or(&[], Vec::as_slice));
    content.as_str().map_or_else(blocks, str::to_owned)
}

fn blocks(message: &Value) -> Vec<Value> {
    let content = &message["content"];
    let text = content.as_str().map(|text| vec![serde_json::json!({"type": "text", "text": text})]);
    text.or_else(|| content.as_array().cloned()).unwrap_or_default()
}

fn texts(blocks: &[Value]) -> String {
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

/// Newer models sign what came before their thinking: a conversation may grow at its end, and nothing in it
/// may change.
///
/// Holds the newest request of each conversation. Conversations that begin alike are told apart as they grow.
#[derive(Clone, Default)]
pub(super) struct Conversations(Vec<Normal>);

impl Conversations {
    /// Takes the request in.
    ///
    /// # Errors
    /// What changed, in the API's words.
    pub(super) fn check(&mut self, request: &Request) -> Result<(), String> {
        let now = normal(request);
        if now.messages.len() <= 1 {
            self.0.push(now);
            return Ok(());
        }
        let mut heads: Vec<&mut Normal> =
            self.0.iter_mut().filter(|head| grows(&head.messages[..1], &now.messages[..1])).collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.messages.len()));
        let reason = heads.first().and_then(|head| changed(head, &now));
        if let Some(head) = heads.into_iter().find(|head| changed(head, &now).is_none()) {
            *head = now;
            return Ok(());
        }
        let what = reason.unwrap_or_else(|| format!("no earlier request began with {}", now.messages[0]));
        Err(format!("messages: `thinking` blocks are bound to a different conversation: {what}"))
    }
}

#[derive(Clone)]
struct Normal {
    system: Value,
    tools: Value,
    messages: Vec<Value>,
}

/// Without the cache markers, which may move.
fn normal(request: &Request) -> Normal {
    let strip = |part: &str| {
        let mut value = request.body[part].clone();
        strip_markers(&mut value);
        value
    };
    let messages = strip("messages");
    let normal = |message: &Value| serde_json::json!({"role": message["role"], "content": blocks(message)});
    let messages = messages.as_array().into_iter().flatten().map(normal).collect();
    Normal { system: strip("system"), tools: strip("tools"), messages }
}

fn strip_markers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("cache_control");
            fields.values_mut().for_each(strip_markers);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_markers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn changed(before: &Normal, now: &Normal) -> Option<String> {
    if before.system != now.system {
        return Some("the system prompt changed".to_owned());
    }
    if before.tools != now.tools {
        return Some("the tools changed".to_owned());
    }
    (!grows(&before.messages, &now.messages)).then(|| {
        let place = before.messages.iter().zip(&now.messages).position(|(old, new)| old != new);
        format!("message {} changed", place.unwrap_or(now.messages.len()))
    })
}

/// Whether `now` is `before` with more at its end; the last message of `before` may have got more blocks.
fn grows(before: &[Value], now: &[Value]) -> bool {
    let Some((last, rest)) = before.split_last() else { return true };
    let Some(same) = now.get(rest.len()) else { return false };
    let (old, new) = (blocks(last), blocks(same));
    now[..rest.len()] == *rest && last["role"] == same["role"] && new.starts_with(&old)
}
