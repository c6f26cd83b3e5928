//! The tools, each with the real runner.

use e2e::fake_anthropic::{answer, text_answer};
use e2e::process;
use e2e::stage::play;
use serde_json::json;

use crate::scene::{Scene, until_file};

#[test]
fn files_are_written_edited_and_read() {
    play(async {
        let scene = Scene::steps([
            answer()
                .tool("write_file", json!({"path": "notes/a.txt", "content": "one\ntwo\nthree\n"}))
                .tool("edit_file", json!({"path": "notes/a.txt", "old_text": "two", "new_text": "zwei"}))
                .tool("read_file", json!({"path": "notes/a.txt", "offset": 2, "limit": 1}))
                .tool("edit_file", json!({"path": "notes/a.txt", "old_text": "four", "new_text": "vier"})),
            text_answer("Done."),
        ])
        .await;
        scene.session.send_message("Write");
        scene.session.shows("Done.").await;
        assert_eq!(scene.file("notes/a.txt").await, "one\nzwei\nthree\n");
        let results = scene.model.requests()[1].results();
        assert_eq!(
            results.iter().map(|(_, _, error)| *error).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert!(results[2].1.contains("zwei") && !results[2].1.contains("three"), "{}", results[2].1);
        let view = scene.session.view();
        let diffs: Vec<_> = view.tools().iter().map(|card| card.diff.clone()).collect();
        assert!(diffs[1].contains("-two") && diffs[1].contains("+zwei"), "{diffs:?}");
    });
}

#[test]
fn much_output_is_cut_and_can_be_searched() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer().tool("bash", json!({"command": "seq 1 300000"})),
            2 => answer().tool("background_run", json!({"command": "seq 1 300000"})),
            3 => {
                let id = request.results()[0].1.split_whitespace().nth(2).unwrap_or_default().to_owned();
                answer()
                    .tool("bash", json!({"command": "sleep 1"}))
                    .tool("check_background", json!({"task_id": id, "grep": "^77777$"}))
            }
            _ => text_answer("Enough."),
        })
        .await;
        scene.session.send_message("Count");
        scene.session.shows("Enough.").await;
        let requests = scene.model.requests();
        let whole = &requests[1].results()[0].1;
        assert!(whole.len() < 70_000 && whole.contains("300000"), "{} characters", whole.len());
        let found = &requests[3].results()[1].1;
        assert!(found.contains("77777") && found.len() < 5_000, "{found}");
    });
}

#[test]
fn input_can_be_sent_to_a_task() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer()
                .tool("background_run", json!({"command": "read line; echo got $line", "stdin": true})),
            2 => {
                let id = request.results()[0].1.split_whitespace().nth(2).unwrap_or_default().to_owned();
                answer().tool("send_input", json!({"task_id": id, "text": "a word\n"}))
            }
            // The end may be quicker than the call that follows the sending.
            _ if request.notices().is_empty() => text_answer("Sent."),
            _ => text_answer("It answered."),
        })
        .await;
        scene.session.send_message("Talk to it");
        scene.session.shows("It answered.").await;
        let told = scene.model.requests().last().expect("there are requests").notices();
        assert!(told.len() == 1 && told[0].contains("got a word"), "{told:?}");
    });
}

#[test]
fn the_agent_can_stop_its_task() {
    play(async {
        let word = format!("meanwhile-stopped-{}", uuid::Uuid::new_v4());
        let named = word.clone();
        let scene = Scene::by(move |request| match request.n {
            1 => answer()
                .tool("background_run", json!({"command": format!("{} {named}", until_file("never"))})),
            2 => {
                let id = request.results()[0].1.split_whitespace().nth(2).unwrap_or_default().to_owned();
                answer().tool("stop_background", json!({"task_id": id}))
            }
            _ => text_answer("Stopped."),
        })
        .await;
        scene.session.send_message("Start and stop");
        scene.session.shows("Stopped.").await;
        let (_, result, is_error) = &scene.model.requests()[2].results()[0];
        assert!(result.contains("stopped") && !is_error, "{result}");
        assert_eq!(process::holding(&word), []);
        assert_eq!(scene.model.requests().len(), 3, "its own stop wakes nobody");
    });
}
