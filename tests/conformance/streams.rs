//! The SDK's own recorded streams, read by our parser however they are cut, against what the SDK makes of the
//! same bytes.
//!
//! Every block that the stream closes must be, to the letter, what the SDK accumulated. What enters the
//! conversation may differ in three ways only, each checked here: blank text is left out, a tool use that
//! `max_tokens` cut off is left out, and arguments that are no JSON, which the SDK refuses, are kept as the
//! text that they are.

use agent::model::answer::Outcome;
use agent::model::{Api, ModelEvent, Stop};
use e2e::stage::play;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::{Case, node};

pub(crate) const CASES: &[Case] = &[Case { name: "recorded streams, cut anywhere", run: recorded }];

/// How many random sets of cuts each stream gets.
const SETS: u64 = 300;

struct Known {
    name: String,
    bytes: Vec<u8>,
    result: Value,
}

fn recorded() -> String {
    let all = known();
    assert!(all.len() >= 16, "only {} streams were found", all.len());
    let mut cuts = 0;
    for stream in &all {
        let whole = read(&[&stream.bytes]);
        compare(stream, &whole);
        for at in 1..stream.bytes.len() {
            let (one, two) = stream.bytes.split_at(at);
            same(stream, &whole, &[one, two], at);
            cuts += 1;
        }
        for seed in 0..SETS {
            same(stream, &whole, &pieces(&stream.bytes, seed), seed);
            cuts += 1;
        }
        same(stream, &whole, &stream.bytes.chunks(1).collect::<Vec<_>>(), "every byte");
        cuts += 1;
    }
    format!(
        "{} streams read as the SDK reads them, and the same in {cuts} cuts ({SETS} seeded sets of cuts each, all others at one place)",
        all.len()
    )
}

fn known() -> Vec<Known> {
    let folder = node::streams();
    let results = play(async {
        node::script("known.mjs", "", &[("CONFORMANCE_STREAMS", folder.clone().into_os_string())]).await
    });
    let Value::Object(results) = results else { panic!("no object: {results}") };
    let known = |(name, result): (String, Value)| {
        let bytes = std::fs::read(folder.join(&name)).expect("the SDK has just read it");
        Known { name, bytes, result }
    };
    results.into_iter().map(known).collect()
}

/// The stream as it is parsed from these pieces.
fn read(pieces: &[&[u8]]) -> (Vec<ModelEvent>, Outcome) {
    let mut stream = Api::Messages.stream();
    let kind = ("content-type".to_owned(), "text/event-stream".to_owned());
    stream.head(200, &BTreeMap::from([kind]));
    let mut events = Vec::new();
    for piece in pieces {
        events.extend(stream.data(piece));
    }
    events.extend(stream.end());
    (events, stream.result())
}

fn same(stream: &Known, whole: &(Vec<ModelEvent>, Outcome), pieces: &[&[u8]], cut: impl std::fmt::Display) {
    assert_eq!(&read(pieces), whole, "{}, cut {cut}", stream.name);
}

/// Up to 24 cuts, by a seed.
fn pieces(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).expect("it is small")).expect("it was one")
    };
    let mut places: Vec<usize> = (0..2 + next(23)).map(|_| next(bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Holds what we read against what the SDK read.
fn compare(stream: &Known, (events, outcome): &(Vec<ModelEvent>, Outcome)) {
    let Known { name, result, .. } = stream;
    let answer =
        outcome.as_ref().unwrap_or_else(|error| panic!("{name} is whole, and was not read: {error:?}"));
    let mut done: BTreeMap<usize, &Value> = BTreeMap::new();
    for event in events {
        if let ModelEvent::BlockDone { block, content } = event {
            assert!(done.insert(*block, content).is_none(), "{name}: block {block} was done twice");
        }
    }
    if let Some(text) = result["refused"].as_str() {
        let (_, raw) = text.split_once("JSON: ").unwrap_or_else(|| panic!("{name}: {text}"));
        let input = answer.content.last().map(|block| &block["input"]);
        assert_eq!(input, Some(&json!({ "unreadable": raw })), "{name}: arguments that are no JSON are kept");
        return;
    }
    let theirs = result["content"].as_array().unwrap_or_else(|| panic!("{name}: no content in {result}"));
    let closed: Vec<usize> = serde_json::from_value(result["closed"].clone()).expect("they are indices");
    assert_eq!(done.keys().copied().collect::<Vec<_>>(), closed, "{name}: the blocks that were closed");
    for (index, ours) in &done {
        assert_eq!(*ours, &theirs[*index], "{name}: block {index}");
    }
    for (index, open) in theirs.iter().enumerate().filter(|(index, _)| !closed.contains(index)) {
        let cut_off = result["stop_reason"] == "max_tokens" && open["type"] == "tool_use";
        assert!(cut_off, "{name}: block {index} was left open: {open}");
    }
    let kept = closed.iter().map(|index| theirs[*index].clone()).collect();
    let kept = Api::Messages.codec().fit(kept, &mut BTreeSet::new());
    assert_eq!(answer.content, kept, "{name}: what enters the conversation");
    assert_eq!(answer.stop, stop(name, &result["stop_reason"]), "{name}: the stop reason");
    let usage = &result["usage"];
    let count = |field: &str| usage[field].as_u64().unwrap_or_default();
    let ours = answer.usage;
    assert_eq!(
        [ours.input, ours.cache_read, ours.cache_write, ours.output],
        ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"]
            .map(count),
        "{name}: the usage"
    );
}

fn stop(name: &str, word: &Value) -> Stop {
    match word.as_str().unwrap_or_else(|| panic!("{name} has no stop reason")) {
        "end_turn" | "tool_use" | "stop_sequence" => Stop::End,
        "max_tokens" => Stop::MaxTokens,
        "refusal" => Stop::Refusal,
        other => panic!("{name}: the stop reason {other} is new here"),
    }
}
