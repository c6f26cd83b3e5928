//! What the fake model says, and how it looks on the wire.
//!
//! An [`Answer`] is a list of [`Piece`]s, built by the test in the order in which they are to come.
//! [`Answer::wire`] turns them into server-sent events as the real API sends them: a `ping` after the first
//! block's start, text in small deltas, a tool's arguments as pieces of JSON that begin with an empty one.
//! Nothing in it depends on chance or time.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::gate::Gate;

/// One scripted answer.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) before: Option<Gate>,
    pub(super) message: Option<String>,
    pub(super) pieces: Vec<Piece>,
    stop: Option<&'static str>,
}

/// One piece of an answer.
#[derive(Clone)]
pub(super) enum Piece {
    Text(String),
    Thinking {
        text: String,
        signature: String,
    },
    Tool {
        name: String,
        input: Value,
    },
    /// A tool block that begins and is never finished.
    HalfTool {
        name: String,
        json: String,
    },
    /// A block of any kind, whole in its start event.
    Block(Value),
    /// Any event.
    Event {
        name: String,
        data: Value,
    },
    Hold(Gate),
    Cut,
}

/// What goes out, in order.
#[derive(Clone)]
pub(super) enum Wire {
    Bytes(Vec<u8>),
    Hold(Gate),
    Cut,
}

/// An answer that only says something.
pub fn text_answer(text: &str) -> Answer {
    answer().text(text)
}

/// An answer without content yet.
pub fn answer() -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: Vec::new(),
        before: None,
        message: None,
        pieces: Vec::new(),
        stop: None,
    }
}

/// A refused request, with the API's usual words for this status.
pub fn refuse(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).expect("tests name real statuses");
    Answer { status, ..answer() }
}

impl Answer {
    /// Text. Pieces of text that follow each other are one block.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.piece(Piece::Text(text.to_owned()))
    }

    /// A thinking block with its signature.
    #[must_use]
    pub fn thinking(self, text: &str, signature: &str) -> Self {
        self.piece(Piece::Thinking { text: text.to_owned(), signature: signature.to_owned() })
    }

    /// A tool use. Its id is made of the request's number and its place.
    #[must_use]
    pub fn tool(self, name: &str, input: Value) -> Self {
        self.piece(Piece::Tool { name: name.to_owned(), input })
    }

    /// A tool use whose arguments break off, as at `max_tokens` or before a cut.
    #[must_use]
    pub fn half_tool(self, name: &str, json: &str) -> Self {
        self.piece(Piece::HalfTool { name: name.to_owned(), json: json.to_owned() })
    }

    /// A block of a kind that the client may not know.
    #[must_use]
    pub fn block(self, block: Value) -> Self {
        self.piece(Piece::Block(block))
    }

    /// An event of a kind that the client may not know.
    #[must_use]
    pub fn event(self, name: &str, data: Value) -> Self {
        self.piece(Piece::Event { name: name.to_owned(), data })
    }

    /// A `ping` in this place.
    #[must_use]
    pub fn ping(self) -> Self {
        self.event("ping", json!({"type": "ping"}))
    }

    /// Waits in this place until the test opens the gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.piece(Piece::Hold(gate.clone()))
    }

    /// Waits before even the status line until the test opens the gate.
    #[must_use]
    pub fn hold_head(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Breaks the connection in this place. What follows is not sent.
    #[must_use]
    pub fn cut(self) -> Self {
        self.piece(Piece::Cut)
    }

    /// An `error` event after a 200, and the end.
    #[must_use]
    pub fn fail(self, kind: &str, message: &str) -> Self {
        let error = json!({"type": "error", "error": {"type": kind, "message": message, "details": null}});
        self.event("error", error)
    }

    /// The stop reason, where it is not the natural one (`tool_use` with tools, else `end_turn`).
    #[must_use]
    pub fn stop(mut self, reason: &'static str) -> Self {
        self.stop = Some(reason);
        self
    }

    /// Why it is refused, where it is not for the usual reason of the status.
    #[must_use]
    pub fn because(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// The seconds after which to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header("retry-after", &seconds.to_string())
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn piece(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    /// The reason as the API gives it.
    pub(super) fn stop_reason(&self) -> &'static str {
        let tools = self.pieces.iter().any(|piece| matches!(piece, Piece::Tool { .. }));
        self.stop.unwrap_or(if tools { "tool_use" } else { "end_turn" })
    }

    /// The blocks of the whole answer, for a request that is not streamed.
    pub(super) fn content(&self, request: usize) -> Vec<Value> {
        let mut blocks: Vec<Value> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => match blocks.last_mut() {
                    Some(block) if block["type"] == "text" => {
                        block["text"] =
                            format!("{}{text}", block["text"].as_str().unwrap_or_default()).into();
                    }
                    _ => blocks.push(json!({"type": "text", "text": text})),
                },
                Piece::Thinking { text, signature } => {
                    blocks.push(json!({"type": "thinking", "thinking": text, "signature": signature}));
                }
                Piece::Tool { name, input } => {
                    let id = tool_id(request, blocks.len());
                    blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
                }
                Piece::Block(block) => blocks.push(block.clone()),
                Piece::HalfTool { .. } | Piece::Event { .. } | Piece::Hold(_) | Piece::Cut => {}
            }
        }
        blocks
    }

    /// The answer as events.
    pub(super) fn wire(&self, request: usize, model: &str, input_tokens: usize) -> Vec<Wire> {
        let mut writer = Writer { out: Vec::new(), index: 0, text_open: false, request, written: 1 };
        writer.event(
            "message_start",
            &json!({"type": "message_start", "message": {
                "id": format!("msg_{request:024}"), "type": "message", "role": "assistant", "model": model, "content": [],
                "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                          "output_tokens": 1, "service_tier": "standard"}}}),
        );
        for piece in &self.pieces {
            writer.piece(piece);
            let failed = matches!(piece, Piece::Event { name, .. } if name == "error");
            if failed || matches!(piece, Piece::Cut) {
                return writer.out;
            }
        }
        writer.close_text();
        let stop = self.stop_reason();
        writer.event(
            "message_delta",
            &json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
                    "usage": {"input_tokens": input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                              "output_tokens": writer.written}}),
        );
        writer.event("message_stop", &json!({"type": "message_stop"}));
        writer.out
    }
}

fn tool_id(request: usize, index: usize) -> String {
    format!("toolu_{request:04}_{index:02}")
}

struct Writer {
    out: Vec<Wire>,
    index: usize,
    text_open: bool,
    request: usize,
    written: usize,
}

impl Writer {
    fn event(&mut self, name: &str, data: &Value) {
        let bytes = format!("event: {name}\ndata: {data}\n\n").into_bytes();
        match self.out.last_mut() {
            Some(Wire::Bytes(so_far)) => so_far.extend(bytes),
            _ => self.out.push(Wire::Bytes(bytes)),
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Text(text) => {
                if !self.text_open {
                    self.start(&json!({"type": "text", "text": ""}));
                    self.text_open = true;
                }
                for part in pieces(text, 9) {
                    self.delta(&json!({"type": "text_delta", "text": part}));
                }
            }
            Piece::Thinking { text, signature } => {
                self.start(&json!({"type": "thinking", "thinking": "", "signature": ""}));
                for part in pieces(text, 11) {
                    self.delta(&json!({"type": "thinking_delta", "thinking": part}));
                }
                self.delta(&json!({"type": "signature_delta", "signature": signature}));
                self.stop();
            }
            Piece::Tool { name, input } => {
                self.tool(name, &input.to_string());
                self.stop();
            }
            Piece::HalfTool { name, json } => {
                self.tool(name, json);
                self.index += 1;
            }
            Piece::Block(block) => {
                self.start(block);
                self.stop();
            }
            Piece::Event { name, data } => self.event(name, data),
            Piece::Hold(gate) => self.out.push(Wire::Hold(gate.clone())),
            Piece::Cut => self.out.push(Wire::Cut),
        }
    }

    fn tool(&mut self, name: &str, json: &str) {
        self.close_text();
        let id = tool_id(self.request, self.index);
        self.start(&json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
        self.delta(&json!({"type": "input_json_delta", "partial_json": ""}));
        for part in pieces(json, 13) {
            self.delta(&json!({"type": "input_json_delta", "partial_json": part}));
        }
    }

    fn start(&mut self, block: &Value) {
        self.close_text();
        self.event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": self.index, "content_block": block}),
        );
        if self.index == 0 {
            self.event("ping", &json!({"type": "ping"}));
        }
    }

    fn delta(&mut self, delta: &Value) {
        self.written += 1;
        self.event(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": self.index, "delta": delta}),
        );
    }

    fn stop(&mut self) {
        self.event("content_block_stop", &json!({"type": "content_block_stop", "index": self.index}));
        self.index += 1;
    }

    fn close_text(&mut self) {
        if self.text_open {
            self.text_open = false;
            self.stop();
        }
    }
}

/// The text in pieces of so many characters.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(size).map(|chunk| chunk.iter().collect()).collect()
}
