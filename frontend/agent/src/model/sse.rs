//! Server-sent events from bytes that come cut anywhere.
//!
//! [`Parser::push`] takes a piece of the body and gives the events that it completes; [`Parser::finish`]
//! gives the one that the end of the body completes, since many servers leave out the last blank line. Lines
//! end with LF, CR or CRLF, a byte-order mark at the start and comments are passed over, and bytes that are
//! no UTF-8 are replaced. What waits for its end is bounded.

/// The most bytes that one event may take.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; empty if it has none.
    pub event: String,
    /// Its data; the lines are joined by `\n`.
    pub data: String,
}

/// An event is larger than the bound. The parser gives nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an event of more than {MAX_EVENT_BYTES} bytes")]
pub struct TooLarge;

/// What was read of the event that is not complete yet.
#[derive(Clone, Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    at_start: bool,
    after_cr: bool,
    dead: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT_BYTES)
    }
}

impl Parser {
    /// A parser that bears events of up to `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Vec::new(),
            data: Vec::new(),
            has_data: false,
            at_start: true,
            after_cr: false,
            dead: false,
        }
    }

    /// Takes a piece of the body.
    ///
    /// # Errors
    /// If an event grows beyond the bound; events that were complete before it are lost with it.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<SseEvent>, TooLarge> {
        let mut events = Vec::new();
        while !self.dead && !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if self.line.len() + self.data.len() + self.event.len() > self.limit {
                self.dead = true;
                return Err(TooLarge);
            }
            let Some(end) = end else { break };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// The body ended: gives the event that only lacked its blank line.
    pub fn finish(&mut self) -> Option<SseEvent> {
        if self.dead {
            return None;
        }
        self.dead = true;
        if !self.line.is_empty() {
            let _ = self.end_line();
        }
        self.end_event()
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let mut rest = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
        }
        if rest.is_empty() {
            return self.end_event();
        }
        let (field, value) = match rest.iter().position(|byte| *byte == b':') {
            Some(colon) => (&rest[..colon], &rest[colon + 1..]),
            None => (rest, &rest[..0]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.event = value.to_vec(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| SseEvent { event: text(event), data: text(data) })
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn fields_comments_and_line_ends() {
        for end in ["\n", "\r\n", "\r"] {
            let body =
                "\u{feff}event: a\n: note\ndata: 1\ndata:2\nid: 7\n\ndata\n\nevent: none\n\ndata:  x: é\n\n"
                    .replace('\n', end);
            check(body.as_bytes(), &[("a", "1\n2"), ("", ""), ("", " x: é")]);
        }
    }

    #[test]
    fn the_end_of_the_body_completes_an_event() {
        check(b"event: a\ndata: 1", &[("a", "1")]);
        check(b"event: a\ndata: 1\n", &[("a", "1")]);
        check(b"event: a\ndata: 1\r", &[("a", "1")]);
        check(b"event: a", &[]);
        check(b"", &[]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        check(b"data: a\xFFb\n\n", &[("", "a\u{fffd}b")]);
    }

    #[test]
    fn an_event_beyond_the_bound_is_an_error_and_the_end() {
        let mut parser = Parser::with_limit(16);
        assert_eq!(parser.push(b"data: 12345\n\n").unwrap().len(), 1);
        assert_eq!(parser.push(b"data: 1\ndata: 2\ndata: 123456789012345"), Err(TooLarge));
        assert_eq!(parser.push(b"\n\ndata: 1\n\n"), Ok(Vec::new()));
        assert_eq!(parser.finish(), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn cuts_change_nothing(
            pieces in proptest::collection::vec("(data|event|id|)[: ]{0,2}[a-zé\u{feff}]{0,3}(\n|\r|\r\n){0,3}", 0..12),
            cuts in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 0..6),
        ) {
            let body = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            proptest::prop_assert_eq!(parse(&body, &cuts), parse(&body, &[]));
        }

        #[test]
        fn what_is_written_is_read(
            events in proptest::collection::vec(("[a-z_]{0,5}", "[ -~é\n]{0,20}"), 0..6),
        ) {
            let body: String = events
                .iter()
                .flat_map(|(name, data)| [format!("event: {name}\ndata: "), data.replace('\n', "\ndata: "), "\n\n".to_owned()])
                .collect();
            let expected: Vec<_> =
                events.into_iter().map(|(event, data)| SseEvent { event, data }).collect();
            proptest::prop_assert_eq!(parse(body.as_bytes(), &[]), expected);
        }

        #[test]
        fn nothing_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            parse(&body, &[]);
        }
    }

    #[track_caller]
    fn check(body: &[u8], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(event, data)| SseEvent { event: (*event).to_owned(), data: (*data).to_owned() })
            .collect();
        for first in 0..=body.len() {
            for second in first..=body.len() {
                assert_eq!(parse(body, &[first, second]), expected, "cut at {first} and {second}");
            }
        }
    }

    fn parse(body: &[u8], cuts: &[usize]) -> Vec<SseEvent> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([body.len()]) {
            events.extend(parser.push(&body[from..to]).unwrap());
            from = to;
        }
        events.extend(parser.finish());
        events
    }
}
