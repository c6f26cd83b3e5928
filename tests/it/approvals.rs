//! Permission comes before dispatch.

use agent::event::{Command, Decision};
use agent::settings::{Mode, Provider};
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
