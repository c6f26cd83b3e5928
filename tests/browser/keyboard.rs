//! A whole session without a pointer.

use e2e::process;
use thirtyfour::Key;

use crate::page::{Page, scene};

/// Presses Tab until the focus is on what fits the selector, and checks on the way that one always sees where
/// it is.
async fn tab_to(page: &Page, selector: &str) {
    const VISIBLE: &str = "const focused = document.activeElement;
        const style = getComputedStyle(focused);
        const seen = focused === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
            || style.boxShadow !== 'none' || focused.closest('.composer');
        return [focused.matches(arguments[0]), !!seen, focused.outerHTML.slice(0, 200)];";
    for _ in 0..60 {
        page.tab.type_keys(Key::Tab + "").await;
        let found = page.tab.script(VISIBLE, &[selector.into()]).await;
        assert_eq!(found[1], true, "one does not see the focus on {}", found[2]);
        if found[0] == true {
            return;
        }
    }
    panic!("Tab never comes to {selector}");
}

/// Whether the focus is on what fits the selector, soon.
async fn focus_is_on(page: &Page, selector: &str) {
    let body = "return document.activeElement.matches(arguments[0])";
    page.tab.until(&format!("the focus is on {selector}"), body, &[selector.into()]).await;
}

#[test]
fn a_session_needs_no_pointer() {
    scene("a_session_needs_no_pointer", async |_, scene| {
        let page = &scene.page;
        let keys = async |keys: thirtyfour::TypingData| page.tab.type_keys(keys).await;

        // The help, and out of it.
        page.tab.script("document.activeElement.blur()", &[]).await;
        keys("?".into()).await;
        page.tab.find("dialog[open] dl.keys").await;
        keys(Key::Escape + "").await;
        page.until("the help is closed", "return !document.querySelector('dialog')").await;

        // Words, and the approval they lead to. Enter in the box never allows.
        page.tab.script("document.activeElement.blur()", &[]).await;
        keys("/".into()).await;
        focus_is_on(page, "#composer").await;
        let time = format!("300.{:09}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000);
        keys(format!("& touch there; sleep {time}") + Key::Enter).await;
        page.tab.find("#approval").await;
        assert_eq!(scene.read("there"), None);
        keys(Key::Control + ".").await;
        focus_is_on(page, "#approval").await;
        page.tab.find("#approval .primary:enabled").await;
        keys("y".into()).await;
        scene.until_file("there").await;
        page.tasks("running", 1).await;
        page.idle().await;

        // The task: opened, and stopped.
        keys(Key::Alt + "3").await;
        focus_is_on(page, "#tasks").await;
        tab_to(page, ".task button.open").await;
        keys(Key::Enter + "").await;
        page.tab.find(".task .screen").await;
        tab_to(page, ".task .actions button").await;
        keys(Key::Enter + "").await;
        page.tasks("ended", 1).await;
        assert_eq!(process::holding(&time), []);

        // Everything else is on the way of the Tab key, and a new session is a key away.
        keys(Key::Alt + "4").await;
        focus_is_on(page, "#timeline").await;
        tab_to(page, ".timeline .lanes").await;
        keys(Key::Alt + "1").await;
        focus_is_on(page, "#sessions").await;
        tab_to(page, ".sessions button.new").await;
        let before = page.tab.url().await;
        keys(Key::Control + "j").await;
        page.tab.find(".welcome").await;
        page.until(
            "it is another session",
            "return document.querySelectorAll('.task[data-own]').length === 0",
        )
        .await;
        assert_ne!(page.tab.url().await, before);
        page.ready().await;
        // A new session can be written in at once.
        focus_is_on(page, "#composer").await;
        keys("$ echo fresh" + Key::Enter).await;
        page.shows("echo fresh is done (exit 0)").await;
    });
}

#[test]
fn keys_that_go_through_a_list_choose_nothing_yet() {
    scene("keys_that_go_through_a_list_choose_nothing_yet", async |_, scene| {
        let page = &scene.page;
        // A model that no list knows.
        page.press("Settings").await;
        page.tab.click(".choice:nth-of-type(4) input").await;
        page.tab.click("input[list=models]").await;
        page.tab.type_keys(Key::Control + "a").await;
        page.tab.type_keys("my-own-model" + Key::Tab).await;
        let model = async |name: &str| {
            let body = "return JSON.parse(localStorage['meanwhile.settings']).model.model === arguments[0]";
            page.tab.until(&format!("the model is {name:?}"), body, &[name.into()]).await;
        };
        let list = async |shown: &str| {
            let body = "return document.querySelector('select.model').selectedOptions[0].innerText";
            assert!(
                page.tab.script(body, &[]).await.as_str().is_some_and(|text| text.starts_with(shown)),
                "{shown}"
            );
            assert_eq!(page.tab.script("return !!document.querySelector('dialog[open]')", &[]).await, false);
        };
        let press = async |selector: &str, key: Key| {
            page.tab.script("document.querySelector(arguments[0]).focus()", &[selector.into()]).await;
            page.tab.type_keys(key + "").await;
        };
        let (models, modes) = ("select.model", ".composer select.mode");
        model("my-own-model").await;
        page.press("Close").await;
        page.tab.click("#composer").await;
        page.tab.type_keys("half a thought").await;
        list("my-own-model").await;
        press(models, Key::Up).await;
        list("Demo").await;
        model("my-own-model").await;
        press(models, Key::End).await;
        list("More in the settings").await;
        press(models, Key::Escape).await;
        list("my-own-model").await;
        press(models, Key::Up).await;
        press(models, Key::Enter).await;
        list("Demo").await;
        model("").await;
        // What was typed is still there, and going on to elsewhere chooses it.
        press(models, Key::Down).await;
        list("my-own-model").await;
        press(models, Key::Tab).await;
        model("my-own-model").await;
        press(models, Key::End).await;
        press(models, Key::Tab).await;
        list("my-own-model").await;
        press(models, Key::End).await;
        press(models, Key::Enter).await;
        page.tab.find("dialog[open]").await;
        page.press("Close").await;
        page.until("it is closed", "return !document.querySelector('dialog[open]')").await;
        list("my-own-model").await;

        let mode = "return [document.querySelector('.composer select.mode').value, document.querySelector('.composer select.mode').dataset.mode]";
        press(modes, Key::Down).await;
        assert_eq!(page.tab.script(mode, &[]).await, serde_json::json!(["Asks nothing", "ask_commands"]));
        press(modes, Key::Tab).await;
        list("my-own-model").await;
        assert_eq!(
            page.tab.script(mode, &[]).await,
            serde_json::json!(["Asks before commands", "ask_commands"])
        );
        press(modes, Key::Up).await;
        press(modes, Key::Enter).await;
        page.until(
            "it is chosen",
            "return document.querySelector('.composer select.mode').dataset.mode === 'ask_all'",
        )
        .await;
        press(modes, Key::End).await;
        press(modes, Key::Enter).await;
        page.tab.find("dialog[open]").await;
        page.press("Keep asking").await;
        page.until(
            "the field says what is",
            "return document.querySelector('.composer select.mode').value === 'Asks before everything'",
        )
        .await;
        let kept = "return document.querySelector('#composer').value";
        assert_eq!(page.tab.script(kept, &[]).await, "half a thought", "no Enter has sent it");
    });
}
