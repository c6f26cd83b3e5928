//! Builds requests of Anthropic's Messages.
//!
//! The same conversation gives the same bytes, and a longer one begins with the bytes of the shorter one but for the cache markers: on that rest
//! the prompt cache and the signatures of thinking blocks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use shared::json;

use super::message::{Message, Role, block_type};
use crate::prices;

/// The version of the protocol that is spoken.
pub const ANTHROPIC_VERSION: &str = "2026-10-21";
/// The longest answer that is asked for, in tokens, thinking included.
const MAX_TOKENS: u64 = 64_000;
/// The same for a model of which nothing is known: old ones refuse more.
const MAX_TOKENS_UNKNOWN: u64 = 8_192;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model's id.
    pub model: &'a str,
    /// The system prompt; fixed for a conversation.
    pub system: &'a str,
    /// The tool definitions; fixed for a conversation.
    pub tools: &'a Value,
    /// The conversation. It is not changed: cache markers go into a copy.
    pub messages: &'a [Message],
    /// Whether the answer is to come in pieces.
    pub stream: bool,
}

impl Request<'_> {
    /// The body: JSON. It is written piece by piece, so that the conversation need not be copied.
    #[must_use]
    pub fn body(&self) -> String {
        // Servers look back some twenty blocks from a marker, which two messages with many tools exceed: so what was the end of the request
        // before bears one too.
        let last = self.messages.len().saturating_sub(1);
        let before = self.messages[..last].iter().rposition(|message| message.role == Role::User);
        let messages = self.messages.iter().enumerate().map(|(n, message)| Sent {
            role: message.role,
            content: if n == last || Some(n) == before {
                Cow::Owned(marked(&message.content))
            } else {
                Cow::Borrowed(&message.content)
            },
        });
        let system = json!([{"type": "text", "text": self.system, "cache_control": ephemeral()}]);
        json::to_text(&Body {
            model: self.model,
            max_tokens: max_tokens(self.model),
            stream: self.stream,
            thinking: thinks(self.model).then(|| json!({"type": "adaptive", "display": "summarized"})),
            system: (!self.system.trim().is_empty()).then_some(system),
            tools: self.tools.as_array().filter(|list| !list.is_empty()),
            messages: messages.collect(),
        })
    }
}

/// The body, with its fields in the order in which a server's cache reads them.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a Vec<Value>>,
    messages: Vec<Sent<'a>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    role: Role,
    content: Cow<'a, [Value]>,
}

/// The headers of a direct call, without the key.
#[must_use]
pub fn headers() -> BTreeMap<String, String> {
    [
        ("content-type", "application/json"),
        ("anthropic-version", ANTHROPIC_VERSION),
        ("anthropic-dangerous-direct-browser-access", "true"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn max_tokens(model: &str) -> u64 {
    prices::find(model).map_or(MAX_TOKENS_UNKNOWN, |row| row.output_limit.min(MAX_TOKENS))
}

/// Models of the fifth generation think by themselves and show a summary if asked to. Others refuse the field.
fn thinks(model: &str) -> bool {
    let mut parts = model.split('-');
    parts.next() == Some("claude")
        && parts.next().is_some_and(|family| !family.starts_with(|first: char| first.is_ascii_digit()))
        && parts.next() == Some("5")
}

fn ephemeral() -> Value {
    json!({"type": "ephemeral"})
}

/// The blocks with a cache marker on the last that can bear one.
fn marked(blocks: &[Value]) -> Vec<Value> {
    let mut blocks = blocks.to_vec();
    let bearer = blocks.iter_mut().rfind(|block| {
        matches!(block_type(block), "text" | "tool_result" | "tool_use" | "image" | "document")
    });
    if let Some(Value::Object(fields)) = bearer {
        fields.insert("cache_control".to_owned(), ephemeral());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rules;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_request_to_the_byte() {
        let tools = json!([{"name": "t", "description": "d", "input_schema": {"type": "object"}}]);
        let messages = [Message::user(vec![json!({"type": "text", "text": "a"})])];
        let request = Request {
            model: "claude-opus-5-5",
            system: "s",
            tools: &tools,
            messages: &messages,
            stream: true,
        };
        assert_eq!(
            request.body(),
            concat!(
                r#"{"model":"claude-opus-5-5","max_tokens":64000,"stream":true,"thinking":{"type":"adaptive","display":"summarized"},"#,
                r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"#,
                r#""tools":[{"name":"t","description":"d","input_schema":{"type":"object"}}],"#,
                r#""messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#,
            )
        );
        assert_eq!(rules::check(&serde_json::from_str(&request.body()).unwrap()), Ok(()));
    }

    #[test]
    fn what_was_sent_stays_the_same_as_the_conversation_grows() {
        let said = |text: &str| json!({"type": "text", "text": text});
        let messages = [
            Message::user(vec![said("a")]),
            Message::assistant(vec![said("b")]),
            Message::user(vec![said("c")]),
        ];
        let body = |count: usize| {
            let request = Request {
                model: "m",
                system: "s",
                tools: &Value::Null,
                messages: &messages[..count],
                stream: true,
            };
            request.body().replace(r#","cache_control":{"type":"ephemeral"}"#, "")
        };
        let (short, long) = (body(1), body(3));
        assert!(long.starts_with(short.trim_end_matches("]}")), "{short}\n{long}");
        assert!(!long.contains("tools"));
    }

    /// A server finds what it kept only within twenty blocks before a marker.
    #[test]
    fn many_parallel_tools_do_not_hide_what_is_cached() {
        const LOOK_BACK: usize = 20;
        let uses = |n: usize| {
            (0..n).map(|n| json!({"type": "tool_use", "id": format!("t{n}"), "name": "t", "input": {}}))
        };
        let results = |n: usize| {
            (0..n).map(|n| json!({"type": "tool_result", "tool_use_id": format!("t{n}"), "content": "r"}))
        };
        for n in [1, 12, 40] {
            let messages = [
                Message::user(vec![json!({"type": "text", "text": "a"})]),
                Message::assistant(uses(n).collect()),
                Message::user(results(n).collect()),
            ];
            let marked = |count: usize| {
                let request = Request {
                    model: "m",
                    system: "s",
                    tools: &Value::Null,
                    messages: &messages[..count],
                    stream: true,
                };
                let body: Value = serde_json::from_str(&request.body()).unwrap();
                let blocks = body["messages"].as_array().unwrap().iter();
                let blocks: Vec<bool> = blocks
                    .flat_map(|message| message["content"].as_array().unwrap())
                    .map(|block| block.get("cache_control").is_some())
                    .collect();
                blocks.iter().enumerate().filter(|(_, marked)| **marked).map(|(at, _)| at).collect::<Vec<_>>()
            };
            let (before, now) = (marked(1), marked(3));
            let kept = *before.last().unwrap();
            assert!(
                now.iter().any(|at| (kept..kept + LOOK_BACK).contains(at)),
                "{n} tools: {before:?} {now:?}"
            );
            assert_eq!(now.last(), Some(&(2 * n)), "and the end is kept for the next");
        }
    }

    #[test]
    fn who_thinks() {
        for model in [
            "claude-opus-5-5",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
            "claude-fable-5-2",
            "claude-opus-5-20260801",
        ] {
            assert!(thinks(model), "{model}");
        }
        for model in [
            "claude-haiku-4-5",
            "claude-opus-4-8",
            "claude-3-5-sonnet",
            "gpt-6.1-sol",
            "claude-opus-50",
            "",
            "5",
        ] {
            assert!(!thinks(model), "{model}");
        }
    }

    #[test]
    fn thinking_bears_no_marker() {
        let blocks = [
            json!({"type": "text", "text": "a"}),
            json!({"type": "thinking", "thinking": "", "signature": "s"}),
        ];
        let marked = marked(&blocks);
        assert!(marked[0]["cache_control"].is_object());
        assert_eq!(marked[1], blocks[1]);
    }
}
