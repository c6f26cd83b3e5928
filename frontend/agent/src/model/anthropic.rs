//! Reads the stream of Anthropic's Messages: bytes in, neutral events and one result out.
//!
//! [`Stream::head`] comes first, then [`Stream::data`] as the body comes, then [`Stream::end`] or [`Stream::lost`]. After
//! [`ModelEvent::Done`], or when the call is broken off, [`Stream::result`] says what came of it. An answer without `message_stop` is truncated,
//! however complete it looks.

use serde_json::Value;
use shared::json;
use shared::sorted::Map;
use shared::tools::UNREADABLE;

use super::answer::{Answer, ModelEvent, Outcome, Partial, keep};
use super::fault::{self, Head};
use super::sse::{Parser, SseEvent};
use super::{Fault, Stop, Usage};

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes that are kept of an answer that is no stream.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A call's answer as it comes.
#[derive(Debug, Default)]
pub struct Stream {
    head: Head,
    sse: Parser,
    body: Vec<u8>,
    bytes: usize,
    blocks: Vec<Block>,
    usage: Usage,
    stop: Option<Stop>,
    shown: bool,
    end: Option<Result<(), Fault>>,
}

/// A block as far as it came.
#[derive(Debug)]
struct Block {
    index: u64,
    fields: json::Map<String, Value>,
    text: String,
    json: String,
    done: bool,
}

impl Stream {
    /// Before anything came.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The head came. Header names are in lower case.
    pub fn head(&mut self, status: u16, headers: &Map<String, String>) {
        self.head = Head { status: Some(status), headers: headers.clone() };
    }

    /// A piece of the body came.
    pub fn data(&mut self, bytes: &[u8]) -> Vec<ModelEvent> {
        let mut events = Vec::new();
        if self.end.is_some() {
            return events;
        }
        if !self.head.is_stream() {
            let room = MAX_ERROR_BYTES.saturating_sub(self.body.len());
            self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return events;
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        match self.sse.push(bytes) {
            Ok(_) if self.bytes > MAX_ANSWER_BYTES => {
                self.fail(
                    "The answer is larger than this page can hold. Ask for something smaller.".to_owned(),
                    false,
                    &mut events,
                );
            }
            Ok(read) => {
                for event in read {
                    self.event(&event, &mut events);
                }
            }
            Err(error) => self.fail(
                format!("The answer cannot be read: {error}. Check the base URL in the settings."),
                false,
                &mut events,
            ),
        }
        events
    }

    /// The body ended.
    pub fn end(&mut self) -> Vec<ModelEvent> {
        let mut events = Vec::new();
        if self.end.is_none() && !self.head.is_stream() {
            let fault = self.head.fault(&std::mem::take(&mut self.body));
            self.finish(Err(fault), &mut events);
        }
        if self.end.is_none()
            && let Some(event) = self.sse.finish()
        {
            self.event(&event, &mut events);
        }
        if self.end.is_none() {
            self.fail(TRUNCATED.to_owned(), true, &mut events);
        }
        events
    }

    /// The connection could not be made or broke. The result can be taken.
    pub fn lost(&mut self, reason: impl AsRef<str>) {
        if self.end.is_some() {
            return;
        }
        let fault = if self.head.status.is_none() || self.head.is_stream() {
            Fault { status: self.head.status, ..fault::lost(reason.as_ref()) }
        } else {
            self.head.fault(&self.body)
        };
        self.end = Some(Err(fault));
    }

    /// The call was not made, and it is no use to ask again. The result can be taken.
    pub fn refused(&mut self, reason: &str) {
        self.end.get_or_insert_with(|| Err(fault::refused(reason)));
    }

    /// What came of the call. Taken before the end, it is that of a truncated answer.
    ///
    /// # Errors
    /// What may be kept, and how the call failed.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(clippy::result_large_err, reason = "taken once a call, and taken apart at once")
    )]
    pub fn result(self) -> Outcome {
        let fault = match self.end {
            Some(Ok(())) => {
                let stop = self.stop.unwrap_or(Stop::End);
                let cut = stop == Stop::MaxTokens;
                let blocks = self.blocks.iter().filter(|block| block.may_stay(cut)).map(Block::value);
                return Ok(Answer { content: keep(blocks), stop, usage: self.usage });
            }
            Some(Err(fault)) => fault,
            None => fault::broken(&self.head, TRUNCATED.to_owned(), true),
        };
        let blocks = self.blocks.iter().filter(|block| block.may_stay(true)).map(Block::value);
        Err((Partial { content: keep(blocks), usage: self.usage, shown: self.shown }, fault))
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<ModelEvent>) {
        if self.end.is_some() {
            return;
        }
        let Some(data) = parse(&event.data) else {
            let shown: String = event.data.chars().take(80).collect();
            self.fail(format!("The answer cannot be read: an event is no JSON: {shown:?}. Try again, or check the base URL."), false, out);
            return;
        };
        match data["type"].as_str().unwrap_or(&event.event) {
            "message_start" => self.count(&data["message"]["usage"], out),
            "content_block_start" => self.block_start(&data, out),
            "content_block_delta" => self.block_delta(&data, out),
            "content_block_stop" => {
                if let Some((block, open)) = self.find(&data) {
                    open.done = true;
                    let content = open.value();
                    out.push(ModelEvent::BlockDone { block, content });
                }
            }
            "message_delta" => {
                if let Some(word) = data["delta"]["stop_reason"].as_str() {
                    self.stop = Some(stop(word));
                }
                self.count(&data["usage"], out);
            }
            "message_stop" => self.finish(Ok(()), out),
            "error" => {
                let fault = self.head.fault_in_stream(&data);
                self.finish(Err(fault), out);
            }
            _ => {}
        }
    }

    fn block_start(&mut self, data: &Value, out: &mut Vec<ModelEvent>) {
        let Value::Object(fields) = &data["content_block"] else { return };
        let block = self.blocks.len();
        let begun = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = begun("type");
        let text = match kind.as_str() {
            "text" => begun("text"),
            "thinking" => begun("thinking"),
            _ => String::new(),
        };
        if kind == "tool_use" {
            let (id, name) = (begun("id"), begun("name"));
            if id.is_empty() || name.is_empty() {
                self.fail("The answer cannot be read: a tool use has no id or no name. Try again, or check the base URL.".to_owned(), false, out);
                return;
            }
            self.shown = true;
            out.push(ModelEvent::ToolStart { block, id, name });
        }
        let index = data["index"].as_u64().unwrap_or_default();
        self.blocks.push(Block {
            index,
            fields: fields.clone(),
            text: String::new(),
            json: String::new(),
            done: false,
        });
        self.say(block, kind == "thinking", &text, out);
    }

    fn block_delta(&mut self, data: &Value, out: &mut Vec<ModelEvent>) {
        let delta = &data["delta"];
        let piece = |name: &str| delta[name].as_str().unwrap_or_default();
        let Some((block, open)) = self.find(data) else { return };
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => self.say(block, false, piece("text"), out),
            "thinking_delta" => self.say(block, true, piece("thinking"), out),
            "input_json_delta" => {
                let text = piece("partial_json").to_owned();
                open.json.push_str(&text);
                if !text.is_empty() && open.kind() == "tool_use" {
                    out.push(ModelEvent::ToolArgsDelta { block, text });
                }
            }
            "signature_delta" => {
                open.fields.insert("signature".to_owned(), piece("signature").into());
            }
            "citations_delta" => {
                let citations = open.fields.entry("citations").or_insert(Value::Null);
                if let Value::Array(list) = citations {
                    list.push(delta["citation"].clone());
                } else {
                    *citations = Value::Array(vec![delta["citation"].clone()]);
                }
            }
            _ => open.take_unknown(delta),
        }
    }

    fn say(&mut self, block: usize, thinking: bool, text: &str, out: &mut Vec<ModelEvent>) {
        if text.is_empty() {
            return;
        }
        self.blocks[block].text.push_str(text);
        self.shown = true;
        let text = text.to_owned();
        out.push(if thinking {
            ModelEvent::ThinkingDelta { block, text }
        } else {
            ModelEvent::TextDelta { block, text }
        });
    }

    fn find(&mut self, data: &Value) -> Option<(usize, &mut Block)> {
        let index = data["index"].as_u64().unwrap_or_default();
        self.blocks.iter_mut().enumerate().rfind(|(_, block)| block.index == index && !block.done)
    }

    /// Counts are cumulative: what is present replaces what was there.
    fn count(&mut self, usage: &Value, out: &mut Vec<ModelEvent>) {
        let before = self.usage;
        for (name, count) in [
            ("input_tokens", &mut self.usage.input),
            ("cache_read_input_tokens", &mut self.usage.cache_read),
            ("cache_creation_input_tokens", &mut self.usage.cache_write),
            ("output_tokens", &mut self.usage.output),
        ] {
            if let Some(tokens) = usage[name].as_u64() {
                *count = tokens;
            }
        }
        if self.usage != before {
            out.push(ModelEvent::Usage(self.usage));
        }
    }

    fn fail(&mut self, message: String, retryable: bool, out: &mut Vec<ModelEvent>) {
        let fault = fault::broken(&self.head, message, retryable);
        self.finish(Err(fault), out);
    }

    fn finish(&mut self, end: Result<(), Fault>, out: &mut Vec<ModelEvent>) {
        self.end = Some(end);
        out.push(ModelEvent::Done);
    }
}

const TRUNCATED: &str = "The answer broke off before its end. Try again.";

impl Block {
    fn kind(&self) -> &str {
        self.fields.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The block as it is sent back.
    fn value(&self) -> Value {
        let mut fields = self.fields.clone();
        let kind = self.kind();
        if matches!(kind, "text" | "thinking") {
            fields.insert(kind.to_owned(), self.text.as_str().into());
        }
        if !self.json.is_empty() {
            let input = match parse(&self.json) {
                Some(input @ Value::Object(_)) => input,
                // The API takes nothing but an object here, and the model shall see what it wrote.
                _ => json::object(&[(UNREADABLE, &self.json)]),
            };
            fields.insert("input".to_owned(), input);
        } else if kind == "tool_use" && !matches!(fields.get("input"), Some(Value::Object(_))) {
            fields.insert("input".to_owned(), json::object(&[]));
        }
        Value::Object(fields)
    }

    /// Whether the block can stay if the answer was `cut` off: text always, other blocks if they are whole.
    fn may_stay(&self, cut: bool) -> bool {
        match self.kind() {
            "text" => true,
            "tool_use" if cut => {
                self.done
                    && (self.json.is_empty() || parse(&self.json).is_some_and(|input| input.is_object()))
            }
            _ => self.done,
        }
    }

    /// Deltas of kinds that came after this was written: text grows, all else replaces.
    fn take_unknown(&mut self, delta: &Value) {
        let Value::Object(delta) = delta else { return };
        for (name, piece) in delta.iter().filter(|(name, _)| *name != "type") {
            match (self.fields.get_mut(name), piece) {
                (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                _ => {
                    self.fields.insert(name.clone(), piece.clone());
                }
            }
        }
    }
}

fn stop(word: &str) -> Stop {
    match word {
        "end_turn" | "tool_use" | "stop_sequence" => Stop::End,
        "max_tokens" => Stop::MaxTokens,
        "pause_turn" => Stop::Pause,
        "refusal" => Stop::Refusal,
        "model_context_window_exceeded" => Stop::ContextFull,
        word => Stop::Other { word: word.to_owned() },
    }
}

fn parse(text: &str) -> Option<Value> {
    json::parse(text).or_else(|_| json::parse(&without_lone_surrogates(text))).ok()
}

/// Some servers send halves of surrogate pairs, which are no characters.
fn without_lone_surrogates(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut fixed = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        fixed.push_str(&text[at..at + found]);
        at += found;
        let length = match unit(at) {
            Some(0xD800..=0xDBFF) if unit(at + 6).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low)) => 12,
            Some(0xD800..=0xDFFF) => {
                fixed.push_str("\\uFFFD");
                at += 6;
                continue;
            }
            Some(_) => 6,
            None => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        fixed.push_str(&text[at..at + length]);
        at += length;
    }
    fixed + &text[at..]
}

#[cfg(test)]
mod tests;
