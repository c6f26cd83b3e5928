//! Answers to approvals: no, no with text, and yes for good.

use agent::record::Record;
use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::runner::Options;
use serde_json::json;

use crate::page::{Page, Scene, scene};
use crate::play::play;

/// How many approvals were answered so far.
async fn decided(page: &Page) -> usize {
    let log = page.log().await;
    log.iter().filter(|entry| matches!(entry.record, Record::ApprovalResolved { .. })).count()
}

/// Says to run a command, and waits until it was done so often.
async fn runs(page: &Page, command: &str, times: usize) {
    page.send_message(&format!("$ {command}")).await;
    done(page, command, times).await;
}

async fn done(page: &Page, command: &str, times: usize) {
    let body = "return document.querySelector('#conversation .column').innerText.split(arguments[0]).length > arguments[1]";
    let text = format!("{command} is done (exit 0)");
    page.tab
        .until(&format!("{text:?} is said {times} times"), body, &[text.clone().into(), times.into()])
        .await;
    page.idle().await;
}

#[test]
fn what_is_denied_does_not_run_and_the_model_reads_why() {
    play("what_is_denied_does_not_run_and_the_model_reads_why", async |stage| {
        let model = FakeAnthropic::steps([
            answer().tool("bash", json!({"command": "touch one"})),
            answer().tool("bash", json!({"command": "touch two"})),
            text_answer("Then I leave it."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("Make files").await;
        page.tab.find("#approval").await;
        page.press("Deny").await;
        page.until(
            "the next is asked",
            "return document.querySelector('#approval pre')?.innerText === 'touch two'",
        )
        .await;
        page.press("Say why").await;
        page.until("one can write at once", "return document.activeElement.matches('.approval .why input')")
            .await;
        page.tab.type_keys("use the folder there, not here").await;
        page.press("Deny with these words").await;
        page.shows("Then I leave it.").await;
        page.idle().await;
        assert_eq!((scene.read("one"), scene.read("two")), (None, None));
        let requests = model.requests();
        let results: Vec<_> = requests.iter().flat_map(e2e::fake_anthropic::Request::results).collect();
        assert_eq!(results.len(), 2, "{results:?}");
        assert!(!results[0].1.contains("folder there"), "{results:?}");
        assert!(results[1].1.contains("use the folder there, not here"), "{results:?}");
        stage.finish().await;
    });
}

#[test]
fn what_is_always_allowed_is_not_asked_again_until_the_rule_is_removed() {
    scene("what_is_always_allowed_is_not_asked_again_until_the_rule_is_removed", async |_, scene| {
        let page = &scene.page;
        scene.write("Makefile", "hello:\n\t@echo hello $(NAME)\n");
        page.send_message("$ touch one").await;
        page.tab.find("#approval").await;
        page.press("Always allow exactly this").await;
        done(page, "touch one", 1).await;
        runs(page, "touch one", 2).await;
        assert_eq!(decided(page).await, 1, "the same is not asked again");
        page.send_message("$ touch one two").await;
        page.tab.find("#approval").await;
        page.press("Deny").await;
        page.idle().await;
        assert_eq!(scene.read("two"), None, "another is");
        page.send_message("$ make hello").await;
        page.tab.find("#approval").await;
        page.press("Always allow make hello …, whatever follows").await;
        done(page, "make hello", 1).await;
        runs(page, "make hello -s", 1).await;
        assert_eq!(decided(page).await, 3, "what begins so is not asked");
        page.send_message("$ make hello SHELL=./evil").await;
        page.tab.find("#approval").await;
        page.press("Deny").await;
        page.idle().await;
        assert_eq!(decided(page).await, 4, "but what makes it another command is");

        page.reload().await;
        page.press("Settings").await;
        let rules = "return [...document.querySelectorAll('.rules code')].map(rule => rule.innerText)";
        page.tab.find(".rules").await;
        assert_eq!(page.tab.script(rules, &[]).await, json!(["touch one", "make hello …"]));
        for left in [1, 0] {
            page.press("Remove").await;
            let body = "return document.querySelectorAll('.rules li').length === arguments[0]";
            page.tab.until(&format!("{left} are left"), body, &[left.into()]).await;
        }
        page.until(
            "none is left",
            "return document.querySelector('.modal').innerText.includes('Nothing is always allowed yet')",
        )
        .await;
        page.press("Close").await;
        for command in ["touch one", "make hello"] {
            page.send_message(&format!("$ {command}")).await;
            page.tab.find("#approval").await;
            page.press("Deny").await;
            page.until("it is answered", "return !document.querySelector('#approval')").await;
            page.idle().await;
        }
        assert_eq!(decided(page).await, 6);
    });
}
