//! Pages of other origins in the very browser that is paired: they can do nothing, read nothing and frame
//! nothing.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::page::scene;

/// What a foreign page tries. Each way says what came of it; `refused` is what ought to.
const TRIES: &str = r#"<!doctype html><title>Foreign</title><body><script>
const base = 'http://127.0.0.1:' + location.hash.slice(1);
const results = {};
const attempt = async (name, act) => {
    try { results[name] = await act(); } catch { results[name] = 'refused'; }
};
const socket = (protocols) => new Promise((done) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/ws', protocols);
    socket.onopen = () => done('open');
    socket.onerror = () => done('refused');
});
const framed = (attributes) => new Promise((done) => {
    const frame = document.createElement('iframe');
    Object.assign(frame, attributes);
    frame.onload = () => {
        try { done(frame.contentWindow.document.body ? 'readable' : 'refused'); } catch { done('refused'); }
    };
    document.body.append(frame);
});
const sandboxed = () => new Promise((done) => {
    addEventListener('message', (event) => done(event.data), { once: true });
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', 'allow-scripts');
    frame.srcdoc = `<script>fetch('${base}/api/health').then((answer) => answer.text(), () => 'refused')
        .then((said) => parent.postMessage(said, '*'))<\/script>`;
    document.body.append(frame);
});
const submitted = () => new Promise((done) => {
    const target = document.createElement('iframe');
    target.name = 'target';
    document.body.append(target);
    const form = document.createElement('form');
    Object.assign(form, { action: base + '/api/pair', method: 'post', enctype: 'text/plain', target: 'target' });
    const field = document.createElement('input');
    Object.assign(field, { name: '{"code": "', value: '"}' });
    form.append(field);
    document.body.append(form);
    target.onload = () => { try { target.contentWindow.document.body; done('readable'); } catch { done('refused'); } };
    form.submit();
});
(async () => {
    await attempt('read', async () => (await fetch(base + '/api/health', { credentials: 'include' })).status);
    await attempt('page', async () => (await fetch(base + '/')).text());
    await attempt('post', async () => (await fetch(base + '/api/pair', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"code":"x"}' })).status);
    await attempt('socket', () => socket(['meanwhile.v1']));
    await attempt('proof', () => socket(['meanwhile.v1', 'proof.00000000-0000-0000-0000-000000000007.' + 'A'.repeat(43)]));
    await attempt('frame', () => framed({ src: base + '/' }));
    await attempt('sandbox', sandboxed);
    await attempt('form', submitted);
    window.results = results;
})();
</script>"#;

async fn serve() -> SocketAddr {
    let icon = || async { axum::http::StatusCode::NO_CONTENT };
    let router = Router::new().route("/", get(|| async { Html(TRIES) })).route("/favicon.ico", get(icon));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the accept loop has no end") });
    address
}

#[test]
fn foreign_pages_get_nowhere() {
    scene("foreign_pages_get_nowhere", async |_, scene| {
        let page = &scene.page;
        let browser = page.tab.browser().clone();
        // The browser says of each try that it was refused.
        browser.expect_console("");
        let (foreign, runner) = (serve().await.port(), scene.runner.address().port());
        let refused: Value = ["read", "page", "post", "socket", "proof", "frame", "sandbox", "form"]
            .map(|way| (way.to_owned(), json!("refused")))
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
            .into();
        let tab = browser.new_tab().await;
        for host in ["127.0.0.1", "localhost", "other.localhost"] {
            tab.open(&format!("http://{host}:{foreign}/#{runner}")).await;
            let results = tab.until("all was tried", "return window.results", &[]).await;
            assert_eq!(results, refused, "from {host}");
        }
        // A name of somebody else's that leads here.
        tab.open(&format!("http://other.localhost:{runner}/")).await;
        let shown = tab.text().await;
        assert!(shown.contains("forbidden") && !shown.contains("Meanwhile could"), "{shown}");
        let page_there =
            tab.script("return !!document.querySelector('.workbench, .unpaired, #starting')", &[]).await;
        assert_eq!(page_there, json!(false), "{shown}");
        assert_eq!(page.cards_and_lanes().await, (0, 0), "nothing was executed");
        page.link("live").await;
    });
}
