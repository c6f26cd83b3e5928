//! Pairing, and taking a credential back.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Runner, meanwhile};

#[tokio::test]
async fn a_code_pairs_once() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    assert!(credential.starts_with("mw_") && credential.len() == 46, "{}", credential.len());
    let again = runner.post("/api/pair", &[], &json!({"code": runner.code})).await;
    assert_eq!((again.status, again.json()["code"].as_str()), (401, Some("unauthorized")));
    let answer =
        runner.ask("GET /api/health", &[("Authorization", &format!("Bearer {credential}"))], "").await;
    assert_eq!(answer.json()["status"], "ok");
}

#[tokio::test]
async fn a_wrong_body_is_named_and_uses_nothing_up() {
    let runner = Runner::start(&[]).await;
    for body in [json!({}), json!({"code": 1}), json!([]), json!({"code": "x".repeat(20_000)})] {
        let answer = runner.post("/api/pair", &[], &body).await;
        assert!(matches!(answer.status, 400 | 413), "{answer:?}");
    }
    runner.pair().await;
}

#[tokio::test]
async fn neither_codes_nor_credentials_are_logged_or_stored() {
    let runner = Runner::start(&["--log", "trace"]).await;
    let credential = runner.pair().await;
    runner.post("/api/pair", &[], &json!({"code": "a-guess-that-is-wrong"})).await;
    runner.lease(&credential, Uuid::new_v4()).await;
    let code = runner.code.clone();
    let log = runner.log();
    assert!(log.contains("paired"), "{log}");
    let state = runner.state();
    let folder = runner.stop().await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for secret in [credential.as_str(), &credential[3..], &code, "a-guess-that-is-wrong"] {
        assert!(!log.contains(secret));
        for entry in std::fs::read_dir(&state).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_credential_outlives_the_runner() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let folder = runner.stop().await;
    let runner = Runner::start_in(folder, &[], &[]).await;
    let answer =
        runner.ask("GET /api/health", &[("Authorization", &format!("Bearer {credential}"))], "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_page_makes_a_link_for_another() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let reply = socket.ask(json!({"op": "pair"})).await;
    let url = reply["url"].as_str().unwrap();
    let code = url.strip_prefix(&format!("{}/#pair=", runner.origin())).unwrap();
    assert!(reply["expires"].as_u64().unwrap() > 0);
    assert_eq!(runner.post("/api/pair", &[], &json!({"code": code})).await.status, 200);
}

#[tokio::test]
async fn links_lists_and_revocation_from_the_command_line() {
    let runner = Runner::start(&[]).await;
    let first = runner.pair().await;
    let state = runner.state();
    let run = async |arguments: &[&str]| {
        let output = meanwhile()
            .args(["--config", "/dev/null"])
            .arg("--state-dir")
            .arg(&state)
            .args(arguments)
            .output()
            .await;
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text, String::from_utf8(output.stderr).unwrap())
    };
    let (code, with_code, _) = run(&["pair", "--qr"]).await;
    let lines: Vec<_> = with_code.lines().collect();
    assert!(code == Some(0) && lines[0].contains("/#pair=") && lines[1].is_empty(), "{with_code}");
    assert!(lines[2..].len() > 10 && lines[2..].iter().all(|line| line.contains(['█', '▀'])), "{with_code}");
    let (code, link, _) = run(&["pair"]).await;
    assert_eq!((code, link.lines().count()), (Some(0), 1), "for scripts the link is all: {link}");
    let fresh = link.trim().strip_prefix(&format!("{}/#pair=", runner.origin())).unwrap().to_owned();
    let answer = runner.post("/api/pair", &[], &json!({"code": fresh, "name": "the second\u{1b}[31m"})).await;
    let (second, id) = (answer.json()["credential"].clone(), answer.json()["client"].clone());
    let (second, id) = (second.as_str().unwrap(), id.as_str().unwrap());
    let (mut kept, _) = runner.lease(&first, Uuid::new_v4()).await;
    let (mut closed, _) = runner.lease(second, Uuid::new_v4()).await;

    let (code, list, _) = run(&["clients"]).await;
    assert_eq!((code, list.lines().count()), (Some(0), 2), "{list}");
    assert!(list.contains(id) && list.contains("the second") && list.contains("a test"), "{list}");
    assert!(!list.contains('\u{1b}') && !list.contains("mw_"), "{list}");

    let (code, _, message) = run(&["clients", "revoke", "no-such"]).await;
    assert!(code == Some(1) && message.contains("meanwhile clients"), "{message}");
    let (code, message, _) = run(&["clients", "revoke", &id[..13]]).await;
    assert!(code == Some(0) && message.contains(id), "{message}");

    let (code, frames) = closed.closed().await;
    assert_eq!(code, 4002);
    assert_eq!(frames.last().unwrap()["problem"]["code"], "unauthorized", "{frames:?}");
    let answer = runner.ask("GET /api/health", &[("Authorization", &format!("Bearer {second}"))], "").await;
    assert_eq!(answer.status, 401);
    let protocols = format!("meanwhile.v1, bearer.{second}");
    assert_eq!(runner.try_connect(&[("Sec-WebSocket-Protocol", &protocols)]).await.err(), Some(401));
    kept.ask(json!({"op": "pair"})).await;
    let folder = runner.stop().await;
    let runner = Runner::start_in(folder, &[], &[]).await;
    let answer = runner.ask("GET /api/health", &[("Authorization", &format!("Bearer {second}"))], "").await;
    assert_eq!(answer.status, 401, "it is good again after a restart");
}

#[tokio::test]
async fn without_a_runner_the_command_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = meanwhile().args(["pair", "--state-dir"]).arg(folder.path()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("No runner is running") && message.contains("--workspace"), "{message}");
}
