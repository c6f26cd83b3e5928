//! What the browser offers or refuses: storage, notifications, the clipboard, downloads.

use serde_json::{Value, json};

use crate::page::{Page, scene, until_go};

/// Runs a script before the page's own at every load, then loads the page again.
async fn before(page: &Page, script: &str) {
    page.tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    page.reload().await;
}

async fn eval(page: &Page, body: &str) -> Value {
    page.tab.script(body, &[]).await
}

/// Keeps what the page offers as downloads, as texts, in `window.offered`.
const DOWNLOADS: &str = "window.offered = [];
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { blob.text().then((text) => window.offered.push(text)); return make(blob); };";

#[test]
fn without_a_store_the_page_works_and_says_what_would_be_lost() {
    scene("without_a_store_the_page_works_and_says_what_would_be_lost", async |_, scene| {
        let page = &scene.page;
        let absent = "Object.defineProperty(window, 'indexedDB', {value: undefined});";
        let script = format!("{absent}{DOWNLOADS}");
        page.tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
        // Nor is there a place for the page's key, so it is paired anew, for as long as the tab lasts.
        page.tab.reload().await;
        page.tab.find("main.unpaired [role=alert]").await;
        page.tab.open("about:blank").await;
        page.open(&scene.runner.fresh_link().await).await;
        page.until(
            "it is said",
            "return document.querySelector('.toasts')?.innerText.includes('until it is closed')",
        )
        .await;
        page.until(
            "it is said",
            "return document.querySelector('.banner[data-severity=warn]')?.innerText.includes('not saved')",
        )
        .await;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        scene.write("go", "");
        page.shows("It printed over.").await;
        page.over().await;
        page.press("Export it").await;
        let offered = page.until("it is offered as a download", "return window.offered[0]").await;
        let lines: Vec<Value> = offered
            .as_str()
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        assert!(lines.len() > 5 && lines[0]["record"] == "began", "{lines:?}");
    });
}

#[test]
fn a_store_that_is_full_loses_nothing_once_there_is_room_again() {
    scene("a_store_that_is_full_loses_nothing_once_there_is_room_again", async |_, scene| {
        let page = &scene.page;
        let full = "const put = IDBObjectStore.prototype.put, add = IDBObjectStore.prototype.add;
            const check = () => { if (window.full) throw new DOMException('There is no room.', 'QuotaExceededError'); };
            IDBObjectStore.prototype.put = function (...all) { check(); return put.apply(this, all); };
            IDBObjectStore.prototype.add = function (...all) { check(); return add.apply(this, all); };";
        before(page, full).await;
        page.mode("Asks nothing").await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        let saved = page.log().await.len();
        eval(page, "window.full = true").await;
        page.send_message("$ echo two").await;
        page.until(
            "it is said",
            "return document.querySelector('.banner[data-severity=warn]')?.innerText.includes('not saved')",
        )
        .await;
        assert_eq!(page.log().await.len(), saved);
        eval(page, "window.full = false").await;
        page.shows("echo two is done (exit 0)").await;
        page.idle().await;
        page.send_message("$ echo three").await;
        page.shows("echo three is done (exit 0)").await;
        page.idle().await;
        page.until("all is saved again", "return !document.querySelector('.banner')").await;
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
    });
}

#[test]
fn a_page_that_nobody_looks_at_notifies() {
    scene("a_page_that_nobody_looks_at_notifies", async |_, scene| {
        let page = &scene.page;
        let watched = "window.raised = [];
            window.Notification = class {
                static permission = 'granted';
                static requestPermission = async () => 'granted';
                constructor(title, options) { window.raised.push([title, options.body, options.tag]); }
                close() {}
            };
            Object.defineProperty(document, 'visibilityState', {get: () => window.away ? 'hidden' : 'visible'});
            Object.defineProperty(document, 'hidden', {get: () => !!window.away});";
        before(page, watched).await;
        page.send_message("$ touch one").await;
        page.tab.find("#approval").await;
        assert_eq!(eval(page, "return window.raised").await, json!([]), "someone looks at it");
        page.press("Allow once").await;
        page.shows("is done (exit 0").await;
        page.idle().await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.press("Allow once").await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        eval(page, "window.away = true; document.dispatchEvent(new Event('visibilitychange'))").await;
        scene.write("go", "");
        let raised = page.until("it notifies", "return window.raised.length > 0 && window.raised").await;
        let session =
            page.until("its session", "return new URLSearchParams(location.hash.slice(1)).get('s')").await;
        assert_eq!((raised.as_array().map_or(0, Vec::len), &raised[0][2]), (1, &session), "{raised}");
    });
}

#[test]
fn output_can_be_copied_and_taken_whole() {
    scene("output_can_be_copied_and_taken_whole", async |_, scene| {
        let page = &scene.page;
        before(page, DOWNLOADS).await;
        let allowed = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": scene.runner.origin()});
        page.tab.cdp("Browser.grantPermissions", allowed).await;
        page.mode("Asks nothing").await;
        let command = "printf '\\033[31mred\\033[0m\\nlong line\\rshort\\nabc\\b\\bX\\nlast\\n'";
        let text = "red\nshortline\naXc\nlast";
        page.send_message(&format!("& {command}")).await;
        page.tasks("good", 1).await;
        page.over().await;
        page.tab.click(".task .open").await;
        page.until(
            "its output is there",
            "return document.querySelector('.task .screen')?.innerText.includes('last')",
        )
        .await;
        page.tab.click(".task .actions button:nth-last-of-type(3)").await;
        let held = "return navigator.clipboard.readText().then((text) => text.trim() === arguments[0])";
        page.tab.until("the clipboard holds it, without its colours", held, &[text.into()]).await;
        // The whole in a tab of its own, and as a download: without its colours, too.
        let watch =
            "const open = window.open; window.open = (...all) => window.opened = open.apply(window, all);";
        eval(page, watch).await;
        page.press("Whole log ↗").await;
        let shown = "return window.opened?.document?.body?.innerText.trim() === arguments[0]";
        page.tab.until("a tab shows it", shown, &[text.into()]).await;
        page.press("Download").await;
        let log = page.until("it is offered", "return window.offered[1]").await;
        assert_eq!(log.as_str().map(str::trim_end), Some(text));
        eval(page, "window.opened.close()").await;
        // Where the browser opens none, it is a download.
        eval(page, "window.open = () => null").await;
        page.press("Whole log ↗").await;
        page.until("it is offered all the same", "return window.offered[2]").await;
        // Of what is longer than the screen keeps, the copy is the same as the whole.
        page.tab.click(".task .open").await;
        page.send_message("& seq 1 7000; printf 'long line\\rshort\\n'").await;
        page.tasks("good", 2).await;
        page.over().await;
        page.tab.click(".task[aria-label^=seq] .open").await;
        let cut = "return document.querySelector('.task .screen')?.innerText.includes('earlier lines')";
        page.until("the screen has its end", cut).await;
        page.tab.click(".task[aria-label^=seq] .actions button:nth-last-of-type(3)").await;
        page.press("Download").await;
        let log = page.until("it is offered", "return window.offered[3]").await;
        assert!(log.as_str().is_some_and(|log| log.starts_with("1\n") && log.ends_with("7000\nshortline\n")));
        let held = "return navigator.clipboard.readText().then((text) => text === arguments[0])";
        page.tab.until("the clipboard holds the same", held, &[log]).await;
    });
}

#[test]
fn where_there_is_no_clipboard_the_page_says_so() {
    scene("where_there_is_no_clipboard_the_page_says_so", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("& echo one; printf 'long line\\rshort'").await;
        page.tasks("good", 1).await;
        page.over().await;
        // As over plain HTTP from another machine.
        let none = "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true}); return true";
        page.tab.script(none, &[]).await;
        page.tab.click(".task .open").await;
        page.until("its output is there", "return document.querySelector('.task .screen .line')").await;
        page.tab.click(".task .actions button:nth-last-of-type(3)").await;
        let told = "return document.querySelector('.toasts')?.innerText.includes('does not let this page use the clipboard')";
        page.until("it is said", told).await;
        page.press("Close").await;
        page.press("View request").await;
        page.press("Copy as JSON").await;
        let told = "return document.querySelector('dialog')?.innerText.includes('does not let this page use the clipboard')";
        page.until("it is said in a dialog too", told).await;
    });
}

#[test]
fn a_runner_that_does_not_know_the_browser_any_more_says_so() {
    scene("a_runner_that_does_not_know_the_browser_any_more_says_so", async |_, scene| {
        let page = scene.page.clone();
        for noise in ["net::ERR_", "WebSocket connection to", "401"] {
            page.tab.browser().expect_console(noise);
        }
        page.tab.click("#composer").await;
        page.tab.type_keys("half a thought").await;
        scene.runner.stop();
        std::fs::remove_dir_all(scene.runner.state()).expect("the runner's state can be forgotten");
        scene.runner.start_again().await;
        // It has another key, so for the page it is somebody else until the browser is paired with it.
        page.until("it is said", "return document.querySelector('.banner')?.innerText.includes('is not the runner that this browser was paired with')").await;
        page.until("no fault came of it", "return !document.querySelector('#page-error')").await;
        let second = Page { tab: page.tab.browser().new_tab().await };
        second.open(scene.runner.link()).await;
        page.ready().await;
        page.until(
            "the draft is still there",
            "return document.querySelector('#composer').value === 'half a thought'",
        )
        .await;
    });
}

#[test]
fn the_page_comes_compressed_and_its_files_can_be_kept() {
    scene("the_page_comes_compressed_and_its_files_can_be_kept", async |_, scene| {
        let page = &scene.page;
        let fetched = "return performance.getEntriesByType('resource')
            .map((entry) => [new URL(entry.name).pathname, entry.encodedBodySize, entry.decodedBodySize])
            .filter(([path]) => /[.](wasm|js|css)$/.test(path))";
        let fetched: Vec<(String, u64, u64)> =
            serde_json::from_value(eval(page, fetched).await).expect("names and sizes");
        assert!(fetched.len() >= 4, "{fetched:?}");
        for (path, ..) in &fetched {
            let hash =
                path.strip_prefix("/assets/").and_then(|rest| rest.split_once('/')).map(|(hash, _)| hash);
            let is_hash = hash
                .is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(is_hash, "{path}");
        }
        let (sent, whole) =
            fetched.iter().fold((0, 0), |(sent, whole), file| (sent + file.1, whole + file.2));
        assert!(0 < sent && whole > 3 * sent, "{sent} bytes came for {whole}");
    });
}
