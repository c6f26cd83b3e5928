//! The lesson's three examples, from the press on a button to the final answer.

use std::time::UNIX_EPOCH;

use e2e::log::each_completion_is_in_the_next_call;

use crate::page::{completions, scene};

#[test]
fn a_file_is_made_while_the_command_runs() {
    scene("a_file_is_made_while_the_command_runs", async |_, scene| {
        let page = &scene.page;
        page.example(0).await;
        scene.until_file("meanwhile-demo.txt").await;
        page.tasks("running", 1).await;
        page.shows("done is done (exit 0").await;
        page.over().await;
        page.tasks("good", 1).await;

        // By the clock of the machine too: first the file, then the end.
        let file = scene.runner.workspace().join("meanwhile-demo.txt");
        let written = file.metadata().and_then(|file| file.modified()).expect("the file is there");
        let written = written.duration_since(UNIX_EPOCH).expect("it is past 1970").as_millis();
        let tasks = completions(&page.log().await, "sleep");
        let end = tasks[0].ended.expect("it ended").0;
        assert!(written < end.into(), "the file came at {written}, the task ended at {end}");

        // The result is in the first request after the end, and one can see it there.
        each_completion_is_in_the_next_call(&page.log().await);
        assert_eq!(page.drained().await, (1, 1));
        page.press("View request").await;
        let told =
            "return document.querySelector('dialog .messages > li:last-child .injected pre')?.innerText";
        let told = page.until("the call is shown", told).await;
        let told = told.as_str().expect("it is a text");
        let id = &tasks[0].id;
        assert!(told.contains(&format!("[bg:{id}] completed (exit 0")) && told.contains("done"), "{told}");
        assert_eq!(told.matches("[bg:").count(), 1, "{told}");
        let about = page
            .until("and what else was sent", "return document.querySelector('dialog .body')?.innerText")
            .await;
        let about = about.as_str().expect("it is a text");
        assert!(about.contains("8 tools") && about.contains("demo"), "{about}");
    });
}

#[test]
fn three_tasks_run_at_once() {
    scene("three_tasks_run_at_once", async |_, scene| {
        let page = &scene.page;
        page.example(1).await;
        page.until(
            "their status was checked",
            "return [...document.querySelectorAll('.tool[data-state=done] .name')].some(name => name.innerText === 'check_background')",
        )
        .await;
        page.shows("All three are done.").await;
        page.over().await;
        page.tasks("good", 3).await;
        let tasks = completions(&page.log().await, "sleep");
        let commands: Vec<&str> = tasks.iter().map(|task| task.command.as_str()).collect();
        assert_eq!(commands, ["sleep 2", "sleep 4", "sleep 6"], "each ends at its own time");
        let starts = tasks.iter().filter_map(|task| task.started).max();
        let ended = tasks.iter().filter_map(|task| task.ended).min();
        assert!(starts < ended, "all three ran at once");
        each_completion_is_in_the_next_call(&page.log().await);
        for command in commands {
            assert_eq!(page.count(&format!("{command} is done (exit 0")).await, 1, "{command} is told once");
        }
    });
}

#[test]
fn tests_that_pass_are_told_so() {
    scene("tests_that_pass_are_told_so", async |_, scene| {
        scene.write("Makefile", "test:\n\t@touch began; sleep 1; echo 3 passed\n");
        let page = &scene.page;
        page.example(2).await;
        page.tab.find("#approval").await;
        page.shows("make test").await;
        assert_eq!(scene.read("began"), None, "nothing runs before it is allowed");
        page.press("Allow once").await;
        page.shows("The tests passed: make test is done (exit 0").await;
        page.shows("3 passed").await;
        page.over().await;
        page.task("make test", "good").await;
        each_completion_is_in_the_next_call(&page.log().await);
    });
}

#[test]
fn tests_that_fail_are_told_so() {
    scene("tests_that_fail_are_told_so", async |_, scene| {
        scene.write("Makefile", "test:\n\t@echo 1 failed; exit 1\n");
        let page = &scene.page;
        page.example(2).await;
        page.press("Allow once").await;
        page.shows("The tests failed: make test failed (exit 2").await;
        page.shows("1 failed").await;
        page.over().await;
        page.task("make test", "bad").await;
        each_completion_is_in_the_next_call(&page.log().await);
    });
}

#[test]
fn a_workspace_without_tests_is_told_so() {
    scene("a_workspace_without_tests_is_told_so", async |_, scene| {
        let page = &scene.page;
        page.example(2).await;
        page.shows("I found no tests here").await;
        page.over().await;
        assert_eq!(page.count("background_run").await, 0, "nothing was started");
    });
}
