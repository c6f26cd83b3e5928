//! Anthropic's Messages: requests, and what its blocks say.
//!
//! On the same bytes for the same conversation rest the prompt cache and the signatures of thinking blocks.
//! Blocks of the conversation are sent as they are, and what the API itself sent goes back raw.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use shared::json;

use self::item::{block_type, ends_on_server_tool, identify, is_known, is_thinking, keep};
use super::api::Api;
use super::catalog;
use super::codec::{Codec, KeyHeader, Request, Wire};
use crate::conversation::{Block, Role, Turn};

mod block;
mod item;
mod reader;

/// The version of the protocol that is spoken.
pub const VERSION: &str = "2026-10-21";
/// The longest answer that is asked for, in tokens, thinking included.
const MAX_TOKENS: u64 = 64_000;
/// The same for a model of which nothing is known: old ones refuse more.
const MAX_TOKENS_UNKNOWN: u64 = 8_192;
/// What stands for an answer of which nothing can be sent to another model.
const NO_TEXT: &str = "(thought without words)";

/// The codec.
#[derive(Debug)]
pub struct Messages;

impl Codec for Messages {
    fn wire(&self) -> Wire {
        Wire {
            base: "https://api.anthropic.com",
            path: "/v1/messages",
            base_has_version: false,
            upstream: Some("anthropic"),
            headers: &[("content-type", "application/json"), ("anthropic-version", VERSION)],
            page_headers: &[("anthropic-dangerous-direct-browser-access", "true")],
            key: KeyHeader { name: "x-api-key", prefix: "" },
        }
    }

    fn body(&self, request: &Request<'_>) -> String {
        let Request { model, system, tools, turns, stream } = *request;
        // Servers look back some twenty blocks from a marker, which two messages with many tools exceed: so
        // what was the end of the request before bears one too.
        let last = turns.len().saturating_sub(1);
        let before = turns[..last].iter().rposition(|turn| turn.role == Role::User);
        let messages = turns.iter().enumerate().map(|(n, turn)| {
            let mut content = content(turn, model);
            if n == last || Some(n) == before {
                mark(&mut content);
            }
            Message { role: if turn.role == Role::User { "user" } else { "assistant" }, content }
        });
        let system_blocks = json!([{"type": "text", "text": system, "cache_control": ephemeral()}]);
        json::to_text(&Body {
            model,
            max_tokens: max_tokens(model),
            stream,
            thinking: thinks(model).then(|| json!({"type": "adaptive", "display": "summarized"})),
            system: (!system.trim().is_empty()).then_some(system_blocks),
            tools: tools.as_array().filter(|list| !list.is_empty()),
            messages: messages.collect(),
        })
    }

    fn reader(&self) -> Box<dyn super::codec::Reader> {
        Box::<reader::Reader>::default()
    }

    fn blocks(&self, items: &[Value]) -> Vec<Block> {
        items.iter().map(block).collect()
    }

    fn sent(&self, turn: &Turn, model: &str) -> Vec<Block> {
        let block = |sent: Sent<'_>| match sent.item {
            Item::Raw(item) => block(item),
            Item::Block(block) => block.into_owned(),
        };
        content(turn, model).into_iter().map(block).collect()
    }

    fn fit(&self, items: Vec<Value>, ids: &mut BTreeSet<String>) -> Vec<Value> {
        let mut items = keep(items);
        identify(&mut items, ids);
        items
    }

    fn plain(&self, mut items: Vec<Value>) -> Vec<Value> {
        items.retain(is_known);
        while items.last().is_some_and(is_thinking) {
            items.pop();
        }
        items
    }

    fn is_paused(&self, items: &[Value]) -> bool {
        ends_on_server_tool(items)
    }
}

/// What a block of this API says.
pub(super) fn block(item: &Value) -> Block {
    let field = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    match block_type(item) {
        "text" => Block::Text { text: field("text") },
        "thinking" => Block::Thinking { text: field("thinking") },
        "redacted_thinking" => Block::Thinking { text: String::new() },
        "tool_use" => Block::ToolUse { id: field("id"), name: field("name"), input: item["input"].clone() },
        "tool_result" => Block::ToolResult {
            id: field("tool_use_id"),
            text: field("content"),
            is_error: item["is_error"] == true,
        },
        _ => Block::Foreign { item: item.clone() },
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
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Sent<'a>>,
}

/// A block as it is sent.
#[derive(Serialize)]
pub(super) struct Sent<'a> {
    #[serde(flatten)]
    item: Item<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Value>,
}

/// What the conversation holds of it: what the API sent, or the fields of a block.
enum Item<'a> {
    Raw(&'a Value),
    Block(Cow<'a, Block>),
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Item::Raw(item) => item.serialize(serializer),
            Item::Block(block) => value(block).serialize(serializer),
        }
    }
}

/// A block of the conversation in this API's form.
pub(super) fn value(block: &Block) -> Value {
    match block {
        Block::Text { text } => json!({"type": "text", "text": text}),
        // Without its signature no server takes it back.
        Block::Thinking { text } => json!({"type": "thinking", "thinking": text}),
        Block::ToolUse { id, name, input } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        Block::ToolResult { id, text, is_error } => {
            let mut result = json!({"type": "tool_result", "tool_use_id": id, "content": text});
            if *is_error {
                result["is_error"] = Value::Bool(true);
            }
            result
        }
        Block::Foreign { item } => item.clone(),
    }
}

/// What is sent of a turn. Thinking is bound to the model that thought it, so that of others is left out.
fn content<'a>(turn: &'a Turn, model: &str) -> Vec<Sent<'a>> {
    let sent = |item| Sent { item, cache_control: None };
    let mut content: Vec<Sent<'_>> = match (&turn.raw, turn.role) {
        (Some(raw), _) if raw.api == Api::Messages => {
            let own = raw.model == model;
            raw.items
                .iter()
                .filter(|item| own || !is_thinking(item))
                .map(|item| sent(Item::Raw(item)))
                .collect()
        }
        (_, Role::User) => turn.blocks.iter().map(|block| sent(Item::Block(Cow::Borrowed(block)))).collect(),
        (_, Role::Assistant) => {
            let can_be_sent = |block: &&Block| matches!(block, Block::Text { .. } | Block::ToolUse { .. });
            turn.blocks
                .iter()
                .filter(can_be_sent)
                .map(|block| sent(Item::Block(Cow::Borrowed(block))))
                .collect()
        }
    };
    if content.is_empty() {
        content.push(sent(Item::Block(Cow::Owned(Block::text(NO_TEXT)))));
    }
    content
}

/// Puts a cache marker on the last block that can bear one.
fn mark(content: &mut [Sent<'_>]) {
    let bears = |sent: &&mut Sent<'_>| match &sent.item {
        Item::Raw(item) => {
            matches!(block_type(item), "text" | "tool_result" | "tool_use" | "image" | "document")
        }
        Item::Block(block) => !matches!(**block, Block::Thinking { .. } | Block::Foreign { .. }),
    };
    if let Some(bearer) = content.iter_mut().rfind(bears) {
        bearer.cache_control = Some(ephemeral());
    }
}

fn max_tokens(model: &str) -> u64 {
    catalog::find(model).map_or(MAX_TOKENS_UNKNOWN, |row| row.output_limit.min(MAX_TOKENS))
}

/// Models of the fifth generation think by themselves and show a summary if asked to. Others refuse the
/// field.
fn thinks(model: &str) -> bool {
    let mut parts = model.split('-');
    parts.next() == Some("claude")
        && parts.next().is_some_and(|family| !family.starts_with(|first: char| first.is_ascii_digit()))
        && parts.next() == Some("5")
}

fn ephemeral() -> Value {
    json!({"type": "ephemeral"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Raw;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_request_to_the_byte() {
        let tools = json!([{"name": "t", "description": "d", "input_schema": {"type": "object"}}]);
        let turns = [Turn::user(vec![Block::text("a")])];
        let request =
            Request { model: "claude-opus-5-5", system: "s", tools: &tools, turns: &turns, stream: true };
        assert_eq!(
            Messages.body(&request),
            concat!(
                r#"{"model":"claude-opus-5-5","max_tokens":64000,"stream":true,"thinking":{"type":"adaptive","display":"summarized"},"#,
                r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"#,
                r#""tools":[{"name":"t","description":"d","input_schema":{"type":"object"}}],"#,
                r#""messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#,
            )
        );
    }

    #[test]
    fn what_was_sent_stays_the_same_as_the_conversation_grows() {
        let turns = [
            Turn::user(vec![Block::text("a")]),
            assistant("m", vec![json!({"type": "text", "text": "b"})]),
            Turn::user(vec![Block::text("c")]),
        ];
        let sent = |count: usize| {
            body("m", &turns[..count]).to_string().replace(r#","cache_control":{"type":"ephemeral"}"#, "")
        };
        let (short, long) = (sent(1), sent(3));
        assert!(long.starts_with(short.trim_end_matches("]}")), "{short}\n{long}");
        assert!(!long.contains("tools"));
    }

    /// A server finds what it kept only within twenty blocks before a marker.
    #[test]
    fn many_parallel_tools_do_not_hide_what_is_cached() {
        const LOOK_BACK: usize = 20;
        for n in [1, 12, 40] {
            let uses = (0..n)
                .map(|n| json!({"type": "tool_use", "id": format!("t{n}"), "name": "t", "input": {}}))
                .collect();
            let results = (0..n).map(|n| Block::result(&format!("t{n}"), "r", false)).collect();
            let turns = [Turn::user(vec![Block::text("a")]), assistant("m", uses), Turn::user(results)];
            let marked = |count: usize| {
                let body = body("m", &turns[..count]);
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

    /// Its own model gets an answer back to the byte, another one without what it thought.
    #[test]
    fn an_answer_goes_back_as_it_came() {
        let items = vec![
            json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
            json!({"type": "server_thing", "x": [1.5]}),
            json!({"type": "text", "text": "b", "citations": [{"n": 1}]}),
        ];
        let turns = [
            Turn::user(vec![Block::text("a")]),
            assistant("m", items.clone()),
            Turn::user(vec![Block::text("c")]),
        ];
        assert_eq!(body("m", &turns)["messages"][1]["content"], json!(items));
        assert_eq!(body("other", &turns)["messages"][1]["content"], json!(items[1..]));
        let thought = [Turn::user(vec![Block::text("a")]), assistant("m", items[..1].to_vec())];
        assert_eq!(body("other", &thought)["messages"][1]["content"][0]["text"], NO_TEXT);
    }

    #[test]
    fn an_answer_of_another_api_is_sent_in_blocks() {
        let turn = Turn {
            role: Role::Assistant,
            blocks: vec![
                Block::Thinking { text: "hm".to_owned() },
                Block::text("b"),
                Block::ToolUse { id: "c1".to_owned(), name: "t".to_owned(), input: json!({"x": 1}) },
                Block::Foreign { item: json!({"type": "odd"}) },
            ],
            raw: Some(Raw {
                api: Api::Chat,
                model: "m".to_owned(),
                items: vec![json!({"role": "assistant"})],
            }),
        };
        let turns = [
            Turn::user(vec![Block::text("a")]),
            turn,
            Turn::user(vec![Block::result("c1", "", true), Block::text("c")]),
        ];
        let body = body("m", &turns);
        assert_eq!(
            body["messages"][1]["content"],
            json!([{"type": "text", "text": "b"}, {"type": "tool_use", "id": "c1", "name": "t", "input": {"x": 1}}])
        );
        assert_eq!(
            body["messages"][2]["content"][0],
            json!({"type": "tool_result", "tool_use_id": "c1", "content": "(no output)", "is_error": true})
        );
    }

    fn body(model: &str, turns: &[Turn]) -> Value {
        let request = Request { model, system: "s", tools: &Value::Null, turns, stream: true };
        serde_json::from_str(&Messages.body(&request)).unwrap()
    }

    fn assistant(model: &str, items: Vec<Value>) -> Turn {
        let blocks = Messages.blocks(&items);
        Turn {
            role: Role::Assistant,
            blocks,
            raw: Some(Raw { api: Api::Messages, model: model.to_owned(), items }),
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
        let items = vec![
            json!({"type": "text", "text": "a"}),
            json!({"type": "thinking", "thinking": "", "signature": "s"}),
        ];
        let content = &body("m", &[Turn::user(vec![Block::text("a")]), assistant("m", items.clone())])["messages"]
            [1]["content"];
        assert!(content[0]["cache_control"].is_object());
        assert_eq!(content[1], items[1]);
    }
}
