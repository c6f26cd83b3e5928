//! Completions in the page, with a scripted model behind the runner's relay.

use e2e::fake_anthropic::{FakeAnthropic, answer, say};
use e2e::process;
use e2e::runner::{Options, Runner};
use e2e::wait;
use serde_json::json;

use crate::page::Page;
use crate::play::play;

/// A command that runs until the test writes the file.
pub(crate) fn until_file(name: &str) -> String {
    format!(
        "n=0; while [ ! -e {name} ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done; echo done {name}"
    )
}

/// Lets such commands go on.
pub(crate) fn release(runner: &Runner, name: &str) {
    std::fs::write(runner.workspace().join(name), "go\n").expect("the workspace can be written");
}

#[test]
fn an_idle_session_is_woken_once() {
    play("woken_once", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            say("It runs; I will be told."),
            say("It is done."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.ask_nothing().await;
        page.say("Start it").await;
        page.says("It runs; I will be told.").await;
        page.idle().await;
        release(&runner, "go");
        page.says("It is done.").await;
        page.idle().await;
        let requests = model.requests();
        assert_eq!(requests.len(), 3, "woken once");
        assert_eq!(
            requests[2].last_notices(),
            page.injected().await,
            "the page shows the very block that was sent"
        );
    });
}

#[test]
fn ten_tasks_that_end_together_make_one_turn() {
    play("ten_together", async |stage| {
        let all = (0..10).fold(answer(), |all, n| {
            all.tool("background_run", json!({"command": format!("{} number {n}", until_file("go"))}))
        });
        let model = FakeAnthropic::steps([all, say("All ten run."), say("All ten are done.")]).await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.ask_nothing().await;
        page.say("Start ten").await;
        page.says("All ten run.").await;
        page.until_count(".tasks .task[data-state=running]", 10).await;
        release(&runner, "go");
        page.says("All ten are done.").await;
        page.idle().await;
        assert_eq!(model.requests().len(), 3, "one turn for all ten");
        assert_eq!((page.count(".drained").await, page.count(".drained li").await), (1, 10));
        page.until_count(".tasks .task[data-state=good]", 10).await;
    });
}

#[test]
fn a_stopped_task_leaves_no_process() {
    play("stopped_task", async |stage| {
        let word = format!("meanwhile-family-{}", uuid::Uuid::new_v4());
        let member = format!("while :; do sleep 0.1; done # {word}");
        let command = format!("sh -c '{member}' & setsid sh -c '{member}' & trap '' TERM; {member}");
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": command})),
            say("It runs."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.ask_nothing().await;
        page.say("Start a family").await;
        page.says("It runs.").await;
        wait::until("the family is there", || (process::holding(&word).len() >= 3).then_some(())).await;
        page.tab.click(".tasks .task button.open").await;
        page.tab.click(".tasks .task .actions button:first-child").await;
        page.tab.find(".tasks .task[data-state=ended]").await;
        assert_eq!(process::holding(&word), [], "stopped is said when it is true");
        assert!(page.text_of(".tasks .task .status").await.contains("stopped"));
        page.tab.find(".shelf .chip").await;
        assert_eq!(model.requests().len(), 2, "what was stopped on purpose wakes nobody");
    });
}

#[test]
fn output_is_live_and_coloured() {
    play("live_output", async |stage| {
        let command = format!("printf 'plain \\033[31mred\\033[0m\\n'; {}", until_file("go"));
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": command})),
            say("It runs."),
            say("Over."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.ask_nothing().await;
        page.say("Start it").await;
        page.says("It runs.").await;
        page.tab.click(".tasks .task button.open").await;
        let red = "return [...document.querySelectorAll('.screen [data-fg=\"1\"]')].some(run => run.innerText === 'red')";
        page.tab.until("its output is there in colour, while it runs", red, &[]).await;
        assert_eq!(page.count(".tasks .task[data-state=running]").await, 1);
        release(&runner, "go");
        page.tab
            .until(
                "the rest follows",
                "return document.querySelector('.screen').innerText.includes('done go')",
                &[],
            )
            .await;
        page.says("Over.").await;
    });
}
