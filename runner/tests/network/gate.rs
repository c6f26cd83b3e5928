//! Nobody else gets in: Host, target, Origin, credentials, form, headers.

use std::time::{Duration, Instant};

use axum::http::Method;
use runner::routes;
use serde_json::json;

use crate::support::{Runner, SOON, left_out};

#[tokio::test]
async fn only_our_own_hosts_are_answered() {
    let runner = Runner::start(&[]).await;
    let port = runner.port;
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "localhost.", "127.0.0.1."] {
        let answer =
            runner.raw(&format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in [
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("evil.example@127.0.0.1:{port}"),
        format!("0.0.0.0:{port}"),
        format!("localhost..:{port}"),
        String::new(),
    ] {
        let answer =
            runner.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert!((400..500).contains(&answer.status), "{host}: {answer:?}");
        assert!(!answer.body.contains("<html"), "{host}");
    }
}

#[tokio::test]
async fn exactly_one_host() {
    let runner = Runner::start(&[]).await;
    let port = runner.port;
    for request in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        ),
    ] {
        let answer = runner.raw(&request).await;
        assert_eq!(answer.status, 421, "{request}");
    }
}

#[tokio::test]
async fn forwarded_headers_are_not_believed() {
    let runner = Runner::start(&[]).await;
    let (port, own) = (runner.port, runner.origin());
    let answer = runner
        .raw(&format!(
            "GET / HTTP/1.1\r\nHost: evil.example:{port}\r\nX-Forwarded-Host: 127.0.0.1:{port}\r\nForwarded: \
             host=\"127.0.0.1:{port}\"\r\nOrigin: {own}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(answer.status, 421);
}

#[tokio::test]
async fn only_targets_that_are_a_path() {
    let runner = Runner::start(&[]).await;
    let port = runner.port;
    for target in
        [format!("http://127.0.0.1:{port}/"), format!("http://evil.example:{port}/"), "*".to_owned()]
    {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let answer = runner.ask(&format!("{method} {target}"), &[], "").await;
        assert!(matches!(answer.status, 400 | 421), "{target}: {answer:?}");
    }
    let answer = runner.ask(&format!("CONNECT 127.0.0.1:{port}"), &[], "").await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

fn foreign_origins(port: u16) -> Vec<String> {
    vec![
        "null".to_owned(),
        "https://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{}", port ^ 1),
        "http://127.0.0.1".to_owned(),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}.evil.example"),
        String::new(),
    ]
}

#[tokio::test]
async fn a_post_must_come_from_our_own_page() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let bearer = format!("Bearer {credential}");
    let json = ("Content-Type", "application/json");
    for path in ["/api/pair", "/relay/anthropic/v1/messages", "/nowhere"] {
        for origin in foreign_origins(runner.port) {
            let headers = [("Origin", origin.as_str()), json, ("Authorization", &bearer)];
            let answer = runner.ask(&format!("POST {path}"), &headers, "{}").await;
            assert_eq!(answer.status, 403, "{path} from {origin:?}: {answer:?}");
        }
        let own = runner.origin();
        let twice = [("Origin", own.as_str()), ("Origin", own.as_str()), json, ("Authorization", &bearer)];
        assert_eq!(runner.ask(&format!("POST {path}"), &twice, "{}").await.status, 403, "{path}, two");
    }
    // Programs send none: the relay is for them, the rest is not.
    let none = [json, ("Authorization", bearer.as_str())];
    assert_eq!(runner.ask("POST /api/pair", &none, "{}").await.status, 403);
    assert_eq!(runner.ask("POST /nowhere", &none, "{}").await.status, 403);
    let answer = runner.ask("POST /relay/anthropic/v1/messages", &none, "{}").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{answer:?}");
    for name in
        ["http://localhost", "http://[::1]", "http://127.0.0.1", "HTTP://127.0.0.1", "Http://LOCALHOST"]
    {
        let origin = format!("{name}:{}", runner.port);
        let headers = [("Origin", origin.as_str()), json];
        let answer = runner.ask("POST /api/pair", &headers, r#"{"code": "wrong"}"#).await;
        assert_eq!(answer.status, 401, "{origin}: {answer:?}");
    }
}

#[tokio::test]
async fn a_socket_must_come_from_our_own_page() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let protocols = format!("meanwhile.v1, bearer.{credential}");
    for origin in foreign_origins(runner.port) {
        let tried = runner.try_connect(&[("Origin", &origin), ("Sec-WebSocket-Protocol", &protocols)]).await;
        assert_eq!(tried.err(), Some(403), "{origin}");
    }
    let none = runner
        .ask(
            "GET /ws",
            &[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Protocol", &protocols),
            ],
            "",
        )
        .await;
    assert_eq!(none.status, 403, "{none:?}");
}

#[tokio::test]
async fn a_further_origin_can_be_named_for_working_on_the_page() {
    let runner = Runner::start(&["--dev-origin", "http://127.0.0.1:8080"]).await;
    let json = ("Content-Type", "application/json");
    let answer =
        runner.ask("POST /api/pair", &[("Origin", "http://127.0.0.1:8080"), json], r#"{"code": ""}"#).await;
    assert_eq!(answer.status, 401);
    let answer =
        runner.ask("POST /api/pair", &[("Origin", "http://127.0.0.1:8081"), json], r#"{"code": ""}"#).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn every_route_wants_a_credential() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (own, bearer) = (runner.origin(), format!("Bearer {credential}"));
    let mut walked = 0;
    // Two doors are open, and whoever opens a third must come by here: the page's files and the exchange of a
    // code.
    let open: Vec<_> = routes().filter(|(_, _, public)| *public).map(|(_, path, _)| path).collect();
    assert_eq!(open, ["/api/pair"]);
    for (method, path, _) in routes().filter(|(_, _, public)| !public) {
        let path = path.replace("{*rest}", "models").replace("{task}", "00000000");
        let line = format!("{method} {path}");
        let mut headers = vec![("Origin", own.as_str())];
        if method == Method::POST {
            headers.push(("Content-Type", "application/json"));
        }
        let answer = runner.ask(&line, &headers, "").await;
        assert_eq!(answer.status, 401, "{line}: {answer:?}");
        assert_eq!(answer.json()["code"], "unauthorized");
        assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"));
        headers.push(("Authorization", &bearer));
        let answer = runner.ask(&line, &headers, "").await;
        assert_ne!(answer.status, 401, "{line}: {answer:?}");
        walked += 1;
    }
    assert!(walked >= 4);
    // What is no route at all is refused too, and with a credential it is not there.
    for line in
        ["GET /nowhere", "GET /api", "GET //", "GET /../etc/passwd", "DELETE /", "PUT /api/pair", "POST /"]
    {
        let answer = runner.ask(line, &[("Origin", &own), ("Content-Type", "application/json")], "").await;
        assert_eq!(answer.status, 401, "{line}: {answer:?}");
    }
    let answer = runner.ask("GET /nowhere", &[("Authorization", &bearer)], "").await;
    assert_eq!(answer.status, 404);
    let answer = runner.ask("DELETE /api/health", &[("Origin", &own), ("Authorization", &bearer)], "").await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn a_credential_in_an_address_is_refused_even_if_right() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let bearer = format!("Bearer {credential}");
    for query in [
        format!("token={credential}"),
        format!("x={credential}"),
        "access_token=anything".to_owned(),
        format!("x=%6d{}", &credential[1..]),
    ] {
        let answer = runner.ask(&format!("GET /api/health?{query}"), &[("Authorization", &bearer)], "").await;
        assert_eq!(answer.status, 401, "{query}");
        assert!(answer.body.contains("address"), "{}", answer.body);
        let answer = runner.ask(&format!("GET /?{query}"), &[], "").await;
        assert_eq!(answer.status, 401, "{query}");
    }
    let answer = runner.ask("GET /api/health?x=y", &[("Authorization", &bearer)], "").await;
    assert_eq!(answer.status, 200);
    assert!(!runner.log().contains(&credential), "the log holds the credential");
}

#[tokio::test]
async fn a_bare_credential_in_an_address_is_refused_too() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let encoded = format!("%6dw%5F{}", &credential[3..]);
    for query in [
        credential.clone(),
        "mw_something".to_owned(),
        encoded,
        format!("a=b&{credential}"),
        format!("{credential}=1"),
    ] {
        let answer = runner.ask(&format!("GET /?{query}"), &[], "").await;
        assert_eq!(answer.status, 401, "{query}");
    }
}

#[tokio::test]
async fn another_sites_page_may_only_open_this_one_in_a_tab() {
    let runner = Runner::start(&["--dev-origin", "http://localhost:8080"]).await;
    let bearer = format!("Bearer {}", runner.pair().await);
    let own = runner.origin();
    let cross = ("Sec-Fetch-Site", "cross-site");
    let tab = [cross, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    assert_eq!(runner.ask("GET /", &tab, "").await.status, 200, "a link");
    for site in ["same-origin", "same-site", "none"] {
        assert_eq!(runner.ask("GET /", &[("Sec-Fetch-Site", site)], "").await.status, 200, "{site}");
    }
    for mode in ["no-cors", "cors", "same-origin", "websocket", ""] {
        let headers = [cross, ("Sec-Fetch-Mode", mode), ("Origin", &own), ("Authorization", &bearer)];
        for line in ["GET /", "HEAD /", "GET /api/health", "GET /relay/anthropic/v1/models"] {
            assert_eq!(runner.ask(line, &headers, "").await.status, 403, "{line} {mode:?}");
        }
    }
    for dest in ["iframe", "embed", "object"] {
        let framed = [cross, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", dest)];
        assert_eq!(runner.ask("GET /", &framed, "").await.status, 403, "{dest}");
    }
    assert_eq!(runner.ask("GET /", &[cross], "").await.status, 403);
    // The page under work comes from another name of this machine.
    let dev = [("Origin", "http://localhost:8080"), ("Authorization", &bearer), cross];
    assert_eq!(runner.ask("GET /api/health", &dev, "").await.status, 200);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    let runner = Runner::start(&[]).await;
    let bearer = format!("Bearer {}", runner.pair().await);
    let own = runner.origin();
    let begin = Instant::now();
    for (path, length) in [
        ("/api/pair", "999999999999"),
        ("/api/pair", "16385"),
        ("/relay/anthropic/v1/messages", "999999999999"),
        ("/nowhere", "999999999999"),
    ] {
        let headers = [
            ("Origin", own.as_str()),
            ("Content-Type", "application/json"),
            ("Authorization", &bearer),
            ("Content-Length", length),
        ];
        let answer = runner.ask(&format!("POST {path}"), &headers, "").await;
        assert_eq!(answer.status, 413, "{path}, {length}: {answer:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn silent_half_sent_and_idle_connections_are_closed_within_ten_seconds() {
    let runner = Runner::start(&[]).await;
    let (port, own) = (runner.port, runner.origin());
    let whole = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let body = format!(
        "POST /api/pair HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {own}\r\nContent-Type: \
         application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let begin = Instant::now();
    let all = ["", "GET / HT", &whole[..whole.len() - 2], &whole, &body].map(|request| runner.raw(request));
    futures_util::future::join_all(all).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Only root can become somebody else.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_user_of_the_machine_is_refused_on_every_route() {
    if !rustix::process::geteuid().is_root() {
        left_out("only root may become another user");
        return;
    }
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (port, own) = (runner.port, runner.origin());
    let lines = ["GET /", "GET /api/health", "GET /ws", "POST /api/pair", "GET /relay/anthropic/v1/models"];
    let ways = lines.iter().flat_map(|line| ["127.0.0.1", "::ffff:127.0.0.1"].map(|host| (line, host)));
    for (line, host) in ways {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {own}\r\nAuthorization: Bearer \
             {credential}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        );
        let script = format!("exec 3<>/dev/tcp/{host}/{port}; printf %s \"$1\" >&3; cat <&3");
        let output = tokio::process::Command::new("setpriv")
            .args(["--reuid=65534", "--clear-groups", "bash", "-c", &script, "-", &request])
            .output()
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(answer.starts_with("HTTP/1.1 403"), "{line} by {host}: {answer} {output:?}");
    }
    let answer = runner.ask("GET /", &[], "").await;
    assert_eq!(answer.status, 200, "its own user is answered");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_never_locks_out_the_right_one() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let begin = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answer = runner.ask("GET /api/health", &[("Authorization", "Bearer mw_wrong")], "").await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert!(answer.header("Retry-After").is_some());
        }
    }
    assert_eq!(statuses.first(), Some(&401));
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert!(begin.elapsed() > Duration::from_secs(2), "it was not slowed down: {:?}", begin.elapsed());
    let right = Instant::now();
    let answer =
        runner.ask("GET /api/health", &[("Authorization", &format!("bearer {credential}"))], "").await;
    assert_eq!(answer.status, 200);
    assert!(right.elapsed() < Duration::from_secs(2), "{:?}", right.elapsed());
}

#[tokio::test]
async fn a_post_must_be_json() {
    let runner = Runner::start(&[]).await;
    let own = runner.origin();
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        let mut headers = vec![("Origin", own.as_str())];
        headers.extend(kind.map(|kind| ("Content-Type", kind)));
        let body = json!({"code": runner.code}).to_string();
        let answer = runner.ask("POST /api/pair", &headers, &body).await;
        assert_eq!(answer.status, 415, "{kind:?}");
        let answer = runner.ask("POST /api/pair", &headers, "").await;
        assert_eq!(answer.status, 415, "{kind:?}, empty");
    }
    let headers = [("Origin", own.as_str()), ("Content-Type", "Application/JSON; charset=utf-8")];
    let body = json!({"code": runner.code}).to_string();
    assert_eq!(runner.ask("POST /api/pair", &headers, &body).await.status, 200);
}

#[tokio::test]
async fn every_answer_has_the_headers_and_none_a_cookie_or_cors() {
    let runner = Runner::start(&["--connect", "http://127.0.0.1:11434"]).await;
    let credential = runner.pair().await;
    let (own, bearer) = (runner.origin(), format!("Bearer {credential}"));
    let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let handshake = [
        ("Origin", own.as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "12"),
        ("Authorization", bearer.as_str()),
    ];
    let answers = [
        (200, runner.ask("GET /", &[], "").await),
        (200, runner.ask("HEAD /", &[], "").await),
        (200, runner.ask("GET /api/health", &[("Authorization", &bearer)], "").await),
        (401, runner.ask("GET /api/health", &[], "").await),
        (404, runner.ask("GET /nowhere", &[("Authorization", &bearer)], "").await),
        (405, runner.ask("DELETE /ws", &[("Authorization", &bearer), ("Origin", &own)], "").await),
        (403, runner.ask("OPTIONS /api/pair", &preflight, "").await),
        (415, runner.ask("POST /api/pair", &[("Origin", &own)], "").await),
        (421, runner.raw("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await),
        (400, runner.ask("GET /ws", &handshake, "").await),
    ];
    for (status, answer) in &answers {
        assert_eq!(answer.status, *status, "{answer:?}");
        let policy = answer.header("Content-Security-Policy").unwrap_or_else(|| panic!("{answer:?}"));
        for part in [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "img-src 'self' data:",
            "https://api.anthropic.com",
            "http://127.0.0.1:11434",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(part), "{part} is missing in {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert!(answer.header("Permissions-Policy").is_some_and(|policy| policy.contains("camera=()")));
        let head = answer.head.to_ascii_lowercase();
        assert!(!head.contains("access-control-") && !head.contains("set-cookie"), "{head}");
    }
    assert!(answers[1].1.body.is_empty(), "an answer to HEAD has no body");
    let policy = answers[0].1.header("Content-Security-Policy").unwrap();
    assert!(policy.contains(&format!(" ws://127.0.0.1:{}", runner.port)), "{policy}");
}

#[tokio::test]
async fn the_page_is_found_by_its_tag() {
    let runner = Runner::start(&[]).await;
    let first = runner.ask("GET /", &[], "").await;
    assert!(first.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")), "{first:?}");
    assert!(first.header("Vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")));
    let tag = first.header("ETag").unwrap();
    let again = runner.ask("GET /", &[("If-None-Match", &format!("\"other\", W/{tag}"))], "").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let other = runner.ask("GET /", &[("If-None-Match", "\"other\"")], "").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_runner_without_descriptors_waits_and_goes_on() {
    let runner = Runner::start_with_files(64).await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(tokio::net::TcpStream::connect(("127.0.0.1", runner.port)).await.unwrap());
    }
    let noticed = async {
        while !runner.log().contains("No connection can be accepted") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, noticed).await.expect("it had enough");
    drop(held);
    assert_eq!(runner.ask("GET /", &[], "").await.status, 200);
}
