//! Whatever a model sends, the conversation goes on: the next request keeps the rules, as the product states
//! them and as they are stated once more in [`crate::api`].

use agent::conversation::Block;
use agent::event::{Command, ModelInput};
use agent::record::{Record, Trigger};
use agent::view::{RowKind, TurnView};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::rig::{Rig, head, text, tool};

#[test]
fn an_id_and_a_name_that_no_server_takes_back() {
    for (id, name) in [
        ("functions.shell:3", "bash"),
        ("call 1", "mysql -h 10.0.0.1 -u root; SELECT 1;"),
        ("ü", "functions.shell"),
        (&"i".repeat(300), &"n".repeat(300)),
    ] {
        let mut rig = Rig::new();
        rig.send_message("x");
        rig.answer(&[tool(id, name, json!({"wrong": true}))]);
        assert_eq!(rig.calls.len(), 2, "{id}: the result goes back");
        rig.answer(&[tool(id, name, json!({"wrong": true}))]);
        rig.answer(&[text("ok")]);
        rig.send_message("y");
        goes_on(&mut rig);
    }
}

#[test]
fn two_uses_of_one_id_are_two_commands_with_a_result_each() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "nothing", json!({"a": 1})), tool("t1", "bash", json!({"command": "ls"}))]);
    let task = rig.start("aaaa0001");
    rig.end(&task, shared::task::TaskState::Completed, "listed");
    let results = rig.last_message();
    assert_eq!((&results[0]["tool_use_id"], &results[1]["tool_use_id"]), (&json!("t1"), &json!("t1_2")));
    assert_eq!(results[1]["content"], "listed");
    goes_on(&mut rig);
}

/// Sessions that died of it go on too.
#[test]
fn a_log_that_was_written_with_such_ids_goes_on() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[text("Look."), tool("t1", "bash", json!({"x": 1})), tool("t2", "bash", json!({"x": 1}))]);
    rig.answer(&[text("ok")]);
    let raw = |value: &mut Value, key: &str| {
        if value[key].as_str().is_some_and(|id| id.starts_with('t')) {
            value[key] = "functions.shell:3".into();
        }
    };
    for entry in &mut rig.disk {
        match &mut entry.record {
            Record::ResponseReceived { content, .. } => {
                for block in content {
                    raw(block, "id");
                }
            }
            Record::RequestSent { append, cause: Trigger::Tools, .. } => {
                for block in append {
                    if let Block::ToolResult { id, .. } = block {
                        "functions.shell:3".clone_into(id);
                    }
                }
            }
            _ => {}
        }
    }
    rig.boot();
    rig.connect();
    rig.send_message("y");
    goes_on(&mut rig);
    let ids: Vec<Value> = rig.calls.last().unwrap().1["messages"][2]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["tool_use_id"].clone())
        .collect();
    assert_eq!(ids, ["functions_shell_3", "functions_shell_3_2"]);
}

/// Words that came for no block, or for one that holds none, were said all the same.
#[test]
fn text_without_a_block_is_kept() {
    for begun in [
        "",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"d\"}}\n\n",
    ] {
        let mut rig = Rig::new();
        rig.send_message("x");
        let call = rig.calls[0].0;
        let delta = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n";
        let end = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
        rig.model(call, head(200));
        rig.model(
            call,
            ModelInput::Data(format!("{begun}{delta}{}{end}", delta.replace("Hel", "lo")).into_bytes()),
        );
        let is_said =
            |row: &agent::view::Row| matches!(&row.kind, RowKind::Text { text, .. } if text == "Hello");
        assert!(rig.rows().iter().any(is_said), "{begun}: {:?}", rig.rows());
        rig.send_message("y");
        goes_on(&mut rig);
    }
}

/// What is no part of an answer need not be JSON.
#[test]
fn events_that_nobody_knows_are_passed_over() {
    for odd in ["event: ping\ndata: keepalive\n\n", "event: x-trace\ndata: {broken\n\n"] {
        let mut rig = Rig::new();
        rig.send_message("x");
        let call = rig.calls[0].0;
        let answer = crate::sim::model::stream(&[text("Hello")], "end_turn");
        rig.model(call, head(200));
        rig.model(call, ModelInput::Data(format!("{odd}{answer}").into_bytes()));
        rig.model(call, ModelInput::End);
        assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Idle, "{odd}");
    }
}

/// A server may refuse what it sent itself: taking back takes that back, too.
#[test]
fn an_answer_that_its_own_server_refuses_is_taken_back() {
    for odd in [
        json!({"type": "hologram", "x": 1}),
        json!({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}),
    ] {
        for blocks in [vec![odd.clone()], vec![text("See:"), odd]] {
            let mut rig = Rig::new();
            rig.send_message("x");
            rig.answer_and_stop(&blocks, "end_turn");
            rig.send_message("go on");
            let refused = |rig: &Rig| {
                rig.calls.last().unwrap().1["messages"].to_string().contains("hologram\"")
                    || rig.calls.last().unwrap().1["messages"].to_string().contains("server_tool_use")
            };
            assert!(refused(&rig));
            let call = rig.calls.last().unwrap().0;
            rig.model(call, head(400));
            rig.model(call, ModelInput::Data(b"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"unexpected tag\"}}".to_vec()));
            rig.model(call, ModelInput::End);
            rig.user(Command::TakeBack);
            rig.send_message("go on");
            assert!(!refused(&rig), "{:#}", rig.calls.last().unwrap().1);
            goes_on(&mut rig);
            rig.answer(&[text("ok")]);
        }
    }
}

/// What was read and has gone is said, also after a reload.
#[test]
fn an_answer_that_broke_off_and_is_asked_for_again_leaves_a_mark() {
    let notices = |rig: &Rig| -> Vec<String> {
        let rows = rig.rows().into_iter();
        rows.filter_map(|row| if let RowKind::Notice { text, .. } = row.kind { Some(text) } else { None })
            .collect()
    };
    let mut rig = Rig::new();
    rig.send_message("x");
    let begun = b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"Hel\"}}\n\n";
    for shows in [false, true] {
        let call = rig.calls.last().unwrap().0;
        rig.model(call, head(200));
        if shows {
            rig.model(call, ModelInput::Data(begun.to_vec()));
            assert!(rig.rows().iter().any(|row| matches!(row.kind, RowKind::Text { .. })));
        }
        rig.model(call, ModelInput::Lost { reason: "reset".to_owned() });
        assert!(!rig.rows().iter().any(|row| matches!(row.kind, RowKind::Text { .. })));
        assert_eq!(notices(&rig).len(), usize::from(shows), "{:?}", notices(&rig));
        rig.pass(2_000);
    }
    assert!(notices(&rig)[0].contains("taken back"), "{:?}", notices(&rig));
    rig.answer(&[text("Hello")]);
    let before = rig.rows();
    rig.boot();
    assert_eq!(rig.rows(), before);
}

/// What the newest request holds keeps the rules, and is the same after a reload.
#[track_caller]
fn goes_on(rig: &mut Rig) {
    let (_, body) = rig.calls.last().unwrap().clone();
    assert_eq!(crate::api::check(&body), Ok(()), "{body:#}");
    assert_eq!(crate::api::alternate(&body), Ok(()), "{body:#}");
    let call = rig.calls.last().unwrap().0;
    let rebuilt = agent::transcript::request_of_call(&rig.disk, call).map(|sent| sent.body);
    assert_eq!(rebuilt, Some(body), "as the log tells it");
}

#[cfg(not(target_arch = "wasm32"))]
mod property {
    use agent::settings::{Mode, Provider};
    use proptest::prelude::*;

    use super::*;
    use crate::rig::settings;

    const VALUES: [&str; 14] = [
        "",
        " ",
        "\u{1c}",
        "\u{a0}\n",
        "a",
        "t1",
        "t1_2",
        "functions.shell:3",
        "bash",
        "rm -rf /; ls",
        "é",
        "x.y",
        "x_y",
        "thinking",
    ];

    fn anything() -> impl Strategy<Value = Value> {
        prop_oneof![
            3 => prop::sample::select(VALUES.to_vec()).prop_map(Value::from),
            1 => Just(Value::Null),
            1 => Just(json!(7)),
            1 => Just(json!({})),
            1 => Just(json!({"command": "ls"})),
            1 => Just(json!(["x"])),
            1 => "[a-z.:]{120,140}".prop_map(Value::from),
        ]
    }

    fn block() -> impl Strategy<Value = Value> {
        let kinds = prop::sample::select(vec![
            "text",
            "text",
            "thinking",
            "redacted_thinking",
            "tool_use",
            "tool_use",
            "tool_use",
            "tool_result",
            "image",
            "odd",
            "",
        ]);
        let field =
            |name: &'static str| prop::option::weighted(0.8, anything()).prop_map(move |value| (name, value));
        let fields = (
            field("text"),
            field("thinking"),
            field("signature"),
            field("data"),
            field("id"),
            field("name"),
            field("input"),
            field("citations"),
        );
        (kinds, fields, prop::bool::weighted(0.1)).prop_map(|(kind, (a, b, c, d, e, f, g, h), marked)| {
            let mut block = json!({"type": kind});
            for (name, value) in [a, b, c, d, e, f, g, h] {
                if let Some(value) = value {
                    block[name] = value;
                }
            }
            if marked {
                block["cache_control"] = json!({"type": "ephemeral"});
            }
            block
        })
    }

    /// The events of a stream: of each block its beginning, what grows, and mostly its end.
    fn answer() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            ("text_delta", "text"),
            ("thinking_delta", "thinking"),
            ("signature_delta", "signature"),
            ("input_json_delta", "partial_json"),
            ("odd_delta", "id"),
            ("odd_delta", "confidence"),
            ("citations_delta", "citation"),
        ]);
        let grown = prop::collection::vec((piece, anything()), 0..3);
        let blocks = prop::collection::vec((block(), grown, prop::bool::weighted(0.8)), 0..5);
        let stops = prop::sample::select(vec!["end_turn", "tool_use", "max_tokens", "refusal", "odd"]);
        (blocks, prop::option::weighted(0.9, stops), prop::bool::weighted(0.9)).prop_map(
            |(blocks, stop, over)| {
                let mut events = vec![json!({"type": "message_start", "message": {}})];
                for (index, (block, grown, whole)) in blocks.into_iter().enumerate() {
                    events
                        .push(json!({"type": "content_block_start", "index": index, "content_block": block}));
                    for ((kind, name), value) in grown {
                        let delta = json!({"type": kind, name: value});
                        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
                    }
                    if whole {
                        events.push(json!({"type": "content_block_stop", "index": index}));
                    }
                }
                events.extend(
                    stop.map(|stop| json!({"type": "message_delta", "delta": {"stop_reason": stop}})),
                );
                events.extend(over.then(|| json!({"type": "message_stop"})));
                events
                    .iter()
                    .flat_map(|event| ["data: ".to_owned(), event.to_string(), "\n\n".to_owned()])
                    .collect()
            },
        )
    }

    /// One message in place of a stream.
    fn message() -> impl Strategy<Value = String> {
        let stops = prop::sample::select(vec!["end_turn", "tool_use", "max_tokens", "odd"]);
        (prop::collection::vec(block(), 0..5), stops).prop_map(|(blocks, stop)| {
            json!({"type": "message", "content": blocks, "stop_reason": stop}).to_string()
        })
    }

    fn cut() -> impl Strategy<Value = Option<prop::sample::Index>> {
        prop::option::weighted(0.3, any::<prop::sample::Index>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn any_answer_in_and_the_next_request_keeps_the_rules(
            answers in prop::collection::vec((prop_oneof![4 => answer(), 1 => message()], cut()), 1..4),
        ) {
            let mut settings = settings(Mode::Auto);
            // Signatures stay: every call is to one model.
            settings.model.provider = Provider::Direct;
            let mut rig = Rig::with(settings);
            for (body, cut) in answers {
                rig.send_message("go on");
                let call = rig.calls.last().unwrap().0;
                rig.model(call, head(200));
                let mut body = body.into_bytes();
                if let Some(cut) = cut {
                    body.truncate(cut.index(body.len() + 1));
                }
                rig.model(call, ModelInput::Data(body));
                rig.model(call, ModelInput::End);
                rig.user(Command::StopReply);
            }
            prop_assert_eq!(&rig.status.as_ref().unwrap().turn, &TurnView::Idle);
            rig.send_message("and now");
            goes_on(&mut rig);
        }
    }
}
