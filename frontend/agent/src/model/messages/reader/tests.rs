//! Streams as servers send them, cut at every byte.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::model::answer::{Answer, Outcome, Partial};
use crate::model::{Api, ModelError, Stream};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn text_and_usage() {
    let body = stream(&[
        start(),
        r#"{"type":"ping"}"#.to_owned(),
        block(0, r#"{"type":"text","text":""}"#),
        delta(0, r#"{"type":"text_delta","text":"Hel"}"#),
        r#"{"type":"brand_new","x":1}"#.to_owned(),
        delta(0, r#"{"type":"text_delta","text":"lo é🙂"}"#),
        delta(0, r#"{"type":"citations_delta","citation":{"n":1}}"#),
        delta(0, r#"{"type":"citations_delta","citation":{"n":2}}"#),
        stopped(0),
        message_delta("end_turn", 12),
        END.to_owned(),
    ]);
    check(
        &body,
        &json!([{"type": "text", "text": "Hello é🙂", "citations": [{"n": 1}, {"n": 2}]}]),
        &Stop::End,
    );
    let (events, result) = play(&body, &[]);
    let usage = Usage { input: 5, cache_read: 7, cache_write: 3, output: 12 };
    assert_eq!(
        events[..3],
        [
            ModelEvent::Usage(Usage { output: 1, ..usage }),
            ModelEvent::TextDelta { block: 0, text: "Hel".to_owned() },
            ModelEvent::TextDelta { block: 0, text: "lo é🙂".to_owned() },
        ]
    );
    assert_eq!(events[4..], [ModelEvent::Usage(usage), ModelEvent::Done]);
    assert_eq!(result.unwrap().usage, usage);
}

#[test]
fn interleaved_tools_and_thinking() {
    let body = stream(&[
        start(),
        block(0, r#"{"type":"thinking","thinking":"","signature":""}"#),
        delta(0, r#"{"type":"thinking_delta","thinking":"hm"}"#),
        delta(0, r#"{"type":"signature_delta","signature":"one"}"#),
        delta(0, r#"{"type":"signature_delta","signature":"two"}"#),
        stopped(0),
        block(1, r#"{"type":"tool_use","id":"t1","name":"bash","input":{},"caller":{"type":"direct"}}"#),
        block(2, r#"{"type":"tool_use","id":"t2","name":"check_background","input":{}}"#),
        delta(1, r#"{"type":"input_json_delta","partial_json":""}"#),
        delta(2, r#"{"type":"input_json_delta","partial_json":""}"#),
        delta(1, r#"{"type":"input_json_delta","partial_json":"{\"command\": \"ec"}"#),
        stopped(2),
        delta(1, r#"{"type":"input_json_delta","partial_json":"ho \\ud83d\\ude42\"}"}"#),
        stopped(1),
        message_delta("tool_use", 1),
        END.to_owned(),
    ]);
    let expected = json!([
        {"type": "thinking", "thinking": "hm", "signature": "two"},
        {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "echo 🙂"}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "t2", "name": "check_background", "input": {}},
    ]);
    check(&body, &expected, &Stop::End);
    let (events, _) = play(&body, &[]);
    let done: Vec<_> = events
        .iter()
        .filter_map(|event| {
            if let ModelEvent::BlockDone { block, content } = event { Some((*block, content)) } else { None }
        })
        .collect();
    assert_eq!(done, [(0, &expected[0]), (2, &expected[2]), (1, &expected[1])]);
    assert!(events.contains(&ModelEvent::ToolStart {
        block: 1,
        id: "t1".to_owned(),
        name: "bash".to_owned()
    }));
}

#[test]
fn unknown_blocks_and_reasons_are_kept_and_fields_that_known_blocks_cannot_have_are_not() {
    let body = stream(&[
        start(),
        block(0, r#"{"type":"odd","a":"x","deep":{"b":[1.5]}}"#),
        delta(0, r#"{"type":"odd_delta","a":"y","c":true}"#),
        stopped(0),
        block(1, r#"{"type":"server_tool_use","id":"s1","name":"web","input":{}}"#),
        delta(1, r#"{"type":"input_json_delta","partial_json":"{\"q\":1}"}"#),
        stopped(1),
        block(2, r#"{"type":"text","text":"ok","later":1}"#),
        stopped(2),
        message_delta("bored", 1),
        END.to_owned(),
    ]);
    check(
        &body,
        &json!([
            {"type": "odd", "a": "xy", "deep": {"b": [1.5]}, "c": true},
            {"type": "server_tool_use", "id": "s1", "name": "web", "input": {"q": 1}},
            {"type": "text", "text": "ok"},
        ]),
        &Stop::Other { word: "bored".to_owned() },
    );
}

#[test]
fn a_tool_cut_off_at_the_limit_goes() {
    let cut = |more: &[String]| {
        let mut events = vec![
            start(),
            block(0, r#"{"type":"text","text":"a"}"#),
            stopped(0),
            block(1, r#"{"type":"tool_use","id":"t1","name":"bash","input":{}}"#),
            delta(1, r#"{"type":"input_json_delta","partial_json":"{\"comm"}"#),
        ];
        events.extend(more.iter().cloned());
        events.extend([message_delta("max_tokens", 9), END.to_owned()]);
        stream(&events)
    };
    let expected = json!([{"type": "text", "text": "a"}]);
    check(&cut(&[]), &expected, &Stop::MaxTokens);
    check(&cut(&[stopped(1)]), &expected, &Stop::MaxTokens);
}

#[test]
fn arguments_that_are_no_object_are_shown_to_the_model() {
    let body = stream(&[
        start(),
        block(0, r#"{"type":"tool_use","id":"t1","name":"bash","input":{}}"#),
        delta(0, r#"{"type":"input_json_delta","partial_json":"[1"}"#),
        stopped(0),
        message_delta("tool_use", 9),
        END.to_owned(),
    ]);
    check(
        &body,
        &json!([{"type": "tool_use", "id": "t1", "name": "bash", "input": {"unreadable": "[1"}}]),
        &Stop::End,
    );
}

#[test]
fn every_stop_reason() {
    for (word, expected) in [
        ("end_turn", Stop::End),
        ("stop_sequence", Stop::End),
        ("pause_turn", Stop::Pause),
        ("refusal", Stop::Refusal),
        ("model_context_window_exceeded", Stop::ContextFull),
    ] {
        let body = stream(&[start(), message_delta(word, 1), END.to_owned()]);
        check(&body, &json!([]), &expected);
    }
}

#[test]
fn the_last_blank_line_may_be_missing() {
    let body = stream(&[start(), block(0, r#"{"type":"text","text":"a"}"#), stopped(0), END.to_owned()]);
    check(body.trim_end(), &json!([{"type": "text", "text": "a"}]), &Stop::End);
}

#[test]
fn without_a_reason_and_a_good_bye_it_is_truncated() {
    let body = stream(&[
        start(),
        block(0, r#"{"type":"thinking","thinking":"","signature":""}"#),
        delta(0, r#"{"type":"thinking_delta","thinking":"hm"}"#),
        block(1, r#"{"type":"text","text":""}"#),
        delta(1, r#"{"type":"text_delta","text":"Hel"}"#),
        block(2, r#"{"type":"tool_use","id":"t1","name":"bash","input":{}}"#),
        stopped(2),
        block(3, r#"{"type":"text","text":""}"#),
        block(4, r#"{"type":"tool_use","id":"t2","name":"bash","input":{}}"#),
        delta(4, r#"{"type":"input_json_delta","partial_json":"{}"}"#),
        r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":9}}"#.to_owned(),
    ]);
    let (partial, error) = failed(&body);
    assert_eq!(
        partial.content,
        [
            json!({"type": "text", "text": "Hel"}),
            json!({"type": "tool_use", "id": "t1", "name": "bash", "input": {}})
        ]
    );
    assert!(partial.shown);
    assert_eq!(partial.usage.output, 9);
    assert!(error.retryable);
    assert_eq!(error.request_id.as_deref(), Some("req_7"));

    let (partial, error) = failed("");
    assert_eq!(partial, Partial::default());
    assert!(error.retryable);
}

#[test]
fn an_error_in_mid_stream() {
    for (kind, retryable, status) in [
        ("overloaded_error", true, 529),
        ("api_error", true, 500),
        ("rate_limit_error", true, 429),
        ("invalid_request_error", false, 400),
    ] {
        let error = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"Sorry"}}}}"#);
        let body = stream(&[
            start(),
            block(0, r#"{"type":"text","text":"a"}"#),
            error,
            message_delta("end_turn", 1),
            END.to_owned(),
        ]);
        let (partial, error) = failed(&body);
        assert_eq!(partial.content, [json!({"type": "text", "text": "a"})]);
        assert_eq!((error.retryable, error.status), (retryable, Some(status)), "{kind}");
        assert!(error.message.contains("Sorry."), "{}", error.message);
    }
}

#[test]
fn a_lost_connection() {
    let mut stream = opened(200, "text/event-stream");
    stream.data(stream_text().as_bytes());
    stream.lost("reset by peer");
    stream.lost("again");
    assert_eq!(stream.data(b"data: {}\n\n"), []);
    let (partial, error) = stream.result().unwrap_err();
    assert!(partial.shown && error.retryable && error.message.contains("reset by peer"));

    let mut stream = Api::Messages.stream();
    stream.lost("no network");
    let (partial, error) = stream.result().unwrap_err();
    assert!(!partial.shown && error.retryable && error.status.is_none());
}

#[test]
fn after_message_stop_nothing_can_go_wrong() {
    let mut stream = opened(200, "text/event-stream; charset=utf-8");
    let events = stream.data((stream_text() + "data: " + END + "\n\ndata: garbage\n\n").as_bytes());
    assert_eq!(events.iter().filter(|event| **event == ModelEvent::Done).count(), 1);
    stream.lost("reset");
    assert_eq!(stream.end(), []);
    assert!(stream.result().is_ok());
}

#[test]
fn a_call_that_is_stopped_keeps_its_text() {
    let mut stream = opened(200, "text/event-stream");
    stream.data(stream_text().as_bytes());
    assert_eq!(stream.result().unwrap_err().0.content, [json!({"type": "text", "text": "a"})]);
}

#[test]
fn other_statuses_and_kinds_of_content() {
    let mut stream = opened(529, "application/json");
    assert_eq!(stream.data(br#"{"type":"error","error":{"type":"overloaded_error","#), []);
    assert_eq!(stream.data(br#""message":"Overloaded"}}"#), []);
    assert_eq!(stream.end(), [ModelEvent::Done]);
    let (partial, error) = stream.result().unwrap_err();
    assert!(!partial.shown && error.retryable && error.message.contains("Overloaded."));
    assert_eq!(error.request_id.as_deref(), Some("req_7"));

    let mut stream = opened(200, "text/html");
    stream.data(&vec![b'x'; 1_000_000]);
    stream.end();
    assert!(!stream.result().unwrap_err().1.retryable);

    let mut stream = opened(401, "text/plain");
    stream.lost("reset");
    assert_eq!(stream.result().unwrap_err().1.status, Some(401));
}

#[test]
fn bytes_that_cannot_be_read() {
    assert!(!failed("data: {oops\n\n").1.retryable);
    let nameless = stream(&[start(), block(0, r#"{"type":"tool_use","id":null,"name":"x"}"#)]);
    assert!(failed(&nameless).1.message.contains("no id"));
    let mut stream = opened(200, "text/event-stream");
    let piece = vec![b':'; 1 << 20];
    let events: Vec<_> = (0..17).flat_map(|_| stream.data(&piece)).collect();
    assert_eq!(events, [ModelEvent::Done]);
    assert!(stream.result().unwrap_err().1.message.contains("more than"));
}

#[test]
fn halves_of_a_character_in_two_pieces() {
    let pieces = |kind: &str, name: &str, pieces: &[&str]| -> Vec<String> {
        pieces.iter().map(|piece| delta(0, &format!(r#"{{"type":"{kind}","{name}":"{piece}"}}"#))).collect()
    };
    let play = |begin: &str, deltas: &[String]| {
        let events = [start(), block(0, begin)].into_iter().chain(deltas.iter().cloned());
        let events: Vec<String> =
            events.chain([stopped(0), message_delta("end_turn", 1), END.to_owned()]).collect();
        stream(&events)
    };
    let text =
        |written: &[&str]| play(r#"{"type":"text","text":""}"#, &pieces("text_delta", "text", written));
    for (written, read) in [
        (&[r"a\ud83d", r"\ude00b"][..], "a😀b"),
        (&[r"\ud83d", r"\ude00"], "😀"),
        (&[r"\ud83d", "", r"\ude00"], "😀"),
        (&["a", r"\ude00b"], "a\u{fffd}b"),
        (&[r"a\ud83d", "b"], "a\u{fffd}b"),
        (&[r"a\ud83d"], "a\u{fffd}"),
    ] {
        check(&text(written), &json!([{"type": "text", "text": read}]), &Stop::End);
    }
    let arguments =
        pieces("input_json_delta", "partial_json", &[r#"{\"command\": \"\ud83d"#, r#"\ude00\"}"#]);
    check(
        &play(r#"{"type":"tool_use","id":"t","name":"bash","input":{}}"#, &arguments),
        &json!([{"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "😀"}}]),
        &Stop::End,
    );
}

#[test]
fn an_answer_with_its_reason_is_whole_without_its_good_bye() {
    let text = [start(), block(0, r#"{"type":"text","text":"a"}"#), stopped(0), message_delta("end_turn", 1)];
    let content = json!([{"type": "text", "text": "a"}]);
    check(&stream(&text), &content, &Stop::End);
    check(&(stream(&text) + "data: [DONE]\n\n"), &content, &Stop::End);
    check(stream(&text).trim_end(), &content, &Stop::End);
    let mut stream_of = opened(200, "text/event-stream");
    stream_of.data(stream(&text).as_bytes());
    stream_of.lost("reset");
    assert_eq!(stream_of.result().unwrap().stop, Stop::End);
}

#[test]
fn a_tool_without_an_end_is_read() {
    let of = |json: &str| {
        stream(&[
            start(),
            block(0, r#"{"type":"tool_use","id":"t","name":"bash","input":{}}"#),
            delta(0, &format!(r#"{{"type":"input_json_delta","partial_json":"{json}"}}"#)),
            message_delta("tool_use", 1),
            END.to_owned(),
        ])
    };
    let tool = |input: Value| json!([{"type": "tool_use", "id": "t", "name": "bash", "input": input}]);
    check(&of(r#"{\"command\": \"ls\"}"#), &tool(json!({"command": "ls"})), &Stop::End);
    check(&of(r#"{\"comm"#), &tool(json!({"unreadable": "{\"comm"})), &Stop::End);
}

#[test]
fn a_wish_for_tools_without_one_is_reported() {
    let of = |more: &[String]| {
        let mut events = vec![start(), block(0, r#"{"type":"text","text":"a"}"#), stopped(0)];
        events.extend(more.iter().cloned());
        events.extend([message_delta("tool_use", 1), END.to_owned()]);
        stream(&events)
    };
    let text = json!({"type": "text", "text": "a"});
    check(&of(&[]), &json!([text]), &Stop::Other { word: "tool_use".to_owned() });
    let tool = block(1, r#"{"type":"tool_use","id":"t","name":"x","input":{}}"#);
    let used = json!([text, {"type": "tool_use", "id": "t", "name": "x", "input": {}}]);
    check(&of(&[tool]), &used, &Stop::End);
}

#[test]
fn an_end_in_mid_event_is_a_cut() {
    let whole = stream(&[start(), block(0, r#"{"type":"text","text":"a"}"#)]);
    let half = r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_del"#;
    for end in [half, "data: {", "dat", "event: x\ndata: {\"a\"", "data: \"\\ud83d"] {
        let (partial, error) = failed(&(whole.clone() + end));
        assert!(error.retryable, "{end}: {}", error.message);
        assert_eq!(partial.content, [json!({"type": "text", "text": "a"})]);
    }
}

#[test]
fn what_holds_nothing_is_passed_over() {
    let body = stream(&[start(), block(0, r#"{"type":"text","text":"a"}"#), stopped(0)])
        + "data:\n\ndata\n\ndata: \n\n: note\n\nevent: ping\ndata:\n\n"
        + &stream(&[message_delta("end_turn", 1), END.to_owned()]);
    check(&body, &json!([{"type": "text", "text": "a"}]), &Stop::End);
}

#[test]
fn kinds_of_content_in_any_case_and_missing() {
    let body = stream(&[start(), block(0, r#"{"type":"text","text":"a"}"#), stopped(0), END.to_owned()]);
    for kind in ["Text/Event-Stream", "TEXT/EVENT-STREAM; Charset=UTF-8", "text/event-stream"] {
        let mut stream = opened(200, kind);
        stream.data(body.as_bytes());
        assert!(stream.result().is_ok(), "{kind}");
    }
    let mut stream = Api::Messages.stream();
    stream.head(200, &BTreeMap::default());
    stream.data(body.as_bytes());
    assert!(stream.result().is_ok(), "no kind at all");
}

#[test]
fn one_message_instead_of_a_stream() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "é"},
        {"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "ls"}},
    ]);
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 9},
    });
    for kind in ["application/json", "text/event-stream"] {
        for body in [message.to_string(), format!("\n  {message:#}\n")] {
            for cut in 0..=body.len() {
                let mut stream = opened(200, kind);
                let mut events = stream.data(&body.as_bytes()[..cut]);
                events.extend(stream.data(&body.as_bytes()[cut..]));
                events.extend(stream.end());
                assert_eq!(events.iter().filter(|event| **event == ModelEvent::Done).count(), 1);
                assert!(events.contains(&ModelEvent::TextDelta { block: 1, text: "é".to_owned() }));
                let answer = stream.result().unwrap();
                assert_eq!(Value::from(answer.content), content);
                assert_eq!((answer.stop, answer.usage.output), (Stop::End, 9));
            }
        }
    }
}

#[test]
fn one_json_value_that_is_no_message() {
    let error = |body: &str| {
        let mut stream = opened(200, "application/json");
        stream.data(body.as_bytes());
        assert_eq!(stream.end(), [ModelEvent::Done]);
        stream.result().unwrap_err().1
    };
    let overloaded = error(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
    assert!(overloaded.retryable && overloaded.message.contains("Overloaded."), "{}", overloaded.message);
    assert!(!error(r#"{"error":{"type":"invalid_request_error","message":"no"}}"#).retryable);
    let cut = error(r#"{"type":"message","content":[{"type":"te"#);
    assert!(cut.retryable && cut.message.contains("broke off"), "{}", cut.message);
    let odd = error(r#"{"choices":[]}"#);
    assert!(!odd.retryable && odd.message.contains("base URL"), "{}", odd.message);

    let mut stream = opened(200, "application/json");
    let piece = vec![b'{'; 1 << 20];
    let events: Vec<_> = (0..17).flat_map(|_| stream.data(&piece)).collect();
    assert_eq!(events, [ModelEvent::Done]);
    assert!(stream.result().unwrap_err().1.message.contains("smaller"));
}

#[test]
fn an_error_without_its_kind_of_event() {
    let body = "data: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"Sorry\"}}\n\n";
    let (_, error) = failed(body);
    assert!(error.retryable && error.message.contains("Sorry."));
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn nothing_panics(text in r#"(\\|u|d83d|de42|é|"|x){0,12}"#) {
        let mut stream = opened(200, "text/event-stream");
        stream.data(format!("data: {text}\n\n").as_bytes());
    }

    /// Whatever the bytes are, an end comes, once, and cuts change nothing.
    #[test]
    fn any_bytes_have_an_end(
        status in proptest::sample::select(vec![200_u16, 200, 200, 204, 400, 529]),
        kind in proptest::sample::select(vec!["text/event-stream", "application/json", "Text/Plain", ""]),
        body in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..8),
        cut in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        let body = body.concat().into_bytes();
        let play = |cut: usize| {
            let mut stream = opened(status, kind);
            let mut events = stream.data(&body[..cut]);
            events.extend(stream.data(&body[cut..]));
            events.extend(stream.end());
            (events, stream.result())
        };
        let whole = play(body.len());
        proptest::prop_assert_eq!(whole.0.iter().filter(|event| **event == ModelEvent::Done).count(), 1);
        proptest::prop_assert_eq!(whole.0.last(), Some(&ModelEvent::Done));
        proptest::prop_assert_eq!(play(cut.index(body.len() + 1)), whole);
    }
}

#[cfg(not(target_arch = "wasm32"))]
const PIECES: [&str; 16] = [
    "data: ",
    "data:\n\n",
    "\n\n",
    "\r",
    " ",
    "{",
    "}",
    "x",
    "\u{feff}",
    r#"{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}"#,
    r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud83d\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
];

const END: &str = r#"{"type":"message_stop"}"#;

fn stream_text() -> String {
    stream(&[start(), block(0, r#"{"type":"text","text":"a"}"#)])
}

fn start() -> String {
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":5,"cache_creation_input_tokens":3,"cache_read_input_tokens":7,"output_tokens":1}}}"#.to_owned()
}

fn block(index: usize, block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
}

fn delta(index: usize, delta: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
}

fn stopped(index: usize) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

fn message_delta(reason: &str, output: u32) -> String {
    format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"input_tokens":null,"output_tokens":{output}}}}}"#
    )
}

fn stream(events: &[String]) -> String {
    let named = |data: &String| {
        let name = parse(data).unwrap()["type"].as_str().unwrap().to_owned();
        [
            "event: ".to_owned(),
            name,
            "
data: "
                .to_owned(),
            data.clone(),
            "

"
            .to_owned(),
        ]
    };
    events.iter().flat_map(named).collect()
}

fn opened(status: u16, kind: &str) -> Stream {
    let mut stream = Api::Messages.stream();
    let headers = [("content-type", kind), ("request-id", "req_7")];
    stream.head(status, &headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    stream
}

fn play(body: &str, cuts: &[usize]) -> (Vec<ModelEvent>, Outcome) {
    let mut stream = opened(200, "text/event-stream");
    let (mut events, mut from) = (Vec::new(), 0);
    for to in cuts.iter().copied().chain([body.len()]) {
        events.extend(stream.data(&body.as_bytes()[from..to]));
        from = to;
    }
    events.extend(stream.end());
    (events, stream.result())
}

/// Plays the stream whole, cut at every byte, and cut in pieces of every small length.
#[track_caller]
fn check(body: &str, content: &Value, stop: &Stop) {
    let whole = play(body, &[]);
    let Answer { content: got, stop: why, .. } = whole.1.as_ref().unwrap();
    assert_eq!(&Value::from(got.clone()), content);
    assert_eq!(why, stop);
    for cut in 0..=body.len() {
        assert_eq!(play(body, &[cut]), whole, "cut at {cut}");
    }
    for length in 1..12 {
        let cuts: Vec<usize> = (0..body.len()).step_by(length).collect();
        assert_eq!(play(body, &cuts), whole, "cut in pieces of {length}");
    }
}

fn failed(body: &str) -> (Partial, ModelError) {
    let (events, result) = play(body, &[]);
    assert_eq!(events.last(), Some(&ModelEvent::Done));
    for cut in 0..=body.len() {
        assert_eq!(play(body, &[cut]).1, result, "cut at {cut}");
    }
    result.unwrap_err()
}
