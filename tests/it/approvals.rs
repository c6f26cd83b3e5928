//! Permission comes before dispatch.

use agent::event::{Command, Decision};
use agent::settings::{Mode, Provider, Rule};
use agent::view::ToolState;
use e2e::fake_anthropic::{answer, text_answer};
use e2e::native_shell::auto;
use e2e::stage::play;
use e2e::view::View;
use serde_json::json;

use crate::scene::Scene;

fn asks(view: &View) -> bool {
    view.asks().is_some()
}

fn decide(scene: &Scene, decision: Decision) {
    let view = scene.session.view();
    let card = view.asks().expect("something asks");
    scene.session.user(Command::Decide { call: card.call, index: card.index, decision });
}

async fn asking(steps: Vec<e2e::fake_anthropic::Answer>) -> Scene {
    let scene = Scene::steps(steps).await;
    scene.session.set(agent::settings::Settings { mode: Mode::AskCommands, ..auto(Provider::Relay) });
    scene
}

#[test]
fn nothing_runs_before_it_is_allowed() {
    play(async {
        let command = "touch ran.txt && echo ran";
        let scene =
            asking(vec![answer().tool("bash", json!({"command": command})), text_answer("It ran.")]).await;
        scene.session.send_message("Run it");
        scene.session.until("it asks", asks).await;
        assert!(!scene.runner.workspace().join("ran.txt").exists());
        assert!(scene.session.view().tasks.is_empty());
        decide(&scene, Decision::Once);
        scene.session.shows("It ran.").await;
        assert!(scene.runner.workspace().join("ran.txt").exists());
    });
}

#[test]
fn a_denial_is_told_and_nothing_runs() {
    play(async {
        let command = "touch ran.txt";
        let scene = asking(vec![
            answer().tool("background_run", json!({"command": command})),
            text_answer("I understand."),
        ])
        .await;
        scene.session.send_message("Run it");
        scene.session.until("it asks", asks).await;
        decide(&scene, Decision::Deny { reason: "Not on a Friday.".to_owned() });
        scene.session.shows("I understand.").await;
        let requests = scene.model.requests();
        let (_, result, is_error) = &requests[1].results()[0];
        assert!(result.contains("Not on a Friday.") && *is_error, "{result}");
        assert!(!scene.runner.workspace().join("ran.txt").exists());
        let view = scene.session.view();
        assert_eq!(view.tools()[0].state, ToolState::Skipped);
    });
}

#[test]
fn always_means_exactly_this() {
    play(async {
        let again = json!({"command": "touch one.txt"});
        let other = json!({"command": "touch two.txt"});
        let scene = asking(vec![
            answer().tool("bash", again.clone()),
            answer().tool("bash", again),
            answer().tool("bash", other),
            text_answer("Done."),
        ])
        .await;
        scene.session.send_message("Run it, again, and another");
        scene.session.until("it asks", asks).await;
        let view = scene.session.view();
        let Some(ToolState::Asks { always, .. }) = view.asks().map(|card| &card.state) else {
            panic!("it asks")
        };
        let exact =
            always.iter().find(|rule| matches!(rule, Rule::Exact { .. })).expect("exactly this is offered");
        decide(&scene, Decision::Always { rule: exact.clone() });
        let second = |view: &View| view.asks().is_some_and(|card| card.subject.contains("two.txt"));
        scene.session.until("only the other one asks", second).await;
        assert_eq!(scene.model.requests().len(), 3);
        decide(&scene, Decision::Once);
        scene.session.shows("Done.").await;
    });
}

#[test]
fn a_pending_approval_survives_a_reload_and_then_works() {
    play(async {
        let command = "touch ran.txt";
        let mut scene =
            asking(vec![answer().tool("bash", json!({"command": command})), text_answer("It ran.")]).await;
        scene.session.send_message("Run it");
        scene.session.until("it asks", asks).await;
        scene.session.reload().await;
        scene.session.until("it asks again", asks).await;
        assert!(!scene.runner.workspace().join("ran.txt").exists());
        decide(&scene, Decision::Once);
        scene.session.shows("It ran.").await;
        assert!(scene.runner.workspace().join("ran.txt").exists());
        assert_eq!(scene.model.requests().len(), 2);
    });
}
