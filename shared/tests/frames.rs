//! The examples in `frames/` are the protocol: each parses, for ever, and each variant has one.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::proof::{ClientProof, RunnerProof};
use shared::protocol::{BackgroundedBy, ClientFrame, Op, Outcome, Reply, ServerFrame, TaskEvent};
use shared::task::{Party, TaskState};

/// Names the variants of an enum twice: for the compiler, which refuses to forget one, and for the list.
macro_rules! variants {
    ($function:ident, $list:ident, $of:ty, $($variant:pat => $name:literal),+ $(,)?) => {
        const $list: &[&str] = &[$($name),+];
        fn $function(value: &$of) -> &'static str {
            match value { $($variant => $name),+ }
        }
    };
}

variants! { client_name, CLIENT, ClientFrame,
    ClientFrame::Hello(_) => "hello", ClientFrame::Request { .. } => "request", ClientFrame::Ack { .. } => "ack",
    ClientFrame::Alarm { .. } => "alarm",
}
variants! { op_name, OPS, Op,
    Op::Start(_) => "start", Op::Stop { .. } => "stop", Op::SendInput { .. } => "send_input",
    Op::Background { .. } => "background", Op::Pause { .. } => "pause", Op::Resume { .. } => "resume",
    Op::Watch { .. } => "watch", Op::Unwatch { .. } => "unwatch",
    Op::ReadOutput { .. } => "read_output", Op::Check { .. } => "check", Op::Clear { .. } => "clear",
    Op::ReadFile { .. } => "read_file", Op::WriteFile { .. } => "write_file", Op::EditFile { .. } => "edit_file",
    Op::ModelCall(_) => "model_call", Op::ModelCancel { .. } => "model_cancel", Op::Pair => "pair",
}
variants! { server_name, SERVER, ServerFrame,
    ServerFrame::Welcome(_) => "welcome", ServerFrame::Reply { .. } => "reply", ServerFrame::Event { .. } => "event",
    ServerFrame::Settled { .. } => "settled", ServerFrame::Task { .. } => "task",
    ServerFrame::Cleared { .. } => "cleared", ServerFrame::Output { .. } => "output",
    ServerFrame::Stats(_) => "stats", ServerFrame::ModelHead { .. } => "model_head",
    ServerFrame::ModelData { .. } => "model_data", ServerFrame::ModelEnd { .. } => "model_end",
    ServerFrame::Alarm { .. } => "alarm", ServerFrame::Heartbeat { .. } => "heartbeat",
    ServerFrame::Problem { .. } => "problem",
}
variants! { client_proof_name, CLIENT_PROOFS, ClientProof, ClientProof::Prove { .. } => "prove" }
variants! { runner_proof_name, RUNNER_PROOFS, RunnerProof,
    RunnerProof::Prove { .. } => "prove", RunnerProof::Admitted { .. } => "admitted",
    RunnerProof::Problem { .. } => "problem",
}
variants! { outcome_name, OUTCOMES, Outcome, Outcome::Ok(_) => "ok", Outcome::Err(_) => "err" }
variants! { reply_name, REPLIES, Reply,
    Reply::Started { .. } => "started", Reply::Stopped { .. } => "stopped", Reply::Task { .. } => "task",
    Reply::Output { .. } => "output", Reply::Checked { .. } => "checked", Reply::File(_) => "file",
    Reply::Changed(_) => "changed", Reply::PairedWith { .. } => "paired_with", Reply::Done => "done",
}
variants! { event_name, EVENTS, TaskEvent,
    TaskEvent::Ended { .. } => "ended", TaskEvent::Backgrounded { .. } => "backgrounded",
}
variants! { why_name, WHYS, BackgroundedBy, BackgroundedBy::Time => "time", BackgroundedBy::Request => "request" }
variants! { state_name, STATES, TaskState,
    TaskState::Queued => "queued", TaskState::Running => "running", TaskState::Completed => "completed",
    TaskState::Failed { .. } => "failed", TaskState::Killed { .. } => "killed", TaskState::Timeout => "timeout",
    TaskState::Stopped { .. } => "stopped", TaskState::Lost { .. } => "lost", TaskState::Error { .. } => "error",
}
variants! { party_name, PARTIES, Party,
    Party::User => "user", Party::Agent => "agent", Party::Runner => "runner",
}

type Seen = BTreeSet<(&'static str, &'static str)>;

fn examples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("frames");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(path).unwrap();
            (name, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect()
}

fn parse<T: DeserializeOwned + Serialize>(name: &str, value: &Value) -> T {
    let frame: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = serde_json::to_value(&frame).unwrap();
    assert!(says_the_same(&again, value), "{name} is not what it was when written again: {again:#}");
    frame
}

/// Whether nothing of the example was lost. Fields of later versions may have come to it, with nothing in
/// them.
fn says_the_same(written: &Value, example: &Value) -> bool {
    match (written, example) {
        (Value::Object(written), Value::Object(example)) => {
            example.keys().all(|name| written.contains_key(name))
                && written.iter().all(|(name, value)| match example.get(name) {
                    Some(known) => says_the_same(value, known),
                    None => [json!(null), json!(false), json!([])].contains(value),
                })
        }
        (Value::Array(written), Value::Array(example)) => {
            written.len() == example.len()
                && written.iter().zip(example).all(|(written, example)| says_the_same(written, example))
        }
        _ => written == example,
    }
}

fn see_state(state: &TaskState, seen: &mut Seen) {
    seen.insert(("state", state_name(state)));
    if let TaskState::Stopped { by, .. } = state {
        seen.insert(("party", party_name(by)));
    }
}

fn see_client(frame: &ClientFrame, seen: &mut Seen) {
    seen.insert(("client", client_name(frame)));
    if let ClientFrame::Request { op, .. } = frame {
        seen.insert(("op", op_name(op)));
    }
}

fn see_server(frame: &ServerFrame, seen: &mut Seen) {
    seen.insert(("server", server_name(frame)));
    match frame {
        ServerFrame::Reply { outcome, .. } => {
            seen.insert(("outcome", outcome_name(outcome)));
            if let Outcome::Ok(reply) = outcome {
                seen.insert(("reply", reply_name(reply)));
            }
        }
        ServerFrame::Event { event, .. } => {
            seen.insert(("event", event_name(event)));
            if let TaskEvent::Backgrounded { by, .. } = event {
                seen.insert(("why", why_name(by)));
            }
        }
        ServerFrame::Task { task } => see_state(&task.state, seen),
        ServerFrame::Welcome(_)
        | ServerFrame::Settled { .. }
        | ServerFrame::Cleared { .. }
        | ServerFrame::Output { .. }
        | ServerFrame::Stats(_)
        | ServerFrame::ModelHead { .. }
        | ServerFrame::ModelData { .. }
        | ServerFrame::ModelEnd { .. }
        | ServerFrame::Alarm { .. }
        | ServerFrame::Heartbeat { .. }
        | ServerFrame::Problem { .. } => {}
    }
}

#[test]
fn every_example_parses_and_is_written_as_it_was() {
    let mut count = 0;
    for (name, value) in examples() {
        match name.split('.').next() {
            Some("client") => drop(parse::<ClientFrame>(&name, &value)),
            Some("server") => drop(parse::<ServerFrame>(&name, &value)),
            Some("client_proof") => drop(parse::<ClientProof>(&name, &value)),
            Some("runner_proof") => drop(parse::<RunnerProof>(&name, &value)),
            _ => panic!("{name} does not say whose it is"),
        }
        count += 1;
    }
    assert!(count >= 50, "only {count} examples were found");
}

#[test]
fn every_variant_has_an_example() {
    let mut seen = Seen::new();
    for (name, value) in examples() {
        match name.split('.').next() {
            Some("client") => see_client(&parse(&name, &value), &mut seen),
            Some("client_proof") => {
                seen.insert(("client_proof", client_proof_name(&parse(&name, &value))));
            }
            Some("runner_proof") => {
                seen.insert(("runner_proof", runner_proof_name(&parse(&name, &value))));
            }
            _ => see_server(&parse(&name, &value), &mut seen),
        }
    }
    let lists = [
        ("client", CLIENT),
        ("op", OPS),
        ("server", SERVER),
        ("client_proof", CLIENT_PROOFS),
        ("runner_proof", RUNNER_PROOFS),
        ("outcome", OUTCOMES),
        ("reply", REPLIES),
        ("event", EVENTS),
        ("why", WHYS),
        ("state", STATES),
        ("party", PARTIES),
    ];
    for (kind, names) in lists {
        for name in names {
            assert!(seen.contains(&(kind, *name)), "there is no example of the {kind} {name}");
        }
    }
}

/// Adds a field that nobody knows to every object that is not a map of free names.
fn disturb(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| *name != "headers").for_each(|(_, field)| disturb(field));
            // An outcome is told by which of its two fields is there.
            fields.insert("a_field_of_a_later_version".into(), json!({"deep": [1, null, "x"]}));
        }
        Value::Array(items) => items.iter_mut().for_each(disturb),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn reread<T: DeserializeOwned + Serialize>(name: &str, value: Value) -> Value {
    let frame: T = serde_json::from_value(value).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(frame).unwrap()
}

#[test]
fn unknown_fields_are_ignored_everywhere() {
    for (name, value) in examples() {
        let mut disturbed = value.clone();
        disturb(&mut disturbed);
        assert_ne!(disturbed, value);
        let again = match name.split('.').next() {
            Some("client") => reread::<ClientFrame>(&name, disturbed),
            Some("client_proof") => reread::<ClientProof>(&name, disturbed),
            Some("runner_proof") => reread::<RunnerProof>(&name, disturbed),
            _ => reread::<ServerFrame>(&name, disturbed),
        };
        assert!(says_the_same(&again, &value), "{name}: {again:#}");
    }
}

#[test]
fn fields_with_a_default_may_be_missing() {
    let id = "0d4b6f2a-3f51-4c55-8d6a-6f0c8a2b1e90";
    for minimal in [
        json!({"type": "hello", "protocol": 1, "session": id}),
        json!({"type": "request", "id": id, "op": {"op": "start", "command": "ls"}}),
        json!({"type": "request", "id": id, "op": {"op": "stop", "task": "3d76fad9", "by": "user"}}),
        json!({"type": "request", "id": id, "op": {"op": "send_input", "task": "3d76fad9", "text": "x"}}),
        json!({"type": "request", "id": id, "op": {"op": "check", "max_chars": 100}}),
        json!({"type": "request", "id": id, "op": {"op": "clear"}}),
        json!({"type": "request", "id": id, "op": {"op": "read_file", "path": "a"}}),
    ] {
        serde_json::from_value::<ClientFrame>(minimal.clone())
            .unwrap_or_else(|error| panic!("{minimal}: {error}"));
    }
}

#[test]
fn an_unknown_type_is_an_error_and_an_unknown_problem_is_not() {
    assert!(serde_json::from_value::<ClientFrame>(json!({"type": "sing"})).is_err());
    assert!(serde_json::from_value::<ServerFrame>(json!({"type": "sing"})).is_err());
    let frame = json!({"type": "problem", "problem": {"code": "a_later_code", "message": "m"}});
    assert!(serde_json::from_value::<ServerFrame>(frame).is_ok());
}

/// Every field, and every value that says what kind of thing an object is.
fn names_of(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                let tells_apart =
                    ["type", "op", "reply", "event", "status", "code", "by"].contains(&name.as_str());
                if let (true, Value::String(word)) = (tells_apart, value)
                    && !word.contains('-')
                {
                    names.insert(word.clone());
                }
                // Names of headers are not the protocol's own.
                if name != "headers" {
                    names_of(value, names);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names_of(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_names_every_field_and_every_kind() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")).unwrap();
    // Only what is explained counts, not what stands in an example.
    let mut prose = String::new();
    for (n, part) in document.split("```").enumerate() {
        if n % 2 == 0 {
            prose.push_str(part);
        }
    }
    let explained: BTreeSet<&str> = prose.split('`').skip(1).step_by(2).collect();
    let mut names = BTreeSet::new();
    for (_, example) in examples() {
        names_of(&example, &mut names);
    }
    assert!(names.len() > 100, "the examples hold only {} names", names.len());
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            !explained.iter().any(|text| {
                text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                    .any(|part| part == *name)
            })
        })
        .collect();
    assert!(missing.is_empty(), "docs/protocol.md does not explain {missing:?}");
    for code in [
        shared::protocol::close::GOING_AWAY,
        shared::protocol::close::MALFORMED,
        shared::protocol::close::FENCED,
        shared::protocol::close::REVOKED,
        shared::protocol::close::VERSION,
        shared::protocol::close::TOO_SLOW,
    ] {
        assert!(prose.contains(&format!("| {code} |")), "no close code {code}");
    }
}
