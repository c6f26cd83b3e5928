//! What the system may run out of: descriptors, processes, room on the disk. The real binary, under real
//! limits.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt as _;
use uuid::Uuid;

use crate::support::{Runner, SOON, Socket, binary, folder, left_out};

async fn there(path: &Path) {
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, there).await.unwrap_or_else(|_| panic!("never: {}", path.display()));
}

async fn ended(socket: &mut Socket, task: &str) -> Value {
    socket.find(|frame| frame["event"]["event"] == "ended" && frame["event"]["task"]["id"] == task).await["event"]
        .clone()
}

/// Starts more than there is room for, and sees all of them complete.
async fn all_complete(socket: &mut Socket, command: &str, tasks: usize) {
    for _ in 0..tasks {
        socket.request(json!({"op": "start", "command": command})).await;
    }
    let mut states = Vec::new();
    let all = async {
        while states.len() < tasks {
            let event = socket.until("event").await;
            states.push(event["event"]["task"]["state"].clone());
        }
    };
    tokio::time::timeout(3 * SOON, all).await.expect("some never ended");
    assert!(states.iter().all(|state| state["status"] == "completed"), "{states:?}");
}

#[tokio::test]
async fn without_descriptors_tasks_wait_for_each_other_and_none_is_lost() {
    let runner = Runner::start_with_files(70).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    all_complete(&mut socket, "sleep 0.5", 60).await;
    assert!(runner.log().contains("waits to start"), "it had enough");
}

/// The limit of processes does not hold for root, and is of a user as a whole. So it is tested as a user that
/// nobody else is, and only root may become one.
#[tokio::test]
async fn without_processes_tasks_wait_and_then_say_so() {
    if std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap() != 0 {
        left_out("only root may become the user that this needs");
        return;
    }
    let folder = folder();
    let lines = "export HOME=/ TOKIO_WORKER_THREADS=2; ulimit -u 45";
    let runner = Runner::start_as_user(folder, lines).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    all_complete(&mut socket, "sleep 0.5", 30).await;
    assert!(runner.log().contains("waits to start"), "it had enough");

    // One that takes all there are and keeps them; its shell says when it gets no more.
    let bomb = socket.start("i=0; while [ $i -lt 60 ]; do sleep 300 & i=$((i+1)); done; wait").await;
    let full = async {
        loop {
            let checked = socket.ask(json!({"op": "check", "task": bomb, "max_chars": 4000})).await;
            if checked["tasks"][0]["text"]["head"].as_str().unwrap().to_lowercase().contains("fork") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, full).await.expect("there was always another process");
    let mut reason = None;
    // Idle supervisors may still serve some.
    for _ in 0..20 {
        let started = socket.ask(json!({"op": "start", "command": "exec sleep 300"})).await;
        if started["task"]["state"]["status"] == "error" {
            reason = Some(started["task"]["state"]["reason"].as_str().unwrap().to_owned());
            break;
        }
    }
    let reason = reason.expect("there was always another process");
    assert!(reason.contains("limit of processes"), "{reason}");
    socket.ask(json!({"op": "stop", "task": bomb, "by": "user"})).await;
    let task = socket.start("echo again").await;
    assert_eq!(ended(&mut socket, &task).await["excerpt"]["head"], "again\n");
}

/// What gives a program, and nobody else, a small file system of its own.
const UNSHARE: [&str; 5] = ["unshare", "--user", "--map-root-user", "--mount", "sh"];

/// The line that mounts it over the state folder; none where nobody may.
fn a_small_disk(folder: &TempDir) -> Option<String> {
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mount = format!("mount -t tmpfs -o size=4m,mode=700 tmpfs '{}'", state.display());
    let able = std::process::Command::new(UNSHARE[0]).args(&UNSHARE[1..]).args(["-c", &mount]).output();
    if able.is_ok_and(|output| output.status.success()) {
        return Some(mount);
    }
    left_out("this system lets nobody mount a file system of their own");
    None
}

async fn with_a_small_disk() -> Option<Runner> {
    let folder = folder();
    let mount = a_small_disk(&folder)?;
    Some(Runner::start_after(folder, &UNSHARE, &mount, binary()).await)
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_loses_no_end() {
    let Some(runner) = with_a_small_disk().await else { return };
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let (work, fill) = (runner.workspace(), runner.state().join("fill"));
    let fill = fill.display();
    let wait = |file: &str| format!("while [ ! -e {file} ]; do sleep 0.02; done");
    let running = socket.start(&format!("{}; echo survived; exit 4", wait("end"))).await;
    let endless = socket.start("sleep 300").await;
    let filling =
        format!("dd if=/dev/zero of='{fill}' bs=4k 2>/dev/null; touch full; {}; rm '{fill}'", wait("go"));
    socket.start(&filling).await;
    there(&work.join("full")).await;

    let id = socket.request(json!({"op": "start", "command": "touch started"})).await;
    let refused = socket.reply(&id).await["err"].clone();
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("system"), &json!(true)), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("full"), "{refused}");
    // The end of what runs waits for room, and everything else goes on.
    std::fs::write(work.join("end"), "").unwrap();
    socket.send(json!({"type": "alarm", "id": 1, "after_ms": 1500})).await;
    let meanwhile = socket.collect(|frame| frame["type"] == "alarm").await;
    assert!(meanwhile.iter().all(|frame| frame["type"] != "event"), "{meanwhile:?}");
    let shown =
        meanwhile.iter().find(|frame| frame["task"]["unsaved"] == true).expect("it is shown meanwhile");
    assert_eq!(shown["task"]["state"], json!({"status": "failed", "code": 4}));
    let stopped = socket.ask(json!({"op": "stop", "task": endless, "by": "user"})).await["task"].clone();
    assert_eq!((&stopped["state"]["status"], &stopped["unsaved"]), (&json!("stopped"), &json!(true)));
    let (_other, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["tasks"].as_array().unwrap().len(), 3);

    std::fs::write(work.join("go"), "").unwrap();
    let event = ended(&mut socket, &running).await;
    assert_eq!(event["task"]["state"], json!({"status": "failed", "code": 4}));
    assert_eq!(event["excerpt"]["head"], "survived\n");
    assert_eq!(ended(&mut socket, &endless).await["task"]["unsaved"], false);
    let task = socket.start("echo again").await;
    assert_eq!(ended(&mut socket, &task).await["excerpt"]["head"], "again\n");
    assert!(!work.join("started").exists(), "it was refused");
}

#[tokio::test]
async fn a_task_that_fills_the_disk_with_its_output_still_ends() {
    let Some(runner) = with_a_small_disk().await else { return };
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let flood = socket.start("head -c 12000000 /dev/zero | tr '\\0' x; echo; echo LAST; exit 2").await;
    let event = ended(&mut socket, &flood).await;
    let task = &event["task"];
    assert_eq!(task["state"], json!({"status": "failed", "code": 2}));
    assert_eq!((&task["output_bytes"], &task["last_line"]), (&json!(12_000_006), &json!("LAST")));
    assert!(task["omitted_bytes"].as_u64().unwrap() > 7_000_000, "{task}");
    assert!(event["excerpt"]["tail"].as_str().unwrap().ends_with("x\nLAST\n"));
    let task = socket.start("echo again").await;
    assert_eq!(ended(&mut socket, &task).await["excerpt"]["head"], "again\n");
}

/// It is killed while a task runs, and there is no room for that task's end when it starts again.
#[tokio::test]
async fn a_runner_whose_disk_is_full_starts_and_says_so() {
    let folder = folder();
    let Some(mount) = a_small_disk(&folder) else { return };
    let (fill, go) = (folder.path().join("state/fill"), folder.path().join("workspace/go"));
    // The first runner is killed by its command, which has filled the disk; the second one follows it.
    let lines = format!(
        "{mount}\n\"$0\" \"$@\"\n(while [ ! -e '{}' ]; do sleep 0.05; done; rm '{}') >/dev/null 2>&1 &",
        go.display(),
        fill.display()
    );
    let mut runner = Runner::start_after(folder, &UNSHARE, &lines, binary()).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let command = format!(
        "dd if=/dev/zero of='{}' bs=4k 2>/dev/null; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 300",
        fill.display()
    );
    let task = socket.start(&command).await;
    let mut line = String::new();
    let read = tokio::time::timeout(SOON, runner.stdout.read_line(&mut line)).await;
    read.expect("it does not start again").unwrap();
    let address = line.split_once("/#pair=").unwrap_or_else(|| panic!("{line:?}\n{}", runner.log())).0;
    runner.port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    assert!(runner.log().contains("the store cannot be written"), "it says so");
    let (mut socket, welcome) = runner.lease(&credential, session).await;
    let shown = &welcome["tasks"][0];
    assert_eq!((&shown["id"], &shown["unsaved"]), (&json!(task), &json!(true)), "{welcome}");
    assert_eq!(shown["state"]["status"], "lost");
    std::fs::write(&go, "").unwrap();
    let event = ended(&mut socket, &task).await;
    assert_eq!(
        (&event["task"]["state"]["status"], &event["task"]["unsaved"]),
        (&json!("lost"), &json!(false))
    );
}
