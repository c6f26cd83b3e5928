//! The demo, played in a small world: a runner that does what it is asked, and says what a real one would.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use agent::Event;
use agent::event::{Command, Decision};
use agent::model::demo::examples;
use agent::settings::Mode;
use agent::view::{RowKind, TurnView};
use shared::files::{FileChange, FileText};
use shared::output::Preview;
use shared::protocol::{BackgroundedBy, Checked, ClientFrame, Op, Outcome, Reply};
use shared::task::{Task, TaskState};

use crate::rig::{Rig, settings};

struct World {
    rig: Rig,
    /// What commands print that are waited for, by a piece of them; others print nothing.
    prints: BTreeMap<&'static str, &'static str>,
    /// Texts of files.
    files: BTreeMap<&'static str, &'static str>,
    tasks: Vec<Task>,
    done: usize,
    /// What was used, with what.
    used: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self::with(Mode::Auto)
    }

    fn with(mode: Mode) -> Self {
        Self {
            rig: Rig::with(settings(mode)),
            prints: BTreeMap::new(),
            files: BTreeMap::new(),
            tasks: Vec::new(),
            done: 0,
            used: Vec::new(),
        }
    }

    /// Says it, and plays until the turn ends or asks; gives the last answer.
    fn send_message(&mut self, text: &str) -> String {
        self.rig.send_message(text);
        self.play()
    }

    fn play(&mut self) -> String {
        for _ in 0..100 {
            match self.rig.status.as_ref().unwrap().turn {
                TurnView::Asking => self.rig.demo(),
                TurnView::Tools => self.carry_out(),
                _ => return self.texts().last().cloned().unwrap_or_default(),
            }
        }
        panic!("it does not end: {:?}", self.used);
    }

    fn texts(&self) -> Vec<String> {
        let texts = self.rig.rows().into_iter().filter_map(|row| match row.kind {
            RowKind::Text { text, .. } => Some(text),
            _ => None,
        });
        texts.collect()
    }

    fn carry_out(&mut self) {
        let requests = self.rig.sent.iter().filter_map(|frame| match frame {
            ClientFrame::Request { id, op } => Some((*id, op.clone())),
            _ => None,
        });
        let requests: Vec<_> = requests.collect();
        let Some((id, op)) = requests.get(self.done).cloned() else {
            panic!("nothing is asked for");
        };
        self.done += 1;
        match op {
            Op::Start(start) => {
                let foreground = start.foreground_ms.is_some();
                self.used.push(format!(
                    "{} {}",
                    if foreground { "bash" } else { "background_run" },
                    start.command
                ));
                let task = self.rig.start(&format!("task000{}", self.tasks.len()));
                self.tasks.push(task.clone());
                if foreground && start.command.starts_with("slow") {
                    self.rig.background(&task, BackgroundedBy::Time);
                } else if foreground {
                    let printed = self.prints.iter().find(|(piece, _)| start.command.contains(*piece));
                    let printed = printed.map(|(_, printed)| *printed).unwrap_or_default();
                    self.rig.end(&task, TaskState::Completed, printed);
                }
            }
            Op::WriteFile { path, content, .. } => {
                self.used.push(format!("write_file {path}"));
                assert!(content.contains("background"), "{content}");
                let change =
                    FileChange { path, created: true, added: 2, removed: 0, diff: String::new(), note: None };
                self.rig.reply(id, Outcome::Ok(Reply::Changed(change)));
            }
            Op::ReadFile { path, .. } => {
                self.used.push(format!("read_file {path}"));
                let text = self.files[path.as_str()].to_owned();
                let file = FileText { text, first_line: 1, total_lines: 3, more: false };
                self.rig.reply(id, Outcome::Ok(Reply::File(file)));
            }
            Op::Check { .. } => {
                self.used.push("check_background".to_owned());
                let tasks = self.tasks.iter().map(|task| Checked {
                    task: task.clone(),
                    text: Preview::default(),
                    matches: None,
                });
                self.rig.reply(id, Outcome::Ok(Reply::Checked { tasks: tasks.collect() }));
            }
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, n: usize, state: TaskState, output: &str) -> String {
        let task = self.tasks[n].clone();
        self.rig.end(&task, state, output);
        self.play()
    }
}

#[track_caller]
fn has(text: &str, pieces: &[&str]) {
    for piece in pieces {
        assert!(text.contains(piece), "{piece:?} is not in {text:?}");
    }
}

#[test]
fn the_first_example() {
    let mut world = World::new();
    let answer = world.send_message(examples()[0].wish);
    assert_eq!(world.used, ["background_run sleep 5 && echo done", "write_file meanwhile-demo.txt"]);
    has(
        &answer,
        &[
            "`meanwhile-demo.txt` is there.",
            "`sleep 5 && echo done` (task task0000) still runs.",
            "For a real model",
        ],
    );
    has(&world.texts()[0], &["I am the demo: a script, no language model."]);
    let answer = world.end(0, TaskState::Completed, "done\n");
    assert_eq!(answer, "`sleep 5 && echo done` is done (exit 0, 5.0s). It printed `done`.");
    assert_eq!(world.used.len(), 2);
}

#[test]
fn the_second_example() {
    let mut world = World::new();
    let answer = world.send_message(examples()[1].wish);
    assert_eq!(world.used[..3], ["sleep 2", "sleep 4", "sleep 6"].map(|one| format!("background_run {one}")));
    assert_eq!((world.used[3].as_str(), world.rig.calls.len()), ("check_background", 3));
    has(
        &answer,
        &["- `sleep 2` (task task0000): running", "Still running: `sleep 2` (task task0000), `sleep 4`"],
    );
    let answer = world.end(1, TaskState::Failed { code: 3 }, "");
    assert_eq!(
        answer,
        "`sleep 4` failed (exit 3, 5.0s). It printed nothing.\n\nStill running: `sleep 2` and `sleep 6`."
    );
    world.end(0, TaskState::Completed, "");
    has(&world.end(2, TaskState::Completed, ""), &["All three have ended."]);
}

#[test]
fn the_third_example() {
    let mut world = World::new();
    world.prints.insert("ls -d .git", ".git\nREADME.md\nCargo.toml\n/usr/bin/cargo\n");
    world.prints.insert("git log", "abc First\n");
    world.files.insert("README.md", "# Title\nWords\n## Use\n");
    let answer = world.send_message(examples()[2].wish);
    assert_eq!(
        world.used[1..],
        ["background_run cargo test", "read_file README.md", "bash git log --oneline -n 5"]
    );
    has(&world.texts().join("\n"), &["nothing for pytest here, but this is a Cargo workspace"]);
    has(&answer, &["`Title` and `Use`", "abc First", "`cargo test` (task task0001) still runs"]);
    let answer = world.end(1, TaskState::Failed { code: 101 }, "a\nb\ntest result: FAILED\n");
    has(
        &answer,
        &["The tests failed: `cargo test` failed (exit 101, 5.0s). Of its output:", "test result: FAILED"],
    );
}

#[test]
fn which_tests_are_run() {
    for (found, expected) in [
        ("pytest.ini\n/usr/bin/pytest\n/usr/bin/python3\n", "pytest -q"),
        ("tests/test_a.py\n/usr/bin/python3\n", "python3 -m pytest -q"),
        ("package.json\npackage.json:    \"test\": \"vitest\"\n/usr/bin/npm\n", "npm test"),
        ("go.mod\n/usr/local/bin/go\n", "go test ./..."),
        ("Makefile\nMakefile:test: all\n/usr/bin/make\n", "make test"),
        ("pytest.ini\nCargo.toml\n/usr/bin/cargo\n", "cargo test"),
    ] {
        let mut world = World::new();
        world.prints.insert("ls -d .git", found);
        world.send_message(examples()[2].wish);
        assert_eq!(world.used[1], format!("background_run {expected}"), "{found}");
    }
    for (found, expected) in [
        ("", "I found no tests here"),
        ("package.json\nMakefile\n/usr/bin/python3\n/usr/bin/npm\n", "I found no tests here"),
        ("Cargo.toml\n/usr/bin/python3\n", "`cargo` is not installed"),
    ] {
        let mut world = World::new();
        world.prints.insert("ls -d .git", found);
        has(&world.send_message(examples()[2].wish), &[expected]);
        assert_eq!(world.used.len(), 1, "{found}");
    }
}

#[test]
fn a_command_at_once_and_one_in_the_background() {
    let mut world = World::new();
    world.prints.insert("ls", "a\nb\n");
    has(&world.send_message("$ ls -la"), &["`ls -la` is done (exit 0). Of its output:", "a\nb"]);
    has(&world.send_message("&sleep 9"), &["`sleep 9` (task task0001) still runs"]);
    // Another wish does not forget it.
    has(&world.send_message("$ ls"), &["`ls` is done"]);
    has(&world.end(1, TaskState::Timeout, "x"), &["`sleep 9` ran into its time limit"]);
    has(&world.send_message("$ slow"), &["takes longer, so it goes on in the background as task task0003"]);
    has(&world.end(3, TaskState::Completed, "over"), &["`slow` is done (exit 0, 5.0s). It printed `over`."]);
    assert_eq!(world.used.len(), 4);
}

#[test]
fn what_stands_between_quotes_can_be_changed() {
    let mut world = World::new();
    world.send_message("run \"make all\" in the background, then create a file while it runs");
    assert_eq!(world.used[0], "background_run make all");
    let mut world = World::new();
    world.send_message("Start 2 background tasks: \"one\", \"two\". Check their status.");
    assert_eq!(world.used, ["background_run one", "background_run two", "check_background"]);
}

#[test]
fn everything_else_has_one_honest_answer() {
    for text in [
        "Hello",
        "$",
        "&  ",
        "Run \"ls\" and delete all",
        "Start 3 background tasks: . Check their status.",
        "שלום",
    ] {
        let mut world = World::new();
        has(
            &world.send_message(text),
            &["a script, no language model, so I cannot answer that", "`$ ls -la`"],
        );
        assert_eq!((world.used.len(), world.rig.calls.len()), (0, 1), "{text}");
    }
}

#[test]
fn what_is_not_allowed_is_not_done() {
    let mut world = World::with(Mode::AskAll);
    world.send_message("Run \"touch it\" in the background, then create a file while it runs");
    let deny = |rig: &mut Rig, reason: &str| {
        let call = rig.calls.last().unwrap().0;
        rig.user(Command::Decide { call, index: 0, decision: Decision::Deny { reason: reason.to_owned() } });
    };
    deny(&mut world.rig, "not now");
    has(&world.play(), &["You did not allow `touch it` and said: “not now”."]);
    world.send_message("$ touch it");
    deny(&mut world.rig, "");
    has(&world.play(), &["You did not allow `touch it`, so it was not done."]);
    assert_eq!(world.used.len(), 0);
}

#[test]
fn a_reload_tells_the_same_story() {
    let mut world = World::new();
    world.send_message(examples()[1].wish);
    world.rig.boot();
    world.rig.connect();
    has(&world.end(1, TaskState::Completed, ""), &["Still running: `sleep 2` and `sleep 6`."]);
    world.rig.send(Event::Tick);
    assert_eq!(world.used.len(), 4);
}
