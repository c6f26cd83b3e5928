//! A model that does what chance says. What it asks for depends on nothing but when it is asked: no two
//! answers are alike, also not two to the same call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::chance::Chance;

/// How the commands and files of tool uses begin that must never be carried out: half ones, and those of
/// answers that did not mean them.
pub(crate) const FORBIDDEN: &str = "forbidden";

pub(crate) struct Model {
    /// How many tool uses it ever made.
    made: u64,
    /// What it asked for, and how often.
    pub(crate) asked: BTreeMap<String, u32>,
    /// Whether its ids are only unique within an answer, as those of some servers are.
    weak_ids: bool,
    /// Where the next answer is cut, if that is not left to chance.
    pub(crate) cut_next: Option<Cut>,
}

/// Where an answer ends too early, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: usize,
    /// Whether the connection breaks, instead of ending as if nothing were wrong.
    pub(crate) breaks: bool,
}

pub(crate) enum Answer {
    Status { status: u16, retry_after: Option<u32> },
    Stream { bytes: Vec<u8>, ending: Ending },
}

pub(crate) enum Ending {
    /// Whole.
    Good,
    /// Cut off here.
    Cut(Cut),
    /// From here on nothing comes, and nobody says so.
    Silence(usize),
}

impl Model {
    pub(crate) const fn new(weak_ids: bool) -> Self {
        Self { made: 0, asked: BTreeMap::new(), weak_ids, cut_next: None }
    }

    /// Draws an answer as the bytes of a stream.
    pub(crate) fn answer(&mut self, body: &Value, chance: &mut Chance, calm: bool) -> Answer {
        if !calm && chance.one_in(8) {
            let status = [429, 500, 529, 400][chance.index(4)];
            let retry_after = [None, None, Some(0), Some(2), Some(30)][chance.index(5)];
            return Answer::Status { status, retry_after };
        }
        let mut blocks = Vec::new();
        if chance.one_in(4) {
            blocks.push(json!({"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}));
        }
        if chance.one_in(3) {
            blocks.push(json!({"type": "text", "text": "Some words."}));
        }
        let forced = self.cut_next.is_some();
        let wants = if forced {
            2
        } else if calm {
            0
        } else {
            chance.below(4)
        };
        let stop = match chance.below(16) {
            0 if !calm => "refusal",
            1 | 2 if !calm => "max_tokens",
            3 | 4 if !calm => "pause_turn",
            5 if !calm => "bored",
            _ if wants > 0 => "tool_use",
            _ => "end_turn",
        };
        let known = known_tasks(body);
        // What must never be carried out bears a name that says so.
        let meant = !matches!(stop, "refusal" | "bored");
        for index in 0..wants {
            let (name, input) = self.tool(meant, &known, chance);
            let id = self.id(index);
            blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
        }
        if stop == "max_tokens" && chance.one_in(2) {
            self.made += 1;
            let half = format!("{{\"command\": \"{FORBIDDEN}-{}", self.made);
            let id = self.id(wants);
            blocks.push(json!({"type": "tool_use", "id": id, "name": "bash", "half": half}));
        }
        if stop == "pause_turn" {
            let id = format!("srvtoolu_{}", self.made);
            blocks.push(json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}}));
        }
        let bytes = stream(&blocks, stop).into_bytes();
        let some = |chance: &mut Chance| chance.index(bytes.len() as u64);
        let ending = match self.cut_next.take() {
            Some(cut) => Ending::Cut(Cut { at: cut.at.min(bytes.len()), ..cut }),
            None if !calm && chance.one_in(8) => {
                Ending::Cut(Cut { at: some(chance), breaks: chance.one_in(2) })
            }
            None if !calm && chance.one_in(40) => Ending::Silence(some(chance)),
            None => Ending::Good,
        };
        Answer::Stream { bytes, ending }
    }

    fn id(&self, index: u64) -> String {
        if self.weak_ids { format!("call_{index}") } else { format!("toolu_{}_{index}", self.made) }
    }

    /// A command or a path that was never there before, or now and then one that was.
    fn name(&mut self, meant: bool, chance: &mut Chance) -> String {
        let before = self.asked.keys().nth(chance.index(self.asked.len().max(1) as u64)).cloned();
        let again = before.filter(|_| meant && chance.one_in(10));
        self.made += 1;
        let kind = if !meant {
            FORBIDDEN
        } else if chance.one_in(4) {
            "echo work"
        } else {
            "work"
        };
        let name = again.unwrap_or_else(|| format!("{kind}-{}", self.made));
        if meant {
            *self.asked.entry(name.clone()).or_default() += 1;
        }
        name
    }

    fn tool(&mut self, meant: bool, known: &[String], chance: &mut Chance) -> (&'static str, Value) {
        let some_task = known.get(chance.index(known.len().max(1) as u64)).cloned();
        match chance.below(9) {
            0 | 1 => ("bash", json!({"command": self.name(meant, chance)})),
            2..=4 => ("background_run", json!({"command": self.name(meant, chance)})),
            5 => ("write_file", json!({"path": self.name(meant, chance), "content": "x"})),
            6 => ("check_background", some_task.map_or_else(|| json!({}), |task| json!({"task_id": task}))),
            7 => ("stop_background", json!({"task_id": some_task.unwrap_or_else(|| "ffffffff".to_owned())})),
            _ => ("bash", json!({"wrong": true})),
        }
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
        let (start, deltas) = match block["type"].as_str().unwrap() {
            "text" => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": block["text"]})],
            ),
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ],
            ),
            _ => {
                let arguments =
                    block["half"].as_str().map_or_else(|| block["input"].to_string(), str::to_owned);
                let start =
                    json!({"type": block["type"], "id": block["id"], "name": block["name"], "input": {}});
                (start, vec![json!({"type": "input_json_delta", "partial_json": arguments})])
            }
        };
        event(json!({"type": "content_block_start", "index": index, "content_block": start}));
        for delta in deltas {
            event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
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
