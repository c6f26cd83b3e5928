//! How completions reach the model: drained before each call, told once, waking an idle loop once.

use e2e::fake_anthropic::{answer, text_answer};
use e2e::gate::Gate;
use e2e::stage::play;
use e2e::wait;
use serde_json::json;
use shared::task::TaskState;

use crate::scene::{Scene, until_file};

#[test]
fn a_result_is_in_the_first_request_after_the_task_ended() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::steps([
            answer().text("I start it.").tool("background_run", json!({"command": until_file("go")})),
            answer()
                .hold_head(&hold)
                .tool("write_file", json!({"path": "meanwhile.txt", "content": "written\n"})),
            text_answer("The task ended."),
        ])
        .await;
        scene.session.send_message("Start it, and write a file meanwhile");
        hold.reached().await;
        scene.release("go");
        scene.session.until("the end waits in the queue", |view| view.queue.len() == 1).await;
        hold.open();
        scene.session.shows("The task ended.").await;

        let requests = scene.model.requests();
        assert_eq!(requests.len(), 3);
        let started = &requests[1].results()[0];
        let task = scene.task("while");
        assert!(started.1.contains(task.id.as_str()) && !started.2, "{started:?}");
        assert!(requests[1].notices().is_empty());
        let notices = requests[2].last_notices();
        assert_eq!(notices.len(), 1);
        let entry = format!("[bg:{}] completed (exit 0, ", task.id);
        assert!(notices[0].contains(&entry) && notices[0].contains("done go"), "{}", notices[0]);
        let blocks = requests[2].last_blocks();
        let kinds: Vec<_> = blocks.iter().map(|block| block["type"].as_str().unwrap_or_default()).collect();
        assert_eq!(kinds, ["tool_result", "text"], "results come first, then the notice, in one message");
        assert_eq!(scene.session.view().drained(), (1, 1));
        assert_eq!(scene.file("meanwhile.txt").await, "written\n");
    });
}

#[test]
fn a_result_that_comes_as_the_model_ends_its_turn_is_not_lost() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            answer().text("I am finish").hold(&hold).text("ed."),
            text_answer("And so is the task."),
        ])
        .await;
        scene.session.send_message("Start it");
        hold.reached().await;
        scene.release("go");
        scene.session.until("the end waits in the queue", |view| view.queue.len() == 1).await;
        hold.open();
        scene.session.shows("And so is the task.").await;
        let requests = scene.model.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[2].last_notices().len(), 1);
    });
}

#[test]
fn looking_at_an_ended_task_consumes_its_notice() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::by({
            let hold = hold.clone();
            move |request| match request.n {
                1 => answer().tool("background_run", json!({"command": until_file("go")})),
                2 => {
                    let started = &request.results()[0].1;
                    let id = started
                        .split_whitespace()
                        .find(|word| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit()));
                    let id = id.unwrap_or_else(|| panic!("no task id in {started:?}"));
                    answer().hold_head(&hold).tool("check_background", json!({"task_id": id}))
                }
                _ => text_answer("I saw it end."),
            }
        })
        .await;
        scene.session.send_message("Start it and look");
        hold.reached().await;
        scene.release("go");
        let ended = |task: &shared::task::Task| task.state == TaskState::Completed;
        scene.session.until("it ended", |view| view.tasks.iter().any(ended)).await;
        hold.open();
        scene.session.shows("I saw it end.").await;
        let requests = scene.model.requests();
        let told: Vec<_> = requests.iter().map(|request| request.last_notices().len()).collect();
        let shown = requests[2].results();
        // Either the look showed the end, or the notice did, if it was there first; never both.
        assert_eq!(
            told.iter().sum::<usize>() + usize::from(shown[0].1.contains("done go")),
            1,
            "{told:?} {shown:?}"
        );
        assert_eq!(requests.len(), 3, "no further turn for what was seen");
    });
}

#[test]
fn statuses_are_true() {
    play(async {
        let word = format!("meanwhile-late-{}", uuid::Uuid::new_v4());
        let late = format!("while :; do sleep 0.1; done # {word}");
        let scene = Scene::by(move |request| match request.n {
            1 => answer()
                .tool("background_run", json!({"command": "echo bad news; exit 7"}))
                .tool("background_run", json!({"command": "kill -SEGV $$"}))
                .tool("background_run", json!({"command": late, "timeout": 1})),
            2 => text_answer("They run."),
            _ => text_answer("Noted."),
        })
        .await;
        scene.session.send_message("Start three that fail");
        let over = |view: &e2e::view::View| view.is_idle() && view.drained().1 == 3;
        scene.session.until("all three were told", over).await;
        let told = scene.model.requests().last().expect("there are requests").notices().join("\n");
        assert!(told.contains("failed (exit 7, ") && told.contains("bad news"), "{told}");
        assert!(told.contains("killed (SIGSEGV, "), "{told}");
        assert!(told.contains("timeout ("), "{told}");
        let gone = wait::until("nothing is left", || e2e::process::holding(&word).is_empty().then_some(()));
        gone.await;
    });
}
