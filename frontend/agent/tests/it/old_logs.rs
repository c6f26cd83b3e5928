//! Logs as they were once written, which open for ever: nothing of them is lost, renamed or unknown. The files in
//! `tests/logs` are added to, and never edited.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::record::{Entry, Record};
use serde_json::Value;

use crate::rig::Rig;

const LOGS: [&str; 7] = [
    include_str!("../logs/allows-everything.jsonl"),
    include_str!("../logs/asks-again.jsonl"),
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
