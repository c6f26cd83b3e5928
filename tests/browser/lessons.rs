//! The lesson's three examples, from the click to the last answer, with the demo model and real commands.

use agent::record::Record;
use e2e::log::{each_end_is_in_the_next_call, end};
use e2e::runner::Options;

use crate::page::Page;
use crate::play::play;

#[test]
fn a_file_is_made_while_the_command_runs() {
    play("lesson_1", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let page = Page::open(stage, &runner).await;
        page.example(1).await;
        page.tab.find(".tasks .task[data-state=running]").await;
        page.over(1).await;

        let log = page.log().await;
        let task = log.iter().find_map(end).expect("the end was taken in");
        assert_eq!((task.command.as_str(), task.state.word()), ("sleep 5 && echo done", "completed"));
        let written = log.iter().find_map(|entry| match &entry.record {
            Record::ToolDone { outcome, .. } if !outcome.diff.is_empty() => Some(entry.at),
            _ => None,
        });
        let ended = task.ended.expect("it ended");
        assert!(written.expect("a file was written") < ended, "the file was written before the task ended");
        let files: Vec<_> = std::fs::read_dir(runner.workspace()).expect("it is there").flatten().collect();
        assert_eq!(files.len(), 1, "one file was made");
        let made = files[0].metadata().and_then(|file| file.modified()).expect("it has a date");
        let made = made.duration_since(std::time::UNIX_EPOCH).expect("it is past 1970").as_millis();
        assert!(
            made + 1000 < ended.0.into(),
            "the file of {made} was there before the task ended at {ended:?}"
        );

        each_end_is_in_the_next_call(&log);
        assert_eq!(page.count(".drained").await, 1);
        let injected = page.injected().await;
        assert_eq!(injected.len(), 1);
        let told = format!("[bg:{}] completed (exit 0, ", task.id);
        assert!(injected[0].contains(&told) && injected[0].contains(": done"), "{}", injected[0]);
        let last = page.texts_of(".log .column > *").await.pop().expect("there is a last row");
        assert!(!last.trim().is_empty(), "the model has the last word");
    });
}

#[test]
fn three_tasks_run_at_once() {
    play("lesson_2", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let page = Page::open(stage, &runner).await;
        page.example(2).await;
        page.until_count(".tasks .task[data-state=running]", 3).await;
        let state = "return document.querySelectorAll('.tasks .task[data-state=good]').length === 3";
        page.tab.until("all three are done", state, &[]).await;
        page.over(1).await;
        let log = page.log().await;
        let ends: Vec<_> = log.iter().filter_map(end).collect();
        let commands: Vec<_> = ends.iter().map(|task| task.command.as_str()).collect();
        assert_eq!(commands, ["sleep 2", "sleep 4", "sleep 6"]);
        let last_start = ends.iter().filter_map(|task| task.started).max();
        assert!(last_start < ends[0].ended, "all three ran at once");
        each_end_is_in_the_next_call(&log);
        assert!(page.texts_of(".tool .name").await.iter().any(|name| name == "check_background"));
    });
}

#[test]
fn tests_run_in_the_background_while_other_things_are_done() {
    play("lesson_3", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let recipe = "test:\n\t@sleep 2; echo 3 passed\n";
        std::fs::write(runner.workspace().join("Makefile"), recipe).expect("the workspace can be written");
        let page = Page::open(stage, &runner).await;
        page.example(3).await;
        page.over(1).await;
        let log = page.log().await;
        let task = log
            .iter()
            .filter_map(end)
            .find(|task| task.command.contains("make test"))
            .expect("the tests were run");
        assert_eq!((task.state.word(), task.last_line.as_str()), ("completed", "3 passed"));
        let (started, ended) = (task.started.expect("it began"), task.ended.expect("it ended"));
        let meanwhile = |at| started <= at && at < ended;
        let done =
            log.iter().filter(|entry| matches!(entry.record, Record::ToolDone { .. }) && meanwhile(entry.at));
        assert!(done.count() >= 2, "other things were done meanwhile");
        each_end_is_in_the_next_call(&log);
    });
}
