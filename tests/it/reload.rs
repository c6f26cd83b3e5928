//! A reload in the middle of anything comes back to the same conversation, with nothing lost and nothing
//! doubled.

use agent::settings::Provider;
use agent::view::ToolState;
use e2e::fake_anthropic::{answer, text_answer};
use e2e::gate::Gate;
use e2e::native_shell::auto;
use e2e::stage::play;
use e2e::view::View;
use serde_json::json;

use crate::scene::{Scene, gone, until_file};

fn foreground(view: &View) -> bool {
    view.tools()
        .iter()
        .any(|card| card.state == ToolState::Running { foreground: true } && card.task.is_some())
}

#[test]
fn while_the_answer_streams() {
    play(async {
        let hold = Gate::new();
        let mut scene =
            Scene::steps([answer().text("Half of it").hold(&hold), text_answer("The whole of it.")]).await;
        scene.session.send_message("Tell me");
        hold.reached().await;
        scene.session.until("it streams", |view| view.texts().iter().any(|text| text.contains("Half"))).await;
        scene.session.reload().await;
        scene.session.shows("The whole of it.").await;
        let texts = scene.session.view().texts().join("\n");
        assert!(!texts.contains("Half of it\n") || scene.model.requests()[1].messages().len() > 1, "{texts}");
        assert_eq!(scene.model.requests().len(), 2);
        hold.open();
    });
}

#[test]
fn while_the_answer_streams_and_the_way_to_the_model_was_chosen_by_itself() {
    play(async {
        let hold = Gate::new();
        let mut scene =
            Scene::steps([answer().text("Half of it").hold(&hold), text_answer("The whole of it.")]).await;
        scene.session.set(auto(Provider::Auto));
        scene.session.send_message("Tell me");
        hold.reached().await;
        scene.session.until("it streams", |view| view.texts().iter().any(|text| text.contains("Half"))).await;
        scene.session.reload().await;
        // Before the runner has said that it has a key, the demo must not step in.
        scene.session.shows("The whole of it.").await;
        hold.open();
    });
}

#[test]
fn before_the_answer_begins() {
    play(async {
        let hold = Gate::new();
        let mut scene =
            Scene::steps([text_answer("Lost on the way.").hold_head(&hold), text_answer("Here I am.")]).await;
        scene.session.send_message("Are you there?");
        hold.reached().await;
        scene.session.reload().await;
        scene.session.shows("Here I am.").await;
        hold.open();
        let view = scene.session.view();
        assert_eq!(view.texts(), ["Here I am."]);
    });
}

#[test]
fn while_a_command_is_waited_for() {
    play(async {
        let command = format!("echo x >> starts.txt; {}", until_file("go"));
        let mut scene =
            Scene::steps([answer().tool("bash", json!({"command": command})), text_answer("It ended.")])
                .await;
        scene.session.send_message("Run it");
        scene.session.until("it is waited for", foreground).await;
        scene.file("starts.txt").await;
        scene.session.reload().await;
        scene.session.until("it is waited for again", foreground).await;
        scene.release("go");
        scene.session.shows("It ended.").await;
        assert_eq!(scene.file("starts.txt").await, "x\n", "it was started once");
        let results = scene.model.requests()[1].results();
        assert!(results.len() == 1 && results[0].1.contains("done go"), "{results:?}");
        assert_eq!(scene.session.view().tasks.len(), 1);
    });
}

#[test]
fn while_a_command_is_waited_for_and_it_ends_meanwhile() {
    play(async {
        let mut scene = Scene::steps([
            answer().tool("bash", json!({"command": until_file("go")})),
            text_answer("It ended."),
        ])
        .await;
        scene.session.send_message("Run it");
        scene.session.until("it is waited for", foreground).await;
        let task = scene.task("while");
        scene.session.leave();
        scene.release("go");
        gone(&task).await;
        scene.session.come_back().await;
        scene.session.shows("It ended.").await;
        assert_eq!(scene.model.requests().len(), 2);
    });
}

#[test]
fn while_the_page_is_away_and_the_task_ends() {
    play(async {
        let mut scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            text_answer("It runs."),
            text_answer("It ended while I was away."),
        ])
        .await;
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        scene.session.saved().await;
        scene.session.leave();
        scene.release("go");
        scene.session.come_back().await;
        scene.session.shows("It ended while I was away.").await;
        assert_eq!(scene.model.requests().len(), 3);
        // A further reload must find nothing to tell again.
        scene.session.reload().await;
        scene
            .session
            .until("the task is shown", |view| view.tasks.iter().any(|task| task.state.is_end()))
            .await;
        scene.session.idle().await;
        assert_eq!(scene.model.requests().len(), 3);
    });
}

#[test]
fn between_a_completion_and_its_acknowledgement() {
    play(async {
        let mut scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            text_answer("It runs."),
            text_answer("It ended."),
        ])
        .await;
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        scene.session.saved().await;
        // The completion comes, but the page goes before it could write it down: so it cannot have
        // acknowledged it.
        let hold = Gate::new();
        scene.session.store().hold(&hold);
        let before = scene.session.log().len();
        scene.release("go");
        hold.reached().await;
        scene.session.leave();
        assert_eq!(scene.session.log().len(), before);
        scene.session.store().release();
        scene.session.come_back().await;
        scene.session.shows("It ended.").await;
        let requests = scene.model.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[2].notices().len(), 1);
    });
}

#[test]
fn between_a_tools_beginning_and_the_runners_reply() {
    play(async {
        let command = format!("echo x >> starts.txt; {}", until_file("go"));
        let mut scene = Scene::steps([
            answer().tool("background_run", json!({"command": command})),
            text_answer("It runs."),
            text_answer("It ended."),
        ])
        .await;
        // Whatever comes of the start cannot be written down: the log knows that it was begun, and no more.
        let hold = Gate::new();
        let began =
            |entry: &agent::record::Entry| matches!(entry.record, agent::record::Record::ToolBegan { .. });
        scene.session.store().hold_after(began, &hold);
        scene.session.send_message("Start it");
        scene.file("starts.txt").await;
        scene.session.leave();
        scene.session.store().release();
        scene.session.come_back().await;
        scene.session.shows("It runs.").await;
        scene.release("go");
        scene.session.shows("It ended.").await;
        assert_eq!(scene.file("starts.txt").await, "x\n", "the same start asked for twice starts once");
    });
}

#[test]
fn at_every_moment_of_a_turn() {
    play(async {
        let mut scene = Scene::by(|request| {
            let results = request.messages().iter().filter(|message| message["role"] == "assistant").count();
            match results {
                0 => answer().text("One.").tool("write_file", json!({"path": "a.txt", "content": "a\n"})),
                1 => answer().text("Two.").tool("bash", json!({"command": "echo b >> b.txt"})),
                _ => text_answer("Three."),
            }
        })
        .await;
        scene.session.send_message("Do it");
        // Each reload lets the log grow by a little before the next one comes.
        for _ in 0..12 {
            let before = scene.session.log().len();
            let grown =
                || (scene.session.log().len() > before || scene.session.view().is_idle()).then_some(());
            e2e::wait::until("something is written down", grown).await;
            scene.session.leave();
            scene.session.come_back().await;
        }
        scene.session.shows("Three.").await;
        assert_eq!(scene.file("a.txt").await, "a\n");
        assert_eq!(scene.file("b.txt").await, "b\n", "the command ran once");
        assert_eq!(scene.session.view().texts().iter().filter(|text| **text == "Three.").count(), 1);
    });
}
