//! Reloads and cut lines: nothing is lost, nothing is doubled.

use e2e::browser::Options as BrowserOptions;
use e2e::cable::Cable;
use e2e::fake_anthropic::{FakeAnthropic, answer, say};
use e2e::gate::Gate;
use e2e::runner::Options;
use serde_json::json;

use crate::notices::{release, until_file};
use crate::page::Page;
use crate::play::play;

#[test]
fn while_a_task_runs() {
    play("reload_task", async |stage| {
        let command = format!("echo x >> starts.txt; {}", until_file("go"));
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": command})),
            say("It runs."),
            say("It ended."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.ask_nothing().await;
        page.say("Start it").await;
        page.says("It runs.").await;
        page.idle().await;
        let session = page.session().await;
        let before = page.texts_of(".log .prose").await;
        page.tab.reload().await;
        page.live().await;
        page.says("It runs.").await;
        assert_eq!(page.session().await, session, "the same session comes back");
        assert_eq!(page.texts_of(".log .prose").await, before);
        page.until_count(".tasks .task[data-state=running]", 1).await;
        release(&runner, "go");
        page.says("It ended.").await;
        page.idle().await;
        assert_eq!(model.requests().len(), 3);
        let starts = std::fs::read_to_string(runner.workspace().join("starts.txt")).expect("it was started");
        assert_eq!(starts, "x\n", "it was started once");
    });
}

#[test]
fn while_an_answer_streams() {
    play("reload_stream", async |stage| {
        let hold = Gate::new();
        let model =
            FakeAnthropic::steps([answer().text("Half of it").hold(&hold), say("The whole of it.")]).await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.say("Tell me").await;
        let half = "return document.querySelector('.log')?.innerText.includes('Half of it')";
        page.tab.until("it streams", half, &[]).await;
        page.tab.reload().await;
        page.says("The whole of it.").await;
        page.idle().await;
        assert_eq!(model.requests().len(), 2);
        assert_eq!(page.texts_of(".log .me").await.len(), 1, "the words were said once");
        hold.open();
    });
}

#[test]
fn a_pending_approval_survives_and_then_works() {
    play("reload_approval", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("bash", json!({"command": "echo x >> ran.txt"})),
            say("It ran."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        page.say("Run it").await;
        page.tab.find("#approval .primary").await;
        // A reload right away would come before the model's answer is written down, and would ask it again.
        let kept = async || {
            page.log()
                .await
                .iter()
                .any(|entry| matches!(entry.record, agent::record::Record::Answered { .. }))
        };
        while !kept().await {}
        page.tab.reload().await;
        let asked = page.tab.find("#approval pre").await;
        assert!(asked.text().await.expect("it can be read").contains("echo x >> ran.txt"));
        assert!(!runner.workspace().join("ran.txt").exists(), "nothing ran before it was allowed");
        page.live().await;
        page.tab.click("#approval .primary").await;
        page.says("It ran.").await;
        let ran = std::fs::read_to_string(runner.workspace().join("ran.txt")).expect("it ran");
        assert_eq!(ran, "x\n", "it ran once");
        assert_eq!(model.requests().len(), 2);
    });
}

#[test]
fn the_line_is_cut_during_a_task_and_restored() {
    play("cut_line", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            say("It runs."),
            say("It ended while the line was cut."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let cable = Cable::socks().await;
        let options = BrowserOptions { proxy: Some(cable.address()), ..BrowserOptions::default() };
        let page = Page::open_with(stage, &runner, &options).await;
        // What Chromium itself says of a line that is cut.
        page.tab.browser().expect_console("WebSocket connection to");
        page.ask_nothing().await;
        page.say("Start it").await;
        page.says("It runs.").await;
        page.idle().await;
        cable.cut().await;
        page.down().await;
        release(&runner, "go");
        e2e::wait::until("the command ended", || e2e::process::holding("-e go ]").is_empty().then_some(()))
            .await;
        assert_eq!(model.requests().len(), 2);
        cable.plug();
        page.says("It ended while the line was cut.").await;
        page.live().await;
        page.idle().await;
        assert_eq!(model.requests().len(), 3, "told once");
        page.until_count(".tasks .task[data-state=good]", 1).await;
    });
}
