//! What the model is told: of commands that run twice, of what a task left behind, of how late a result comes, and of where commands may write.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::event::UserEvent;
use serde_json::{Value, json};
use shared::Timestamp;
use shared::output::Excerpt;
use shared::protocol::{Checked, Outcome, Reply, TaskEvent};
use shared::task::{Process, Task, TaskState};

use crate::rig::{Rig, text, tool};

/// The result of the newest tool use.
fn result(rig: &Rig) -> String {
    rig.last_message()[0]["content"].as_str().unwrap().to_owned()
}

fn block(rig: &Rig) -> String {
    let last = rig.last_message().last().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(last.starts_with("<background-results>"), "{last}");
    last
}

fn system(rig: &Rig) -> String {
    rig.calls.last().unwrap().1["system"].to_string()
}

fn run_again(rig: &mut Rig) {
    rig.say("again");
    rig.answer(&[tool("t2", "background_run", json!({"command": "make"}))]);
}

#[test]
fn a_command_that_already_runs_in_the_same_folder_is_named() {
    let (mut rig, _) = Rig::with_background_task();
    run_again(&mut rig);
    rig.start("aaaa0002");
    let told = result(&rig);
    assert!(
        told.contains("Note: the same command already runs in the same folder, as task aaaa0001.\n"),
        "{told}"
    );
}

#[test]
fn a_command_that_has_ended_or_runs_elsewhere_is_no_twin() {
    let (mut rig, first) = Rig::with_background_task();
    rig.end(&first, TaskState::Completed, "");
    rig.answer(&[text("It is done.")]);
    run_again(&mut rig);
    rig.start("aaaa0002");
    assert!(!result(&rig).contains("already runs"), "{}", result(&rig));

    let (mut rig, _) = Rig::with_background_task();
    run_again(&mut rig);
    let (op, _) = rig.request();
    let task = Task {
        op,
        command: "make".to_owned(),
        folder: "/w/other".to_owned(),
        ..crate::rig::task("aaaa0002")
    };
    rig.reply(op, Outcome::Ok(Reply::Started { task: Box::new(task) }));
    assert!(!result(&rig).contains("already runs"), "{}", result(&rig));
}

/// A task that left processes running when its shell exited.
fn left_behind(task: &Task, count: u32) -> Task {
    let process = |pid: u32| Process { pid, command: format!("sleep {pid}") };
    Task {
        state: TaskState::Completed,
        ended: Some(Timestamp(0)),
        duration_ms: Some(200),
        left_behind: (1..=count).map(process).collect(),
        ..task.clone()
    }
}

#[test]
fn what_a_task_left_running_is_told_with_its_end() {
    let (mut rig, task) = Rig::with_background_task();
    let task = left_behind(&task, 7);
    rig.event(TaskEvent::Ended { task: Box::new(task), excerpt: Excerpt::default() });
    rig.settle();
    let told = block(&rig);
    let expected = "it left 7 processes running: pid 1 sleep 1, pid 2 sleep 2, pid 3 sleep 3, pid 4 sleep 4, pid 5 sleep 5; stop_background ends them";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_a_task_left_running_is_told_when_it_is_looked_at() {
    let (mut rig, task) = Rig::with_background_task();
    rig.say("look");
    rig.answer(&[tool("t2", "check_background", json!({"task_id": "aaaa0001"}))]);
    let (op, _) = rig.request();
    let looked = Checked { task: left_behind(&task, 1), text: Excerpt::default(), matches: None };
    rig.reply(op, Outcome::Ok(Reply::Checked { tasks: vec![looked] }));
    let told = result(&rig);
    assert!(told.contains("(it left 1 process running: pid 1 sleep 1; stop_background ends them)"), "{told}");
}

#[test]
fn a_late_result_is_told_with_its_age() {
    for (late_ms, age) in
        [(59_000, None), (125_000, Some("| (ended 2m 05s ago)")), (7_500_000, Some("| (ended 2h 05m ago)"))]
    {
        let (mut rig, task) = Rig::with_background_task();
        let ended = Task {
            state: TaskState::Completed,
            ended: Some(Timestamp(rig.now)),
            duration_ms: Some(1_000),
            ..task
        };
        // The tab was closed meanwhile: the end is sent once it is back.
        rig.now += late_ms;
        rig.event(TaskEvent::Ended { task: Box::new(ended), excerpt: Excerpt::default() });
        rig.settle();
        let told = block(&rig);
        match age {
            Some(age) => assert!(told.contains(age), "{told}"),
            None => assert!(!told.contains("ago"), "{told}"),
        }
    }
}

#[test]
fn where_commands_may_write_is_told_when_they_are_confined() {
    let mut rig = Rig::new();
    rig.say("hello");
    assert!(!system(&rig).contains("confined"), "{}", system(&rig));

    let mut rig = Rig::new();
    rig.confine(Some(&["/w", "/state/tmp", "/cache"]));
    rig.say("hello");
    let told = system(&rig);
    assert!(told.contains("they may write only to /w, /state/tmp, /cache and to devices"), "{told}");
}

#[test]
fn what_a_conversation_begins_with_stays_the_same_to_the_byte() {
    let mut rig = Rig::new();
    rig.confine(Some(&["/w", "/state/tmp"]));
    let mut seen: Vec<(Value, Value)> = Vec::new();
    let mut look = |rig: &Rig| {
        let body = &rig.calls.last().unwrap().1;
        seen.push((body["system"].clone(), body["tools"].clone()));
    };
    rig.say("hello");
    look(&rig);
    rig.answer(&[tool("t1", "background_run", json!({"command": "make"}))]);
    let task = rig.start("aaaa0001");
    look(&rig);
    rig.answer(&[text("It runs.")]);
    // The runner comes back with other rules, and then with none.
    rig.confine(Some(&["/w", "/elsewhere"]));
    rig.end(&task, TaskState::Completed, "");
    look(&rig);
    rig.answer(&[text("Done.")]);
    rig.confine(None);
    rig.user(UserEvent::Say { text: "more".to_owned(), steer: false });
    look(&rig);
    assert_eq!(seen.len(), 4);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}
