//! A page and the runner prove themselves to each other, and nobody else can in their place.

use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::json;
use shared::ClientId;
use shared::proof::{Introduction, Meeting, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use uuid::Uuid;

use crate::keyed::{Key, Met, Page, bytes, health, introduce, text};
use crate::support::{Runner, SOON, Socket};

/// The runner takes this proof for nobody's.
async fn refused(met: &mut Met, signature: &[u8]) {
    met.socket.send(json!({"type": "prove", "signature": text(signature)})).await;
    let (code, frames) = met.socket.closed().await;
    assert_eq!((code, frames.len()), (4002, 1), "{frames:?}");
    assert_eq!(frames[0]["problem"]["code"], "unauthorized", "{frames:?}");
}

#[tokio::test]
async fn a_page_and_the_runner_prove_themselves_and_then_it_is_as_ever() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let (mut socket, token) = page.connect(&runner).await;
    let welcome = socket.hello(json!({"session": Uuid::new_v4()})).await;
    assert_eq!(welcome["stats"]["tabs"], 1);
    let task = socket.start("echo hello").await;
    socket.until("event").await;
    let bearer = format!("Bearer {token}");
    let log = runner.ask(&format!("GET /api/tasks/{task}/log"), &[("Authorization", &bearer)], "").await;
    assert_eq!((log.status, log.body.contains("hello")), (200, true), "{log:?}");
    // Several sockets of one page have each their own.
    let (other, others) = page.connect(&runner).await;
    assert_ne!(token, others);
    assert_eq!(health(&runner, &others).await.status, 200);
    drop(other);
    expires(&runner, &others).await;
    assert_eq!(health(&runner, &token).await.status, 200);
}

/// Waits until a token is refused.
async fn expires(runner: &Runner, token: &str) {
    let expired = async {
        while health(runner, token).await.status == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, expired).await.expect("the token outlives its socket");
}

#[tokio::test]
async fn a_token_is_for_requests_alone_and_ends_with_its_socket() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let (socket, token) = page.connect(&runner).await;
    assert_eq!(health(&runner, &token).await.status, 200);
    for headers in [
        [("Sec-WebSocket-Protocol", format!("meanwhile.v1, bearer.{token}")), ("X", String::new())],
        [("Sec-WebSocket-Protocol", "meanwhile.v1".to_owned()), ("Authorization", format!("Bearer {token}"))],
    ] {
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(runner.try_connect(&headers).await.err(), Some(401));
    }
    let port = runner.port;
    let folder = runner.stop().await;
    drop(socket);
    let runner = Runner::start_at(folder, port).await;
    assert_eq!(health(&runner, &token).await.status, 401, "whoever got it meanwhile has nothing");
}

#[tokio::test]
async fn a_socket_serves_nothing_before_the_page_has_proved_itself() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    for first in [
        json!({"type": "hello", "protocol": 1, "session": Uuid::new_v4()}).to_string(),
        json!({"type": "request", "id": Uuid::new_v4(), "op": {"op": "pair"}}).to_string(),
        json!({"type": "prove"}).to_string(),
        json!({"type": "prove", "signature": 1}).to_string(),
        "nonsense".to_owned(),
        "[".repeat(100_000),
    ] {
        let mut met = page.meet(&runner).await;
        met.socket.send_text(first).await;
        let (code, frames) = met.socket.closed().await;
        assert_eq!((code, frames.len()), (4000, 1), "{frames:?}");
        assert_eq!(frames[0]["problem"]["code"], "malformed", "{frames:?}");
    }
    let health = runner.ask("GET /api/health", &[], "").await;
    assert_eq!(health.status, 401);
    // Who says nothing is not waited for.
    let mut silent = page.meet(&runner).await;
    assert_eq!(silent.socket.closed().await.0, 4000);
}

#[tokio::test]
async fn an_offer_that_is_none_is_refused_before_the_upgrade() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let offer = page.meeting(&runner).offer();
    for protocols in [
        "meanwhile.v1, proof.".to_owned(),
        format!("meanwhile.v1, proof.{}.", page.client),
        format!("meanwhile.v1, {}", &offer[..offer.len() - 2]),
        format!("meanwhile.v1, {offer}, {offer}"),
        format!("meanwhile.v1, {offer}, bearer.mw_wrong"),
    ] {
        let tried = runner.try_connect(&[("Sec-WebSocket-Protocol", &protocols)]).await;
        assert_eq!(tried.err(), Some(401), "{protocols}");
    }
    let tried = runner.try_connect(&[("Sec-WebSocket-Protocol", &offer)]).await;
    assert_eq!(tried.err(), Some(400), "without the version");
    for line in ["GET /api/health", "GET /relay/anthropic/v1/models", "GET /"] {
        let protocols = format!("meanwhile.v1, {offer}");
        let own = runner.origin();
        let headers = [
            ("Origin", own.as_str()),
            ("Sec-WebSocket-Protocol", &protocols),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
        ];
        assert_eq!(runner.ask(line, &headers, "").await.status, 401, "{line}");
    }
}

#[tokio::test]
async fn a_signature_is_good_on_its_own_socket_alone() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let mut first = page.meet(&runner).await;
    let proof = page.proof(&first);
    first.socket.send(proof.clone()).await;
    assert_eq!(first.socket.next().await.unwrap()["type"], "admitted");
    // What was seen on one socket, again: with the nonce of the page that belongs to it, and with another.
    let replayed = format!("meanwhile.v1, {}", first.meeting.offer());
    let mut socket = runner.try_connect(&[("Sec-WebSocket-Protocol", &replayed)]).await.ok().unwrap();
    let fresh = socket.next().await.unwrap();
    assert_ne!(bytes(&fresh["nonce"]), first.nonce, "the runner's nonce is a fresh one");
    socket.send(proof.clone()).await;
    assert_eq!(socket.closed().await.0, 4002);
    let mut other = page.meet(&runner).await;
    refused(&mut other, &bytes(&proof["signature"])).await;
    // The runner's own, sent back.
    let mut mirrored = page.meet(&runner).await;
    let own = mirrored.signature.clone();
    refused(&mut mirrored, &own).await;
    // A page does not believe the runner's signature of another socket either.
    let mut later = page.meet(&runner).await;
    later.signature = other.signature;
    assert!(!page.trusts(&later));
}

#[tokio::test]
async fn a_signature_binds_port_origin_role_and_client() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let port = runner.port ^ 1;
    let wrong: [fn(Meeting, u16) -> Meeting; 4] = [
        |meeting, port| Meeting { host: format!("127.0.0.1:{port}"), ..meeting },
        |meeting, _| Meeting { host: meeting.host.replace("127.0.0.1", "localhost"), ..meeting },
        |meeting, port| Meeting { origin: format!("http://127.0.0.1:{port}"), ..meeting },
        |meeting, _| Meeting { client: ClientId(Uuid::new_v4()), ..meeting },
    ];
    for (n, wrong) in wrong.into_iter().enumerate() {
        let mut met = page.meet(&runner).await;
        let signature = page.key.sign(&wrong(met.meeting.clone(), port).text(Role::Client, &met.nonce));
        refused(&mut met, &signature).await;
        // And the page would not believe the runner where it is not.
        let mut met = page.meet(&runner).await;
        met.meeting = wrong(met.meeting, port);
        assert!(!page.trusts(&met), "{n}");
    }
    let mut met = page.meet(&runner).await;
    let as_runner = page.key.sign(&met.meeting.text(Role::Runner, &met.nonce));
    refused(&mut met, &as_runner).await;
    let mut met = page.meet(&runner).await;
    let stranger = Key::new().sign(&met.meeting.text(Role::Client, &met.nonce));
    refused(&mut met, &stranger).await;
    let link = runner.run(&["pair"]).await;
    let other = Page::pair(&runner, link.trim().split_once("#pair=").unwrap().1).await;
    let mut met = page.meet(&runner).await;
    let others = other.key.sign(&met.meeting.text(Role::Client, &met.nonce));
    refused(&mut met, &others).await;
    // Guessing costs those who guess, and not those who know.
    page.connect(&runner).await;
}

/// Another server on the runner's port, while the runner is away.
struct Impostor {
    listener: TcpListener,
}

impl Impostor {
    async fn on(port: u16) -> Self {
        let bound = async {
            loop {
                match TcpListener::bind(("127.0.0.1", port)).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        Self { listener: timeout(SOON, bound).await.expect("the port stays occupied") }
    }

    /// The head of the next request.
    async fn head(&self) -> (String, tokio::net::TcpStream) {
        let (mut stream, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(timeout(SOON, stream.read_buf(&mut head)).await.unwrap().unwrap() > 0);
        }
        (String::from_utf8(head).unwrap(), stream)
    }
}

#[tokio::test]
async fn what_a_page_says_to_another_server_on_the_port_is_worth_nothing() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let port = runner.port;
    // What the runner has said before is all that the impostor has.
    let earlier = page.meet(&runner).await;
    let folder = runner.stop().await;
    let impostor = Impostor::on(port).await;
    let url = format!("ws://127.0.0.1:{port}/ws");
    let meeting = Meeting {
        host: format!("127.0.0.1:{port}"),
        origin: format!("http://127.0.0.1:{port}"),
        client: page.client,
        nonce: [7; 32],
    };
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
    let offer = format!("meanwhile.v1, {}", meeting.offer());
    request.headers_mut().insert("Sec-WebSocket-Protocol", offer.parse().unwrap());
    request.headers_mut().insert("Origin", meeting.origin.parse().unwrap());
    let asking = tokio::spawn(tokio_tungstenite::connect_async(request));
    let (head, mut stream) = impostor.head().await;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(asking.await.unwrap().is_err());
    drop((stream, impostor));
    // Neither what the runner said before nor what the impostor could sign is a proof of the runner.
    let forged = Met { meeting: meeting.clone(), ..earlier };
    assert!(!page.trusts(&forged));
    let own = Key::new().sign(&meeting.text(Role::Runner, &forged.nonce));
    assert!(!page.trusts(&Met { signature: own, ..forged }));

    let runner = Runner::start_at(folder, port).await;
    // Every byte that it got, to the real runner: a socket that belongs to nobody.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("\"prove\"") && !answer.contains("welcome") && !answer.contains("admitted"));
    for word in head.split([' ', ',', '\r', '\n', '.']).filter(|word| word.len() > 8) {
        assert_eq!(health(&runner, word).await.status, 401, "{word}");
    }
    page.connect(&runner).await;
}

#[tokio::test]
async fn the_runners_key_outlives_it_and_a_new_state_folder_has_another() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let port = runner.port;
    let folder = runner.stop().await;
    let runner = Runner::start_at(folder, port).await;
    let (mut socket, _) = page.connect(&runner).await;
    socket.hello(json!({"session": Uuid::new_v4()})).await;
    let folder = runner.stop().await;
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    let runner = Runner::start_at(folder, port).await;
    let met = page.try_meet(&runner).await;
    assert!(!page.trusts(&met), "it is another runner");
}

#[tokio::test]
async fn a_page_pairs_without_sending_its_code() {
    let runner = Runner::start(&[]).await;
    let key = Key::new();
    let origin = runner.origin();
    let right = Introduction { origin: &origin, key: key.public(), name: "a page" };
    let body = introduce(&runner.code, &right);
    assert!(!body.to_string().contains(&runner.code));
    let elsewhere = format!("http://127.0.0.1:{}", runner.port ^ 1);
    let other = Key::new();
    for (what, wrong) in [
        ("another port's", introduce(&runner.code, &Introduction { origin: &elsewhere, ..right.clone() })),
        ("another key", {
            let mut wrong = body.clone();
            wrong["key"] = text(other.public()).into();
            wrong
        }),
        ("another name", {
            let mut wrong = body.clone();
            wrong["name"] = "another".into();
            wrong
        }),
        ("another code", introduce("BdpEhTYtfDLoRmQ82DtNrw", &right)),
    ] {
        let answer = runner.post("/api/pair", &[], &wrong).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthorized")), "{what}");
    }
    for malformed in [
        json!({"key": text(key.public())}),
        json!({"key": text(&key.public()[1..]), "proof": body["proof"]}),
        json!({"key": text(key.public()), "proof": body["proof"], "code": runner.code}),
    ] {
        assert_eq!(runner.post("/api/pair", &[], &malformed).await.status, 400, "{malformed}");
    }
    let answer = runner.post("/api/pair", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.json().get("credential").is_none(), "a page gets none");
    let again = runner.post("/api/pair", &[], &body).await;
    assert_eq!(again.status, 401, "whoever has heard it cannot say it again");
    let client = ClientId(answer.json()["client"].as_str().unwrap().parse().unwrap());
    let page = Page { key, client, runner: bytes(&answer.json()["key"]) };
    page.connect(&runner).await;
    // A key alone is no credential, whatever is made of it.
    for shown in [text(page.key.public()), page.client.to_string(), text(&page.runner)] {
        assert_eq!(health(&runner, &shown).await.status, 401);
    }
    let signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &page.runner);
    assert!(signed.verify(b"", &[0; 64]).is_err());
}

#[tokio::test]
async fn a_program_is_added_by_name() {
    let runner = Runner::start(&[]).await;
    let credential = runner.run(&["clients", "add", "my script"]).await;
    let credential = credential.trim();
    assert!(credential.starts_with("mw_") && credential.len() == 46, "for scripts it is all: {credential}");
    assert_eq!(health(&runner, credential).await.status, 200);
    let (mut socket, _): (Socket, _) = runner.lease(credential, Uuid::new_v4()).await;
    socket.ask(json!({"op": "pair"})).await;
    let list = runner.run(&["clients"]).await;
    assert!(list.contains("my script") && list.contains("has a credential"), "{list}");
    assert!(!runner.log().contains(&credential[3..]));
}
