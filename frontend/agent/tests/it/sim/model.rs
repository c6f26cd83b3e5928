//! A model that does what chance says, and a check of every request it gets.

use std::collections::BTreeSet;

use agent::model::rules;
use serde_json::{Value, json};

use super::chance::Chance;

/// How the commands and files of tool uses begin that must never be carried out: half ones, and those of answers that did not mean them.
pub(crate) const FORBIDDEN: &str = "forbidden";

/// Reads a request, checks it against the message rules, and draws an answer as the bytes of a stream.
pub(crate) fn answer(body: &str, call: u64, chance: &mut Chance, calm: bool) -> Answer {
    let body: Value = serde_json::from_str(body).unwrap();
    if let Err(broken) = rules::check(&body) {
        panic!("the request of call {call} breaks a rule: {broken}\n{body:#}");
    }
    if !calm && chance.one_in(8) {
        return Answer::Status([429, 500, 529, 400][usize::try_from(chance.below(4)).unwrap()]);
    }
    let mut blocks = Vec::new();
    if chance.one_in(3) {
        blocks.push(json!({"type": "text", "text": "Some words."}));
    }
    let wants = if calm { 0 } else { chance.below(4) };
    let stop = match chance.below(16) {
        0 if !calm => "refusal",
        1 | 2 if !calm => "max_tokens",
        3 if !calm => "pause_turn",
        4 if !calm => "bored",
        _ if wants > 0 => "tool_use",
        _ => "end_turn",
    };
    let known = known_tasks(&body);
    // What must never be carried out bears a name that says so.
    let kind = if matches!(stop, "refusal" | "bored") { FORBIDDEN } else { "work" };
    for index in 0..wants {
        let (name, input) = tool(kind, call, index, &known, chance);
        blocks.push(
            json!({"type": "tool_use", "id": format!("toolu_{call}_{index}"), "name": name, "input": input}),
        );
    }
    if stop == "max_tokens" && chance.one_in(2) {
        let half = format!("{{\"command\": \"{FORBIDDEN}-{call}");
        blocks.push(
            json!({"type": "tool_use", "id": format!("toolu_{call}_half"), "name": "bash", "half": half}),
        );
    }
    if stop == "pause_turn" && chance.one_in(2) {
        let id = format!("srvtoolu_{call}");
        blocks.push(json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}}));
    }
    let bytes = stream(&blocks, stop).into_bytes();
    let cut = (!calm && chance.one_in(8)).then(|| usize::try_from(chance.below(bytes.len() as u64)).unwrap());
    Answer::Stream { bytes, cut }
}

pub(crate) enum Answer {
    Status(u16),
    Stream { bytes: Vec<u8>, cut: Option<usize> },
}

fn tool(kind: &str, call: u64, index: u64, known: &[String], chance: &mut Chance) -> (&'static str, Value) {
    let command = format!("{kind}-{call}-{index}");
    let some_task = known.get(usize::try_from(chance.below(known.len().max(1) as u64)).unwrap()).cloned();
    match chance.below(9) {
        0 | 1 => ("bash", json!({"command": command})),
        2..=4 => ("background_run", json!({"command": command})),
        5 => ("write_file", json!({"path": command, "content": "x"})),
        6 => ("check_background", some_task.map_or_else(|| json!({}), |task| json!({"task_id": task}))),
        7 => ("stop_background", json!({"task_id": some_task.unwrap_or_else(|| "ffffffff".to_owned())})),
        _ => ("bash", json!({"wrong": true})),
    }
}

fn known_tasks(body: &Value) -> Vec<String> {
    let text = body.to_string();
    let mut known = BTreeSet::new();
    for piece in text.split("Background task ").skip(1) {
        if let Some(id) = piece.get(..8).filter(|id| id.chars().all(|char| char.is_ascii_hexdigit())) {
            known.insert(id.to_owned());
        }
    }
    known.into_iter().collect()
}

pub(crate) fn stream(blocks: &[Value], stop: &str) -> String {
    let mut text = String::new();
    let mut event = |value: Value| {
        let name = value["type"].as_str().unwrap().to_owned();
        text.push_str(&format!("event: {name}\ndata: {value}\n\n"));
    };
    event(
        json!({"type": "message_start", "message": {"id": "msg", "type": "message", "role": "assistant", "content": [],
        "model": "m", "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 1}}}),
    );
    for (index, block) in blocks.iter().enumerate() {
        let (start, delta) = if block["type"] == "text" {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
        } else {
            let arguments = block["half"].as_str().map_or_else(|| block["input"].to_string(), str::to_owned);
            let start = json!({"type": block["type"], "id": block["id"], "name": block["name"], "input": {}});
            (start, json!({"type": "input_json_delta", "partial_json": arguments}))
        };
        event(json!({"type": "content_block_start", "index": index, "content_block": start}));
        event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        if block["half"].is_null() {
            event(json!({"type": "content_block_stop", "index": index}));
        }
    }
    event(
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 5}}),
    );
    event(json!({"type": "message_stop"}));
    text
}
