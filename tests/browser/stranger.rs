//! Something else than the runner answers where the runner was: the page gives it nothing, says so, and finds
//! its runner again.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use e2e::browser::Options;
use e2e::runner;
use e2e::wait;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use thirtyfour::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::page::{Page, Scene, scene};
use crate::play::play;

/// What it does with a socket.
#[derive(Clone, Copy)]
enum Way {
    /// It claims to be the runner, with a signature that is none.
    Forges,
    /// It takes the socket and says nothing.
    Silent,
    /// It knows no sockets.
    Plain,
}

/// Another server on the runner's port. Whatever it is sent is kept.
struct Stranger {
    heard: Rc<RefCell<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Stranger {
    async fn on(address: SocketAddr, way: Way) -> Self {
        let listener = wait::soon("the port", async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        let heard = Rc::new(RefCell::new(Vec::new()));
        let keeps = Rc::clone(&heard);
        let serving = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeps = Rc::clone(&keeps);
                tokio::task::spawn_local(async move { drop(Box::pin(answer(stream, way, &keeps)).await) });
            }
        });
        Self { heard, serving }
    }

    /// All that it was sent.
    fn all(&self) -> Vec<String> {
        self.heard.borrow().clone()
    }

    fn sockets(&self) -> usize {
        self.heard.borrow().iter().filter(|heard| heard.starts_with("GET /ws")).count()
    }

    /// It lets go of the port.
    async fn leave(self) {
        self.serving.abort();
        // It has ended when this returns.
        let _aborted = self.serving.await;
    }
}

/// Whether the head of a request is whole. What follows it was not read yet.
async fn head(stream: &TcpStream) -> std::io::Result<String> {
    let mut bytes = [0; 16 * 1024];
    loop {
        stream.readable().await?;
        let length = stream.peek(&mut bytes).await?;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if length == 0 || text.contains("\r\n\r\n") {
            return Ok(text);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn answer(mut stream: TcpStream, way: Way, keeps: &RefCell<Vec<String>>) -> std::io::Result<()> {
    let asked = Box::pin(head(&stream)).await?;
    keeps.borrow_mut().push(asked.clone());
    if !asked.starts_with("GET /ws") || matches!(way, Way::Plain) {
        let mut body = [0; 16 * 1024];
        let _read = stream.read(&mut body).await?;
        // What follows a head comes in the same breath or a little later.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Ok(length) = stream.try_read(&mut body) {
            keeps.borrow_mut().push(String::from_utf8_lossy(&body[..length]).into_owned());
        }
        let claim = json!({"client": "c1f85976-6df8-47d8-b1b6-544e623cb8ca", "key": "BAAA", "proof": "AAAA"});
        let claim = claim.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: meanwhile\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            claim.len()
        );
        stream.write_all(format!("{head}{claim}").as_bytes()).await?;
        return stream.shutdown().await;
    }
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let agree = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", "meanwhile.v1".parse().expect("it is plain"));
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, agree).await else { return Ok(()) };
    if matches!(way, Way::Forges) {
        let nothing = "A".repeat(85) + "A==";
        let proof = json!({"type": "prove", "nonce": "A".repeat(43) + "=", "signature": nothing});
        let _sent = socket.send(Message::text(proof.to_string())).await;
        let _sent =
            socket.send(Message::text(json!({"type": "admitted", "token": "mw_x"}).to_string())).await;
    }
    while let Some(Ok(message)) = socket.next().await {
        if !message.is_close() {
            keeps.borrow_mut().push(format!("message {message:?}"));
        }
    }
    Ok(())
}

const SAYS: &str = "return document.querySelector('.banner')?.innerText.includes(
    'is not the runner that this browser was paired with')";

fn expect_noise(page: &Page) {
    for noise in ["net::ERR_", "WebSocket connection to", "Failed to load resource"] {
        page.tab.browser().expect_console(noise);
    }
}

/// Stops the runner, has a stranger take its place, and gives what the page sent it.
async fn takes_the_place(scene: &mut Scene, way: Way) -> Vec<String> {
    let page = scene.page.clone();
    scene.runner.stop();
    let stranger = Stranger::on(scene.runner.address(), way).await;
    page.until("it is said", SAYS).await;
    page.link("stranger").await;
    // The page does not wait in vain for words that it could show: it knows of nothing that came.
    let shown = page.tab.text().await;
    assert!(shown.contains("meanwhile pair") && !shown.contains("mw_x"), "{shown}");
    // Its pauses are long, and this one may be longer than it is meant to be.
    let (before, begun) = (stranger.sockets(), Instant::now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let asked = stranger.sockets() - before;
    assert!(Duration::from_secs(asked as u64) <= begun.elapsed(), "{asked} times in {:?}", begun.elapsed());
    page.until("it is still said", SAYS).await;
    let all = stranger.all();
    stranger.leave().await;
    all
}

async fn returns(scene: &mut Scene) {
    let page = scene.page.clone();
    scene.runner.start_again().await;
    page.ready().await;
    page.until("nothing is said any more", "return !document.querySelector('.banner')").await;
    page.send_message("$ echo again").await;
    page.shows("echo again is done (exit 0)").await;
}

#[test]
fn who_forges_the_runner_gets_nothing_that_works() {
    scene("who_forges_the_runner_gets_nothing_that_works", async |_, scene| {
        expect_noise(&scene.page);
        let heard = takes_the_place(scene, Way::Forges).await;
        assert!(heard.iter().any(|heard| heard.contains("proof.")), "{heard:#?}");
        for heard in &heard {
            let lower = heard.to_ascii_lowercase();
            let secret = ["mw_", "bearer", "authorization", "hello", "message "];
            assert!(!secret.iter().any(|word| lower.contains(word)), "{heard}");
        }
        scene.runner.start_again().await;
        // Whatever it was sent, to the real runner.
        let address = scene.runner.address();
        let replays = heard.iter().filter(|heard| heard.starts_with("GET /ws")).map(async |heard| {
            let mut stream = TcpStream::connect(address).await.expect("the runner is back");
            stream.write_all(heard.as_bytes()).await.expect("it reads");
            let mut answer = Vec::new();
            wait::soon("the end", stream.read_to_end(&mut answer)).await.expect("it is closed");
            String::from_utf8_lossy(&answer).into_owned()
        });
        for answer in futures_util::future::join_all(replays).await {
            assert!(answer.contains("prove") && !answer.contains("admitted"), "{answer}");
        }
        let client = reqwest::Client::new();
        let parts = heard.iter().flat_map(|heard| heard.split([' ', ',', '\r', '\n', '.', '"']));
        for word in parts.filter(|word| word.len() > 20 && word.bytes().all(|byte| byte.is_ascii_graphic())) {
            let shown = client.get(format!("http://{address}/api/health")).bearer_auth(word).send();
            let status = shown.await.expect("the runner answers").status().as_u16();
            assert!(matches!(status, 401 | 429), "{word}: {status}");
        }
        returns(scene).await;
    });
}

#[test]
fn who_takes_a_socket_and_is_silent_is_named() {
    scene("who_takes_a_socket_and_is_silent_is_named", async |_, scene| {
        expect_noise(&scene.page);
        let heard = takes_the_place(scene, Way::Silent).await;
        assert!(!heard.iter().any(|heard| heard.starts_with("message")), "{heard:#?}");
        returns(scene).await;
    });
}

#[test]
fn another_server_that_knows_no_sockets_is_named() {
    scene("another_server_that_knows_no_sockets_is_named", async |_, scene| {
        expect_noise(&scene.page);
        let heard = takes_the_place(scene, Way::Plain).await;
        assert!(heard.iter().any(|heard| heard.starts_with("HEAD / ")), "{heard:#?}");
        returns(scene).await;
    });
}

#[test]
fn a_code_is_not_sent_and_who_does_not_know_it_is_not_believed() {
    scene("a_code_is_not_sent_and_who_does_not_know_it_is_not_believed", async |stage, scene| {
        let strange = Page { tab: stage.browser_with(&Options::default()).await };
        expect_noise(&strange);
        expect_noise(&scene.page);
        strange.tab.open(&scene.runner.origin()).await;
        strange.tab.find("main.unpaired").await;
        let link = scene.runner.fresh_link().await;
        let code = link.split_once("#pair=").expect("a link holds a code").1.to_owned();
        scene.runner.stop();
        let stranger = Stranger::on(scene.runner.address(), Way::Plain).await;
        strange.tab.click("#code").await;
        strange.tab.type_keys(link + Key::Enter).await;
        strange
            .until(
                "it is said",
                "return document.querySelector('main.unpaired [role=alert]')?.innerText.includes('does not know the code')",
            )
            .await;
        let heard = stranger.all().concat();
        assert!(heard.contains("POST /api/pair") && !heard.contains(&code), "{heard}");
        stranger.leave().await;
        scene.runner.start_again().await;
        scene.page.ready().await;
        strange.tab.click("#code").await;
        strange.tab.script("document.querySelector('#code').value = ''", &[]).await;
        strange.tab.type_keys(scene.runner.link().to_owned() + Key::Enter).await;
        strange.ready().await;
    });
}

#[test]
fn a_runner_with_a_new_state_folder_is_paired_with_again() {
    scene("a_runner_with_a_new_state_folder_is_paired_with_again", async |_, scene| {
        let page = scene.page.clone();
        expect_noise(&page);
        scene.runner.stop();
        let state = scene.runner.state();
        std::fs::remove_dir_all(&state).expect("the state is there");
        std::fs::create_dir(&state).expect("there is room");
        scene.runner.start_again().await;
        page.until("it is said", SAYS).await;
        // In a further tab, as the link opens; the first hears of it.
        let second = Page { tab: page.tab.browser().new_tab().await };
        second.open(scene.runner.link()).await;
        page.ready().await;
        page.until("nothing is said any more", "return !document.querySelector('.banner')").await;
        page.reload().await;
        let list = scene.runner.command(&["clients"]).await;
        assert_eq!(list.lines().count(), 1, "{list}");
    });
}

#[test]
fn several_tabs_are_one_client_and_a_link_is_used_up_only_by_who_needs_it() {
    scene("several_tabs_are_one_client", async |stage, scene| {
        let link = scene.runner.fresh_link().await;
        let second = Page { tab: scene.page.tab.browser().new_tab().await };
        second.open(&link).await;
        let third = Page { tab: scene.page.tab.browser().new_tab().await };
        third.open(&scene.runner.origin()).await;
        let list = scene.runner.command(&["clients"]).await;
        assert!(list.lines().count() == 1 && list.contains("3 connected"), "{list}");
        let strange = Page { tab: stage.browser_with(&Options::default()).await };
        strange.open(&link).await;
        let list = scene.runner.command(&["clients"]).await;
        assert_eq!(list.lines().count(), 2, "{list}");
        // Whoever is revoked is told, in each of its tabs, and may pair again.
        let first = list.lines().find(|line| line.contains("3 connected")).expect("the first is listed");
        scene.runner.command(&["clients", "revoke", &first[..36]]).await;
        for page in [&scene.page, &second, &third] {
            page.tab.find("main.unpaired [role=alert]").await;
        }
        second.tab.click("#code").await;
        second.tab.type_keys(scene.runner.fresh_link().await + Key::Enter).await;
        for page in [&scene.page, &second, &third] {
            page.ready().await;
        }
        strange.link("live").await;
    });
}

#[test]
fn what_an_earlier_version_kept_is_not_sent_and_its_notice_says_what_to_do() {
    scene("what_an_earlier_version_kept_is_not_sent", async |stage, scene| {
        let old = Page { tab: stage.browser_with(&Options::default()).await };
        old.tab.open(&scene.runner.origin()).await;
        old.tab.find("main.unpaired").await;
        old.tab.script("localStorage['meanwhile.credential'] = 'mw_old'", &[]).await;
        old.tab.reload().await;
        let said = "return document.querySelector('main.unpaired [role=alert]')?.innerText.includes('earlier version')
            && localStorage['meanwhile.credential'] === undefined";
        old.until("it is said", said).await;
        old.tab.click("#code").await;
        old.tab.type_keys(scene.runner.fresh_link().await + Key::Enter).await;
        old.ready().await;
    });
}

/// The address of this machine in its network, if it has one.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent; the system only chooses the way.
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.to_string())
}

#[test]
fn a_browser_without_cryptography_is_refused_with_a_sentence() {
    let Some(address) = own_address() else {
        return testkit::left_out("this machine has no address that is not loopback");
    };
    play("a_browser_without_cryptography_is_refused_with_a_sentence", async |stage| {
        let arguments = ["--host", &address, "--dangerously-expose"].map(str::to_owned).to_vec();
        let runner = runner::Runner::with(runner::Options { arguments, ..runner::Options::default() }).await;
        let page = Page { tab: stage.browser_with(&Options::default()).await };
        // What browsers say of a page over plain http from elsewhere.
        page.tab.browser().expect_console("Cross-Origin-Opener-Policy");
        page.tab.open(runner.link()).await;
        page.tab.find("main.unpaired [role=alert]").await;
        let text = page.tab.text().await;
        assert!(text.contains("no cryptography") && text.contains("ssh -L"), "{text}");
        assert_eq!(runner.command(&["clients"]).await, "Nobody is paired.");
        stage.finish().await;
    });
}
