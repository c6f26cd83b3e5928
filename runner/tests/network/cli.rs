//! The command line: what it prints, how it fails, how it ends.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{Runner, SOON, binary, meanwhile};

async fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let running = meanwhile()
        .args(["--no-open", "--config", "/dev/null", "--workspace"])
        .arg(folder.path())
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .args(arguments)
        .output();
    let output = timeout(SOON, running).await.expect("it runs").unwrap();
    assert!(output.stdout.is_empty(), "something was printed");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_link_is_the_only_line_on_standard_output() {
    let mut runner = Runner::start(&[]).await;
    runner.pair().await;
    runner.signal("TERM");
    assert_eq!(runner.ended().await, Some(0), "{}", runner.log());
    let mut rest = String::new();
    runner.stdout.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
    assert_eq!(runner.code.len(), 22);
}

#[tokio::test]
async fn an_occupied_port_is_an_error_that_names_the_way_out() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let (code, message) = fails(&["--port", &port]).await;
    assert_eq!(code, Some(1));
    assert!(
        message.contains(&port) && message.contains("--port 0") && message.contains("another program"),
        "{message}"
    );

    let runner = Runner::start(&[]).await;
    let port = runner.port.to_string();
    let (code, message) = fails(&["--port", &port]).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("a Meanwhile") && message.contains("meanwhile pair"), "{message}");
}

#[tokio::test]
async fn a_second_runner_for_a_state_folder_names_the_first() {
    let runner = Runner::start(&[]).await;
    let state = runner.state();
    let output = meanwhile()
        .args(["--no-open", "--port", "0", "--config", "/dev/null", "--state-dir"])
        .arg(&state)
        .arg("--workspace")
        .arg(runner.workspace())
        .output()
        .await
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message.contains(&runner.child.id().unwrap().to_string()) && message.contains("meanwhile pair"),
        "{message}"
    );
}

#[tokio::test]
async fn other_addresses_need_the_frightening_flag() {
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let (code, message) = fails(&["--port", "0", "--host", host]).await;
        assert_eq!(code, Some(1), "{host}");
        assert!(message.contains("--dangerously-expose") && message.contains("ssh -L"), "{message}");
    }
    let runner = Runner::start(&["--host", "0.0.0.0", "--dangerously-expose"]).await;
    assert_eq!(runner.ask("GET /", &[], "").await.status, 200);
    let foreign = format!("GET / HTTP/1.1\r\nHost: 0.0.0.0:{}\r\nConnection: close\r\n\r\n", runner.port);
    assert_eq!(runner.raw(&foreign).await.status, 421);
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_code_two() {
    assert_eq!(fails(&["--sing"]).await.0, Some(2));
    assert_eq!(fails(&["--port", "70000"]).await.0, Some(2));
    let (code, message) = fails(&["--port", "0", "--log", "loud=very"]).await;
    assert!(code == Some(1) && message.contains("--log"), "{message}");
    let (code, message) = fails(&["--port", "0", "--connect", "*"]).await;
    assert!(code == Some(1) && message.contains("--connect"), "{message}");
}

#[tokio::test]
async fn state_is_for_nobody_else() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.start("echo hello").await;
    socket.until("event").await;
    assert_eq!(std::fs::metadata(runner.state()).unwrap().permissions().mode() & 0o777, 0o700);
    let mut folders = vec![runner.state()];
    let (mut files, mut sockets) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_dir() {
                assert_eq!(mode, 0o700, "{}", entry.path().display());
                folders.push(entry.path());
            } else {
                assert_eq!(mode, 0o600, "{}", entry.path().display());
                files += 1;
                sockets += usize::from(metadata.file_type().is_socket());
            }
        }
    }
    assert!(files >= 3 && sockets == 1, "{files} files, {sockets} sockets");
}

#[tokio::test]
async fn a_signal_stops_with_grace() {
    for signal in ["TERM", "INT"] {
        let mut runner = Runner::start(&[]).await;
        let credential = runner.pair().await;
        let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
        let marker = runner.workspace().join("asked");
        let command = format!(
            "trap 'touch {}; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
            marker.display()
        );
        let task = socket.start(&command).await;
        socket.ask(json!({"op": "watch", "task": task, "from": 0})).await;
        socket.until("output").await;
        runner.signal(signal);
        let (code, frames) = socket.closed().await;
        assert_eq!(code, 1001, "{frames:?}");
        assert!(frames.iter().any(|frame| frame["problem"]["code"] == "stopping"), "{frames:?}");
        assert_eq!(runner.ended().await, Some(0), "{}", runner.log());
        assert!(marker.exists(), "the task was not asked to end");
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", runner.port)).await.is_err());
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = socket.start("trap '' TERM; echo ready; while :; do sleep 0.05; done").await;
    socket.ask(json!({"op": "watch", "task": task, "from": 0})).await;
    socket.until("output").await;
    runner.signal("INT");
    socket.closed().await;
    let begin = Instant::now();
    runner.signal("INT");
    assert_ne!(runner.ended().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
}

#[tokio::test]
async fn help_is_complete_and_needs_nothing() {
    let output = meanwhile().arg("--help").env_clear().output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--workspace",
        "--port",
        "--no-open",
        "--state-dir",
        "--config",
        "--log",
        "--host",
        "--connect",
        "--confine",
        "--writable",
        "--dangerously-expose",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "pair",
        "clients",
    ] {
        assert!(text.contains(word), "{word}");
    }
}

#[tokio::test]
async fn the_browser_is_opened_with_the_link_and_none_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let (browser, opened) = (folder.path().join("browser"), folder.path().join("opened"));
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > {0}.part && mv {0}.part {0}\n", opened.display());
    std::fs::write(&browser, script).unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
    for opener in [true, false] {
        let browser = if opener { browser.to_str().unwrap() } else { "" };
        let path = if opener { "/usr/bin:/bin" } else { "/nowhere" };
        let variables = [("PATH", path), ("BROWSER", browser), ("MEANWHILE_NO_OPEN", "false")];
        let mut runner = Runner::start_opening(&variables).await;
        let shown = async {
            while !runner.log().contains("Ctrl-C stops it") || (opener && !opened.exists()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, shown).await.unwrap_or_else(|_| panic!("{opener}: {}", runner.log()));
        if opener {
            let link = format!("{}/#pair={}", runner.origin(), runner.code);
            assert_eq!(std::fs::read_to_string(&opened).unwrap(), link);
        }
        assert_eq!(runner.ask("GET /", &[], "").await.status, 200);
        runner.signal("INT");
        assert_eq!(runner.ended().await, Some(0), "{}", runner.log());
    }
}

/// A runner inherits what its starter does with the signal; `nohup` ignores it.
#[tokio::test]
async fn closing_the_terminal_stops_it_unless_it_was_told_to_outlive_that() {
    let mut runner = Runner::start(&[]).await;
    runner.signal("HUP");
    if hangups_are_ignored() {
        assert_eq!(runner.ask("GET /", &[], "").await.status, 200);
        runner.signal("TERM");
    }
    assert_eq!(runner.ended().await, Some(0), "{}", runner.log());
}

fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Whoever starts it may have blocked signals, and a mask is inherited.
#[tokio::test]
async fn blocked_signals_reach_neither_the_runner_nor_its_commands() {
    let folder = crate::support::folder();
    let program = ["env", "--block-signal=TERM,INT,USR1", "sh"];
    let runner = Runner::start_after(folder, &program, "", binary()).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    for _ in 0..2 {
        let task = socket.start("grep SigBlk /proc/self/status").await;
        let ended = socket.find(|frame| frame["event"]["task"]["id"] == task).await;
        assert_eq!(ended["event"]["excerpt"]["head"], "SigBlk:\t0000000000000000\n");
    }
    drop(runner.stop().await);
}
