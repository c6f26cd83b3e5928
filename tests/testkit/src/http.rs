//! HTTP as bytes: what a browser would never send can be sent, too.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// 0 if there was none.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// What came behind the empty line.
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends bytes as they are to a port of this machine, and reads until it closes.
pub async fn raw(port: u16, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    wait::soon("an answer", stream.read_to_end(&mut bytes)).await.unwrap();
    Answer::parse(&bytes)
}

/// A request, such as `GET /`, with the right Host and these further headers.
pub async fn ask(port: u16, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    raw(port, &format!("{request}\r\n{body}")).await
}

/// A POST as the page makes it.
pub async fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let origin = format!("http://127.0.0.1:{port}");
    let mut all = vec![("Origin", origin.as_str()), ("Content-Type", "application/json")];
    all.extend_from_slice(headers);
    ask(port, &format!("POST {path}"), &all, &body.to_string()).await
}

/// Exchanges the code of a link for a credential.
pub async fn pair(port: u16, code: &str) -> String {
    let answer = post(port, "/api/pair", &[], &json!({"code": code, "name": "a test"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["credential"].as_str().unwrap().to_owned()
}
