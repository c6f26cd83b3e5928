//! A model that the page calls by itself, with a key that only the page has.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, KEY, answer, refuse, text_answer};
use e2e::fake_chat::{FakeChat, chat_answer};
use e2e::gate::Gate;
use e2e::runner::Options;
use serde_json::json;
use thirtyfour::Key;

use crate::page::{Page, Scene};
use crate::play::play;

/// Chooses direct calls to this address, with this key.
async fn connect(page: &Page, url: &str, key: &str) {
    page.press("Settings").await;
    page.tab.click(".choice:nth-of-type(4) input").await;
    page.tab.click("#key").await;
    page.tab.type_keys(key).await;
    page.press("Keep").await;
    page.until("the key is kept", "return document.querySelector('#key')?.placeholder.includes('is kept')")
        .await;
    page.tab.click("input[type=url]").await;
    page.tab.type_keys(url).await;
    page.press("Close").await;
    page.until("the address is kept", "return JSON.parse(localStorage['meanwhile.settings']).base_url").await;
}

#[test]
fn a_key_of_ones_own_stays_in_the_page() {
    play("a_key_of_ones_own_stays_in_the_page", async |stage| {
        let held = Gate::new();
        let model = FakeAnthropic::steps([
            answer().text("Let me see.").tool("bash", json!({"command": "echo from the shell"})),
            text_answer("It said so."),
            answer().text("This goes on").hold(&held).text(" and on."),
        ])
        .await;
        let scene =
            Scene::open(stage, Options::default().connect(&model.url()), &browser::Options::default()).await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        connect(page, &model.url(), KEY).await;
        page.send_message("Look around").await;
        page.shows("from the shell").await;
        page.shows("It said so.").await;
        page.idle().await;
        page.send_message("Go on").await;
        page.shows("This goes on").await;
        // What was spent is told at a press. Escape takes that away first, and leaves the reply alone.
        page.tab.click("button.price").await;
        let told =
            "return document.querySelector('#price:popover-open')?.innerText.includes('in the context now')";
        page.until("what was spent is told", told).await;
        page.tab.type_keys(Key::Escape + "").await;
        page.until("it is closed", "return !document.querySelector(':popover-open')").await;
        page.press("Stop reply").await;
        page.idle().await;
        held.open();
        let requests = model.requests();
        assert_eq!(requests.len(), 3);
        for request in &requests {
            assert_eq!(request.headers["x-api-key"], KEY);
            assert_eq!(request.headers["anthropic-dangerous-direct-browser-access"], "true");
        }
        assert_eq!(page.count("and on.").await, 0, "the reply was broken off");
        let log = page.log().await;
        let texts = serde_json::to_string(&log).expect("entries are JSON");
        assert!(!texts.contains(KEY), "the log holds the key");
        page.reload().await;
        page.shows("It said so.").await;
        page.press("Settings").await;
        let kept = "return JSON.stringify({...localStorage}).includes(arguments[0])";
        page.tab.until("the key is kept here", kept, &[KEY.into()]).await;
        page.press("Forget it").await;
        page.tab.until("the key is gone", &kept.replace("return ", "return !"), &[KEY.into()]).await;
        stage.finish().await;
    });
}

/// A server on one's own machine that speaks chat completions: no key, a name and an address, and the lesson
/// works.
#[test]
fn a_server_of_ones_own_is_asked_by_chat_completions() {
    play("a_server_of_ones_own_is_asked_by_chat_completions", async |stage| {
        let model = FakeChat::steps([
            chat_answer("I start it.").call("background_run", json!({"command": "sleep 1; echo built"})),
            chat_answer("It runs."),
            chat_answer("It is built."),
        ])
        .await;
        let scene =
            Scene::open(stage, Options::default().connect(&model.origin()), &browser::Options::default())
                .await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.press("Settings").await;
        page.tab.click(".choice:nth-of-type(5) input").await;
        page.tab.click("fieldset > label.field input[type=text]").await;
        page.tab.type_keys("qwen3-coder").await;
        page.tab.click("input[type=url]").await;
        page.tab.type_keys(model.url()).await;
        page.press("Close").await;
        page.send_message("Build it").await;
        page.shows("It is built.").await;
        page.idle().await;
        let requests = model.requests();
        assert_eq!(requests.len(), 3);
        for request in &requests {
            assert!(!request.headers.contains_key("authorization"), "there is no key to send");
            assert!(!request.headers.contains_key("x-api-key"));
            assert_eq!(request.body["model"], "qwen3-coder");
        }
        let last = requests[2].body["messages"].as_array().and_then(|messages| messages.last());
        let injected = last.and_then(|message| message["content"].as_str()).unwrap_or_default();
        assert!(injected.starts_with("<background-results") && injected.contains("built"), "{injected}");
        page.reload().await;
        page.shows("It is built.").await;
        stage.finish().await;
    });
}

#[test]
fn a_key_that_is_not_accepted_is_said_and_the_call_can_be_made_again() {
    play("a_key_that_is_not_accepted_is_said_and_the_call_can_be_made_again", async |stage| {
        let model = FakeAnthropic::steps([refuse(401), text_answer("Now it goes.")]).await;
        let scene =
            Scene::open(stage, Options::default().connect(&model.url()), &browser::Options::default()).await;
        let page = &scene.page;
        page.tab.browser().expect_console("401");
        connect(page, &model.url(), KEY).await;
        page.send_message("Hello").await;
        page.shows("The key was not accepted").await;
        page.press("Try again").await;
        page.shows("Now it goes.").await;
        stage.finish().await;
    });
}

#[test]
fn a_change_is_shown_before_it_is_allowed() {
    play("a_change_is_shown_before_it_is_allowed", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("edit_file", json!({"path": "notes.txt", "old_text": "one", "new_text": "two"})),
            text_answer("Changed."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        scene.write("notes.txt", "one\n");
        page.mode("Asks before everything").await;
        page.send_message("Change it").await;
        page.tab.find("#approval").await;
        let shown = page
            .until("the change is shown", "return document.querySelector('#approval .diff')?.innerText")
            .await;
        assert!(
            shown.as_str().is_some_and(|shown| shown.contains("-one") && shown.contains("+two")),
            "{shown}"
        );
        assert_eq!(scene.read("notes.txt").as_deref(), Some("one\n"), "nothing is changed yet");
        page.press("Allow once").await;
        page.shows("Changed.").await;
        assert_eq!(scene.read("notes.txt").as_deref(), Some("two\n"));
        stage.finish().await;
    });
}
