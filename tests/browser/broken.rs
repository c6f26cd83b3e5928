//! A browser that breaks its own word: storage that is closed, locks that are refused, answers that come
//! late.

use serde_json::json;

use crate::page::{Page, scene};

/// Runs a script before the page's own at every load.
async fn before(page: &Page, script: &str) {
    page.tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
}

#[test]
fn storage_that_the_browser_closed_is_opened_anew() {
    scene("storage_that_the_browser_closed_is_opened_anew", async |_, scene| {
        let page = &scene.page;
        let watch = "window.opened = [];
            const open = IDBFactory.prototype.open;
            IDBFactory.prototype.open = function (name, ...all) {
                const request = open.call(this, name, ...all);
                if (name === 'meanwhile' && all.length > 0) {
                    request.addEventListener('success', () => window.opened.push(request.result));
                }
                return request;
            };";
        before(page, watch).await;
        page.reload().await;
        page.mode("Asks nothing").await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        let close =
            "const [database] = window.opened; database.close(); database.dispatchEvent(new Event('close'));";
        page.tab.script(close, &[]).await;
        let saved = page.log().await.len();
        page.send_message("$ echo two").await;
        page.shows("echo two is done (exit 0)").await;
        page.idle().await;
        page.until(
            "it is opened again",
            "return window.opened.length > 1 && !document.querySelector('.banner')",
        )
        .await;
        assert!(page.log().await.len() > saved);
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
    });
}

#[test]
fn a_tab_that_is_refused_locks_leads() {
    scene("a_tab_that_is_refused_locks_leads", async |_, scene| {
        let page = &scene.page;
        let refuse = "const refused = async () => { throw new DOMException('Site data is blocked.', 'SecurityError'); };
            LockManager.prototype.request = refused;
            LockManager.prototype.query = refused;";
        before(page, refuse).await;
        page.reload().await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
    });
}

#[test]
fn an_address_that_cannot_be_looked_up_stays() {
    scene("an_address_that_cannot_be_looked_up_stays", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        let (rows, address) = (page.rows().await, page.tab.url().await);
        let fail_once = "const open = IDBFactory.prototype.open;
            IDBFactory.prototype.open = function (name, ...all) {
                if (name === 'meanwhile' && all.length > 0 && !sessionStorage.failed) {
                    sessionStorage.failed = 1;
                    throw new DOMException('Not now.', 'UnknownError');
                }
                return open.call(this, name, ...all);
            };";
        // No other tab may seem to have it open.
        page.tab.open("about:blank").await;
        before(page, fail_once).await;
        page.open(&address).await;
        let told = "return document.querySelector('.toasts')?.innerText.includes('could not be looked up')";
        page.until("it is told", told).await;
        assert_eq!(page.tab.url().await, address);
        page.reload().await;
        page.shows_rows(&rows).await;
        assert_eq!(page.tab.url().await, address);
    });
}

#[test]
fn a_pairing_that_takes_long_is_not_broken_off() {
    scene("a_pairing_that_takes_long_is_not_broken_off", async |_, scene| {
        let page = &scene.page;
        // Longer than the start of the page waits.
        let late = "const real = window.fetch;
            window.fetch = async (...all) => {
                if (new URL(all[0].url ?? all[0], location.href).pathname === '/api/pair') {
                    await new Promise((go) => setTimeout(go, 6000));
                }
                return real(...all);
            };";
        before(page, late).await;
        page.tab.script("indexedDB.deleteDatabase('meanwhile.runner'); localStorage.clear()", &[]).await;
        page.tab.open("about:blank").await;
        page.tab.open(&scene.runner.fresh_link().await).await;
        page.tab.find("main.unpaired").await;
        page.ready().await;
    });
}

#[test]
fn with_site_data_blocked_a_session_lasts_as_long_as_its_tab() {
    scene("with_site_data_blocked_a_session_lasts_as_long_as_its_tab", async |_, scene| {
        let page = &scene.page;
        let blocked =
            "const refuse = () => { throw new DOMException('Site data is blocked.', 'SecurityError'); };
            for (const name of ['localStorage', 'sessionStorage', 'indexedDB']) {
                Object.defineProperty(window, name, {get: refuse});
            }
            if (window.LockManager) {
                LockManager.prototype.request = async () => refuse();
                LockManager.prototype.query = async () => refuse();
            }";
        before(page, blocked).await;
        page.tab.open("about:blank").await;
        page.open(&scene.runner.fresh_link().await).await;
        for word in ["one", "two"] {
            page.send_message(&format!("$ echo {word}")).await;
            page.shows(&format!("echo {word} is done (exit 0)")).await;
            page.idle().await;
            page.tab.click(".sessions button.new").await;
            page.tab.find(".welcome").await;
            page.ready().await;
        }
    });
}

#[test]
fn what_is_written_before_the_page_has_started_stays() {
    scene("what_is_written_before_the_page_has_started_stays", async |_, scene| {
        let page = &scene.page;
        let slow = "const real = IDBFactory.prototype.open;
            IDBFactory.prototype.open = function (name, ...all) {
                const request = real.call(this, name, ...all);
                const listen = request.addEventListener;
                request.addEventListener = (kind, hear, ...more) => {
                    const later = (event) => setTimeout(hear, kind === 'success' ? 3000 : 0, event);
                    return listen.call(request, kind, kind === 'success' ? later : hear, ...more);
                };
                return request;
            };";
        before(page, slow).await;
        page.tab.reload().await;
        page.tab.find("#composer:enabled").await;
        page.tab.click("#composer").await;
        page.tab.type_keys("whoever is quick").await;
        page.ready().await;
        page.until("it stays", "return document.querySelector('#composer').value === 'whoever is quick'")
            .await;
        page.idle().await;
        page.until("it stays", "return document.querySelector('#composer').value === 'whoever is quick'")
            .await;
    });
}

/// A database that comes to be after nobody waits for it any more has its stores all the same.
#[test]
fn storage_that_opened_too_late_is_whole_the_next_time() {
    scene("storage_that_opened_too_late_is_whole_the_next_time", async |_, scene| {
        let page = &scene.page;
        let other = page.tab.browser().new_tab().await;
        page.tab.browser().expect_console("401 (Unauthorized)");
        other.open(&format!("{}/none", scene.runner.origin())).await;
        let hold = "return new Promise((done) => {
            const open = indexedDB.open('meanwhile');
            open.onsuccess = () => {
                window.held = open.result;
                indexedDB.deleteDatabase('meanwhile').onblocked = () => done(true);
            };
        });";
        assert_eq!(other.script(hold, &[]).await, true);
        page.tab.reload().await;
        let silent = "return document.body.innerText.includes('does not answer')";
        page.until("it was given up", silent).await;
        other.script("window.held.close()", &[]).await;
        // The late opening comes to its end before that.
        let there = "return indexedDB.databases().then((all) => all.some((one) => one.name === 'meanwhile' && one.version === 1))";
        other.until("it is there", there, &[]).await;
        other.close().await;
        page.reload().await;
        page.mode("Asks nothing").await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        assert!(page.log().await.len() > 3);
    });
}
