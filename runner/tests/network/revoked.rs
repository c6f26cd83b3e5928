//! What ends when a client is revoked: all that it has paired, and whatever is under way for any of them.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use crate::keyed::{Page, health};
use crate::relay::Upstream;
use crate::support::{Runner, SOON, Socket};

/// The code of a link that a client makes.
async fn code(socket: &mut Socket) -> String {
    let url = socket.ask(json!({"op": "pair"})).await["url"].as_str().unwrap().to_owned();
    url.split_once("#pair=").unwrap().1.to_owned()
}

async fn open(page: &Page, runner: &Runner) -> (Socket, String) {
    let (mut socket, token) = page.connect(runner).await;
    socket.hello(json!({"session": Uuid::new_v4()})).await;
    (socket, token)
}

#[tokio::test]
async fn what_a_client_has_paired_falls_with_it() {
    let runner = Runner::start(&[]).await;
    let first = Page::pair(&runner, &runner.code).await;
    let (mut first_socket, first_token) = open(&first, &runner).await;
    // A page of the first's, a program of that page's, and a page of the program's.
    let second = Page::pair(&runner, &code(&mut first_socket).await).await;
    let (mut second_socket, second_token) = open(&second, &runner).await;
    let link = code(&mut second_socket).await;
    let answer = runner.post("/api/pair", &[], &json!({"code": link, "name": "a program"})).await;
    let third = answer.json()["credential"].as_str().unwrap().to_owned();
    let (mut third_socket, _) = runner.lease(&third, Uuid::new_v4()).await;
    let fourth = Page::pair(&runner, &code(&mut third_socket).await).await;
    let unused = code(&mut third_socket).await;
    // Somebody else, by a person at the runner.
    let link = runner.run(&["pair"]).await;
    let other = Page::pair(&runner, link.trim().split_once("#pair=").unwrap().1).await;
    let (mut other_socket, other_token) = open(&other, &runner).await;
    let list = runner.run(&["clients"]).await;
    assert!(list.contains(&format!("by {}", first.client)), "{list}");

    let message = runner.run(&["clients", "revoke", &first.client.to_string()]).await;
    assert!(message.contains("3 clients that it had paired"), "{message}");
    for socket in [&mut first_socket, &mut second_socket, &mut third_socket] {
        assert_eq!(socket.closed().await.0, 4002);
    }
    for shown in [&first_token, &second_token, &third] {
        assert_eq!(health(&runner, shown).await.status, 401);
    }
    let answer = runner.post("/api/pair", &[], &json!({"code": unused})).await;
    assert_eq!(answer.status, 401, "nor does a link that it had made still pair");
    let refused = async |runner: &Runner| {
        for page in [&first, &second, &fourth] {
            let mut met = page.meet(runner).await;
            met.socket.send(page.proof(&met)).await;
            let (code, frames) = met.socket.closed().await;
            assert_eq!((code, frames[0]["problem"]["code"].as_str()), (4002, Some("unauthorized")));
        }
        assert_eq!(runner.run(&["clients"]).await.lines().count(), 1);
    };
    refused(&runner).await;
    other_socket.ask(json!({"op": "pair"})).await;
    assert_eq!(health(&runner, &other_token).await.status, 200);

    let port = runner.port;
    let folder = runner.stop().await;
    let runner = Runner::start_at(folder, port).await;
    refused(&runner).await;
    assert_eq!(health(&runner, &third).await.status, 401);
    other.connect(&runner).await;
}

/// Sends a request and reads up to this text of its answer.
async fn begun(runner: &Runner, line: &str, credential: &str, body: &str, until: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {credential}\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\n\r\n{body}",
        runner.port,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(until) {
        assert!(timeout(SOON, stream.read_buf(&mut answer)).await.expect("no answer").unwrap() > 0);
    }
    stream
}

/// Reads up to the end of a connection; how much came.
async fn cut(stream: &mut TcpStream) -> u64 {
    let mut rest = Vec::new();
    match timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the answer goes on") {
        Ok(_) | Err(_) => rest.len() as u64,
    }
}

#[tokio::test]
async fn relayed_answers_end_with_their_client() {
    let upstream = Upstream::start().await;
    let runner = upstream.runner().await;
    let post = "POST /relay/anthropic/v1/messages";
    let by_key = runner.run(&["clients", "add", "a program"]).await.trim().to_owned();
    let page = Page::pair(&runner, &runner.code).await;
    let (mut socket, token) = open(&page, &runner).await;
    let ids = runner.run(&["clients"]).await;
    let program = ids.lines().find(|line| line.contains("a program")).unwrap()[..36].to_owned();
    for (shown, client) in [(&by_key, program.as_str()), (&token, &page.client.to_string())] {
        // One that streams, one that waits for its head, and one whose body has not all come.
        let streaming = begun(&runner, post, shown, "{}", "");
        let mut streaming = streaming.await;
        let mut asked = upstream.next().await;
        asked.begin("200 OK", "Content-Type: text/event-stream\r\n").await;
        asked.piece("data: 1\n\n").await.unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("data: 1") {
            assert!(timeout(SOON, streaming.read_buf(&mut answer)).await.unwrap().unwrap() > 0);
        }
        let mut waiting = begun(&runner, post, shown, "{}", "").await;
        let mut second = upstream.next().await;
        let message = runner.run(&["clients", "revoke", client]).await;
        assert!(message.contains("refused"), "{message}");
        cut(&mut streaming).await;
        cut(&mut waiting).await;
        asked.hung_up().await;
        second.hung_up().await;
    }
    assert_eq!(socket.closed().await.0, 4002);
}

#[tokio::test]
async fn a_download_ends_with_its_client_even_if_it_is_read_slowly() {
    let runner = Runner::start(&[]).await;
    let page = Page::pair(&runner, &runner.code).await;
    let (mut socket, token) = open(&page, &runner).await;
    let task = socket.start("head -c 16000000 /dev/zero | tr '\\0' x").await;
    socket.until("event").await;
    let line = format!("GET /api/tasks/{task}/log");
    let mut download = begun(&runner, &line, &token, "", "xxx").await;
    let mut idle = begun(&runner, "GET /api/health", &token, "", "\"ok\"").await;
    // It takes no more than the system's buffers hold, so most of it is still to come.
    runner.run(&["clients", "revoke", &page.client.to_string()]).await;
    let came = cut(&mut download).await;
    assert!(came < 15_000_000, "{came} bytes came");
    assert_eq!(cut(&mut idle).await, 0, "an idle connection is closed too");
    let rest = timeout(Duration::from_secs(5), socket.closed()).await.unwrap();
    assert_eq!(rest.0, 4002);
}
