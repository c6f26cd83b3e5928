//! Stopping: the reply, a task, a command that takes too long. Each means one thing.

use agent::event::Command;
use agent::view::ToolState;
use e2e::fake_anthropic::{answer, text_answer};
use e2e::process;
use e2e::stage::play;
use e2e::wait;
use serde_json::json;

use crate::scene::{Scene, until_file};

#[test]
fn a_command_that_outlives_its_timeout_goes_to_the_background() {
    play(async {
        let scene = Scene::steps([
            answer().tool("bash", json!({"command": until_file("go"), "timeout": 1})),
            text_answer("It goes on in the background."),
            text_answer("Now it is done."),
        ])
        .await;
        scene.session.send_message("Run it");
        scene.session.shows("It goes on in the background.").await;
        let task = scene.task("while");
        assert_eq!((task.state.word(), task.foreground), ("running", false));
        let requests = scene.model.requests();
        let (_, result, is_error) = &requests[1].results()[0];
        assert!(result.contains(task.id.as_str()) && result.contains("background") && !is_error, "{result}");
        scene.release("go");
        scene.session.shows("Now it is done.").await;
        let told = scene.model.requests()[2].last_notices();
        assert!(told.len() == 1 && told[0].contains("done go"), "{told:?}");
    });
}

#[test]
fn a_person_can_send_a_command_to_the_background() {
    play(async {
        let scene = Scene::steps([
            answer().tool("bash", json!({"command": until_file("go")})),
            text_answer("You sent it to the background."),
            text_answer("Done."),
        ])
        .await;
        scene.session.send_message("Run it");
        let runs = |view: &e2e::view::View| {
            view.tools()
                .iter()
                .any(|card| card.state == ToolState::Running { foreground: true } && card.task.is_some())
        };
        scene.session.until("it runs in the foreground", runs).await;
        scene.session.user(Command::Background { task: scene.task("while").id });
        scene.session.shows("You sent it to the background.").await;
        scene.release("go");
        scene.session.shows("Done.").await;
    });
}

#[test]
fn a_runner_that_stops_takes_its_tasks_along() {
    play(async {
        let word = format!("meanwhile-orphan-{}", uuid::Uuid::new_v4());
        let command = format!("setsid sh -c 'while :; do sleep 0.1; done # {word}' & wait");
        let mut scene = Scene::steps([
            answer().tool("background_run", json!({"command": command})),
            text_answer("It runs."),
        ])
        .await;
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        wait::until("it is there", || (!process::holding(&word).is_empty()).then_some(())).await;
        scene.session.leave();
        let status = scene.runner.stop();
        assert!(status.success(), "{status}");
        assert_eq!(process::holding(&word), []);
    });
}
