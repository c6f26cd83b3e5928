//! What commands print, for models and for people, and what a model's server streams.

use agent::model::Api;
use agent::model::sse::Parser;
use shared::output::{Bytes, OutputSlice};
use std::collections::BTreeMap;

use crate::choice;
use crate::terminal::Screen;

/// Text for a model holds no control characters but line ends and tabs, and is text already if it is cleaned
/// again.
pub(crate) fn model(bytes: &[u8]) {
    let text = runner::fuzzing::clean(bytes);
    assert!(is_sanitized(&text), "{text:?}");
    assert_eq!(runner::fuzzing::clean(text.as_bytes()), text);
}

/// In whatever pieces it comes, the page shows the same, and nothing that acts.
pub(crate) fn page(bytes: &[u8]) {
    let (step, rest) = choice(bytes);
    let show = |step: usize| {
        let mut screen = Screen::default();
        let mut from = 0;
        for piece in rest.chunks(step.max(1)) {
            let total = from + piece.len() as u64;
            screen.take_in(&OutputSlice {
                from,
                data: Bytes(piece.to_vec()),
                total,
                omitted_from: 0,
                omitted_to: 0,
            });
            from = total;
        }
        screen.text()
    };
    let text = show(step);
    assert_eq!(text, show(usize::MAX));
    assert!(is_sanitized(&text), "{text:?}");
}

fn is_sanitized(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && character != '\n' && character != '\t')
}

pub(crate) fn output_seeds() -> Vec<Vec<u8>> {
    [
        "\x03plain\nlines\r\nand\ttabs\n",
        "\x0110%\r50%\r100%\n\x1b[2K\x1b[1A\x1b[31mred\x1b[0m\x1b[38;2;1;2;3mtrue\x1b[38;5;200mcolour\x1b[4:3m\n",
        "\x02\x1b]0;title\x07\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;aGk=\x07\x1bP$q\x1b\\\x1b[6n\x08\x08",
        "\x05über ⚙ 日本語 \u{200d}\u{85}\u{9b}31m",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([b"\x01\xff\xfe\xc3\xe2\x82\xf0\x9f\x9b31m\x90".to_vec()])
    .collect()
}

/// In whatever pieces a stream comes, it is read as the same, and comes to a result.
pub(crate) fn stream(bytes: &[u8]) {
    let (step, rest) = choice(bytes);
    let events = |step: usize| {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in rest.chunks(step.max(1)) {
            events.extend(parser.push(piece).unwrap_or_default());
        }
        events.extend(parser.finish());
        format!("{events:?}")
    };
    assert_eq!(events(step), events(usize::MAX));
    let read = |step: usize| {
        let mut stream = Api::Messages.stream();
        stream.head(200, &BTreeMap::new());
        for piece in rest.chunks(step.max(1)) {
            stream.data(piece);
        }
        stream.end();
        format!("{:?}", stream.result())
    };
    assert_eq!(read(step), read(usize::MAX));
}

pub(crate) fn stream_seeds() -> Vec<Vec<u8>> {
    let stream = concat!(
        "\x07event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"bash\",\"input\":{}}}\r\n\r\n",
        "event: content_block_delta\rdata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\r\r",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":5}}\n\n",
        ": a comment\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    vec![
        stream.as_bytes().to_vec(),
        b"\x01event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n".to_vec(),
    ]
}
