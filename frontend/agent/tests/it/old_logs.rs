//! Logs as they were once written, which open for ever: nothing of them is lost, renamed or unknown. The
//! files in `tests/logs` are added to, and never edited.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::model::Api;
use agent::record::{Entry, Record};
use agent::settings::{Direct, Mode, ModelChoice, Provider, Settings};
use serde_json::Value;

use crate::rig::{Rig, settings};

const CHAT: &str = include_str!("../logs/chat-completions.jsonl");
const LOGS: [&str; 8] = [
    include_str!("../logs/allows-everything.jsonl"),
    include_str!("../logs/asks-again.jsonl"),
    CHAT,
    include_str!("../logs/missed.jsonl"),
    include_str!("../logs/queue.jsonl"),
    include_str!("../logs/refused.jsonl"),
    include_str!("../logs/shortened.jsonl"),
    include_str!("../logs/stopped.jsonl"),
];

/// Every entry is written again as it was read.
#[test]
fn every_old_entry_is_known_and_keeps_its_names() {
    for line in LOGS.iter().flat_map(|log| log.lines()) {
        let entry = Entry::parse(line).unwrap();
        assert!(entry.record != Record::Unknown, "{line}");
        let (old, new): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::to_value(&entry).unwrap());
        assert_eq!(new, old);
    }
}

/// It is shown, and goes on: what is said next is asked, or waits for what is under way.
#[test]
fn every_old_log_opens_and_goes_on() {
    for log in LOGS {
        let mut rig = Rig::new();
        rig.disk = log.lines().map(|line| Entry::parse(line).unwrap()).collect();
        rig.boot();
        assert!(rig.rows().len() > 1, "{log}");
        let known = rig.disk.len();
        rig.connect();
        rig.send_message("And now?");
        assert!(rig.disk.len() > known, "{log}");
    }
}

/// What a server of chat completions answered goes back to it as it came, with a result for each of its
/// calls.
#[test]
fn an_old_log_by_chat_completions_goes_on_with_its_server() {
    let model = ModelChoice { api: Api::Chat, ..ModelChoice::new(Provider::Direct, "qwen3:32b") };
    let mut settings = Settings { model, ..settings(Mode::Auto) };
    let server = Direct { has_key: false, base_url: "http://127.0.0.1:11434/v1".to_owned() };
    settings.set_direct(Api::Chat, server);
    let mut rig = Rig::with(settings);
    rig.disk = CHAT.lines().map(|line| Entry::parse(line).unwrap()).collect();
    let first = rig.disk.iter().find_map(|entry| match &entry.record {
        Record::ResponseReceived { content, .. } => Some(content[0].clone()),
        _ => None,
    });
    rig.boot();
    rig.connect();
    rig.send_message("And now?");
    let messages = rig.calls.last().unwrap().1["messages"].as_array().unwrap();
    assert_eq!(Some(&messages[2]), first.as_ref());
    let answered: Vec<_> = messages[3..6].iter().map(|message| message["tool_call_id"].as_str()).collect();
    assert_eq!(answered, [Some("call_k3"), Some("call_k4"), Some("call_k5")]);
    assert!(messages[4]["content"].as_str().unwrap().contains("I still need it"), "{}", messages[4]);
    let texts: Vec<_> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
    assert!(!texts.contains(&"Then leave it"), "what was taken back stays away");
}
