//! How a turn goes on: failed calls and their retries, alarms, pauses, what the runner refuses, what a person
//! does meanwhile.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::event::{Command, LinkInput, ModelInput};
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::{RowKind, ToolState, TurnView};
use agent::{CallId, Event};
use serde_json::json;
use shared::output::Preview;
use shared::protocol::{BackgroundedBy, Checked, Op, Outcome, Reply, ServerFrame};
use shared::task::{PortHeld, Process, Task, TaskState};
use shared::{Problem, ProblemCode};

use crate::contract::results_of;
use crate::rig::{Rig, head, settings, text, tool};

#[test]
fn a_bash_command_that_outlives_its_timeout_goes_to_the_background() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "bash", json!({"command": "make", "timeout": 1}))]);
    assert!(matches!(rig.request().1, Op::Start(start) if start.foreground_ms == Some(1_000)));
    let task = rig.start("aaaa0001");
    rig.background(&task, BackgroundedBy::Time);
    let content = rig.last_message()[0]["content"].as_str().unwrap().to_owned();
    assert!(content.contains("not killed") && content.contains("background task aaaa0001"), "{content}");
    rig.answer(&[text("ok")]);
    rig.end(&task, TaskState::Completed, "");
    assert!(results_of(&rig.last_message()).is_some());
}

#[test]
fn a_failed_call_is_made_again_with_the_servers_own_hint() {
    let mut rig = Rig::new();
    rig.send_message("x");
    let call = rig.calls[0].0;
    let headers = [
        ("retry-after".to_owned(), "7".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    rig.model(call, ModelInput::Head { status: 429, headers: headers.into() });
    rig.model(
        call,
        ModelInput::Data(
            br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#.to_vec(),
        ),
    );
    rig.model(call, ModelInput::End);
    assert!(matches!(rig.status.as_ref().unwrap().turn, TurnView::BacksOff { .. }));
    rig.pass(6_000);
    assert_eq!(rig.calls.len(), 1);
    rig.pass(1_100);
    assert_eq!(rig.calls.len(), 2);
    assert_eq!(
        rig.calls[0].1["messages"], rig.calls[1].1["messages"],
        "asked again, and nothing is said twice"
    );
}

#[test]
fn done_is_said_once_nothing_more_is_queued() {
    let mut rig = Rig::new();
    rig.send(Event::Visible(false));
    for message in ["a", "b", "c"] {
        rig.send_message(message);
    }
    for left in (0..3).rev() {
        assert_eq!(rig.notified, Vec::<String>::new(), "{left} more are queued");
        rig.answer(&[text("ok")]);
    }
    assert_eq!(rig.notified.len(), 1);

    let (mut rig, task) = Rig::with_background_task();
    rig.send(Event::Visible(false));
    rig.send_message("meanwhile");
    rig.end(&task, TaskState::Completed, "");
    rig.answer(&[text("ok")]);
    assert_eq!(rig.notified, Vec::<String>::new(), "its end is still to be told");
    rig.answer(&[text("ok")]);
    assert_eq!(rig.notified.len(), 1);
}

/// A timer of a browser rings once, and may ring a little early.
#[test]
fn an_alarm_that_rings_early_is_set_again() {
    for early in [0, 1, 2, 50] {
        let mut rig = Rig::new();
        let before = rig.connects;
        rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
        let rung = (0..200).take_while(|_| rig.connects == before && rig.ring(early)).count();
        assert!(rig.connects > before, "{early} ms early: no alarm is left after {rung}");
    }
}

/// The retry of a relayed call is due and waits for the runner, which only a later deadline brings back.
#[test]
fn what_is_due_and_must_wait_does_not_hide_what_comes_later() {
    let mut settings = settings(Mode::Auto);
    settings.model.provider = Provider::Relay;
    let mut rig = Rig::with(settings);
    rig.send_message("x");
    for away in 1..=5 {
        let before = rig.connects;
        rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
        let rung = (0..200).take_while(|_| rig.connects == before && rig.ring(0)).count();
        assert!(rig.connects > before, "away {away} times: no alarm is left after {rung}");
    }
}

#[test]
fn a_call_that_cannot_go_well_waits_for_the_person() {
    let mut rig = Rig::new();
    rig.send_message("x");
    let call = rig.calls[0].0;
    rig.model(call, head(401));
    rig.model(call, ModelInput::End);
    rig.pass(100_000);
    assert_eq!(rig.calls.len(), 1);
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Failed);
    rig.user(Command::Retry);
    assert_eq!(rig.calls.len(), 2);
}

#[test]
fn tools_of_a_refusal_and_of_a_stop_that_nobody_knows_are_not_run() {
    for stop in ["refusal", "brand_new_reason"] {
        let mut rig = Rig::new();
        rig.send_message("x");
        rig.answer_and_stop(&[tool("t1", "bash", json!({"command": "ls"}))], stop);
        assert_eq!(rig.requests(), 0, "{stop}");
        assert_eq!(rig.cards()[0].state, ToolState::Skipped, "{stop}");
        rig.send_message("go on");
        assert_eq!(rig.last_message()[0]["tool_use_id"], "t1", "{stop}");
    }
}

#[test]
fn what_a_server_paused_goes_on_as_it_stands() {
    let mut rig = Rig::new();
    rig.send_message("search");
    let search =
        json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}});
    rig.answer_and_stop(&[text("I look."), search.clone()], "pause_turn");
    assert_eq!(rig.calls.len(), 2, "it goes on by itself");
    let (_, body) = rig.calls.last().unwrap();
    assert_eq!(body["messages"].as_array().unwrap().len(), 2, "and nobody says a word between");
    assert_eq!(rig.last_message(), [text("I look."), search]);
    rig.answer(&[text("Found.")]);
    assert_eq!((rig.calls.len(), rig.status.as_ref().unwrap().turn.clone()), (2, TurnView::Idle));
}

#[test]
fn a_pause_is_gone_on_with_after_a_reload() {
    let mut rig = Rig::new();
    rig.send_message("search");
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    rig.answer_and_stop(std::slice::from_ref(&search), "pause_turn");
    assert_eq!(rig.calls.len(), 2);
    rig.boot();
    rig.connect();
    assert_eq!(rig.calls.len(), 3, "the call that was under way is made again");
    assert_eq!(rig.last_message(), [search]);
    rig.answer(&[text("Found.")]);
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Idle);
}

#[test]
fn a_pause_without_a_tool_of_the_servers_ends_the_turn() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer_and_stop(&[text("Well.")], "pause_turn");
    let turn = rig.status.as_ref().unwrap().turn.clone();
    assert_eq!((rig.calls.len(), turn), (1, TurnView::Idle), "going on would be a prefill");
}

#[test]
fn a_pause_with_tools_runs_them_and_pauses_come_to_an_end() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer_and_stop(&[tool("t1", "read_file", json!({"path": "a"}))], "pause_turn");
    assert_eq!((rig.calls.len(), rig.requests()), (1, 1), "the tool is run before anything is asked");
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer_and_stop(&[], "pause_turn");
    assert_eq!(
        (rig.calls.len(), rig.status.as_ref().unwrap().turn.clone()),
        (1, TurnView::Idle),
        "a pause without a word"
    );
    rig.send_message("again");
    let search = |n: usize| json!({"type": "server_tool_use", "id": format!("srvtoolu_{n}"), "name": "web_search", "input": {}});
    for n in 0..50 {
        if rig.status.as_ref().unwrap().turn == TurnView::Idle {
            break;
        }
        rig.answer_and_stop(&[search(n)], "pause_turn");
    }
    assert_eq!(rig.calls.len(), 1 + usize::try_from(agent::session::PAUSES).unwrap());
    let reported = rig
        .rows()
        .iter()
        .any(|row| matches!(&row.kind, RowKind::Notice { text, .. } if text.contains("paused")));
    assert!(reported, "and it is said");
}

#[test]
fn a_call_that_the_runner_refuses_is_not_made_again() {
    let mut rig = Rig::with(Settings {
        model: ModelChoice::new(Provider::Relay, "claude-opus-5-5"),
        ..settings(Mode::Auto)
    });
    rig.send_message("x");
    let (op, request) = rig.request();
    assert!(matches!(request, Op::ModelCall(_)), "{request:?}");
    rig.reply(op, Outcome::Err(Problem::new(ProblemCode::NotFound, "The runner has no key.")));
    rig.pass(100_000);
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Failed);
    let notices: Vec<_> = rig
        .rows()
        .into_iter()
        .filter_map(|row| match row.kind {
            RowKind::Notice { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(notices, ["The runner has no key."]);
}

#[test]
fn a_missing_event_is_seen_and_asked_for_again() {
    let (mut rig, task) = Rig::with_background_task();
    let ended = Box::new(Task { state: TaskState::Completed, ..task });
    let event = shared::protocol::TaskEvent::Ended { task: ended, preview: Preview::default() };
    rig.frame(ServerFrame::Event { seq: shared::Seq(2), event });
    // Not at once: the same may come of it.
    assert!(matches!(rig.status.as_ref().unwrap().link, agent::view::LinkView::Down { .. }));
    while rig.connects == 1 && rig.ring(0) {}
    assert!(matches!(rig.status.as_ref().unwrap().link, agent::view::LinkView::Opening), "it connects anew");
    assert_eq!(rig.agent.session().seq, shared::Seq(0));
}

#[test]
fn messages_for_the_next_turn_wait_and_can_be_taken_back() {
    let mut rig = Rig::new();
    rig.send_message("first");
    rig.send_message("second");
    rig.send_message("third");
    rig.user(Command::Shift { id: 3, earlier: true });
    rig.user(Command::EditMessage { id: 3, text: "third, better".to_owned() });
    rig.user(Command::CancelMessage { id: 2 });
    rig.answer(&[text("ok")]);
    assert_eq!(rig.last_message()[0]["text"], "third, better");
    rig.answer(&[text("ok")]);
    assert_eq!(rig.calls.len(), 2);
}

#[test]
fn another_tab_that_took_the_session_ends_this_one_at_once() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.send(Event::Fenced);
    assert_eq!(rig.cancelled, [CallId(1)]);
    let entries = rig.disk.len();
    rig.send_message("y");
    rig.model(CallId(1), head(200));
    assert_eq!(rig.disk.len(), entries);
    assert_eq!(rig.calls.len(), 1);
}

#[test]
fn a_lost_store_ends_what_was_under_way_without_running_it_again() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "bash", json!({"command": "make"}))]);
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(20_000);
    rig.link(LinkInput::Opened);
    let before = rig.requests();
    rig.connect_to_new_store();
    assert_eq!(rig.requests(), before);
    assert!(rig.last_message()[0]["content"].as_str().unwrap().contains("may or may not"));
}

#[test]
fn a_use_whose_reply_was_stopped_is_not_sent_to_a_new_store() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "write_file", json!({"path": "a", "content": "b"}))]);
    rig.user(Command::StopReply);
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(20_000);
    rig.link(LinkInput::Opened);
    let before = rig.requests();
    rig.connect_to_new_store();
    assert_eq!(rig.requests(), before);
}

#[test]
fn what_the_runner_refuses_is_told_to_the_model() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "read_file", json!({"path": "../secret"}))]);
    let (op, _) = rig.request();
    rig.reply(
        op,
        Outcome::Err(Problem::new(ProblemCode::OutsideWorkspace, "The path leaves the workspace.")),
    );
    let blocks = rig.last_message();
    assert_eq!(blocks[0]["content"], "The path leaves the workspace.");
    assert_eq!(blocks[0]["is_error"], true);
}

#[test]
fn a_person_pauses_resumes_and_runs_again() {
    let (mut rig, task) = Rig::with_background_task();
    let task = Task { with_stdin: true, ..task };
    rig.user(Command::PauseTask { task: task.id.clone() });
    let (op, request) = rig.request();
    assert_eq!(request, Op::Pause { task: task.id.clone() });
    let paused = Task { paused: true, ..task.clone() };
    rig.reply(op, Outcome::Ok(Reply::Task { task: Box::new(paused) }));
    rig.user(Command::ResumeTask { task: task.id.clone() });
    assert_eq!(rig.request().1, Op::Resume { task: task.id.clone() });
    rig.end(&task, TaskState::Failed { code: 1 }, "");
    rig.user(Command::RunAgain { task: task.id.clone() });
    let Op::Start(start) = rig.request().1 else { panic!("{:?}", rig.request()) };
    assert!(start.stdin, "as it was started, although an ended task's input is closed");
    // The runner has the whole of its command; what is known of it here may be cut.
    assert_eq!((start.command.as_str(), start.again_of), ("", Some(task.id)));
}

#[test]
fn a_look_says_what_stands_in_the_way() {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("how is it?");
    rig.answer(&[tool("t9", "check_background", json!({"task_id": task.id}))]);
    let by = Some(Process { pid: 7, command: "node".to_owned() });
    let held = vec![PortHeld { port: 3000, by }, PortHeld { port: 3001, by: None }];
    let seen = Task { paused: true, waits_for_input: true, ports: vec![80, 443], ports_held: held, ..task };
    let checked = Checked { task: seen, text: Preview::default(), matches: None };
    let (op, _) = rig.request();
    rig.reply(op, Outcome::Ok(Reply::Checked { tasks: vec![checked] }));
    let content = rig.last_message()[0]["content"].as_str().unwrap().to_owned();
    for part in [
        "paused",
        "wait for input",
        "port 80, 443",
        "3000 is still listened on, by pid 7 node",
        "3001 is still",
    ] {
        assert!(content.contains(part), "{part}: {content}");
    }
}
