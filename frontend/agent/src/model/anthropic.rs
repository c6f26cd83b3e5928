//! Reads the stream of Anthropic's Messages: bytes in, neutral events and one result out.
//!
//! [`Stream::head`] comes first, then [`Stream::data`] as the body comes, then [`Stream::end`] or [`Stream::lost`]. After
//! [`ModelEvent::Done`], or when the call is broken off, [`Stream::result`] says what came of it. An answer without `message_stop` is whole
//! if it gave the reason of its end, and truncated otherwise, however complete it looks. A server that answers with one message instead of a
//! stream is read too.

mod block;

use serde_json::{Value, json};
use shared::Timestamp;
use std::collections::BTreeMap;

use self::block::{Block, TOOL_USE};
use super::answer::{Answer, ModelEvent, Outcome, Partial, fields_of, keep};
use super::fault::{self, Form, Head};
use super::message::block_type;
use super::sse::{MAX_EVENT_BYTES, Parser, SseEvent};
use super::surrogates::{Halves, parse, parse_piece};
use super::{Fault, Stop, Usage};

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes that are kept of an answer that is no stream.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A call's answer as it comes.
#[derive(Debug, Default)]
pub struct Stream {
    head: Head,
    form: Form,
    sse: Parser,
    body: Vec<u8>,
    bytes: usize,
    blocks: Vec<Block>,
    usage: Usage,
    stop: Option<Stop>,
    /// The reason said that tools are wanted.
    wants_tools: bool,
    shown: bool,
    end: Option<Result<(), Fault>>,
}

impl Stream {
    /// Before anything came.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The head came. Header names are in lower case.
    pub fn head(&mut self, status: u16, headers: &BTreeMap<String, String>) {
        self.head = Head { status: Some(status), headers: headers.clone(), now: self.head.now };
    }

    /// What time it is here, for a server that says when to come again.
    pub const fn clock(&mut self, now: Timestamp) {
        self.head.now = Some(now);
    }

    /// A piece of the body came.
    pub fn data(&mut self, bytes: &[u8]) -> Vec<ModelEvent> {
        let mut events = Vec::new();
        if self.end.is_some() {
            return events;
        }
        if self.form == Form::Unknown {
            self.form = self.head.form(bytes);
        }
        let most = match self.form {
            // Nothing but blank bytes so far: they are of no use to either.
            Form::Unknown => return events,
            Form::Other => MAX_ERROR_BYTES,
            Form::Json => MAX_EVENT_BYTES,
            Form::Events => {
                self.piece(bytes, &mut events);
                return events;
            }
        };
        let room = most.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.form == Form::Json && bytes.len() > room {
            self.fail(TOO_LARGE.to_owned(), false, &mut events);
        }
        events
    }

    /// A piece of a stream of events came.
    fn piece(&mut self, bytes: &[u8], events: &mut Vec<ModelEvent>) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        match self.sse.push(bytes) {
            Ok(_) if self.bytes > MAX_ANSWER_BYTES => {
                self.fail(TOO_LARGE.to_owned(), false, events);
            }
            Ok(read) => {
                for event in read {
                    self.event(&event, events);
                }
            }
            Err(error) => self.fail(
                format!("The answer cannot be read: {error}. Check the base URL in the settings."),
                false,
                events,
            ),
        }
    }

    /// The body ended.
    pub fn end(&mut self) -> Vec<ModelEvent> {
        let mut events = Vec::new();
        let is_whole = matches!(self.form, Form::Json | Form::Other) || !self.head.is_good();
        if self.end.is_none() && is_whole {
            self.whole(&mut events);
        }
        // What is no JSON was cut off in its middle.
        if self.end.is_none()
            && let Some(event) = self.sse.finish()
            && parse(&event.data).is_some()
        {
            self.event(&event, &mut events);
        }
        if self.end.is_none() && self.stop.is_some() {
            self.finish(Ok(()), &mut events);
        }
        if self.end.is_none() {
            self.fail(TRUNCATED.to_owned(), true, &mut events);
        }
        events
    }

    /// A body that is no stream ended: one message, an error, or something else.
    fn whole(&mut self, events: &mut Vec<ModelEvent>) {
        let body = std::mem::take(&mut self.body);
        let message = if self.head.is_good() { parse(&String::from_utf8_lossy(&body)) } else { None };
        match message {
            Some(message) if message["type"] == "message" && message["content"].is_array() => {
                self.message(&message, events);
            }
            Some(error) if error["error"]["type"].is_string() => self.error(&error, events),
            None if self.form == Form::Json => self.fail(TRUNCATED.to_owned(), true, events),
            Some(_) | None => {
                let fault = self.head.fault(&body);
                self.finish(Err(fault), events);
            }
        }
    }

    /// One message instead of a stream: the same as its events.
    fn message(&mut self, message: &Value, out: &mut Vec<ModelEvent>) {
        for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
            let begin = json!({"index": index, "content_block": block});
            self.block_start(&begin, out);
            self.block_stop(&begin, out);
        }
        if self.end.is_none() {
            self.stopped(&message["stop_reason"]);
            self.count(&message["usage"], out);
            self.finish(Ok(()), out);
        }
    }

    /// The connection could not be made or broke. The result can be taken.
    pub fn lost(&mut self, reason: impl AsRef<str>) {
        if self.end.is_some() {
            return;
        }
        if self.stop.is_some() {
            // Nothing but the good-bye was lost.
            self.end = Some(Ok(()));
            return;
        }
        let fault = if self.head.status.is_none() || self.head.is_good() {
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
                let content = keep(blocks);
                let has_tools = content.iter().any(|block| block_type(block) == "tool_use");
                let stop = if self.wants_tools && !has_tools {
                    Stop::Other { word: TOOL_USE.to_owned() }
                } else {
                    stop
                };
                return Ok(Answer { content, stop, usage: self.usage });
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
        // Some servers say nothing to keep the line open, and some say good-bye in another protocol's word.
        if matches!(event.data.trim(), "" | "[DONE]") {
            return;
        }
        let Some((data, halves)) = Self::read(&event.data) else {
            // What it is called says that nothing is to be read in it.
            if !matches!(event.event.as_str(), "" | "message" | "error")
                && !OF_ANSWERS.contains(&event.event.as_str())
            {
                return;
            }
            let shown: String = event.data.chars().take(80).collect();
            self.fail(format!("The answer cannot be read: an event is no JSON: {shown:?}. Try again, or check the base URL."), false, out);
            return;
        };
        match data["type"].as_str().unwrap_or(&event.event) {
            "" if data["error"].is_object() => self.error(&data, out),
            "message_start" => self.count(&data["message"]["usage"], out),
            "content_block_start" => self.block_start(&data, out),
            "content_block_delta" => self.block_delta(&data, halves, out),
            "content_block_stop" => self.block_stop(&data, out),
            "message_delta" => {
                self.stopped(&data["delta"]["stop_reason"]);
                self.count(&data["usage"], out);
            }
            "message_stop" => self.finish(Ok(()), out),
            "error" => self.error(&data, out),
            _ => {}
        }
    }

    fn error(&mut self, data: &Value, out: &mut Vec<ModelEvent>) {
        let fault = self.head.fault_in_stream(data);
        self.finish(Err(fault), out);
    }

    /// Only what grows can make halves whole.
    fn read(text: &str) -> Option<(Value, Halves)> {
        let (data, halves) = parse_piece(text)?;
        let grows = matches!(
            data["delta"]["type"].as_str(),
            Some("text_delta" | "thinking_delta" | "input_json_delta")
        );
        if grows || halves == Halves::default() {
            Some((data, halves))
        } else {
            Some((parse(text)?, Halves::default()))
        }
    }

    fn stopped(&mut self, reason: &Value) {
        if let Some(word) = reason.as_str() {
            self.wants_tools = word == TOOL_USE;
            self.stop = Some(stop(word));
        }
    }

    fn block_stop(&mut self, data: &Value, out: &mut Vec<ModelEvent>) {
        if let Some((block, open)) = self.find(data) {
            open.done = true;
            let content = open.value();
            out.push(ModelEvent::BlockDone { block, content });
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
            half: None,
            done: false,
        });
        self.say(block, kind == "thinking", &text, out);
    }

    fn block_delta(&mut self, data: &Value, halves: Halves, out: &mut Vec<ModelEvent>) {
        let delta = &data["delta"];
        let piece = |name: &str| delta[name].as_str().unwrap_or_default();
        let kind = delta["type"].as_str().unwrap_or_default();
        // Words that belong to no block, or to one that cannot hold any, make a block of their own: they were said.
        let own = match kind {
            "text_delta" => Some("text"),
            "thinking_delta" => Some("thinking"),
            _ => None,
        };
        if let Some(own) = own
            && self.find(data).is_none_or(|(_, open)| open.kind() != own)
        {
            let begin = json!({"index": data["index"], "content_block": {"type": own}});
            self.block_start(&begin, out);
        }
        let Some((block, open)) = self.find(data) else { return };
        match kind {
            "text_delta" => {
                let text = open.joined(piece("text"), halves);
                self.say(block, false, &text, out);
            }
            "thinking_delta" => {
                let text = open.joined(piece("thinking"), halves);
                self.say(block, true, &text, out);
            }
            "input_json_delta" => {
                let text = open.joined(piece("partial_json"), halves);
                open.json.push_str(&text);
                if !text.is_empty() && open.kind() == "tool_use" {
                    out.push(ModelEvent::ToolArgsDelta { block, text });
                }
            }
            "signature_delta" if open.kind() == "thinking" => {
                open.fields.insert("signature".to_owned(), piece("signature").into());
            }
            "citations_delta" if open.kind() == "text" => {
                let citations = open.fields.entry("citations").or_insert(Value::Null);
                if let Value::Array(list) = citations {
                    list.push(delta["citation"].clone());
                } else {
                    *citations = Value::Array(vec![delta["citation"].clone()]);
                }
            }
            _ if fields_of(open.kind()).is_none() => open.take_unknown(delta),
            _ => {}
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

/// The events that an answer is made of.
const OF_ANSWERS: [&str; 6] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];
const TOO_LARGE: &str = "The answer is larger than this page can hold. Ask for something smaller.";
const TRUNCATED: &str = "The answer broke off before its end.";

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

#[cfg(test)]
mod tests;
