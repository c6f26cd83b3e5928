//! Repairs that can be taken out of the core, and whether the simulation finds each that is missing: a test
//! that cannot fail proves nothing.
//!
//! What runs: each repair's lines are looked for in the sources as they stand. Where `MEANWHILE_FAULTS` names
//! some, or says `all` (`cargo xtask faults` does), they are also taken out, one at a time, in a copy of the
//! tree in `target/faults/tree`, and the simulation's test is built there and run over a range of seeds; the
//! sources themselves are not touched. That takes minutes.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]
#![expect(clippy::print_stdout, reason = "it takes minutes, and says what it found")]

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A repair, and what the agent was without it.
struct Fault {
    name: &'static str,
    what: &'static str,
    file: &'static str,
    /// What stands there, once, and what stands there instead.
    change: (&'static str, &'static str),
    /// It is found within so many seeds.
    seeds: u32,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "wake",
        what: "a completion that comes while nothing is done starts no turn",
        file: "frontend/agent/src/queue.rs",
        change: ("self.completions.iter().any(Completion::wakes)", "self.completions.len() > usize::MAX / 2"),
        seeds: 500,
    },
    Fault {
        name: "early",
        what: "a timer that rings early is not set again (B5)",
        file: "frontend/agent/src/agent/mod.rs",
        change: ("Event::Tick => self.shown.alarm = None,", "Event::Tick => {}"),
        seeds: 500,
    },
    Fault {
        name: "hidden",
        what: "what is due and cannot be done hides what comes later (B5)",
        file: "frontend/agent/src/agent/mod.rs",
        change: (
            "let ahead = |at: Timestamp| if at > out.now { at } else { out.now.plus(LOOK_AGAIN_MS) };",
            "let ahead = |at: Timestamp| at;",
        ),
        seeds: 2_000,
    },
    Fault {
        name: "alarm",
        what: "the runner is not asked to ring, and a hidden page's own timers are late",
        file: "frontend/agent/src/agent/mod.rs",
        change: ("self.send(out, ClientFrame::Alarm { id: 1, after_ms });", "let _ = after_ms;"),
        seeds: 3_000,
    },
    Fault {
        name: "fenced",
        what: "a page that was fenced off still does what is due, and takes the session back",
        file: "frontend/agent/src/agent/mod.rs",
        change: ("Event::Fenced => return self.fence(out),", "Event::Fenced => self.fence(out),"),
        seeds: 1_000,
    },
    Fault {
        name: "ids",
        what: "an operation is named by its place, and two logs number alike (B2, B3)",
        file: "frontend/agent/src/link.rs",
        change: (
            "let content = format!(\"{place} {tool_id:?} {name:?} {input}\");",
            "let content = format!(\"{} {index}\", call.0);",
        ),
        seeds: 2_000,
    },
    Fault {
        name: "clock",
        what: "time stands still while the system's clock is behind (B6)",
        file: "frontend/agent/src/clock.rs",
        change: ("self.from.0.saturating_add(counted.saturating_sub(self.from.1))", "self.from.0"),
        seeds: 500,
    },
    Fault {
        name: "queue",
        what: "messages that wait defeat the pause after a failure (B8)",
        file: "frontend/agent/src/agent/turn.rs",
        change: ("match self.session.trigger_after_failure() {", "match waits.then_some(Trigger::User) {"),
        seeds: 1_000,
    },
    Fault {
        name: "replay",
        what: "a model is asked before the runner has said what waits",
        file: "frontend/agent/src/agent/turn.rs",
        change: ("if self.replay.is_some() {\n            return false;", "if self.replay.is_some() {"),
        seeds: 500,
    },
    Fault {
        name: "begun",
        what: "a command moved to the background before its start was answered is not known to have begun",
        file: "frontend/agent/src/session.rs",
        change: ("self.begun.extend(outcome.task.clone());", "let _ = &outcome.task;"),
        seeds: 9_000,
    },
    Fault {
        name: "silence",
        what: "a connection that died without a word is never given up",
        file: "frontend/agent/src/link.rs",
        change: ("if now.since(*heard) >= self.silence_ms() =>", "if now.since(*heard) >= u64::MAX =>"),
        seeds: 500,
    },
    Fault {
        name: "token",
        what: "a tab claims the log by the same token each time, and what was still on its way lands",
        file: "frontend/agent/src/tabs/mod.rs",
        change: ("Uuid::new_v5(&self.me, &self.claims.to_be_bytes())", "Uuid::new_v5(&self.me, b\"\")"),
        seeds: 500,
    },
    Fault {
        name: "twice",
        what: "the next leader does not know whose message is in the log, and takes it again",
        file: "frontend/agent/src/tabs/mod.rs",
        change: (
            "Leader::new(token, claim.term, keeps, claim.heard)",
            "Leader::new(token, claim.term, keeps, Received::default())",
        ),
        seeds: 1_000,
    },
    Fault {
        name: "heard",
        what: "messages are acknowledged before they are saved, and go with the leader",
        file: "frontend/agent/src/tabs/leader.rs",
        change: ("|through| through <= durable || !keeps", "|_| keeps"),
        seeds: 1_000,
    },
    Fault {
        name: "late",
        what: "a tab that follows shows what a leader says that is none any more",
        file: "frontend/agent/src/tabs/hear.rs",
        change: ("whole: true }) && term == self.term", "whole: true })"),
        seeds: 2_000,
    },
    Fault {
        name: "again",
        what: "what was sent to a leader that is gone is not sent to the next",
        file: "frontend/agent/src/tabs/outbox.rs",
        change: ("            kept.sent = false;\n", ""),
        seeds: 1_000,
    },
    Fault {
        name: "between",
        what: "a tab that takes over and fails does not know that the leader it spoke to is another now",
        file: "frontend/agent/src/tabs/hear.rs",
        change: (
            "self.turn_to_next(out);\n        if let State::Follower { whole }",
            "if let State::Follower { whole }",
        ),
        seeds: 1_000,
    },
    Fault {
        name: "owed",
        what: "what was asked of the runner is called done before it has answered",
        file: "frontend/agent/src/tabs/leader.rs",
        change: (
            "(one.through, one.waits) = (Some(through), waits);",
            "one.through = Some(through);\n            let _ = waits;",
        ),
        seeds: 1_000,
    },
    Fault {
        name: "idle",
        what: "a session that nobody looks at is closed with what it has not saved",
        file: "frontend/agent/src/tabs/leader.rs",
        change: (" && self.wanted <= self.durable", ""),
        seeds: 2_000,
    },
    Fault {
        name: "works",
        what: "a session that nobody looks at is closed while its agent is at work",
        file: "frontend/agent/src/tabs/leader.rs",
        change: ("!self.works && self.running", "self.running"),
        seeds: 2_000,
    },
    Fault {
        name: "hold",
        what: "entries are written before it is known whose message they hold",
        file: "frontend/agent/src/tabs/leader.rs",
        change: (
            "if self.running.iter().any(|one| one.through.is_none()) {",
            "if self.running.len() > usize::MAX / 2 {",
        ),
        seeds: 1_000,
    },
    Fault {
        name: "wait",
        what: "a message that comes again while it is being saved is called done",
        file: "frontend/agent/src/tabs/leader.rs",
        change: ("if runs { Duty::Wait }", "if runs { Duty::Acknowledge }"),
        seeds: 5_000,
    },
    Fault {
        name: "robbed",
        what: "a tab whose lock is taken while it reads the log leads all the same",
        file: "frontend/agent/src/tabs/mod.rs",
        change: (
            "matches!(self.state, State::Claiming { .. } | State::Opening { .. }) {\n            self.follow(out);",
            "matches!(self.state, State::Claiming { .. } | State::Opening { .. }) {",
        ),
        seeds: 2_000,
    },
    Fault {
        name: "gap",
        what: "a message that a page left behind is taken before what that page had asked for before it",
        file: "frontend/agent/src/tabs/left.rs",
        change: ("if message.number <= heard + 1 {", "if message.number > 0 || heard > 0 {"),
        seeds: 2_000,
    },
    Fault {
        name: "given",
        what: "a title that the leader has given is given once more by a tab that gets the lock",
        file: "frontend/agent/src/tabs/errand.rs",
        change: ("if heard.of(self.me) > 0 {", "if heard.of(self.me) > u64::MAX / 2 {"),
        seeds: 5_000,
    },
];

/// The text without the repair, whose lines stand there once.
fn broken(fault: &Fault, sound: &str) -> String {
    let (from, to) = fault.change;
    assert!(
        sound.matches(from).count() == 1,
        "`{}`: {} no longer holds this once; put here what stands there now: {from}",
        fault.name,
        fault.file
    );
    sound.replace(from, to)
}

/// The first seed that fails, with its words. `None` if none does.
fn search(root: &Path, seeds: u32) -> Option<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root.join("target/faults/tree"))
        .args(["test", "-q", "-p", "agent", "--test", "it", "--", "whatever_"])
        .env("CARGO_TARGET_DIR", root.join("target/faults/target"))
        .env("MEANWHILE_SEEDS", seeds.to_string())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    if output.status.success() {
        return None;
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find(|line| line.starts_with("seed "));
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = line.unwrap_or_else(|| {
        panic!(
            "the simulation could not be run:
{printed}\n{errors}"
        )
    });
    Some(line.chars().take(160).collect())
}

/// Copies what has changed, so that only that is compiled anew, and removes what is no longer there.
fn copy(from: &Path, to: &Path, top: bool) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if top && (name == "target" || name == "dist" || name == ".git") {
            continue;
        }
        let (source, copied) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &copied, false)?;
        } else if kind.is_file() {
            let text = fs::read(&source)?;
            if fs::read(&copied).ok().as_ref() != Some(&text) {
                fs::write(&copied, text)?;
            }
        }
    }
    for entry in fs::read_dir(to)? {
        let copied = entry?;
        if !from.join(copied.file_name()).exists() {
            let path = copied.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn each_repair_is_still_where_it_is_taken_out() {
    for fault in FAULTS {
        broken(fault, &fs::read_to_string(root().join(fault.file)).unwrap());
    }
}

#[test]
fn those_that_are_named_are_missed() {
    let root = root();
    let Ok(names) = env::var("MEANWHILE_FAULTS") else {
        // Past the harness, which keeps what passing tests print.
        let text =
            b"\nLEFT OUT: the search for each fault that is put back takes minutes: cargo xtask faults\n";
        return std::io::stdout().write_all(text).unwrap();
    };
    let names: Vec<_> = names.split(',').collect();
    let all: Vec<_> = FAULTS.iter().map(|fault| fault.name).chain(["all"]).collect();
    if let Some(stray) = names.iter().find(|name| !all.contains(name)) {
        panic!("there is no fault `{stray}`; there are {}", all.join(", "));
    }
    let tree = root.join("target/faults/tree");
    copy(root, &tree, true).unwrap();
    let mut missed = Vec::new();
    for fault in FAULTS.iter().filter(|fault| names.contains(&"all") || names.contains(&fault.name)) {
        println!("==> {}: {}", fault.name, fault.what);
        let began = Instant::now();
        let file = tree.join(fault.file);
        let sound = fs::read_to_string(&file).unwrap();
        fs::write(&file, broken(fault, &sound)).unwrap();
        let found = search(root, fault.seeds);
        fs::write(&file, sound).unwrap();
        let took = began.elapsed().as_secs();
        if let Some(seed) = found {
            println!("{:8} {took:4} s  found: {seed}", fault.name);
        } else {
            missed.push(fault.name);
            println!("{:8} NOT FOUND in {} seeds", fault.name, fault.seeds);
        }
    }
    assert!(missed.is_empty(), "the simulation does not miss {}", missed.join(", "));
}
