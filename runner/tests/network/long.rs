//! Much at once: what a frame holds, whatever there is to tell.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::support::{Runner, SOON, left_out};

/// Of docs/protocol.md: no frame is longer.
const FRAME: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn a_look_at_long_outputs_fits_into_a_frame_whatever_is_asked_for() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let mut tasks = BTreeSet::new();
    for _ in 0..6 {
        // Signs that take much room on the wire.
        let task = socket.start("yes '\"\"\"\"\"\"\"\"\"\"\\\\' | head -c 3000000; echo; echo LAST").await;
        socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
        tasks.insert(task);
    }
    for op in [
        json!({"op": "check", "max_chars": u32::MAX, "tail": u32::MAX}),
        json!({"op": "check", "max_chars": u32::MAX, "grep": "."}),
        json!({"op": "check", "max_chars": u32::MAX, "tail": u32::MAX, "task": tasks.first()}),
    ] {
        let reply = socket.ask(op.clone()).await;
        let length = reply.to_string().len();
        assert!(length < FRAME, "{op}: {length}");
        let looked = reply["tasks"].as_array().unwrap();
        assert_eq!(looked.len(), if op["task"].is_null() { 6 } else { 1 }, "{op}");
        for checked in looked {
            let (text, task) = (&checked["text"], &checked["task"]);
            let end = [&text["tail"], &text["head"]].map(|part| part.as_str().unwrap());
            let end = end.into_iter().find(|part| !part.is_empty()).unwrap();
            assert!(end.trim_end().ends_with("LAST"), "{op}: {task}");
            assert!(text["omitted_chars"].as_u64().unwrap() > 0, "{op}: what is left out is counted");
        }
    }
    assert_eq!(
        socket.ask(json!({"op": "check", "max_chars": 100})).await["tasks"].as_array().unwrap().len(),
        6
    );
}

/// As after years: in the store are the tasks of many conversations that nobody comes back to.
#[tokio::test]
async fn a_welcome_holds_what_fits_and_the_rest_follows() {
    const OTHERS: usize = 3_000;
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let own = socket.start("echo own").await;
    socket.find(|frame| frame["event"]["task"]["id"] == own.as_str()).await;
    drop(socket);
    let folder = runner.stop().await;
    {
        let store = rusqlite::Connection::open(folder.path().join("state/meanwhile.db")).unwrap();
        let row: String = store.query_row("SELECT task FROM tasks", [], |row| row.get(0)).unwrap();
        let mut row: Value = serde_json::from_str(&row).unwrap();
        // Longer on the wire than in the store.
        let command = "\"".repeat(8_000);
        store.execute_batch("BEGIN").unwrap();
        for number in 0..OTHERS {
            let (op, other) = (Uuid::new_v4(), Uuid::new_v4());
            let id = format!("{number:08x}");
            row["id"] = json!(id);
            row["op"] = json!(op);
            row["session"] = json!(other);
            let insert = "INSERT INTO tasks (id, op, session, command, task, active, ended, end_seq) VALUES (?1, ?2, ?3, ?4, ?5, 0, 1, 1)";
            store.execute(insert, rusqlite::params![id, op, other, command, row.to_string()]).unwrap();
        }
        store.execute_batch("COMMIT").unwrap();
    }
    let runner = Runner::start_in(folder, &[], &[]).await;
    let mut socket = runner.connect(&credential).await;
    socket.send(json!({"type": "hello", "protocol": 1, "session": session, "drive": true})).await;
    let mut seen = BTreeSet::new();
    let mut longest = 0;
    let all = async {
        while seen.len() <= OTHERS {
            let Some(Ok(Message::Text(text))) = socket.stream.next().await else { panic!("it was closed") };
            longest = longest.max(text.len());
            let frame: Value = serde_json::from_str(&text).unwrap();
            let ids = |tasks: &Value| -> Vec<String> {
                tasks
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|task| task["id"].as_str().unwrap().to_owned())
                    .collect()
            };
            match frame["type"].as_str().unwrap() {
                "welcome" => {
                    let first = ids(&frame["tasks"]);
                    assert!(first.contains(&own) && first.len() < OTHERS, "{}", first.len());
                    seen.extend(first);
                }
                "task" => drop(seen.insert(frame["task"]["id"].as_str().unwrap().to_owned())),
                _ => {}
            }
        }
    };
    timeout(SOON, all).await.expect("not all of them come");
    assert!(longest < FRAME, "{longest}");
    // And it works.
    let task = socket.start("echo again").await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    assert_eq!(ended["event"]["excerpt"]["head"], "again\n");
}

/// Where numbers of processes are few, one that was left behind gets the number of the command that left it,
/// and ends.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_with_the_number_of_an_ended_command_is_not_its_second_end() {
    let folder = crate::support::folder();
    let unshare =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "sh"];
    let able = std::process::Command::new(unshare[0])
        .args(&unshare[1..])
        .args(["-c", "echo 100 > /proc/sys/kernel/ns_last_pid"])
        .output();
    if !able.is_ok_and(|output| output.status.success()) {
        left_out("this system lets nobody choose the numbers of processes");
        return;
    }
    let runner = Runner::start_after(folder, &unshare, "", crate::support::binary()).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    // It leaves a shell behind, which waits until the number is free (also that of its group), takes it for
    // another one, and goes first.
    let script = "while kill -0 $p; do sleep 0.01; done; i=0; while [ $i -lt 500 ]; do i=$((i+1)); \
                  echo $((p-1)) > /proc/sys/kernel/ns_last_pid; sh -c \"sleep 0.5; exit 5\" & \
                  if [ $! = $p ]; then echo $! > same; exit; fi; kill $!; done";
    let command = format!("export p=$$; setsid sh -c '{script}' > /dev/null 2>&1 & exit 3");
    let task = socket.start(&command).await;
    let is_end = |frame: &Value| frame["event"]["task"]["id"] == task.as_str();
    let ended = socket.find(is_end).await;
    assert_eq!(ended["event"]["task"]["state"], json!({"status": "failed", "code": 3}));
    let left =
        |frame: &Value| frame["task"]["id"] == task.as_str() && frame["task"]["left_behind"] == json!([]);
    let frames = socket.collect(left).await;
    assert!(frames.iter().all(|frame| !is_end(frame)), "{frames:?}");
    assert!(runner.workspace().join("same").exists(), "it never got the number");
    // What follows comes behind any second end.
    let next = socket.start("true").await;
    let event = socket.until("event").await;
    assert_eq!((&event["seq"], &event["event"]["task"]["id"]), (&json!(2), &json!(next)));
    assert_eq!(
        socket.ask(json!({"op": "check", "task": task, "max_chars": 100})).await["tasks"][0]["task"]["state"]
            ["code"],
        3
    );
}
