//! Stopping: the reply, a task, a command that takes too long. Each means one thing.

use agent::event::Command;
use agent::view::ToolState;
use e2e::fake_anthropic::{answer, text_answer};
use e2e::gate::Gate;
use e2e::process;
use e2e::stage::play;
use e2e::wait;
use serde_json::json;
use shared::task::{Party, TaskState};

use crate::scene::{Scene, until_file};

#[test]
fn a_stopped_task_leaves_no_process() {
    play(async {
        let word = format!("meanwhile-family-{}", uuid::Uuid::new_v4());
        let command = format!(
            "sh -c 'trap \"\" TERM; sh -c \"while :; do sleep 0.1; done # {word}\" & setsid sh -c \"while :; do sleep 0.1; done # {word}\" & \
             while :; do sleep 0.1; done # {word}'"
        );
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": command})),
            text_answer("It runs."),
        ])
        .await;
        scene.session.send_message("Start a family");
        scene.session.shows("It runs.").await;
        wait::until("the family is there", || (process::holding(&word).len() >= 3).then_some(())).await;
        let task = scene.task(&word);
        scene.session.user(Command::StopTask { task: task.id.clone() });
        let stopped = |view: &e2e::view::View| view.tasks.iter().any(|task| task.state.word() == "stopped");
        scene.session.until("it is stopped", stopped).await;
        assert_eq!(process::holding(&word), [], "stopped is said when it is true");
        let TaskState::Stopped { by, .. } = scene.task(&word).state else { panic!("it is not stopped") };
        assert_eq!(by, Party::User);
        // What was stopped on purpose waits for the next turn and starts none.
        scene.session.until("its end waits", |view| view.queue.len() == 1).await;
        assert_eq!(scene.model.requests().len(), 2);
        scene.model.then([text_answer("I see that you stopped it.")]);
        scene.session.send_message("What happened?");
        scene.session.shows("I see that you stopped it.").await;
        let told = scene.model.requests()[2].last_notices();
        assert!(told.len() == 1 && told[0].contains("stopped"), "{told:?}");
    });
}

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
fn stopping_the_reply_keeps_the_tasks_and_answers_every_tool_use() {
    play(async {
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            answer()
                .text("Now I wait.")
                .tool("bash", json!({"command": until_file("never")}))
                .tool("bash", json!({"command": "echo second"})),
        ])
        .await;
        scene.session.send_message("Start it, then wait");
        let waits = |view: &e2e::view::View| {
            view.tools().iter().any(|card| {
                card.subject.contains("never") && card.state == ToolState::Running { foreground: true }
            })
        };
        scene.session.until("the second command is waited for", waits).await;
        scene.session.user(Command::StopReply);
        scene
            .session
            .until("the reply is stopped", |view| view.turn() == Some(&agent::view::TurnView::Idle))
            .await;
        assert_eq!(scene.task("-e go").state, TaskState::Running, "tasks are kept");
        scene.model.then([text_answer("Where were we?"), text_answer("Both are over.")]);
        scene.session.send_message("Go on");
        scene.session.shows("Where were we?").await;
        let requests = scene.model.requests();
        let results = requests[2].results();
        assert_eq!(results.len(), 2, "every tool use has its result: {results:?}");
        assert!(requests[2].last_text().contains("Go on"));
        scene.release("go");
        scene.release("never");
        let over = |view: &e2e::view::View| view.is_idle() && view.tasks.iter().all(|task| !task.is_active());
        scene.session.until("all is over", over).await;
    });
}

#[test]
fn stopping_a_streaming_answer_keeps_what_was_said() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::steps([
            answer().text("This much was sai").hold(&hold).text("d and more."),
            text_answer("I was interrupted."),
        ])
        .await;
        scene.session.send_message("Tell me a story");
        hold.reached().await;
        scene
            .session
            .until("it streams", |view| view.texts().iter().any(|text| text.contains("was sai")))
            .await;
        scene.session.user(Command::StopReply);
        scene.session.idle().await;
        scene.session.send_message("Why did you stop?");
        scene.session.shows("I was interrupted.").await;
        let requests = scene.model.requests();
        let said = requests[1].messages()[1]["content"][0]["text"].as_str();
        assert!(said.is_some_and(|said| said.contains("This much was sai")), "{said:?}");
        hold.open();
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
