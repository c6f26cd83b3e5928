//! The command line: what it prints, how it fails, how it ends.

use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rstest::rstest;
#[cfg(target_os = "linux")]
use rustix::fs::inotify;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{Runner, SOON, binary, folder, left_out, meanwhile};

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

#[rstest]
#[case::a_flag_that_there_is_not(&["--sing"], 2, &[])]
#[case::a_port_that_there_is_not(&["--port", "70000"], 2, &[])]
#[case::a_level_that_there_is_not(&["--port", "0", "--log", "loud=very"], 1, &["--log"])]
#[case::an_origin_that_is_none(&["--port", "0", "--connect", "*"], 1, &["--connect"])]
#[case::all_addresses(&["--port", "0", "--host", "0.0.0.0"], 1, &["--dangerously-expose", "ssh -L"])]
#[case::all_of_the_newer_kind(&["--port", "0", "--host", "::"], 1, &["--dangerously-expose", "ssh -L"])]
#[case::a_foreign_address(&["--port", "0", "--host", "192.0.2.1"], 1, &["--dangerously-expose", "ssh -L"])]
#[tokio::test]
async fn a_wrong_command_line_says_why(
    #[case] arguments: &[&str],
    #[case] expected: i32,
    #[case] words: &[&str],
) {
    let (code, message) = fails(arguments).await;
    assert_eq!(code, Some(expected), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[tokio::test]
async fn with_the_frightening_flag_it_listens_elsewhere() {
    let runner = Runner::start(&["--host", "0.0.0.0", "--dangerously-expose"]).await;
    assert_eq!(runner.ask("GET /", &[], "").await.status, 200);
    let foreign = format!("GET / HTTP/1.1\r\nHost: 0.0.0.0:{}\r\nConnection: close\r\n\r\n", runner.port);
    assert_eq!(runner.raw(&foreign).await.status, 421);
}

/// Whoever starts it may let everybody read what is made; and a file that is closed to others only after it
/// was made was open to them for a moment.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn state_is_for_nobody_else_from_its_first_byte() {
    let folder = folder();
    let state = folder.path().join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let changes = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let watch = |path: &Path| inotify::add_watch(&changes, path, inotify::WatchFlags::ATTRIB).unwrap();
    watch(&state);
    let runner = Runner::start_after(folder, &["sh"], "umask 0", binary()).await;
    watch(&state.join("logs"));
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    socket.start("echo hello").await;
    socket.until("event").await;
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let mut folders = vec![state];
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
    let mut room = [std::mem::MaybeUninit::uninit(); 4096];
    let mut seen = inotify::Reader::new(&changes, &mut room);
    while let Ok(change) = seen.next() {
        // The socket has no bytes, and lies in the folder that is closed. SQLite makes its files with the
        // mode of the database, and where it is root's gives them the owner of that.
        let own =
            |name: &&std::ffi::CStr| *name != c"control" && !name.to_bytes().starts_with(b"meanwhile.db-");
        let file = change.file_name().filter(own);
        assert_eq!(file, None, "its mode was changed after it was made");
    }
}

#[tokio::test]
async fn a_state_folder_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return left_out("only root may make a folder of another user's");
    }
    let folder = folder();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65_534), None).unwrap();
    let mut command = meanwhile();
    testkit::runner::place(&mut command, folder.path());
    let output =
        timeout(SOON, command.args(["--port", "0", "--no-open"]).output()).await.expect("it ends").unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && message.contains("belongs to another user"), "{message}");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "nothing was written there");
}

/// Names come from others, and a terminal would obey what is in them.
#[tokio::test]
async fn nothing_that_a_terminal_would_obey_is_listed() {
    let runner = Runner::start(&[]).await;
    let name = "a\u{1b}[2Jb\u{202e}c\u{7}\rd";
    assert_eq!(runner.post("/api/pair", &[], &json!({"code": runner.code, "name": name})).await.status, 200);
    let list = runner.run(&["clients"]).await;
    assert!(
        !list.contains(|char: char| char != '\n' && (char.is_control() || char == '\u{202e}')),
        "{list:?}"
    );
    assert!(list.contains("a[2Jbc"), "it is named: {list}");
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
    let folder = folder();
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
