//! A call's answer as it comes: bytes in, neutral events and one result out.
//!
//! [`Stream::head`] comes first, then [`Stream::data`] as the body comes, then [`Stream::end`] or
//! [`Stream::lost`]. After [`ModelEvent::Done`], or when the call is broken off, [`Stream::result`] says what
//! came of it. What the events mean the API's reader knows. An answer without its good-bye is whole if it
//! gave the reason of its end, and truncated otherwise, however complete it looks. A server that answers with
//! one JSON value instead of a stream is read too.

use shared::Timestamp;
use std::collections::BTreeMap;

use super::ModelError;
use super::answer::{Answer, ModelEvent, Outcome, Partial};
use super::codec::{Reader, Step};
use super::error::{self, Form, Head};
use super::sse::{MAX_EVENT_BYTES, Parser, SseEvent};
use super::surrogates::parse;

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes that are kept of an answer that is no stream.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const TOO_LARGE: &str = "The answer is larger than this page can hold. Ask for something smaller.";
const TRUNCATED: &str = "The answer broke off before its end.";

/// A call's answer as it comes.
#[derive(Debug)]
pub struct Stream {
    head: Head,
    form: Form,
    sse: Parser,
    body: Vec<u8>,
    bytes: usize,
    reader: Box<dyn Reader>,
    shown: bool,
    end: Option<Result<(), ModelError>>,
}

impl Stream {
    /// Before anything came.
    #[must_use]
    pub fn new(reader: Box<dyn Reader>) -> Self {
        Self {
            head: Head::default(),
            form: Form::default(),
            sse: Parser::default(),
            body: Vec::new(),
            bytes: 0,
            reader,
            shown: false,
            end: None,
        }
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
            && (event.data.trim() == "[DONE]" || parse(&event.data).is_some())
        {
            self.event(&event, &mut events);
        }
        if self.end.is_none() && self.reader.is_answered() {
            self.finish(Ok(()), &mut events);
        }
        if self.end.is_none() {
            self.fail(TRUNCATED.to_owned(), true, &mut events);
        }
        events
    }

    /// A body that is no stream ended: one answer, an error, or something else.
    fn whole(&mut self, events: &mut Vec<ModelEvent>) {
        let body = std::mem::take(&mut self.body);
        let value = if self.head.is_good() { parse(&String::from_utf8_lossy(&body)) } else { None };
        match value {
            Some(value) => match self.reader.whole(&value, events) {
                Some(step) => {
                    self.shown |= events.iter().any(is_shown);
                    self.step(step, events);
                }
                None if value["error"]["type"].is_string() || value["error"]["code"].is_number() => {
                    self.step(Step::Error(value), events);
                }
                None => self.finish(Err(self.head.error(&body)), events),
            },
            None if self.form == Form::Json => self.fail(TRUNCATED.to_owned(), true, events),
            None => self.finish(Err(self.head.error(&body)), events),
        }
    }

    /// The connection could not be made or broke. The result can be taken.
    pub fn lost(&mut self, reason: impl AsRef<str>) {
        if self.end.is_some() {
            return;
        }
        if self.reader.is_answered() {
            // Nothing but the good-bye was lost.
            self.end = Some(Ok(()));
            return;
        }
        let error = if self.head.status.is_none() || self.head.is_good() {
            ModelError { status: self.head.status, ..error::lost(reason.as_ref()) }
        } else {
            self.head.error(&self.body)
        };
        self.end = Some(Err(error));
    }

    /// The call was not made, and it is no use to ask again. The result can be taken.
    pub fn refused(&mut self, reason: &str) {
        self.end.get_or_insert_with(|| Err(error::refused(reason)));
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
        let usage = self.reader.usage();
        let error = match self.end {
            Some(Ok(())) => {
                let content = self.reader.items(false);
                let stop = self.reader.stop(&content);
                return Ok(Answer { content, stop, usage });
            }
            Some(Err(error)) => error,
            None => error::broken(&self.head, TRUNCATED.to_owned(), true),
        };
        Err((Partial { content: self.reader.items(true), usage, shown: self.shown }, error))
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<ModelEvent>) {
        if self.end.is_some() {
            return;
        }
        // Some servers say nothing to keep the line open.
        if !event.data.trim().is_empty() {
            let mut new = Vec::new();
            let step = self.reader.event(&event.event, &event.data, &mut new);
            self.shown |= new.iter().any(is_shown);
            out.append(&mut new);
            self.step(step, out);
        }
    }

    fn step(&mut self, step: Step, out: &mut Vec<ModelEvent>) {
        match step {
            Step::More => {}
            Step::End => self.finish(Ok(()), out),
            Step::Error(value) => {
                let error = self.head.error_in_stream(&value);
                self.finish(Err(error), out);
            }
            Step::Unreadable(why) => self.fail(
                format!("The answer cannot be read: {why}. Try again, or check the base URL."),
                false,
                out,
            ),
        }
    }

    fn fail(&mut self, message: String, retryable: bool, out: &mut Vec<ModelEvent>) {
        let error = error::broken(&self.head, message, retryable);
        self.finish(Err(error), out);
    }

    fn finish(&mut self, end: Result<(), ModelError>, out: &mut Vec<ModelEvent>) {
        self.end = Some(end);
        out.push(ModelEvent::Done);
    }
}

/// Whether a person has seen something of the answer.
const fn is_shown(event: &ModelEvent) -> bool {
    matches!(
        event,
        ModelEvent::TextDelta { .. } | ModelEvent::ThinkingDelta { .. } | ModelEvent::ToolStart { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Api;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_no_answer_is_held_up_to_a_bound() {
        for api in Api::ALL {
            let mut stream = api.stream();
            stream.head(200, &BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]));
            stream.data(&vec![b'x'; 1_000_000]);
            assert!(stream.body.len() <= MAX_ERROR_BYTES);
            stream.end();
            assert!(!stream.result().unwrap_err().1.retryable);
        }
    }

    /// Whatever comes and however it is cut, a call has one end.
    #[cfg(not(target_arch = "wasm32"))]
    mod property {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn any_bytes_have_one_end(pieces in prop::collection::vec(prop_oneof![
                Just(b"data: ".to_vec()), Just(b"\n\n".to_vec()), Just(b"[DONE]".to_vec()),
                Just(br#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#.to_vec()),
                Just(br#"{"choices":[{"delta":{"tool_calls":[{"index":3,"id":null,"function":null}]}}]}"#.to_vec()),
                Just(br#"{"type":"content_block_start","content_block":{"type":"text"}}"#.to_vec()),
                prop::collection::vec(any::<u8>(), 0..20),
            ], 0..30)) {
                for api in Api::ALL {
                    let mut stream = api.stream();
                    stream.head(200, &BTreeMap::new());
                    let mut events: Vec<ModelEvent> = pieces.iter().flat_map(|piece| stream.data(piece)).collect();
                    events.extend(stream.end());
                    events.extend(stream.end());
                    prop_assert_eq!(events.iter().filter(|event| **event == ModelEvent::Done).count(), 1);
                    let mut ids = std::collections::BTreeSet::new();
                    let items = match stream.result() { Ok(answer) => answer.content, Err((partial, _)) => partial.content };
                    let fit = api.codec().fit(items, &mut ids);
                    prop_assert_eq!(api.codec().fit(fit.clone(), &mut std::collections::BTreeSet::new()), fit);
                }
            }
        }
    }
}
