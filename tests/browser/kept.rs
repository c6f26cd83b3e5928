//! What the page keeps: on the disk before anything is done that follows from it, unreadable for others, and
//! never half gone.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::runner::Options;
use serde_json::json;
use thirtyfour::Key;

use crate::page::{Page, Scene, scene};
use crate::play::play;

/// Runs a script before the page's own at every load.
async fn before(page: &Page, script: &str) {
    page.tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
}

/// A disk that takes its time, and a record of what is done meanwhile: `window.trail`.
const SLOW_DISK: &str = "const trail = window.trail = {pending: 0, seq: 0, asked: 0, began: 0, appends: 0, acks: 0, calls: 0, starts: 0, persisted: 0, wrong: []};
    StorageManager.prototype.persist = async () => { trail.persisted += 1; return true; };
    const add = IDBObjectStore.prototype.add;
    IDBObjectStore.prototype.add = function (row, ...rest) {
        if (this.name === 'entries') {
            if (!this.transaction.entries) {
                this.transaction.entries = [];
                trail.pending += 1;
                trail.appends += 1;
                if (this.transaction.durability !== 'strict') trail.wrong.push('an append is ' + this.transaction.durability);
            }
            this.transaction.entries.push(JSON.parse(row.text));
        }
        return add.call(this, row, ...rest);
    };
    const saved = (entries) => {
        trail.pending -= 1;
        for (const entry of entries) {
            if (entry.record === 'arrived') trail.seq = Math.max(trail.seq, entry.seq);
            if (entry.record === 'asked') trail.asked += 1;
            if (entry.record === 'tool_began') trail.began += 1;
        }
    };
    const listen = EventTarget.prototype.addEventListener;
    EventTarget.prototype.addEventListener = function (name, heard, ...rest) {
        if (!(this instanceof IDBTransaction) || name !== 'complete') return listen.call(this, name, heard, ...rest);
        const late = (event) => {
            if (!this.entries) return heard.call(this, event);
            setTimeout(() => { saved(this.entries); heard.call(this, event); }, 150);
        };
        return listen.call(this, name, late, ...rest);
    };
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
        const {type, op, through} = typeof text === 'string' && text.startsWith('{') ? JSON.parse(text) : {};
        const does = op?.op ?? type;
        const counts = {ack: 'acks', model_call: 'calls', start: 'starts'}[does];
        if (counts) {
            trail[counts] += 1;
            if (trail.pending) trail.wrong.push(does + ' while something is written');
            if (does === 'ack' && through > trail.seq) trail.wrong.push('ack of ' + through + ', saved up to ' + trail.seq);
            if (does === 'model_call' && trail.calls > trail.asked) trail.wrong.push('a call that is not saved');
            if (does === 'start' && trail.starts > trail.began) trail.wrong.push('a start that is not saved');
        }
        return send.call(this, text);
    };";

#[test]
fn what_follows_from_a_record_is_done_when_the_record_is_on_the_disk() {
    play("what_follows_from_a_record_is_done_when_the_record_is_on_the_disk", async |stage| {
        let model = FakeAnthropic::by(|request| match request.n {
            1 => answer()
                .tool("background_run", json!({"command": "sleep 0.2; echo over"}))
                .tool("bash", json!({"command": "echo one"})),
            _ => text_answer("It is so."),
        })
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        before(page, SLOW_DISK).await;
        page.reload().await;
        let persisted = "return window.trail.persisted";
        assert_eq!(
            page.tab.script(persisted, &[]).await,
            0,
            "nobody is asked before there is anything to keep"
        );
        page.mode("Asks nothing").await;
        page.send_message("Do it").await;
        page.shows("It is so.").await;
        page.tasks("good", 1).await;
        page.over().await;
        page.until("its end is acknowledged", "return window.trail.acks > 0").await;
        page.over().await;
        let trail = page.tab.script("return window.trail", &[]).await;
        assert_eq!(trail["wrong"], json!([]), "{trail}");
        assert_eq!((&trail["starts"], &trail["persisted"]), (&json!(2), &json!(1)), "{trail}");
        let least = |what: &str, least: u64| trail[what].as_u64().is_some_and(|count| count >= least);
        assert!(least("calls", 2) && least("appends", 5) && least("seq", 1), "{trail}");
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
        stage.finish().await;
    });
}

/// What holds the page's key, and what of it can be had.
const PAIRING: &str = "return new Promise((resolve, reject) => {
    const open = indexedDB.open('meanwhile.runner');
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
        const all = open.result.transaction('pairing').objectStore('pairing').getAll();
        all.onsuccess = async () => {
            open.result.close();
            const [{key, runner, client}] = all.result;
            const told = async (format) => crypto.subtle.exportKey(format, key).then(() => 'told', () => 'refused');
            resolve([all.result.length, key.type, key.extractable, key.usages, runner.type, runner.usages, client.length,
                await told('pkcs8'), await told('jwk'), await told('raw')]);
        };
    };
});";

#[test]
fn no_script_can_read_the_pages_key_and_nothing_else_is_secret() {
    scene("no_script_can_read_the_pages_key_and_nothing_else_is_secret", async |_, scene| {
        let page = &scene.page;
        page.send_message("$ echo here").await;
        page.shows("echo here is done (exit 0)").await;
        page.idle().await;
        let refused = "refused";
        let key = json!([1, "private", false, ["sign"], "public", ["verify"], 36, refused, refused, refused]);
        assert_eq!(page.tab.script(PAIRING, &[]).await, key);
        let kept = "return [document.cookie, Object.keys(localStorage).sort(), Object.keys(sessionStorage),
            JSON.stringify([{...localStorage}, {...sessionStorage}, location.href]), localStorage['meanwhile.client']]";
        let kept = page.tab.script(kept, &[]).await;
        assert_eq!((&kept[0], &kept[2]), (&json!(""), &json!([])), "{kept}");
        let known = ["meanwhile.client", "meanwhile.settings"];
        let names: Vec<String> = serde_json::from_value(kept[1].clone()).expect("they are names");
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
        // Which client it is opens nothing without the key.
        assert_eq!(kept[4].as_str().map(str::len), Some(36), "{kept}");
        let code = scene.runner.link().split_once("#pair=").expect("a link holds a code").1.to_owned();
        let all = kept[3].as_str().unwrap_or_default();
        assert!(!all.contains(&code) && !all.contains("mw_") && !all.contains("BEGIN"), "{all}");
    });
}

/// Makes the last entry of the session's log something that nobody can read.
const SPOIL: &str = "return new Promise((resolve, reject) => {
    const session = new URLSearchParams(location.hash.slice(1)).get('s');
    const open = indexedDB.open('meanwhile');
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
        const transaction = open.result.transaction('entries', 'readwrite');
        const entries = transaction.objectStore('entries');
        const all = entries.getAll();
        all.onsuccess = () => {
            const last = all.result.filter(row => row.session === session).at(-1);
            entries.put({...last, text: '{spoilt'});
        };
        transaction.oncomplete = () => { open.result.close(); resolve(true); };
        transaction.onabort = () => reject(transaction.error);
    };
});";

#[test]
fn messages_for_a_session_that_cannot_be_read_come_back() {
    scene("messages_for_a_session_that_cannot_be_read_come_back", async |_, scene| {
        let page = &scene.page;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        // Whoever is quick writes before the page can know.
        let wait = "const request = LockManager.prototype.request;
            LockManager.prototype.request = function (...all) {
                return new Promise((done, fail) => {
                    const go = () => window.free ? request.apply(this, all).then(done, fail) : setTimeout(go, 20);
                    go();
                });
            };
            window.offered = [];
            const make = URL.createObjectURL;
            URL.createObjectURL = (blob) => { blob.text().then((text) => window.offered.push(text)); return make(blob); };";
        before(page, wait).await;
        page.tab.script(SPOIL, &[]).await;
        page.tab.reload().await;
        page.tab.find("#composer:enabled").await;
        page.tab.click("#composer").await;
        page.tab.type_keys("words that nobody hears" + Key::Enter).await;
        let empty = "return document.querySelector('#composer')?.value === ''";
        page.until("they were sent", empty).await;
        page.tab.type_keys("and half a").await;
        page.tab.script("window.free = true", &[]).await;
        let back =
            "return document.querySelector('#composer')?.value === 'words that nobody hears\\n\\nand half a'
            && document.querySelector('#composer')?.disabled
            && document.querySelector('.banner[data-severity=warn]')?.innerText.includes('cannot be read')";
        page.until("they are in the box again", back).await;
        page.press("Export it").await;
        let log = page.until("what is kept is offered", "return window.offered[0]").await;
        assert!(log.as_str().is_some_and(|log| log.contains("echo one") && log.contains("{spoilt")), "{log}");
        page.tab.reload().await;
        page.tab.script("window.free = true", &[]).await;
        page.until("they are still there", back).await;
        // Another session is none the worse.
        page.tab.click(".sessions button.new").await;
        page.ready().await;
        page.send_message("$ echo two").await;
        page.shows("echo two is done (exit 0)").await;
    });
}

/// Whether no entry of any session is kept.
const LEFT: &str = "return new Promise((resolve, reject) => {
    const open = indexedDB.open('meanwhile');
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
        const count = open.result.transaction('entries').objectStore('entries').count();
        count.onsuccess = () => { open.result.close(); resolve(count.result === 0); };
    };
});";

#[test]
fn a_session_that_cannot_be_deleted_goes_on() {
    scene("a_session_that_cannot_be_deleted_goes_on", async |_, scene| {
        let page = &scene.page;
        let stuck = "const remove = IDBObjectStore.prototype.delete;
            IDBObjectStore.prototype.delete = function (...all) {
                if (window.stuck && this.name === 'entries') throw new DOMException('The disk is stuck.', 'UnknownError');
                return remove.apply(this, all);
            };";
        before(page, stuck).await;
        page.reload().await;
        page.send_message("$ echo one").await;
        page.shows("echo one is done (exit 0)").await;
        page.idle().await;
        page.tab.script("window.stuck = true", &[]).await;
        let delete = async || {
            page.tab.point_at(".sessions li:nth-child(1) .item").await;
            page.press("Delete $ echo one").await;
            page.press("Delete").await;
        };
        delete().await;
        let said = "return document.querySelector('.toasts')?.innerText.includes('The disk is stuck.')";
        page.until("it is said", said).await;
        page.press("Keep").await;
        page.ready().await;
        page.send_message("$ echo two").await;
        page.shows("echo two is done (exit 0)").await;
        page.idle().await;
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
        delete().await;
        page.tab.find(".welcome").await;
        let gone = "return document.querySelectorAll('.sessions .item').length === 0";
        page.until("it is gone", gone).await;
        page.until("nothing is left of it", LEFT).await;
    });
}
