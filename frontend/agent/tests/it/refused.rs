//! A conversation cannot die: what a server refuses for its content is cut or taken back, and the session
//! goes on.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use agent::Event;
use agent::event::{Command, ModelInput};
use agent::record::{Entry, Record};
use agent::settings::{ModelChoice, Provider};
use agent::transcript::request_of_call;
use agent::view::TurnView;
use serde_json::{Value, json};
use shared::files::FileText;
use shared::protocol::{Outcome, Reply};
use shared::task::TaskState;

use crate::rig::{Rig, head, text, tool};

/// The newest call is answered with this status.
fn refuse(rig: &mut Rig, status: u16, message: &str) {
    let call = rig.calls.last().unwrap().0;
    let body = json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
    rig.model(call, head(status));
    rig.model(call, ModelInput::Data(body.to_string().into_bytes()));
    rig.model(call, ModelInput::End);
}

/// A server that takes no more than so many bytes, and answers at last with this.
fn serve(rig: &mut Rig, most: usize, answer: &[Value]) {
    for _ in 0..8 {
        let size = rig.calls.last().unwrap().1.to_string().len();
        if size <= most {
            return rig.answer(answer);
        }
        let calls = rig.calls.len();
        refuse(rig, 413, "Request exceeds the maximum size");
        if rig.calls.len() == calls {
            return;
        }
    }
    panic!("asked again and again");
}

fn read(rig: &mut Rig, chars: usize) {
    let (op, _) = rig.request();
    let line = format!("{}\n", "x".repeat(80));
    let text = line.repeat(chars / 81);
    let total_lines = (chars / 81) as u64;
    rig.reply(op, Outcome::Ok(Reply::File(FileText { text, first_line: 1, total_lines, more: false })));
}

fn texts_of(rig: &Rig) -> Vec<String> {
    let blocks = rig.last_message();
    blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
}

/// What the log says was asked is what was asked; and another page that reads it stands where this one does.
fn the_log_knows(rig: &mut Rig) {
    let (call, body) = rig.calls.last().unwrap().clone();
    assert_eq!(request_of_call(&rig.disk, call).map(|sent| sent.body), Some(body));
    let (phase, queue) = (rig.agent.session().phase.clone(), rig.agent.session().queue.clone());
    rig.boot();
    rig.connect();
    assert_eq!((&rig.agent.session().phase, &rig.agent.session().queue), (&phase, &queue));
}

#[test]
fn files_that_are_too_large_together_are_cut_and_the_session_goes_on() {
    let mut rig = Rig::new();
    rig.send_message("read them");
    let uses: Vec<Value> =
        (0..3).map(|n| tool(&format!("t{n}"), "read_file", json!({"path": format!("f{n}")}))).collect();
    rig.answer(&uses);
    for _ in 0..3 {
        read(&mut rig, 162_000);
    }
    serve(&mut rig, 400_000, &[text("I have read them.")]);
    assert_eq!(rig.agent.session().phase, agent::session::Phase::Idle);
    let sent = rig.last_message()[0]["content"].as_str().unwrap().to_owned();
    assert!(sent.contains("left out here") && sent.len() < 50_000, "{}", sent.len());
    the_log_knows(&mut rig);
    rig.send_message("and now");
    serve(&mut rig, 400_000, &[text("yes")]);
    assert_eq!(texts_of(&rig), ["and now"]);
}

#[test]
fn a_message_that_is_refused_can_be_taken_back() {
    for (status, message) in [(400, "invalid content"), (413, "too large"), (400, "prompt is too long")] {
        let mut rig = Rig::new();
        rig.send_message("fine");
        rig.answer(&[text("ok")]);
        rig.send_message("what is refused");
        refuse(&mut rig, status, message);
        assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Failed);
        assert!(rig.status.as_ref().unwrap().refused);
        let calls = rig.calls.len();
        // Nothing joins it meanwhile.
        rig.send_message("something else");
        rig.pass(60_000);
        assert_eq!(rig.calls.len(), calls, "{message}");
        rig.user(Command::TakeBack);
        assert_eq!(rig.drafts, ["what is refused"], "it can be changed and sent again");
        assert_eq!(rig.calls.len(), calls + 1);
        assert_eq!(texts_of(&rig), ["something else"]);
        the_log_knows(&mut rig);
        rig.answer(&[text("ok")]);
        assert!(!rig.status.as_ref().unwrap().refused);
        // Taking back what was not refused does nothing.
        rig.user(Command::TakeBack);
        assert_eq!(rig.drafts.len(), 1);
    }
}

#[test]
fn the_first_message_of_all_can_be_taken_back() {
    let mut rig = Rig::new();
    rig.send_message("x");
    refuse(&mut rig, 400, "no");
    // Escape stops nothing: the next texts would join what is refused.
    rig.user(Command::StopReply);
    assert!(rig.status.as_ref().unwrap().refused);
    rig.user(Command::TakeBack);
    assert_eq!(rig.drafts, ["x"]);
    rig.boot();
    rig.connect();
    assert_eq!(rig.agent.session().transcript.turns(), []);
    rig.send_message("y");
    assert_eq!(texts_of(&rig), ["y"]);
    rig.answer(&[text("ok")]);
}

#[test]
fn what_must_be_answered_stays_when_a_message_is_taken_back() {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("write");
    rig.answer(&[tool("t2", "read_file", json!({"path": "a"}))]);
    rig.user(Command::QueueMessage { text: "hurry".to_owned(), steer: true });
    rig.end(&task, TaskState::Completed, "made");
    read(&mut rig, 810);
    refuse(&mut rig, 400, "no");
    rig.user(Command::TakeBack);
    assert_eq!(rig.drafts, ["hurry"]);
    rig.send_message("go on");
    let blocks = rig.last_message();
    assert_eq!(blocks[0]["tool_use_id"], "t2");
    let texts = texts_of(&rig);
    assert!(texts[0].contains("made") && texts[1] == "go on" && texts.len() == 2, "{texts:?}");
    the_log_knows(&mut rig);
    // It was not the texts: the next time the results go, and their uses stay answered.
    refuse(&mut rig, 400, "no");
    rig.user(Command::TakeBack);
    rig.send_message("once more");
    let blocks = rig.last_message();
    assert!(blocks[0]["content"].as_str().unwrap().contains("left out"), "{blocks:?}");
    assert_eq!(texts_of(&rig), ["once more"]);
    the_log_knows(&mut rig);
}

#[test]
fn results_that_are_refused_are_left_out_and_the_model_goes_on() {
    let mut rig = Rig::new();
    rig.send_message("read");
    rig.answer(&[tool("t1", "read_file", json!({"path": "a"}))]);
    read(&mut rig, 810);
    refuse(&mut rig, 400, "this text is not allowed");
    rig.user(Command::TakeBack);
    assert_eq!(rig.drafts, Vec::<String>::new());
    let blocks = rig.last_message();
    assert_eq!((blocks.len(), &blocks[0]["tool_use_id"]), (1, &json!("t1")));
    assert!(blocks[0]["content"].as_str().unwrap().contains("left out"), "{blocks:?}");
    the_log_knows(&mut rig);
    rig.boot();
    rig.connect();
    rig.answer(&[text("I could not read it.")]);
}

#[test]
fn a_server_that_takes_nothing_is_not_asked_for_ever() {
    let mut rig = Rig::new();
    rig.send_message("read");
    rig.answer(&[tool("t1", "read_file", json!({"path": "a"}))]);
    read(&mut rig, 200_000);
    serve(&mut rig, 100, &[]);
    assert!(rig.calls.len() < 8, "{}", rig.calls.len());
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Failed);
}

#[test]
fn a_log_of_a_later_version_is_read_as_far_as_it_is_known() {
    let of = |entry: &Value| Entry::parse(&entry.to_string());
    let answered = json!({"n": 4, "at": 9, "record": "answered", "call": 1, "content": [{"type": "text", "text": "x"}],
        "stop": {"stop": "brand_new", "more": 1}, "usage": {}});
    let Record::ResponseReceived { content, stop, .. } = of(&answered).unwrap().record else {
        panic!("passed over")
    };
    assert_eq!(content.len(), 1);
    assert_eq!(stop, agent::model::Stop::Other { word: "brand_new".to_owned() });
    let asked = json!({"n": 3, "at": 9, "record": "asked", "call": 1, "cause": "brand_new",
        "append": [{"type": "text", "text": "x"}], "model": {}});
    assert!(matches!(of(&asked).unwrap().record, Record::RequestSent { append, .. } if append.len() == 1));
    let task = crate::rig::task("aaaa0001");
    let event = shared::protocol::TaskEvent::Ended {
        task: Box::new(task),
        preview: shared::output::Preview::default(),
    };
    let epoch = shared::Epoch(uuid::Uuid::nil());
    let entry = Entry {
        n: 5,
        at: shared::Timestamp(1),
        record: Record::CompletionReceived { epoch, seq: shared::Seq(7), event },
    };
    let mut arrived = serde_json::to_value(&entry).unwrap();
    arrived["event"]["task"]["state"] = json!({"status": "brand_new"});
    let Record::CompletionReceived { event: shared::protocol::TaskEvent::Ended { task, .. }, seq, .. } =
        of(&arrived).unwrap().record
    else {
        panic!("passed over")
    };
    assert_eq!(seq, shared::Seq(7), "the cursor moves");
    assert!(matches!(&task.state, TaskState::Error { reason } if reason.contains("brand_new")));
    // What cannot be read at all is passed over, if it is an entry.
    for other in [
        json!({"n": 6, "at": 9, "record": "brand_new", "x": 1}),
        json!({"n": 6, "at": 9, "record": "tool_began", "call": 1, "index": 0, "op": "5b0f0d3e-8c1c-4b0e-9a44-0a5f3f1b7c21", "sandbox": "brand_new"}),
        json!({"n": 6, "at": 9, "record": "decided", "call": "one"}),
    ] {
        assert_eq!(of(&other).unwrap(), Entry { n: 6, at: shared::Timestamp(9), record: Record::Unknown });
    }
    for broken in [
        json!({"n": 6, "at": 9}),
        json!({"at": 9, "record": "began"}),
        json!([]),
        json!({"n": 6, "record": 1}),
    ] {
        assert!(of(&broken).is_err(), "{broken}");
    }
    assert!(Entry::parse("{\"n\": 6").is_err());
}

#[test]
fn what_is_refused_within_a_stream_can_be_taken_back_too() {
    let mut rig = Rig::new();
    rig.send_message("no");
    let call = rig.calls[0].0;
    let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"not allowed"}}"#;
    rig.model(call, head(200));
    rig.model(call, ModelInput::Data(format!("event: error\ndata: {error}\n\n").into_bytes()));
    rig.model(call, ModelInput::End);
    assert!(rig.status.as_ref().unwrap().refused, "{:?}", rig.status);
    rig.user(Command::TakeBack);
    assert_eq!(rig.drafts, ["no"]);
}

#[test]
fn a_conversation_that_fills_the_context_gets_nothing_more() {
    let (mut rig, task) = Rig::with_background_task();
    rig.send_message("go on");
    assert!(!rig.status.as_ref().unwrap().full);
    rig.answer_and_stop(&[text("as far as it goes")], "model_context_window_exceeded");
    assert!(rig.status.as_ref().unwrap().full);
    let calls = rig.calls.len();
    rig.end(&task, TaskState::Completed, "made");
    rig.send_message("and more");
    rig.pass(60_000);
    assert_eq!(rig.calls.len(), calls, "it would be refused with all that is there");
    assert_eq!(rig.status.as_ref().unwrap().turn, TurnView::Idle);
    the_log_knows(&mut rig);
    assert_eq!(rig.calls.len(), calls);
    assert!(rig.status.as_ref().unwrap().full);
    // Another model may have room.
    rig.settings.model = ModelChoice::new(Provider::Direct, "larger");
    rig.send(Event::Settings(rig.settings.clone()));
    assert_eq!(rig.calls.len(), calls + 1);
    let texts = texts_of(&rig);
    assert!(texts[0] == "and more" && texts[1].contains("made"), "{texts:?}");
    rig.answer(&[text("ok")]);
    assert!(!rig.status.as_ref().unwrap().full);
}
