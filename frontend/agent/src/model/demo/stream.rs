//! Writes an answer as the events of Anthropic's stream, in pieces with pauses, as a server would send it.

use std::iter;

use serde_json::Value;
use shared::json;

const FIRST_PAUSE_MS: u32 = 150;
const WORDS_A_PIECE: usize = 3;

/// What the demo answers: paragraphs of Markdown, and tool uses after them.
pub(super) struct Reply {
    pub(super) texts: Vec<String>,
    pub(super) uses: Vec<Use>,
}

/// A tool's name and arguments.
pub(super) type Use = (&'static str, Value);

/// A piece of an answer, and how long to wait before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The pause before it, in milliseconds.
    pub delay_ms: u32,
    /// A piece of the body: server-sent events.
    pub bytes: Vec<u8>,
}

/// The answer with this number, from 1.
pub(super) fn write(reply: &Reply, number: usize) -> Vec<Chunk> {
    let mut writer = Writer::default();
    writer.event(
        FIRST_PAUSE_MS,
        "message_start",
        &format!(
            r#""message":{{"id":"msg_demo_{number}","type":"message","role":"assistant","model":"demo","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}}"#,
        ),
    );
    writer.event(0, "ping", "");
    let mut index = 0;
    let text = reply.texts.join("\n\n");
    if !text.is_empty() {
        writer.block(index, r#"{"type":"text","text":""}"#, r#""text_delta","text""#, &pieces(&text));
        index += 1;
    }
    for (n, (name, input)) in (1..).zip(&reply.uses) {
        let block =
            format!(r#"{{"type":"tool_use","id":"toolu_demo_{number}_{n}","name":"{name}","input":{{}}}}"#);
        let input = input.to_string();
        // As servers do, the first piece is empty.
        let pieces: Vec<&str> = iter::once("").chain(pieces(&input)).collect();
        writer.block(index, &block, r#""input_json_delta","partial_json""#, &pieces);
        index += 1;
    }
    let reason = if reply.uses.is_empty() { "end_turn" } else { "tool_use" };
    writer.event(
        0,
        "message_delta",
        &format!(
            r#""delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":0}}"#
        ),
    );
    writer.event(0, "message_stop", "");
    writer.0
}

#[derive(Default)]
struct Writer(Vec<Chunk>);

impl Writer {
    /// An event with its fields but the type; without a pause it joins the piece before it.
    fn event(&mut self, delay_ms: u32, name: &str, fields: &str) {
        let comma = if fields.is_empty() { "" } else { "," };
        let bytes = format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{fields}}}\n\n").into_bytes();
        match self.0.last_mut() {
            Some(last) if delay_ms == 0 => last.bytes.extend(bytes),
            _ => self.0.push(Chunk { delay_ms, bytes }),
        }
    }

    /// A block: how it begins, and what follows in pieces, each in a delta of this type under this name.
    fn block(&mut self, index: usize, block: &str, kind: &str, pieces: &[&str]) {
        self.event(0, "content_block_start", &format!(r#""index":{index},"content_block":{block}"#));
        for piece in pieces {
            let delay_ms = 15 + u32::try_from(self.0.len() * 7 % 16).unwrap_or(0);
            let piece = json::to_text(*piece);
            let fields = format!(r#""index":{index},"delta":{{"type":{kind}:{piece}}}"#);
            self.event(delay_ms, "content_block_delta", &fields);
        }
        self.event(0, "content_block_stop", &format!(r#""index":{index}"#));
    }
}

/// The text in pieces of a few words, which together are the text.
fn pieces(text: &str) -> Vec<&str> {
    let spoken: Vec<&str> = text.split_inclusive(' ').collect();
    let mut pieces = Vec::new();
    let mut from = 0;
    for spoken in spoken.chunks(WORDS_A_PIECE) {
        let to = from + spoken.iter().map(|word| word.len()).sum::<usize>();
        pieces.push(&text[from..to]);
        from = to;
    }
    pieces
}
