//! Many connections, silent and slow, from programs that know nothing: whoever has a credential does not wait
//! for them.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::Runner;

/// More than the runner has places.
const CROWD: usize = 700;
/// What a good client may wait on a busy machine, and less than after which the crowd's connections are
/// closed.
const PROMPT: Duration = Duration::from_secs(8);

/// The crowd's own ends are this process's, together with those of all tests beside it.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let room = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, room).expect("the soft limit can be raised to the hard one");
}

#[tokio::test]
async fn a_crowd_keeps_no_good_client_waiting() {
    make_room();
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut before, _) = runner.lease(&credential, Uuid::new_v4()).await;
    // Silent ones, some that never finish their head, some that read nothing of a large answer, some that
    // guess.
    let host = format!("Host: 127.0.0.1:{}\r\n", runner.port);
    let heads = [
        String::new(),
        format!("GET / HTTP/1.1\r\n{host}"),
        format!("GET / HTTP/1.1\r\n{host}\r\n").repeat(50),
        format!("GET /api/health HTTP/1.1\r\n{host}Authorization: Bearer mw_wrong\r\n\r\n"),
        format!(
            "POST /api/pair HTTP/1.1\r\n{host}Origin: {}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{",
            runner.origin()
        ),
    ];
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap();
        // One that had to leave is told by an error.
        let _left = stream.write_all(heads[number % heads.len()].as_bytes()).await;
        crowd.push(stream);
    }

    let begun = Instant::now();
    let bearer = format!("Bearer {credential}");
    let health = runner.ask("GET /api/health", &[("Authorization", &bearer)], "").await;
    assert_eq!(health.status, 200);
    let (mut after, _) = runner.lease(&credential, Uuid::new_v4()).await;
    after.start("true").await;
    before.ask(json!({"op": "pair"})).await;
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    drop(crowd);
}

#[tokio::test]
async fn nor_does_one_that_takes_all_descriptors() {
    make_room();
    let runner = Runner::start_with_files(90).await;
    let credential = runner.pair().await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap());
    }
    let begun = Instant::now();
    let bearer = format!("Bearer {credential}");
    assert_eq!(runner.ask("GET /api/health", &[("Authorization", &bearer)], "").await.status, 200);
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    drop(crowd);
}
