//! A second vendor: the same loop by chat completions, and a conversation that goes from one API to the other
//! and back.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::event::ModelInput;
use agent::model::Api;
use agent::record::{Entry, Record};
use agent::settings::{Direct, Mode, ModelChoice, Provider, Settings};
use agent::view::{RowKind, TurnView};
use serde_json::{Value, json};
use shared::task::TaskState;

use crate::rig::{Rig, head, settings, text, tool};

fn chat(model: &str) -> ModelChoice {
    ModelChoice { api: Api::Chat, ..ModelChoice::new(Provider::Direct, model) }
}

fn chatting() -> Settings {
    let mut settings = Settings { model: chat("local"), ..settings(Mode::Auto) };
    settings
        .set_direct(Api::Chat, Direct { has_key: false, base_url: "http://127.0.0.1:11434/v1".to_owned() });
    settings
}

/// The model answers with words and calls, in two pieces each.
fn answer(rig: &mut Rig, text: &str, calls: &[(&str, &str, Value)]) {
    let call = rig.calls.last().unwrap().0;
    let mut events = Vec::new();
    let halves = |text: &str| {
        let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
        [text[..middle].to_owned(), text[middle..].to_owned()]
    };
    for half in halves(text) {
        events.push(json!({"choices": [{"index": 0, "delta": {"content": half}, "finish_reason": null}]}));
    }
    for (index, (id, name, input)) in calls.iter().enumerate() {
        let [first, second] = halves(&input.to_string());
        events.push(
            json!({"choices": [{"delta": {"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": first}}]}}]}),
        );
        events.push(json!({"choices": [{"delta": {"tool_calls": [{"index": index,
            "function": {"arguments": second}}]}}]}));
    }
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    events.push(json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    events.push(json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}));
    let events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let body = events.concat();
    rig.model(call, head(200));
    rig.model(call, ModelInput::Data((body + "data: [DONE]\n\n").into_bytes()));
    rig.model(call, ModelInput::End);
}

/// L1 to L7 by another API: a tool, a task in the background, its completion in the next call by itself.
#[test]
fn the_loop_goes_round() {
    let mut rig = Rig::with(chatting());
    rig.send_message("Build it");
    assert_eq!(rig.calls[0].1["tools"][0]["type"], "function");
    answer(
        &mut rig,
        "I begin.",
        &[
            ("a", "background_run", json!({"command": "make"})),
            ("b", "background_run", json!({"command": "make docs"})),
        ],
    );
    let task = rig.start("00000001");
    rig.start("00000002");
    let results: Vec<Value> = rig.calls.last().unwrap().1["messages"].as_array().unwrap()[3..].to_vec();
    assert_eq!((&results[0]["tool_call_id"], &results[1]["tool_call_id"]), (&json!("a"), &json!("b")));
    answer(&mut rig, "I wait.", &[]);
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Idle);
    rig.end(&task, TaskState::Completed, "built\n");
    rig.pass(1_000);
    let last = rig.calls.last().unwrap().1["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["role"], "user");
    assert!(last["content"].as_str().unwrap().starts_with("<background-results"), "{last}");
    answer(&mut rig, "It is built.", &[]);
    let spent = rig.agent.session().spent;
    assert_eq!((spent.input, spent.output, spent.dollars), (21, 6, None), "its price is not known");
    let before = rig.rows();
    rig.boot();
    assert_eq!(rig.rows(), before, "a reload shows the same");
}

/// A person changes the model while tools have run, twice; each server gets a conversation that keeps its
/// rules, and its own answers as they were.
#[test]
fn a_conversation_goes_from_one_api_to_the_other_and_back() {
    let mut rig = Rig::with(settings(Mode::Auto));
    rig.send_message("one");
    let own = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    rig.answer(&[own.clone(), text("Look."), tool("t1", "bash", json!({"x": 1}))]);
    rig.answer(&[text("First.")]);
    choose(&mut rig, chat("local"));
    rig.send_message("two");
    let messages = rig.calls.last().unwrap().1["messages"].clone();
    assert_eq!(messages[2]["tool_calls"][0]["id"], "t1");
    assert!(!messages.to_string().contains("hm"), "what another model thought is not told: {messages}");
    answer(&mut rig, "Second.", &[("c1", "bash", json!({"x": 1}))]);
    answer(&mut rig, "Second, done.", &[]);
    choose(&mut rig, ModelChoice::new(Provider::Demo, ""));
    rig.send_message("three");
    let messages = rig.calls.last().unwrap().1["messages"].clone();
    assert_eq!(messages[1]["content"][0], own, "its own comes back to the byte");
    assert!(messages.to_string().contains(r#""id":"c1""#), "{messages}");
    rig.answer(&[text("Third.")]);
    let lines: Vec<String> = rig.disk.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    assert!(lines.iter().any(|line| line.contains(r#""api":"chat""#)));
    rig.disk = lines.iter().map(|line| Entry::parse(line).unwrap()).collect();
    rig.boot();
    rig.connect();
    rig.send_message("four");
    assert_eq!(rig.calls.last().unwrap().1["messages"][1]["content"][0], own);
}

#[test]
fn a_model_without_a_name_is_asked_for_with_a_sentence() {
    let mut rig = Rig::with(Settings { model: chat(" "), ..chatting() });
    rig.send_message("hello");
    assert!(rig.calls.is_empty());
    let asks = |row: &agent::view::Row| matches!(&row.kind, RowKind::Notice { text, retry: true, .. } if text.contains("Name one in the settings"));
    assert!(rig.rows().iter().any(asks), "{:?}", rig.rows());
    assert!(matches!(rig.disk.last().unwrap().record, Record::CallFailed { retry_at: None, .. }));
    choose(&mut rig, chat("local"));
    rig.user(agent::event::Command::Retry);
    answer(&mut rig, "Hello.", &[]);
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Idle);
}

fn choose(rig: &mut Rig, model: ModelChoice) {
    rig.settings.model = model;
    let settings = rig.settings.clone();
    rig.send(agent::Event::Settings(settings));
}
