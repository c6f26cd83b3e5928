//! A whole session without a pointer.

use e2e::process;
use thirtyfour::Key;

use crate::page::{Page, scene};

/// Presses Tab until the focus is on what fits the selector, and checks on the way that one always sees where it is.
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
        page.says("echo fresh is done (exit 0)").await;
    });
}
