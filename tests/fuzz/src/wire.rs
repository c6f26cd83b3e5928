//! Frames of the socket, frames between runner and agent, exit files, entries of a session's log.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::proof::{ClientProof, RunnerProof};
use shared::protocol::{ClientFrame, ServerFrame};

use crate::choice;

/// What can be read can be written, and reads the same again.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    if let Ok(value) = serde_json::from_str::<T>(text) {
        let written = serde_json::to_string(&value).unwrap();
        let again: T = serde_json::from_str(&written).expect("what was written can be read");
        assert_eq!(again, value);
    }
}

pub(crate) fn frames(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        survives::<ClientFrame>(text);
        survives::<ServerFrame>(text);
        survives::<ClientProof>(text);
        survives::<RunnerProof>(text);
    }
}

pub(crate) fn frame_seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/frames");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Both ends of the wire, and in whatever pieces it comes.
pub(crate) fn agent(bytes: &[u8]) {
    let (step, rest) = choice(bytes);
    for read in [runner::fuzzing::wire_to_agent, runner::fuzzing::wire_from_agent] {
        assert_eq!(read(rest, step), read(rest, usize::MAX));
    }
}

pub(crate) fn agent_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"Run":{"shell":"/bin/sh","command":"true","folder":"/","stdin":false,"read_only":null,"task":"t","writable":null,"exit_file":"/x"}}"#,
        r#"{"Stop":{"grace_ms":5000}}"#,
        r#"{"Hello":{"version":1,"frames":true}}"#,
        r#"{"Freeze":true}"#,
        r#"{"Holders":[80,443]}"#,
        r#"{"Sweep":{"tasks":["t"],"watched":true}}"#,
        r#"{"Seen":{"processes":[{"pid":8,"command":"sleep 5"}],"ports":[80]}}"#,
        r#"{"Input":{"data":"YQ==","eof":true}}"#,
        r#"{"Output":{"offset":1,"data":"YQ=="}}"#,
        r#"{"Started":{"pid":7}}"#,
        r#"{"Exited":{"code":0,"signal":null,"asked":false,"ran_us":5,"left":[{"pid":8,"command":"sleep 5"}]}}"#,
        r#""Empty""#,
    ]
    .iter()
    .map(|frame| {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        // Twice in a row, after the size of the pieces.
        let one = [&length[..], frame.as_bytes()].concat();
        [&[3][..], &one, &one].concat()
    })
    .collect()
}

pub(crate) fn exit_file(bytes: &[u8]) {
    runner::fuzzing::exit_file(bytes);
}

pub(crate) fn exit_seeds() -> Vec<Vec<u8>> {
    vec![
        br#"{"code":0,"signal":null,"asked":false,"ran_us":5,"left":[{"pid":8,"command":"sleep 5"}]}"#
            .to_vec(),
    ]
}

pub(crate) fn entry(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        survives::<agent::record::Entry>(text);
    }
}

/// Lines of the logs that must open for ever.
pub(crate) fn entry_seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend/agent/tests/logs");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let logs = paths.into_iter().map(|path| fs::read_to_string(path).unwrap());
    logs.flat_map(|log| log.lines().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>()).collect()
}
