//! Never late, never lost, never twice: what a connection, a failure or another page must not do to results
//! and words.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::event::{Command, LinkInput, ModelInput};
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::{LinkView, RowKind, TurnView};
use serde_json::json;
use shared::output::{OutputSlice, Preview};
use shared::protocol::{BackgroundedBy, ClientFrame, Op, ServerFrame, TaskEvent, close};
use shared::task::{Task, TaskState};
use shared::{Problem, ProblemCode, Seq, Timestamp};

use crate::rig::{Rig, head, settings, text, tool};

fn ended(task: &Task, output: &str) -> TaskEvent {
    let task = Task {
        state: TaskState::Completed,
        ended: Some(Timestamp(2_000)),
        duration_ms: Some(5_000),
        ..task.clone()
    };
    TaskEvent::Ended {
        task: Box::new(task),
        preview: Preview { head: output.to_owned(), ..Preview::default() },
    }
}

fn results(rig: &Rig) -> String {
    let last = rig.last_message();
    let text = last.last().and_then(|block| block["text"].as_str()).unwrap_or_default();
    if text.starts_with("<background-results>") { text.to_owned() } else { String::new() }
}

fn texts_of(rig: &Rig) -> Vec<String> {
    let blocks = rig.last_message();
    blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
}

fn notices(rig: &Rig) -> Vec<String> {
    let rows = rig.rows().into_iter().filter_map(|row| match row.kind {
        RowKind::Notice { text, .. } => Some(text),
        _ => None,
    });
    rows.collect()
}

/// A call is under way, a task's end waits at the runner, and the page is loaded again or taken over.
fn reloaded_in_mid_answer() -> (Rig, Task) {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("hello");
    let call = rig.calls.last().unwrap().0;
    rig.model(call, head(200));
    rig.calls.clear();
    rig.boot();
    (rig, task)
}

#[test]
fn a_result_that_waits_is_in_the_call_after_a_reload() {
    let (mut rig, task) = reloaded_in_mid_answer();
    assert_eq!(rig.calls.len(), 0, "asked before the runner was heard");
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(1));
    assert_eq!(rig.calls.len(), 0, "asked before the replay");
    rig.event(ended(&task, "done"));
    assert_eq!(rig.calls.len(), 1);
    assert!(results(&rig).contains("done"), "{:?}", rig.last_message());
    rig.settle();
    rig.answer(&[text("I see.")]);
    rig.pass(5_000);
    assert_eq!(rig.calls.len(), 1, "one call, with it");
}

#[test]
fn a_tool_that_ends_in_the_replay_waits_for_the_rest_of_it() {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("wait for it");
    rig.answer(&[tool("t2", "bash", json!({"command": "sleep 1"}))]);
    let waited = rig.start("aaaa0002");
    rig.calls.clear();
    rig.boot();
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(2));
    rig.event(ended(&waited, "slept"));
    assert_eq!(rig.calls.len(), 0);
    rig.event(ended(&task, "done"));
    assert_eq!(rig.calls.len(), 1);
    assert_eq!(rig.last_message()[0]["content"], "slept");
    assert!(results(&rig).contains("done"));
}

#[test]
fn a_long_replay_is_waited_for_although_it_settles_on_its_way() {
    let (mut rig, task) = reloaded_in_mid_answer();
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(2));
    let other = crate::rig::task("aaaa0009");
    rig.event(ended(&other, "one"));
    rig.settle();
    assert_eq!(rig.calls.len(), 0, "half of it has come");
    rig.event(ended(&task, "two"));
    assert_eq!(rig.calls.len(), 1);
    assert!(results(&rig).contains("one") && results(&rig).contains("two"));
}

#[test]
fn the_wait_for_a_replay_ends_by_itself() {
    // Nothing comes.
    let (mut rig, _) = reloaded_in_mid_answer();
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(1));
    assert!(rig.alarm.is_some_and(|at| at.0 <= rig.now + 2_000), "{:?}", rig.alarm);
    rig.pass(2_000);
    assert_eq!(rig.calls.len(), 1);
    // The runner goes away again.
    let (mut rig, _) = reloaded_in_mid_answer();
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(1));
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    assert_eq!(rig.calls.len(), 1);
    // It is not there at all, or hangs.
    let (mut rig, _) = reloaded_in_mid_answer();
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    assert_eq!(rig.calls.len(), 1);
    let (mut rig, _) = reloaded_in_mid_answer();
    rig.pass(2_000);
    assert_eq!(rig.calls.len(), 1);
}

#[test]
fn a_retry_that_is_wished_during_a_replay_is_made_after_it() {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("hello");
    let call = rig.calls.last().unwrap().0;
    rig.model(call, ModelInput::Refused { reason: "no".to_owned() });
    rig.calls.clear();
    rig.boot();
    rig.user(Command::Retry);
    rig.link(LinkInput::Opened);
    rig.welcome_with(|welcome| welcome.last = Seq(1));
    assert_eq!(rig.calls.len(), 0);
    rig.event(ended(&task, "done"));
    assert_eq!(rig.calls.len(), 1);
    assert!(results(&rig).contains("done"));
}

#[test]
fn what_another_log_acknowledged_is_said_and_told_as_far_as_it_is_known() {
    let (mut rig, task) = Rig::with_background_task();
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(1_000);
    rig.link(LinkInput::Opened);
    rig.unheard(2);
    let gone = Task { state: TaskState::Failed { code: 3 }, output_bytes: 7_000, ..task };
    rig.welcome_with(|welcome| welcome.tasks = vec![gone]);
    rig.settle();
    assert_eq!(rig.calls.len(), 3, "the end starts a turn");
    let block = results(&rig);
    assert!(block.contains("[bg:aaaa0001] failed (exit 3") && block.contains("check_background"), "{block}");
    assert!(!block.contains("no output"), "{block}");
    assert!(notices(&rig).iter().any(|text| text.starts_with("2 results")), "{:?}", notices(&rig));
    // It is said once.
    rig.answer(&[text("ok")]);
    rig.boot();
    rig.connect();
    rig.settle();
    assert_eq!(notices(&rig).len(), 1);
    assert_eq!(rig.calls.len(), 3);
}

#[test]
fn a_command_that_is_waited_for_ends_although_its_event_went_elsewhere() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "bash", json!({"command": "make"}))]);
    let task = rig.start("aaaa0001");
    rig.boot();
    rig.link(LinkInput::Opened);
    rig.unheard(1);
    let gone = Task { state: TaskState::Completed, output_bytes: 50, ..task };
    rig.welcome_with(|welcome| welcome.tasks = vec![gone]);
    rig.settle();
    assert_eq!(rig.calls.len(), 2);
    let content = rig.last_message()[0]["content"].as_str().unwrap().to_owned();
    assert!(content.contains("50 characters omitted; check_background"), "{content}");
}

#[test]
fn an_end_that_another_log_acknowledged_is_told_also_if_its_start_was_never_answered() {
    let mut rig = Rig::new();
    rig.send_message("x");
    rig.answer(&[tool("t1", "bash", json!({"command": "make"}))]);
    let op = rig.request().0;
    let task = Task { op, command: "make".to_owned(), ..crate::rig::task("aaaa0001") };
    rig.background(&task, BackgroundedBy::Time);
    rig.answer(&[text("meanwhile")]);
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(1_000);
    rig.link(LinkInput::Opened);
    rig.unheard(1);
    rig.welcome_with(|welcome| welcome.tasks = vec![Task { state: TaskState::Completed, ..task }]);
    rig.settle();
    assert_eq!(rig.calls.len(), 3, "the end starts a turn");
    assert!(results(&rig).contains("[bg:aaaa0001] completed"), "{}", results(&rig));
}

#[test]
fn a_store_that_was_put_back_from_a_copy_is_heard() {
    let (mut rig, task) = Rig::with_background_task();
    for n in 0..3 {
        rig.send_message("more");
        rig.answer(&[tool(&format!("m{n}"), "background_run", json!({"command": "x"}))]);
        let other = rig.start(&format!("bbbb000{n}"));
        rig.answer(&[text("ok")]);
        rig.end(&other, TaskState::Stopped { by: shared::task::Party::User, signal: None }, "");
    }
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(1_000);
    rig.link(LinkInput::Opened);
    // The copy knew one event; the next gets the number 2, which this log has seen already.
    rig.rewind(1);
    rig.welcome_with(|welcome| welcome.resumed = false);
    let calls = rig.calls.len();
    rig.end(&task, TaskState::Completed, "done");
    assert_eq!(rig.calls.len(), calls + 1);
    assert!(results(&rig).contains("done"));
}

#[test]
fn an_event_that_never_comes_is_asked_for_with_pauses_and_then_given_up() {
    let (mut rig, task) = Rig::with_background_task();
    rig.unheard(1);
    let last = Seq(2);
    let connects = rig.connects;
    let mut pauses = Vec::new();
    for _ in 0..20 {
        if rig.calls.len() > 2 {
            break;
        }
        rig.frame(ServerFrame::Event { seq: last, event: ended(&task, "done") });
        if rig.calls.len() > 2 || rig.status.as_ref().unwrap().link == LinkView::Live {
            rig.frame(ServerFrame::Settled { through: last });
            break;
        }
        let before = rig.now;
        let tried = rig.connects;
        while rig.connects == tried {
            assert!(rig.ring(0), "nothing will happen any more");
        }
        pauses.push(rig.now - before);
        rig.link(LinkInput::Opened);
        rig.welcome_with(|welcome| (welcome.next, welcome.last) = (Seq(1), last));
    }
    assert!(rig.connects - connects <= 4, "{pauses:?}");
    assert!(pauses.windows(2).all(|pair| pair[1] > pair[0] / 2) && pauses[0] >= 100, "{pauses:?}");
    assert_eq!(rig.calls.len(), 3, "{pauses:?}");
    assert!(results(&rig).contains("done"));
    assert!(notices(&rig).iter().any(|text| text.contains("could not be read")), "{:?}", notices(&rig));
}

/// Three messages wait; the call for the first fails with this.
fn queue_of_three(status: u16, headers: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::new();
    rig.send_message("one");
    rig.send_message("two");
    rig.send_message("three");
    fail(&mut rig, status, headers);
    rig
}

fn fail(rig: &mut Rig, status: u16, headers: &[(&str, &str)]) {
    let call = rig.calls.last().unwrap().0;
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    rig.model(call, ModelInput::Head { status, headers });
    rig.model(call, ModelInput::Data(br#"{"error":{"message":"no"}}"#.to_vec()));
    rig.model(call, ModelInput::End);
}

#[test]
fn queued_messages_neither_hurry_a_retry_nor_join_it() {
    let mut rig = queue_of_three(529, &[("retry-after", "30")]);
    assert_eq!(rig.calls.len(), 1);
    rig.pass(29_000);
    assert_eq!(rig.calls.len(), 1, "asked before the server's own time");
    rig.pass(1_500);
    assert_eq!(rig.calls.len(), 2);
    assert_eq!(texts_of(&rig), ["one"]);
    for message in ["two", "three"] {
        rig.answer(&[text("ok")]);
        assert_eq!(texts_of(&rig), [message], "each has a turn of its own");
    }
}

#[test]
fn a_wrong_key_does_not_burn_the_queue() {
    let mut rig = queue_of_three(401, &[]);
    rig.pass(60_000);
    assert_eq!(rig.calls.len(), 1);
    assert_eq!(rig.agent.session().queue.messages().len(), 2);
    rig.user(Command::Retry);
    assert_eq!(rig.calls.len(), 2);
    assert_eq!(texts_of(&rig), ["one"]);
    rig.answer(&[text("ok")]);
    assert_eq!(texts_of(&rig), ["two"]);
}

#[test]
fn messages_after_a_failure_are_sent_at_once() {
    let mut rig = Rig::new();
    rig.send_message("one");
    fail(&mut rig, 529, &[("retry-after", "30")]);
    rig.send_message("two");
    assert_eq!(rig.calls.len(), 2);
    assert_eq!(texts_of(&rig), ["one", "two"]);
    // Where others wait longer, they are not overtaken, and each keeps its own turn.
    let mut rig = queue_of_three(401, &[]);
    rig.send_message("four");
    assert_eq!(rig.calls.len(), 2);
    assert_eq!(texts_of(&rig), ["one"]);
    for message in ["two", "three", "four"] {
        rig.answer(&[text("ok")]);
        assert_eq!(texts_of(&rig), [message]);
    }
}

#[test]
fn nothing_is_looked_at_for_ever_that_only_the_person_can_bring_back() {
    let model_calls = |rig: &Rig| {
        let is_call =
            |frame: &&ClientFrame| matches!(frame, ClientFrame::Request { op: Op::ModelCall(_), .. });
        rig.sent.iter().filter(is_call).count()
    };
    for code in [close::FENCED, close::REVOKED, close::VERSION] {
        let model = ModelChoice::new(Provider::Relay, "");
        let mut rig = Rig::with(Settings { model, ..settings(Mode::Auto) });
        rig.send_message("hello");
        let problem = Some(Problem::retryable(ProblemCode::Upstream, "It broke off."));
        rig.frame(ServerFrame::ModelEnd { call: "1".to_owned(), problem });
        assert!(rig.alarm.is_some());
        rig.link(LinkInput::Closed { code, reason: String::new() });
        let mut rung = 0;
        while rig.ring(0) {
            rung += 1;
            assert!(rung < 5, "{code}: it is looked at again and again");
        }
        assert!(matches!(rig.status.as_ref().unwrap().turn, TurnView::BacksOff { .. }));
        // The person brings it back, and the retry is made.
        rig.user(Command::Reconnect);
        rig.connect();
        assert_eq!(model_calls(&rig), 2, "{code}");
    }
}

#[test]
fn a_session_that_was_taken_says_so() {
    let mut rig = Rig::new();
    rig.link(LinkInput::Closed { code: close::FENCED, reason: String::new() });
    let link = rig.status.as_ref().unwrap().link.clone();
    assert!(matches!(&link, LinkView::Taken { reason } if reason.contains("take it back")), "{link:?}");
}

#[test]
fn output_goes_on_while_anybody_watches() {
    let (mut rig, task) = Rig::with_background_task();
    let slice = |from: u64, text: &str| OutputSlice {
        from,
        data: shared::output::Bytes(text.as_bytes().to_vec()),
        total: from + text.len() as u64,
        ..OutputSlice::default()
    };
    let watch = |rig: &mut Rig, viewer| rig.user(Command::Watch { task: task.id.clone(), viewer });
    let unwatch = |rig: &mut Rig, viewer| rig.user(Command::Unwatch { task: task.id.clone(), viewer });
    let asked = |rig: &Rig| {
        let watches = rig.sent.iter().filter_map(|frame| match frame {
            ClientFrame::Request { op: Op::Watch { from, .. }, .. } => Some(format!("from {from}")),
            ClientFrame::Request { op: Op::Unwatch { .. }, .. } => Some("no more".to_owned()),
            _ => None,
        });
        watches.collect::<Vec<_>>()
    };
    watch(&mut rig, 1);
    rig.frame(ServerFrame::Output { task: task.id.clone(), slice: slice(0, "abc") });
    watch(&mut rig, 2);
    rig.frame(ServerFrame::Output { task: task.id.clone(), slice: slice(0, "abcdef") });
    assert_eq!(rig.shown.concat(), "abcabcdef", "a second one gets all of it, too");
    unwatch(&mut rig, 2);
    // Twice, or of one that never looked: a tab that begins anew.
    unwatch(&mut rig, 2);
    unwatch(&mut rig, 3);
    rig.frame(ServerFrame::Output { task: task.id.clone(), slice: slice(6, "ghi") });
    assert!(rig.shown.concat().ends_with("ghi"), "one closed its card, and the other stood still");
    assert_eq!(asked(&rig), ["from 0", "from 0"]);
    unwatch(&mut rig, 1);
    unwatch(&mut rig, 1);
    assert_eq!(asked(&rig), ["from 0", "from 0", "no more"]);
    // A new socket goes on where the old one stood.
    watch(&mut rig, 1);
    rig.frame(ServerFrame::Output { task: task.id.clone(), slice: slice(0, "abc") });
    rig.link(LinkInput::Closed { code: 1006, reason: String::new() });
    rig.pass(1_000);
    rig.connect();
    assert_eq!(asked(&rig).last().unwrap(), "from 3");
}

/// Which operation a tool use becomes in a log that began then.
fn op_of(began: u64, uses: &[serde_json::Value]) -> Vec<shared::OpId> {
    let mut rig = Rig::begun_at(began);
    rig.send_message("x");
    rig.answer(uses);
    let mut ops = Vec::new();
    for n in 0..uses.len() {
        ops.push(rig.request().0);
        rig.start(&format!("aaaa000{n}"));
    }
    ops
}

#[test]
fn operations_are_named_by_what_they_are() {
    let run = |id: &str, command: &str| tool(id, "background_run", json!({ "command": command }));
    let first = op_of(1_000, &[run("t1", "make")]);
    assert_eq!(first, op_of(1_000, &[run("t1", "make")]), "the same log names it the same");
    // A log that was lost and began anew, or another one of the same session, says other things in the same
    // places.
    for other in [
        op_of(1_000, &[run("t1", "make install")]),
        op_of(1_000, &[run("t2", "make")]),
        op_of(1_000, &[tool("t1", "bash", json!({"command": "make"}))]),
        op_of(2_000, &[run("t1", "make")]),
    ] {
        assert_ne!(first, other);
    }
    // Two that are the same are two.
    let twice = op_of(1_000, &[run("t1", "make"), run("t1", "make"), run("t3", "make")]);
    assert!(twice[0] != twice[1] && twice[1] != twice[2] && twice[0] != twice[2], "{twice:?}");
}

/// Whoever looks elsewhere meanwhile would close it, and its completions would wake nobody.
#[test]
fn tasks_of_a_log_run_until_the_runner_says_otherwise() {
    let (mut rig, _) = Rig::with_background_task();
    rig.boot();
    assert!(rig.agent.has_active_tasks());
    rig.connect();
    assert!(!rig.agent.has_active_tasks(), "the runner knows none");
}
