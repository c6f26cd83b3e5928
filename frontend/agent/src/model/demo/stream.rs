//! Writes an answer as the events of Anthropic's stream, in pieces with pauses, as a server would send it.

use serde_json::{Value, json};

use super::Chunk;
use super::story::Story;

/// What the demo answers: words, then tool uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    /// Markdown; never blank if there are no tools.
    pub(super) text: String,
    /// Names and arguments.
    pub(super) tools: Vec<(&'static str, Value)>,
}

const FIRST_PAUSE_MS: u32 = 150;
const WORDS_A_PIECE: usize = 3;

pub(super) fn write(reply: &Reply, story: &Story) -> Vec<Chunk> {
    let mut writer = Writer::default();
    let usage = json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    writer.event(
        FIRST_PAUSE_MS,
        &json!({"type": "message_start", "message": {
            "id": format!("msg_demo_{}", story.messages), "type": "message", "role": "assistant", "model": "demo",
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
        }}),
    );
    writer.event(0, &json!({"type": "ping"}));
    let mut index = 0;
    if !reply.text.trim().is_empty() {
        writer.start(index, &json!({"type": "text", "text": ""}));
        for piece in pieces(&reply.text) {
            writer.delta(index, &json!({"type": "text_delta", "text": piece}));
        }
        writer.stop(index);
        index += 1;
    }
    for (place, (name, input)) in reply.tools.iter().enumerate() {
        let id = format!("toolu_demo_{}", story.tool_uses + place + 1);
        writer.start(index, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
        writer.delta(index, &json!({"type": "input_json_delta", "partial_json": ""}));
        for piece in pieces(&input.to_string()) {
            writer.delta(index, &json!({"type": "input_json_delta", "partial_json": piece}));
        }
        writer.stop(index);
        index += 1;
    }
    let reason = if reply.tools.is_empty() { "end_turn" } else { "tool_use" };
    writer.event(
        0,
        &json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 0}}),
    );
    writer.event(0, &json!({"type": "message_stop"}));
    writer.0
}

pub(super) fn error(message: &str) -> Vec<Chunk> {
    let mut writer = Writer::default();
    writer
        .event(0, &json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}));
    writer.0
}

#[derive(Default)]
struct Writer(Vec<Chunk>);

impl Writer {
    /// An event; without a pause it joins the piece before it.
    fn event(&mut self, delay_ms: u32, data: &Value) {
        let name = data["type"].as_str().unwrap_or_default();
        let bytes = format!("event: {name}\ndata: {data}\n\n").into_bytes();
        match self.0.last_mut() {
            Some(last) if delay_ms == 0 => last.bytes.extend(bytes),
            _ => self.0.push(Chunk { delay_ms, bytes }),
        }
    }

    fn start(&mut self, index: usize, block: &Value) {
        self.event(0, &json!({"type": "content_block_start", "index": index, "content_block": block}));
    }

    fn delta(&mut self, index: usize, delta: &Value) {
        let delay_ms = 15 + u32::try_from(self.0.len() * 7 % 16).unwrap_or(0);
        self.event(delay_ms, &json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }

    fn stop(&mut self, index: usize) {
        self.event(0, &json!({"type": "content_block_stop", "index": index}));
    }
}

/// The text in pieces of a few words, which together are the text.
fn pieces(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let mut pieces = Vec::new();
    let mut from = 0;
    for words in words.chunks(WORDS_A_PIECE) {
        let to = from + words.iter().map(|word| word.len()).sum::<usize>();
        pieces.push(&text[from..to]);
        from = to;
    }
    pieces
}
