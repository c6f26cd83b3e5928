//! The harness itself: it must see the faults that the tests rely on it to see.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::Html;
use axum::routing::get;
use e2e::browser::{Browser, Options};
use e2e::cable::Cable;
use e2e::stage;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use crate::play::play;

/// A server of one page.
async fn serve(page: &'static str) -> SocketAddr {
    let answer = move || async move { ([(CONTENT_SECURITY_POLICY, "img-src 'none'")], Html(page)) };
    let slow = || async {
        // A body that never ends: an open line.
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
    };
    let icon = || async { axum::http::StatusCode::NO_CONTENT };
    let router =
        Router::new().route("/", get(answer)).route("/slow", get(slow)).route("/favicon.ico", get(icon));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the accept loop has no end") });
    address
}

/// Whether finishing a browser that has seen this page fails.
fn fails(page: &'static str) -> bool {
    stage::play(async {
        let address = serve(page).await;
        let browser = Browser::start(&Options::default()).await;
        browser.tab().await.open(&format!("http://{address}/")).await;
        std::panic::AssertUnwindSafe(browser.finish()).catch_unwind().await.is_err()
    })
}

#[test]
fn a_quiet_page_passes_and_a_faulty_one_does_not() {
    assert!(!fails("<!doctype html><title>Quiet</title><p>Hello"));
    assert!(fails("<!doctype html><title>Loud</title><script>console.error('it broke')</script>"));
    assert!(fails("<!doctype html><title>Broken</title><script>nothing.here()</script>"));
    assert!(fails(
        "<!doctype html><title>Foreign</title><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    ));
}

#[test]
fn a_cable_cuts_what_the_page_has_open() {
    play("a_cable_cuts_what_the_page_has_open", async |stage| {
        let address = serve("<!doctype html><title>Line</title><p>Hello").await;
        let cable = Cable::socks().await;
        let tab = stage.browser_with(&Options { proxy: Some(cable.address()), ..Options::default() }).await;
        tab.browser().expect_console("net::ERR_");
        tab.open(&format!("http://{address}/")).await;
        let begin = "window.state = 'open';
                     fetch('/slow').then(r => r.text()).then(() => window.state = 'ended', () => window.state = 'cut');
                     return true";
        tab.script(begin, &[]).await;
        tab.until(
            "the host is the server's own",
            "return location.host === arguments[0]",
            &[address.to_string().into()],
        )
        .await;
        assert!(cable.open() > 0, "the page did not come through the cable");
        cable.cut().await;
        tab.until("the line is cut", "return window.state === 'cut'", &[]).await;
        cable.plug();
        tab.reload().await;
        tab.until("the page is back", "return document.title === 'Line'", &[]).await;
    });
}
