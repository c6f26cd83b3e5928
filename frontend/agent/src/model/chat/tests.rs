//! Streams as servers of many makes send them, cut at every byte, and requests.

use std::collections::BTreeMap;

use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::conversation::Raw;
use crate::model::answer::{ModelEvent, Outcome};
use crate::model::{Stop, Usage};

#[test]
fn text_and_its_cost() {
    let body = stream(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"lo é🙂"},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}}"#,
    ]);
    let (events, _) = check(&body, &json!([{"role": "assistant", "content": "Hello é🙂"}]), &Stop::End);
    let usage = Usage { input: 4, cache_read: 8, cache_write: 0, output: 3 };
    assert_eq!(
        events,
        [
            ModelEvent::TextDelta { block: 0, text: "Hel".to_owned() },
            ModelEvent::TextDelta { block: 0, text: "lo é🙂".to_owned() },
            ModelEvent::Usage(usage),
            ModelEvent::Done,
        ]
    );
}

/// The same two calls, as one server after the other tells them.
#[test]
fn calls_are_told_apart_by_index_or_id_or_place() {
    let piece = |piece: &str| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{piece}]}}}}]}}"#);
    let end = |reason: &str| format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
    let by_index = [
        piece(r#"{"index":0,"id":"a","type":"function","function":{"name":"bash","arguments":""}}"#),
        piece(r#"{"index":1,"id":"b","type":"function","function":{"name":"look","arguments":""}}"#),
        piece(r#"{"index":0,"function":{"arguments":"{\"command\":"}}"#),
        piece(r#"{"index":1,"function":{"arguments":"{}"}}"#),
        piece(r#"{"index":0,"function":{"arguments":"\"ls\"}"}}"#),
        end("tool_calls"),
    ];
    let one_index_for_all = [
        piece(r#"{"index":0,"id":"a","function":{"name":"bash","arguments":"{\"command\":\"ls\"}"}}"#),
        piece(r#"{"index":0,"id":"b","function":{"name":"look","arguments":"{}"}}"#),
        end("stop"),
    ];
    let whole_without_index = [
        piece(
            r#"{"id":"a","function":{"name":"bash","arguments":"{\"command\":\"ls\"}"}},{"id":"b","function":{"name":"look","arguments":"{}"}}"#,
        ),
        end("stop"),
        end("stop"),
    ];
    let arguments_as_an_object = [
        piece(r#"{"id":"a","function":{"name":"bash","arguments":{"command":"ls"}}}"#),
        piece(r#"{"id":"b","function":{"name":"look","arguments":{}}}"#),
        end("function_call"),
    ];
    let streams: [&[String]; 4] =
        [&by_index, &one_index_for_all, &whole_without_index, &arguments_as_an_object];
    for events in streams {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let (_, items) = play_all(&stream(&events), &Stop::End);
        assert_eq!(
            Chat.blocks(&Chat.fit(items, &mut BTreeSet::new())),
            [
                Block::ToolUse {
                    id: "a".to_owned(),
                    name: "bash".to_owned(),
                    input: json!({"command": "ls"})
                },
                Block::ToolUse { id: "b".to_owned(), name: "look".to_owned(), input: json!({}) },
            ],
            "{events:?}"
        );
    }
}

#[test]
fn a_call_without_an_id_gets_one_and_what_is_no_object_is_shown_to_the_model() {
    let body = stream(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"bash","arguments":"[1"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"ls -la","arguments":""}}]},"finish_reason":"stop"}]}"#,
    ]);
    let (_, items) = play_all(&body, &Stop::End);
    let fit = Chat.fit(items, &mut BTreeSet::from(["call".to_owned()]));
    assert_eq!(
        Chat.blocks(&fit),
        [
            Block::ToolUse {
                id: "call_2".to_owned(),
                name: "bash".to_owned(),
                input: json!({UNREADABLE: "[1"})
            },
            Block::ToolUse { id: "call_3".to_owned(), name: "ls_-la".to_owned(), input: json!({}) },
        ]
    );
    assert_eq!(
        Chat.fit(fit.clone(), &mut BTreeSet::from(["call".to_owned()])),
        fit,
        "what has the form stays"
    );
}

/// Whatever is missing: the name or the id may come later, a piece may say of nothing where it belongs, and a
/// new id is no new call by itself.
#[test]
fn pieces_of_calls_find_each_other() {
    let bare = [
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function"}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"z","function":{"name":"t","arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"u","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"fresh","function":{"arguments":"{\"k\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"2}"}}]},"finish_reason":"stop"}]}"#,
    ];
    let late = [
        &bare[..2],
        &[r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"t","arguments":"1}"}}]}}]}"#],
        &bare[3..],
    ]
    .concat();
    let (events, items) = play_all(&stream(&late), &Stop::End);
    assert_eq!(
        Chat.blocks(&items),
        [
            Block::ToolUse { id: "a".to_owned(), name: "t".to_owned(), input: json!({"x": 1}) },
            Block::ToolUse { id: "b".to_owned(), name: "u".to_owned(), input: json!({"k": 2}) },
        ]
    );
    let begun = events.iter().filter(|event| matches!(event, ModelEvent::ToolStart { .. })).count();
    assert_eq!(begun, 2);
}

#[test]
fn a_character_that_was_cut_in_two_is_whole() {
    let body = stream(&[
        r#"{"choices":[{"delta":{"content":"a\ud83d"}}]}"#,
        r#"{"choices":[{"delta":{"content":"\ude42b"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"t","arguments":"{\"x\":\"\ud83d"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"\ude42\"}"}}]},"finish_reason":"stop"}]}"#,
    ]);
    let (_, items) = play_all(&body, &Stop::End);
    assert_eq!(
        Chat.blocks(&items),
        [
            Block::text("a🙂b"),
            Block::ToolUse { id: "a".to_owned(), name: "t".to_owned(), input: json!({"x": "🙂"}) },
        ]
    );
}

/// An answer of text alone holds no list of calls: servers refuse one that is null or empty.
#[test]
fn what_is_not_there_is_not_sent() {
    let items = Chat.fit(vec![json!({"content": "hi", "tool_calls": null})], &mut BTreeSet::new());
    assert_eq!(items, [json!({"content": "hi", "role": "assistant"})]);
    let items = Chat.fit(vec![json!({"role": "assistant", "content": "hi"})], &mut BTreeSet::new());
    assert_eq!(items, [json!({"role": "assistant", "content": "hi"})]);
    let odd = json!({"role": "assistant", "content": "hi", "tool_calls": ["x"]});
    assert_eq!(Chat.fit(vec![odd], &mut BTreeSet::new()), items);
}

#[test]
fn too_many_calls_are_refused() {
    let piece = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"t","arguments":"{}"}}]}}]}"#;
    let (_, error) = play(&stream(&[piece; 300]), &[]).1.unwrap_err();
    assert!(error.message.contains("tools at once"), "{error:?}");
}

/// Some servers refuse a conversation in which it does not come back.
#[test]
fn what_stands_beside_the_text_goes_back_to_its_model_alone() {
    let body = stream(&[
        r#"{"choices":[{"delta":{"reasoning_content":"I kn","content":null}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"ow"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_details":[{"type":"r","text":"Le","index":0}]}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_details":[{"text":"t","signature":"S","index":0},{"n":2}],"content":"so"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"},"extra_content":{"s":1}}]},"finish_reason":"tool_calls"}]}"#,
    ]);
    let (events, items) = play_all(&body, &Stop::End);
    assert!(events.contains(&ModelEvent::ThinkingDelta { block: 0, text: "ow".to_owned() }));
    let items = Chat.fit(items, &mut BTreeSet::new());
    let call = json!({"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}});
    let mut own_call = call.clone();
    own_call["extra_content"] = json!({"s": 1});
    assert_eq!(
        items,
        [json!({"role": "assistant", "content": "so", "reasoning_content": "I know",
            "reasoning_details": [{"type": "r", "text": "Let", "index": 0, "signature": "S"}, {"n": 2}], "tool_calls": [own_call]})]
    );
    let turn = assistant_turn(Api::Chat, "m", items.clone());
    let turns = [Turn::user(vec![Block::text("x")]), turn];
    assert_eq!(body_of("m", &turns)["messages"][2], items[0]);
    assert_eq!(
        body_of("other", &turns)["messages"][2],
        json!({"role": "assistant", "content": "so", "tool_calls": [call]})
    );
}

#[test]
fn every_reason() {
    for (reason, stop) in [
        ("stop", Stop::End),
        ("length", Stop::MaxTokens),
        ("content_filter", Stop::Refusal),
        ("tool_calls", Stop::no_tool()),
        ("odd", Stop::Other { word: "odd".to_owned() }),
    ] {
        let last = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
        let body = stream(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#, &last]);
        play_all(&body, &stop);
    }
    let refused = stream(&[
        r#"{"choices":[{"delta":{"refusal":"No."}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
    ]);
    check(&refused, &json!([{"role": "assistant", "content": "No."}]), &Stop::Refusal);
}

#[test]
fn what_is_cut_off_keeps_its_text_and_no_half_of_a_call() {
    let events = [
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"x"}}]}}]}"#,
    ];
    let kept = [json!({"role": "assistant", "content": "a"})];
    let cut = events.map(|event| format!("data: {event}\n\n")).concat();
    let (partial, error) = play(&cut, &[]).1.unwrap_err();
    assert_eq!(partial.content, kept);
    assert!(partial.shown && error.retryable);
    let limit = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    check(&stream(&[events[0], events[1], limit]), &json!(kept), &Stop::MaxTokens);
}

#[test]
fn errors_in_the_stream() {
    for (given, status) in [
        (r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#, 429),
        (r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#, 503),
        (r#"{"object":"error","message":"no such model","code":404}"#, 404),
        (r#"{"error":"it broke"}"#, 500),
    ] {
        let body = stream(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#, given]);
        let (_, error) = play(&body, &[]).1.unwrap_err();
        assert_eq!(error.status, Some(status), "{given}: {error:?}");
    }
}

#[test]
fn one_answer_instead_of_a_stream() {
    let whole = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let answer = play(whole, &[]).1.unwrap();
    assert_eq!(answer.content, [json!({"role": "assistant", "content": "hi"})]);
    assert_eq!((answer.stop, answer.usage.output), (Stop::End, 2));
}

#[test]
fn a_request_to_the_byte() {
    let tools = json!([{"name": "t", "description": "d", "input_schema": {"type": "object"}}]);
    let items = vec![json!({"type": "thinking", "thinking": "hm", "signature": "s"})];
    let mut turn = assistant_turn(Api::Messages, "m", items);
    turn.blocks.push(Block::ToolUse { id: "a".to_owned(), name: "t".to_owned(), input: json!({"x": 1}) });
    let turns = [
        Turn::user(vec![Block::text("one"), Block::text("two")]),
        turn,
        Turn::user(vec![Block::result("a", "", true), Block::text("three")]),
    ];
    let request = Request { model: "m", system: "s", tools: &tools, turns: &turns, stream: true };
    assert_eq!(
        Chat.body(&request),
        concat!(
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"#,
            r#""tools":[{"type":"function","function":{"name":"t","description":"d","parameters":{"type":"object"}}}],"#,
            r#""messages":[{"role":"system","content":"s"},{"role":"user","content":"one\n\ntwo"},"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"t","arguments":"{\"x\":1}"}}]},"#,
            r#"{"role":"tool","tool_call_id":"a","content":"(no output)"},{"role":"user","content":"three"}]}"#,
        )
    );
}

fn stream(events: &[&str]) -> String {
    let events: Vec<String> =
        events.iter().map(|event| format!(": PROCESSING\n\ndata: {event}\n\n")).collect();
    events.concat() + "data: [DONE]\n\n"
}

fn play(body: &str, cuts: &[usize]) -> (Vec<ModelEvent>, Outcome) {
    let mut stream = Api::Chat.stream();
    stream.head(200, &BTreeMap::new());
    let mut events = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        events.extend(stream.data(&body.as_bytes()[from..cut]));
        from = cut;
    }
    events.extend(stream.end());
    (events, stream.result())
}

/// Plays a stream cut at every byte: it is the same each time.
#[track_caller]
fn play_all(body: &str, stop: &Stop) -> (Vec<ModelEvent>, Vec<Value>) {
    let (events, answer) = play(body, &[]);
    let answer = answer.unwrap();
    assert_eq!(answer.stop, *stop);
    for cut in 0..body.len() {
        assert_eq!(play(body, &[cut]), (events.clone(), Ok(answer.clone())), "cut at {cut}");
    }
    (events, answer.content)
}

#[track_caller]
fn check(body: &str, items: &Value, stop: &Stop) -> (Vec<ModelEvent>, Vec<Value>) {
    let (events, content) = play_all(body, stop);
    assert_eq!(Value::Array(content.clone()), *items);
    (events, content)
}

fn assistant_turn(api: Api, model: &str, items: Vec<Value>) -> Turn {
    let blocks = api.codec().blocks(&items);
    Turn { role: Role::Assistant, blocks, raw: Some(Raw { api, model: model.to_owned(), items }) }
}

fn body_of(model: &str, turns: &[Turn]) -> Value {
    let request = Request { model, system: "s", tools: &Value::Null, turns, stream: true };
    serde_json::from_str(&Chat.body(&request)).unwrap()
}
