//! What is kept in a browser, and who is let in.

use e2e::browser::Options;
use thirtyfour::Key;

use crate::page::{Page, scene, until_go};

/// The titles in the list, the current one marked.
const TITLES: &str = "return [...document.querySelectorAll('.sessions .item')].map(item =>
    (item.ariaCurrent ? '> ' : '') + item.querySelector('.name').innerText).join(' | ')";

async fn titles(page: &Page, expected: &str) {
    let body = format!("return (() => {{ {TITLES} }})() === arguments[0]");
    page.tab.until(&format!("the list is {expected:?}"), &body, &[expected.into()]).await;
}

#[test]
fn sessions_are_named_left_found_again_and_deleted() {
    scene("sessions_are_named_left_found_again_and_deleted", async |_, scene| {
        let page = &scene.page;
        page.send_message("$ echo first").await;
        page.shows("echo first is done (exit 0)").await;
        page.idle().await;
        let rows = page.rows().await;
        let first = page.tab.url().await;
        page.tab.click("h1.title button").await;
        page.tab.type_keys(Key::Control + "a").await;
        page.tab.type_keys("The first" + Key::Enter).await;
        titles(page, "> The first").await;

        page.tab.click(".sessions button.new").await;
        page.tab.find(".welcome").await;
        page.ready().await;
        page.send_message("$ echo second").await;
        page.shows("echo second is done (exit 0)").await;
        page.idle().await;
        let second = page.tab.url().await;
        titles(page, "> $ echo second | The first").await;
        page.reload().await;
        page.shows("echo second is done (exit 0)").await;

        page.tab.click(".sessions li:nth-child(2) .item").await;
        page.shows_rows(&rows).await;
        titles(page, "$ echo second | > The first").await;
        assert_eq!(page.tab.url().await, first, "the address names the session");

        // Renamed from the list, and deleted after a question that can be answered with no.
        page.tab.point_at(".sessions li:nth-child(1) .item").await;
        page.press("Rename $ echo second").await;
        page.tab.type_keys(Key::Control + "a").await;
        page.tab.type_keys("The second" + Key::Enter).await;
        titles(page, "The second | > The first").await;
        page.tab.point_at(".sessions li:nth-child(1) .item").await;
        page.press("Delete The second").await;
        page.tab.find(".sessions [role=alertdialog]").await;
        page.press("Keep").await;
        titles(page, "The second | > The first").await;
        page.tab.point_at(".sessions li:nth-child(1) .item").await;
        page.press("Delete The second").await;
        page.press("Delete").await;
        titles(page, "> The first").await;
        page.reload().await;
        page.shows_rows(&rows).await;
        titles(page, "> The first").await;
        page.open(&scene.runner.origin()).await;
        assert_ne!(page.tab.url().await, second);
    });
}

#[test]
fn a_draft_and_settings_last() {
    scene("a_draft_and_settings_last", async |_, scene| {
        let page = &scene.page;
        page.send_message("$ echo first").await;
        page.shows("echo first is done (exit 0)").await;
        page.idle().await;
        page.mode("Asks nothing").await;
        page.press("Settings").await;
        page.tab.click("dialog input[type=checkbox]").await;
        page.until("the setting is kept", "return JSON.parse(localStorage['meanwhile.settings']).no_wake")
            .await;
        page.tab.type_keys(Key::Escape + "").await;
        page.tab.click("#composer").await;
        page.tab.type_keys("words that are not se").await;
        page.tab.type_keys("nt yet").await;
        // Saved a moment after the last key; leaving the box saves it at once.
        page.tab.click(".conversation .log").await;
        page.reload().await;
        page.until(
            "the draft is back",
            "return document.querySelector('#composer').value === 'words that are not sent yet'",
        )
        .await;
        page.until(
            "the mode is back",
            "return document.querySelector('.composer select.mode').dataset.mode === 'auto'",
        )
        .await;
        page.press("Settings").await;
        let wakes = page
            .until(
                "the settings are open",
                "return [document.querySelector('dialog input[type=checkbox]').checked]",
            )
            .await;
        assert_eq!(wakes[0], false);
    });
}

#[test]
fn a_strange_browser_is_paired_by_a_link_from_the_settings() {
    scene("a_strange_browser_is_paired_by_a_link_from_the_settings", async |stage, scene| {
        let strange = Page { tab: stage.browser_with(&Options::default()).await };
        strange.tab.open(&scene.runner.origin()).await;
        strange.tab.find("main.unpaired").await;
        let text = strange.tab.text().await;
        assert!(text.contains("This browser is not paired with the runner"), "{text}");

        let page = &scene.page;
        page.press("Settings").await;
        page.press("Pair another browser").await;
        let link =
            page.until("there is a link", "return document.querySelector('.pair-link input')?.value").await;
        let link = link.as_str().expect("a link is text");
        assert!(link.starts_with(&scene.runner.origin()) && link != scene.runner.link(), "{link}");
        strange.tab.click("#code").await;
        strange.tab.type_keys(link.to_owned() + Key::Enter).await;
        strange.ready().await;
        assert!(!strange.tab.url().await.contains("pair="), "the code does not stay in the address");
        strange.send_message("$ echo let in").await;
        strange.shows("echo let in is done (exit 0)").await;

        // The link works once.
        let third = Page { tab: stage.browser_with(&Options::default()).await };
        third.tab.browser().expect_console("api/pair");
        third.tab.open(link).await;
        third.tab.find("main.unpaired [role=alert]").await;
    });
}

#[test]
fn many_sessions_can_be_searched() {
    scene("many_sessions_can_be_searched", async |_, scene| {
        let page = &scene.page;
        for n in 1..=9 {
            if n > 1 {
                page.tab.click(".sessions button.new").await;
                page.tab.find(".welcome").await;
                page.ready().await;
            }
            page.send_message(&format!("$ echo word{n}")).await;
            page.shows(&format!("echo word{n} is done (exit 0)")).await;
            page.idle().await;
            let fields =
                page.tab.script("return document.querySelectorAll('.sessions .search').length", &[]).await;
            assert_eq!(fields, u64::from(n == 9), "{n} sessions");
        }
        page.tab.click(".sessions .search").await;
        page.tab.type_keys("WORD3").await;
        titles(page, "$ echo word3").await;
        page.tab.type_keys("4").await;
        titles(page, "").await;
        page.until("it is said", "return document.querySelector('.sessions .none')?.innerText.includes('No session has these words')")
            .await;
        page.tab.type_keys(Key::Control + "a").await;
        page.tab.type_keys("word5").await;
        titles(page, "$ echo word5").await;
        page.tab.click(".sessions .item").await;
        page.shows("echo word5 is done (exit 0)").await;
    });
}

/// Under its name it would take the results of the browser that has its log, and number its operations like
/// that one.
#[test]
fn an_address_of_a_session_whose_log_is_elsewhere_begins_a_new_one() {
    scene("an_address_of_a_session_whose_log_is_elsewhere_begins_a_new_one", async |_, scene| {
        let page = &scene.page;
        let own = page.tab.url().await;
        page.reload().await;
        page.ready().await;
        assert_eq!(
            page.tab.url().await,
            own,
            "a session in which nothing was said yet is this browser's, too"
        );
        let elsewhere = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        let address = format!("{}/#s={elsewhere}", scene.runner.origin());
        let said = "return [...document.querySelectorAll('.toasts')].some(toast => toast.innerText.includes('log is not in this browser'))";
        for blank in [false, true] {
            if blank {
                page.tab.open("about:blank").await;
            }
            page.tab.open(&address).await;
            page.until("it is said", said).await;
            page.ready().await;
            let now = page.tab.url().await;
            assert!(now.contains("#s=") && !now.contains(elsewhere), "{now}");
        }
        page.send_message("$ echo here").await;
        page.shows("echo here is done (exit 0)").await;
        let now = page.tab.url().await;
        page.tab.open("about:blank").await;
        page.tab.open(&now).await;
        page.shows("echo here is done (exit 0)").await;
        assert_eq!(page.tab.url().await, now);
    });
}

#[test]
fn what_is_said_of_other_tabs_and_of_deleted_sessions_is_true() {
    scene("what_is_said_of_other_tabs_and_of_deleted_sessions_is_true", async |_, scene| {
        let page = &scene.page;
        let another = async || {
            page.tab.click(".sessions button.new").await;
            page.tab.find(".welcome").await;
            page.ready().await;
            page.mode("Asks nothing").await;
        };
        page.mode("Asks nothing").await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        another().await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        another().await;
        page.send_message("$ echo three").await;
        page.shows("echo three is done (exit 0)").await;
        page.idle().await;
        // The first is let go after a while; the second works on behind the scenes.
        let two = "return navigator.locks.query().then(all =>
            all.held.filter(lock => lock.name.startsWith('meanwhile.session.')).length === 2)";
        page.until("what is idle is let go", two).await;
        let list = "return document.querySelector('.sessions').innerText";
        for _ in 0..10 {
            let text = page.tab.script(list, &[]).await.to_string();
            assert!(!text.contains("other tab") && !text.contains("connection"), "{text}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let other = Page { tab: page.tab.browser().new_tab().await };
        other.open(&scene.runner.origin()).await;
        other.send_message("$ echo other").await;
        other.shows("echo other is done (exit 0)").await;
        let told = "const text = document.querySelector('.sessions').innerText;
            return text.includes('other tab') && text.includes('1 other connection')";
        page.until("the other tab is told", told).await;
        other.tab.close().await;
        let alone = "const text = document.querySelector('.sessions').innerText;
            return !text.includes('other tab') && !text.includes('connection')";
        page.until("it is alone again", alone).await;

        // What a deleted session leaves running is a deleted session's.
        let whose = |part: &str| {
            format!(
                "return document.querySelector('.task:not([data-own]) .whose')?.innerText.includes('{part}')"
            )
        };
        page.until("the task is another session's", &whose("& while")).await;
        let delete = "const one = [...document.querySelectorAll('.sessions li')].find(one => one.innerText.includes('while ['));
            one?.querySelector('.edit button:last-child').click(); return !!one";
        page.until("it is to be deleted", delete).await;
        page.press("Delete").await;
        page.until("it is a deleted session's", &whose("a deleted session")).await;
        page.reload().await;
        page.until("it still is", &whose("a deleted session")).await;
        scene.write("go", "");
        page.until("it ends", "return document.querySelector('.task:not([data-own])[data-state=good]')")
            .await;
    });
}
