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
