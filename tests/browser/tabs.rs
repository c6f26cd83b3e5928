//! Several tabs and browsers on one runner.

use e2e::browser::Options as BrowserOptions;
use e2e::fake_anthropic::{FakeAnthropic, answer, say};
use e2e::runner::{Options, Runner};
use serde_json::json;

use crate::notices::{release, until_file};
use crate::page::Page;
use crate::play::play;

/// Starts two tasks named after the fruit in the first words, and never may see the other's results.
async fn fruit_model() -> FakeAnthropic {
    FakeAnthropic::by(|request| {
        let name = request.first_text();
        let fruit = name.split_whitespace().last().unwrap_or_default().to_owned();
        let other = if fruit == "apples" { "pears" } else { "apples" };
        assert!(
            !request.notices().join("\n").contains(other),
            "a result of {other} in the session of {fruit}"
        );
        match request.messages().len() {
            1 => (0..2).fold(answer(), |all, n| {
                let command = format!("{}; echo {fruit} {n}", until_file(&fruit));
                all.tool("background_run", json!({"command": command}))
            }),
            3 => say(&format!("Both {fruit} run.")),
            _ => {
                say(&format!("The {fruit} are told: {}", request.notices().join("").matches("[bg:").count()))
            }
        }
    })
    .await
}

async fn never_cross(one: &Page, other: &Page, runner: &Runner) {
    for (page, fruit) in [(one, "apples"), (other, "pears")] {
        page.ask_nothing().await;
        page.say(&format!("Count {fruit}")).await;
    }
    for (page, fruit) in [(one, "apples"), (other, "pears")] {
        page.says(&format!("Both {fruit} run.")).await;
        page.until_count(".tasks .task[data-own]", 2).await;
        page.until_count(".tasks .task", 4).await;
    }
    release(runner, "apples");
    release(runner, "pears");
    for (page, fruit) in [(one, "apples"), (other, "pears")] {
        page.says(&format!("The {fruit} are told: ")).await;
        page.over(2).await;
        let told = page.texts_of(".drained li").await;
        assert!(told.len() == 2 && told.iter().all(|line| line.contains("completed")), "{told:?}");
        let own = page.log().await;
        let own: Vec<_> = own.iter().filter_map(e2e::log::end).collect();
        assert!(own.len() == 2 && own.iter().all(|task| task.command.contains(fruit)), "{own:?}");
    }
}

#[test]
fn two_tabs_at_once_do_not_cross() {
    play("two_tabs", async |stage| {
        let model = fruit_model().await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let one = Page::open(stage, &runner).await;
        let other = one.beside(&format!("{}/", runner.origin())).await;
        other.live().await;
        assert_ne!(one.session().await, other.session().await);
        never_cross(&one, &other, &runner).await;
    });
}

#[test]
fn two_browsers_at_once_do_not_cross() {
    play("two_browsers", async |stage| {
        let model = fruit_model().await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let one = Page::open(stage, &runner).await;
        let tab = stage.browser_with(&BrowserOptions::default()).await;
        tab.open(&runner.fresh_link().await).await;
        let other = Page::ready(tab).await;
        never_cross(&one, &other, &runner).await;
    });
}

#[test]
fn a_second_tab_of_a_session_follows_and_can_take_over() {
    play("take_over", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            say("It runs."),
            say("It ended."),
            say("I hear the second tab."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let first = Page::open(stage, &runner).await;
        first.ask_nothing().await;
        first.say("Start it").await;
        first.says("It runs.").await;
        first.idle().await;

        let second = first.beside(&first.tab.url().await).await;
        second.says("It runs.").await;
        second.tab.find(".banner button").await;
        let locked = "return document.querySelector('#composer').disabled";
        second.tab.until("the second tab only follows", locked, &[]).await;

        second.tab.click(".banner button").await;
        second.live().await;
        first.tab.until("the first tab only follows now", locked, &[]).await;
        release(&runner, "go");
        second.says("It ended.").await;
        first.says("It ended.").await;
        second.say("Can you hear me?").await;
        second.says("I hear the second tab.").await;
        first.says("I hear the second tab.").await;
        assert_eq!(model.requests().len(), 4, "nothing was asked twice");
    });
}

#[test]
fn a_code_pairs_one_browser_and_no_other() {
    play("pairing", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let page = Page::open(stage, &runner).await;
        assert!(!page.tab.url().await.contains("pair="), "the code is taken out of the address");
        let stranger = stage.browser_with(&BrowserOptions::default()).await;
        // Chromium writes every refused request to the console.
        stranger.browser().expect_console("401");
        stranger.open(runner.link()).await;
        stranger.find(".unpaired #code").await;
        stranger.click("#code").await;
        stranger.type_keys(runner.fresh_link().await).await;
        stranger.click(".unpaired button[type=submit]").await;
        Page::ready(stranger).await;
    });
}
