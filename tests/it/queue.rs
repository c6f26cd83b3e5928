//! Messages that wait, and turns that the agent starts by itself.

use agent::event::Command;
use agent::settings::{Provider, Settings};
use agent::view::{TurnView, Waiting};
use e2e::fake_anthropic::{answer, text_answer};
use e2e::gate::Gate;
use e2e::native_shell::auto;
use e2e::stage::play;
use e2e::view::View;
use serde_json::json;

use crate::scene::{Scene, until_file};

fn waits(view: &View, text: &str) -> bool {
    view.queue
        .iter()
        .any(|waiting| matches!(waiting, Waiting::Message { text: message, .. } if message == text))
}

#[test]
fn messages_sent_meanwhile_wait_for_the_end_of_the_turn_and_steering_ones_do_not() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::steps([
            answer().text("I look.").hold(&hold).tool("bash", json!({"command": "echo looked"})),
            text_answer("I looked, in French."),
            text_answer("Now the other thing."),
        ])
        .await;
        scene.session.send_message("Look");
        hold.reached().await;
        scene.session.send_message("Then do another thing");
        scene.session.user(Command::QueueMessage { text: "Answer in French".to_owned(), steer: true });
        scene.session.until("both wait", |view| view.queue.len() == 2).await;
        hold.open();
        scene.session.shows("Now the other thing.").await;
        let requests = scene.model.requests();
        let (second, third) = (requests[1].last_text(), requests[2].last_text());
        assert_eq!((second.as_str(), third.as_str()), ("Answer in French", "Then do another thing"));
        assert_eq!(requests[1].results().len(), 1);
    });
}

#[test]
fn waiting_messages_can_be_cancelled_and_outlive_a_reload() {
    play(async {
        let hold = Gate::new();
        let mut scene =
            Scene::steps([answer().hold_head(&hold), text_answer("One."), text_answer("You said: kept.")])
                .await;
        scene.session.send_message("First");
        hold.reached().await;
        scene.session.send_message("regretted");
        scene.session.send_message("kept");
        scene.session.until("both wait", |view| view.queue.len() == 2).await;
        let view = scene.session.view();
        let id = view.queue.iter().find_map(|waiting| match waiting {
            Waiting::Message { id, text, .. } if text == "regretted" => Some(*id),
            Waiting::Message { .. } | Waiting::Completion { .. } => None,
        });
        scene.session.user(Command::CancelMessage { id: id.expect("it waits") });
        scene.session.until("it is taken back", |view| !waits(view, "regretted")).await;
        scene.session.reload().await;
        scene.session.shows("You said: kept.").await;
        let texts = scene.model.requests().last().expect("there are requests").user_texts().join("\n");
        assert!(texts.contains("kept") && !texts.contains("regretted"), "{texts}");
        hold.open();
    });
}

#[test]
fn without_waking_a_result_goes_with_the_next_message() {
    play(async {
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            text_answer("It runs."),
            text_answer("It had ended."),
        ])
        .await;
        scene.session.set(Settings { wake: false, ..auto(Provider::Relay) });
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        scene.release("go");
        scene.session.until("its end waits", |view| view.queue.len() == 1).await;
        scene.session.send_message("And?");
        scene.session.shows("It had ended.").await;
        let requests = scene.model.requests();
        assert_eq!(requests.len(), 3);
        let blocks = requests[2].last_blocks();
        assert_eq!((blocks.len(), requests[2].last_notices().len()), (2, 1));
        assert!(requests[2].last_text().starts_with("And?"));
    });
}

#[test]
fn turns_that_start_themselves_have_a_budget_until_the_person_speaks() {
    play(async {
        // A model that starts a new task whenever it hears that one ended would go on for ever. Each ends
        // only after the turn that began it has its last answer, or its result would come within that turn.
        let gates = tempfile::TempDir::new().expect("there is a temporary folder");
        let folder = gates.path().to_owned();
        let mut begun = 0;
        let scene = Scene::by(move |request| {
            let last = request.last_text();
            if request.results().is_empty() && !last.contains("Enough") {
                begun += 1;
                let gate = folder.join(begun.to_string());
                let wait = format!(
                    "n=0; while [ ! -e {} ] && [ $n -lt 3000 ]; do sleep 0.02; n=$((n+1)); done",
                    gate.display()
                );
                answer().tool("background_run", json!({"command": wait}))
            } else {
                std::fs::write(folder.join(begun.to_string()), "").expect("the folder takes files");
                text_answer("Next, please.")
            }
        })
        .await;
        scene.session.send_message("Go");
        let spent = |view: &View| {
            view.turn() == Some(&TurnView::Idle)
                && view.queue.len() == 1
                && view.status.as_ref().is_some_and(|status| status.budget_left == 0)
        };
        scene.session.until("the budget is spent", spent).await;
        scene.session.until("reaching it is shown", |view| view.notices().len() == 1).await;
        let before = scene.model.requests().len();
        scene.session.send_message("Enough");
        let answered =
            |view: &View| view.is_idle() && view.status.as_ref().is_some_and(|status| status.budget_left > 0);
        scene.session.until("the person speaks", answered).await;
        assert_eq!(scene.model.requests().len(), before + 1);
    });
}

#[test]
fn a_log_that_cannot_be_written_is_said_and_the_session_goes_on() {
    play(async {
        let scene = Scene::steps([text_answer("One."), text_answer("Two.")]).await;
        scene.session.send_message("First");
        scene.session.shows("One.").await;
        scene.session.saved().await;
        let kept = scene.session.log().len();
        scene.session.store().fail("no room left");
        scene.session.send_message("Second");
        scene.session.shows("Two.").await;
        let view = scene.session.view();
        let unsaved = view.status.as_ref().and_then(|status| status.unsaved.clone());
        assert!(unsaved.is_some_and(|reason| reason.contains("no room left")));
        assert_eq!(scene.session.log().len(), kept);
    });
}
