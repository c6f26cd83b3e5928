//! Delivery and the store: what survives, what comes once, what is forgotten.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runner::state_dir::StateDir;
use runner::store::{Client, Store};
use shared::protocol::{Start, TaskEvent};
use shared::task::{Party, TaskState};
use shared::{ClientId, OpId, ProblemCode, Seq, SessionId, TaskId, Timestamp};
use tempfile::TempDir;
use uuid::Uuid;

use crate::common::{Runner, living, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_numbered_from_one_and_acknowledged_forward_only() {
    let runner = Runner::new().await;
    for _ in 0..3 {
        runner.finish(start("true")).await;
    }
    let after = |seq| runner.tasks.events_after(runner.session, Seq(seq), 10);
    let numbers =
        |events: Vec<(Seq, Arc<TaskEvent>)>| events.into_iter().map(|(seq, _)| seq.0).collect::<Vec<_>>();
    assert_eq!(numbers(after(0).await.unwrap()), [1, 2, 3]);
    assert_eq!(numbers(after(1).await.unwrap()), [2, 3]);
    runner.tasks.acknowledge(runner.session, Seq(2), |problem| panic!("{problem}"));
    runner.tasks.acknowledge(runner.session, Seq(1), |problem| panic!("{problem}"));
    assert_eq!(numbers(after(0).await.unwrap()), [3]);
    assert_eq!(runner.tasks.acknowledged(runner.session), Seq(2));
    runner.tasks.acknowledge(runner.session, Seq(99), |problem| panic!("{problem}"));
    assert_eq!(runner.tasks.acknowledged(runner.session), Seq(3), "not beyond the last");
    runner.finish(start("true")).await;
    assert_eq!(numbers(after(0).await.unwrap()), [4], "numbers are never used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_memory_holds_come_in_order() {
    let runner = Runner::new().await;
    for _ in 0..50 {
        runner.start(start("true")).await;
    }
    let mut last = runner.tasks.events_last(runner.session);
    last.wait_for(|last| *last == Seq(50)).await.unwrap();
    let (mut after, mut seen) = (Seq(0), Vec::new());
    loop {
        let events = runner.tasks.events_after(runner.session, after, 7).await.unwrap();
        let Some((last, _)) = events.last() else { break };
        after = *last;
        seen.extend(events.iter().map(|(seq, _)| seq.0));
    }
    assert_eq!(seen, (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_survives_the_runner() {
    let runner = Runner::new().await;
    let epoch = runner.tasks.epoch();
    let (task, preview) = runner.finish(start("echo kept")).await;
    let op = task.op;
    let again = runner.restart().await;
    assert_eq!(again.tasks.epoch(), epoch);
    let (known, known_preview) = again.end(&task.id).await;
    assert_eq!((known, known_preview), (task.clone(), preview));
    assert_eq!(again.tasks.list(), std::slice::from_ref(&task));
    let repeated = again.tasks.start(again.session, op, start("echo kept")).await.unwrap();
    assert_eq!(repeated, task, "the operation is known, too");
    assert_eq!(again.tasks.read_output(&task.id, 0, 100).await.unwrap().data.0, b"kept\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_acknowledged_ends_are_cleared() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("echo x")).await;
    assert_eq!(runner.tasks.clear(runner.session, vec![]).await.unwrap(), Vec::<TaskId>::new());
    runner.tasks.acknowledge(runner.session, Seq(1), |problem| panic!("{problem}"));
    assert_eq!(runner.tasks.clear(runner.session, vec![]).await.unwrap(), std::slice::from_ref(&task.id));
    assert_eq!(runner.tasks.get(&task.id).unwrap_err().code, ProblemCode::NotFound);
    assert_eq!(runner.tasks.stats().kept_bytes, 0);
    assert_eq!(runner.restart().await.tasks.list(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cleared_is_not_started_again_by_a_repetition() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("echo x >> ran")).await;
    runner.tasks.acknowledge(runner.session, Seq(1), |problem| panic!("{problem}"));
    assert_eq!(runner.tasks.clear(runner.session, vec![]).await.unwrap().len(), 1);
    let repeated = async |runner: &Runner| {
        runner.tasks.start(runner.session, task.op, start("echo x >> ran")).await.unwrap_err()
    };
    let problem = repeated(&runner).await;
    assert!(problem.code == ProblemCode::Conflict && problem.message.contains(task.id.as_str()), "{problem}");
    assert!(!problem.retryable);
    let runner = runner.restart().await;
    assert_eq!(repeated(&runner).await, problem, "another life knows it, too");
    assert_eq!(fs::read_to_string(runner.workspace().join("ran")).unwrap(), "x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_ends_beyond_the_bound_are_forgotten() {
    let runner = Runner::with(|config| config.limits.ended_kept = 3).await;
    for _ in 0..6 {
        runner.finish(start("true")).await;
    }
    // Looked for at most once a second, so it is looked for meanwhile.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    runner.finish(start("true")).await;
    assert_eq!(runner.tasks.list().len(), 7, "what is not acknowledged is kept");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    runner.tasks.acknowledge(runner.session, Seq(7), |problem| panic!("{problem}"));
    until("the others that are too many went", || runner.tasks.list().len() == 3).await;
}

/// Ended tasks are looked at at most once a second; this lets one look come.
async fn look(runner: &Runner) {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    runner.finish(start("true")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_ends_that_are_old_are_forgotten_and_others_kept() {
    let runner = Runner::with(|config| {
        // It looks each second where more are listed than this, and hourly otherwise.
        config.limits.ended_kept = 1;
        config.limits.ended_age = Duration::from_millis(1);
    })
    .await;
    let (old, _) = runner.finish(start("true")).await;
    let (untaken, _) = runner.finish(start("true")).await;
    runner.tasks.acknowledge(runner.session, Seq(1), |problem| panic!("{problem}"));
    look(&runner).await;
    until("the old one went", || runner.tasks.get(&old.id).is_err()).await;
    assert!(runner.tasks.get(&untaken.id).is_ok(), "what is not acknowledged is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_that_nobody_takes_are_forgotten_beyond_a_bound_and_still_told() {
    let runner = Runner::with(|config| {
        config.limits.ended_kept = 1;
        config.limits.ended_most = 3;
    })
    .await;
    for _ in 0..5 {
        runner.finish(start("true")).await;
    }
    look(&runner).await;
    // The newest may not be counted yet.
    until("those that are too many went", || matches!(runner.tasks.list().len(), 3 | 4)).await;
    let events = runner.tasks.events_after(runner.session, Seq(0), 10).await.unwrap();
    assert_eq!(events.len(), 6, "what they ended with waits all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_logs_go_where_all_together_are_too_long_and_the_tasks_stay() {
    let runner = Runner::with(|config| config.limits.logs_total = 250_000).await;
    let long = "head -c 100000 /dev/zero | tr '\\0' x";
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(runner.finish(start(long)).await.0.id);
    }
    look(&runner).await;
    until("they are short enough", || runner.tasks.stats().kept_bytes <= 250_000).await;
    let mut kept = Vec::new();
    for task in &tasks {
        kept.push(runner.tasks.read_output(task, 0, 10).await.is_ok_and(|output| !output.data.0.is_empty()));
    }
    assert_eq!(kept, [false, false, true, true], "the oldest lost theirs");
    assert!(tasks.iter().all(|task| runner.tasks.get(task).is_ok()), "and are listed all the same");
}

/// The runner that the next test kills. It starts a tree and says so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as a process of another test"]
async fn victim_with_a_tree() {
    let Some(folder) = std::env::var_os("MEANWHILE_VICTIM") else { return };
    let runner = Runner::in_folder(folder.as_ref(), |config| config.limits.running = 1).await;
    let command = "echo ran >>ran; echo before; setsid sleep 1000 & (setsid sh -c 'sleep 1001 & sleep 1002' &) ; sleep 1003";
    let running = runner.start(start(command)).await;
    let queued = runner.start(start("echo ran >>ran")).await;
    until("the tree stands", || living(&running.id).len() >= 5).await;
    println!("\nREADY {} {}", running.id, queued.id);
    std::future::pending::<()>().await;
}

/// A runner of this name in a process of its own, and the tasks that it names once it is ready.
fn victim(name: &str, folder: &TempDir) -> (Child, Vec<TaskId>) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("delivery::{name}"), "--ignored", "--nocapture"])
        .env("MEANWHILE_VICTIM", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let ready =
        lines.map(Result::unwrap).find(|line| line.starts_with("READY ")).expect("the victim gets ready");
    let ids = ready.split(' ').skip(1).map(|id| TaskId(id.into())).collect();
    (victim, ids)
}

/// Another victim: its tasks end while its store cannot be written.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as a process of another test"]
async fn victim_that_cannot_save() {
    let Some(folder) = std::env::var_os("MEANWHILE_VICTIM") else { return };
    let runner = Runner::in_folder(folder.as_ref(), |_| {}).await;
    let mut ids = Vec::new();
    for end in ["exit 3", "true", "kill -SEGV $$", "setsid sleep 1000 & exit 4"] {
        let command = format!("echo out; while [ ! -e go ]; do sleep 0.01; done; {end}");
        ids.push(runner.start(start(&command)).await);
    }
    let stopped = runner.start(start("sleep 1000")).await;
    let lock = rusqlite::Connection::open(Path::new(&folder).join("state/meanwhile.db")).unwrap();
    lock.busy_timeout(Duration::from_secs(5)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    fs::write(runner.workspace().join("go"), "").unwrap();
    let reaped = |pid: Option<u32>| !Path::new(&format!("/proc/{}", pid.unwrap())).exists();
    until("their main processes are reaped", || ids.iter().all(|task| reaped(task.pid))).await;
    let (tasks, id) = (runner.tasks.clone(), stopped.id.clone());
    tokio::spawn(async move { tasks.stop(&id, Party::User, true).await });
    until("the stopped one is reaped", || reaped(stopped.pid)).await;
    ids.push(stopped);
    // Time is what is tested: what ends in the moment of the runner's death may have ended of that.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ids: Vec<_> = ids.iter().map(|task| task.id.as_str()).collect();
    println!("\nREADY {}", ids.join(" "));
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_task_ended_is_known_although_the_runner_died_before_it_could_save_it() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (mut victim, ids) = victim("victim_that_cannot_save", &folder);
    victim.kill().unwrap();
    victim.wait().unwrap();
    let exit_files = || {
        let logs = fs::read_dir(folder.path().join("state/logs")).unwrap();
        logs.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "exit"))
            .count()
    };
    until("the agents say how", || exit_files() == ids.len()).await;
    let runner = Runner::at(Arc::clone(&folder), |_| {}).await;
    let mut states = Vec::new();
    for id in &ids {
        let (task, preview) = runner.end(id).await;
        let known = !matches!(task.state, TaskState::Lost { .. });
        assert_eq!(task.duration_ms.is_some(), known, "{task:?}");
        assert_eq!(preview.head.contains("may be missing"), known, "{preview:?}");
        states.push(task.state);
    }
    assert_eq!(states[0], TaskState::Failed { code: 3 });
    assert_eq!(states[1], TaskState::Completed);
    assert_eq!(states[2], TaskState::Killed { signal: "SIGSEGV".into() });
    assert_eq!(states[3], TaskState::Failed { code: 4 });
    // Who had stopped it is not known any more.
    assert!(matches!(states[4], TaskState::Lost { .. }), "{states:?}");
    assert!(living(&ids[3]).is_empty());
    assert_eq!(exit_files(), 0);
    assert_eq!(runner.restart().await.events().await.len(), ids.len(), "each ends once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survived_both_the_runner_and_its_agents_is_ended_at_the_next_start() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (mut victim, ids) = victim("victim_with_a_tree", &folder);
    let parent = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().to_owned()
    };
    let is_agent = |pid: &String| {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"meanwhile\0__agent")
    };
    let tree = living(&ids[0]);
    let agent = tree.iter().map(parent).find(is_agent).expect("an agent is above them");
    // The runner first, stopped, so that it does not see its agent die.
    let kill = |signal: &str, pid: &str| {
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    };
    kill("-STOP", &victim.id().to_string());
    kill("-KILL", &agent);
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(living(&ids[0]), tree, "nobody was there to end them");
    let runner = Runner::at(Arc::clone(&folder), |_| {}).await;
    assert_eq!(living(&ids[0]), Vec::<u32>::new());
    assert!(matches!(runner.end(&ids[0]).await.0.state, TaskState::Lost { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_leaves_no_process_and_loses_its_tasks_once() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (mut victim, ids) = victim("victim_with_a_tree", &folder);
    victim.kill().unwrap();
    victim.wait().unwrap();
    until("the tree has gone", || living(&ids[0]).is_empty()).await;

    let runner = Runner::at(Arc::clone(&folder), |_| {}).await;
    let (task, preview) = runner.end(&ids[0]).await;
    assert!(matches!(task.state, TaskState::Lost { .. }), "{task:?}");
    assert_eq!(preview.head, "before\n");
    assert!(matches!(runner.end(&ids[1]).await.0.state, TaskState::Lost { .. }));
    assert_eq!(runner.events().await.len(), 2);
    let again = runner.restart().await;
    assert_eq!(again.events().await.len(), 2, "they are lost once");
    assert_eq!(fs::read_to_string(again.workspace().join("ran")).unwrap(), "ran\n", "and nothing ran again");
}

/// Its row has gone, and the runner died before its log had.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_of_no_task_any_more_goes_at_the_start() {
    let runner = Runner::new().await;
    let (known, _) = runner.finish(start("echo known")).await;
    let logs = runner.workspace().with_file_name("state").join("logs");
    let (folder, _) = runner.end_here().await;
    for (name, stays) in
        [("0123abcd", false), ("0123abcd.exit", false), ("a note", true), ("notes.txt", true)]
    {
        fs::write(logs.join(name), "x".repeat(1_000)).unwrap();
        let runner = Runner::at(Arc::clone(&folder), |_| {}).await;
        assert_eq!(logs.join(name).exists(), stays, "{name}");
        assert_eq!(runner.tasks.read_output(&known.id, 0, 100).await.unwrap().data.0, b"known\n");
        runner.end_here().await;
    }
}

/// Of what they printed, as of the tasks themselves, nobody would know any more.
#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_a_corrupt_store_lie_beside_it() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("echo kept")).await;
    let state = runner.workspace().with_file_name("state");
    let (folder, _) = runner.end_here().await;
    fs::write(state.join("meanwhile.db"), vec![0x5a; 20_000]).unwrap();
    let runner = Runner::at(Arc::clone(&folder), |_| {}).await;
    let aside = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("logs.corrupt-"))
        .expect("they are kept");
    assert_eq!(fs::read_to_string(aside.join(task.id.as_str())).unwrap(), "kept\n");
    let warning = runner.store.warning().expect("the user is told");
    assert!(warning.contains(aside.to_str().unwrap()), "{warning}");
    assert_eq!(fs::read_dir(state.join("logs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_corrupt_store_is_moved_aside_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let state = StateDir::open(&path).unwrap();
    let store = Store::open(&state).unwrap();
    let epoch = store.epoch();
    assert_eq!(store.warning(), None);
    store.close();
    drop(store);
    let garbage = vec![0x5a; 20_000];
    fs::write(path.join("meanwhile.db"), &garbage).unwrap();
    let store = Store::open(&state).unwrap();
    assert_ne!(store.epoch(), epoch);
    let warning = store.warning().expect("the user is told").to_owned();
    let aside = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("corrupt-") && !path.to_string_lossy().ends_with("wal"))
        .expect("it is kept");
    assert!(warning.contains(aside.to_str().unwrap()), "{warning}");
    assert_eq!(fs::read(aside).unwrap(), garbage);
}

/// Rows that `SQLite` finds in order and no runner wrote: found late they would refuse a session for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_rows_that_cannot_be_read_is_moved_aside_too() {
    for damage in [
        "UPDATE tasks SET task = '{nope'",
        "UPDATE tasks SET task = '{}'",
        "UPDATE outbox SET event = '{nope'",
        "UPDATE outbox SET event = CAST(x'ff' AS TEXT)",
        "UPDATE outbox SET seq = -1",
        "UPDATE sessions SET last = -5",
        "UPDATE clients SET hash = x'00'",
        "UPDATE clients SET id = x'00'",
        "DROP TABLE outbox",
        "DROP TABLE ops",
    ] {
        let runner = Runner::new().await;
        runner.finish(start("true")).await;
        let (folder, epoch) = runner.end_here().await;
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let store = Store::open(&state).unwrap();
        store.add_client(client(Uuid::new_v4(), "page"), [1; 32]).await.unwrap();
        store.close();
        drop(store);
        let path = state.path().join("meanwhile.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(damage).unwrap();
        let store = Store::open(&state).unwrap();
        assert_ne!(store.epoch(), epoch, "{damage}");
        assert!(store.warning().is_some_and(|warning| warning.contains("corrupt-")), "{damage}");
        drop((store, state));
        let runner = Runner::at(folder, |_| {}).await;
        assert_eq!(runner.finish(start("echo again")).await.1.head, "again\n", "{damage}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    store.close();
    drop(store);
    let path = state.path().join("meanwhile.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let message = Store::open(&state).err().expect("it is refused").to_string();
    assert!(message.contains("newer"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_files_of_the_store_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    store.touch_client(ClientId(Uuid::nil()), Timestamp(1)).await.unwrap();
    for entry in fs::read_dir(state.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
}

fn client(id: Uuid, name: &str) -> Client {
    Client {
        id: ClientId(id),
        name: name.into(),
        created: Timestamp(1),
        seen: None,
        revoked: None,
        key: None,
        paired_by: None,
    }
}

/// A store as version 0.1.0 wrote it: its clients stay.
#[tokio::test]
async fn clients_of_an_older_format_are_programs() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    store.add_client(client(Uuid::from_u128(7), "Firefox"), [1; 32]).await.unwrap();
    let epoch = store.epoch();
    store.close();
    drop(store);
    let before = "ALTER TABLE clients DROP COLUMN key; ALTER TABLE clients DROP COLUMN paired_by; PRAGMA user_version = 3;";
    rusqlite::Connection::open(state.path().join("meanwhile.db")).unwrap().execute_batch(before).unwrap();
    let store = Store::open(&state).unwrap();
    assert_eq!((store.epoch(), store.warning()), (epoch, None));
    assert_eq!(store.list_clients().await.unwrap(), [(client(Uuid::from_u128(7), "Firefox"), [1; 32])]);
}

#[tokio::test]
async fn clients_are_found_by_hash_and_can_be_revoked_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    let id = ClientId(Uuid::from_u128(7));
    let page = Client { key: Some([4; 65]), paired_by: Some(id), ..client(Uuid::from_u128(9), "Chrome") };
    store.add_client(client(id.0, "Firefox"), [1; 32]).await.unwrap();
    assert!(store.add_client(client(Uuid::from_u128(8), "twin"), [1; 32]).await.is_err());
    store.add_client(page.clone(), [3; 32]).await.unwrap();
    assert_eq!(store.find_client([3; 32]).await.unwrap(), Some(page.clone()));
    store.touch_client(id, Timestamp(5)).await.unwrap();
    assert!(store.revoke_clients(vec![id], Timestamp(9)).await.unwrap());
    assert!(!store.revoke_clients(vec![id], Timestamp(10)).await.unwrap());
    let client = store.find_client([1; 32]).await.unwrap().unwrap();
    assert_eq!((client.id, client.seen, client.revoked), (id, Some(Timestamp(5)), Some(Timestamp(9))));
    assert_eq!(store.find_client([2; 32]).await.unwrap(), None);
    assert_eq!(store.list_clients().await.unwrap(), [(client, [1; 32]), (page.clone(), [3; 32])]);
    assert!(store.revoke_clients(vec![id, page.id], Timestamp(11)).await.unwrap());
    let revoked = store.list_clients().await.unwrap().into_iter().map(|(client, _)| client.revoked);
    assert_eq!(revoked.collect::<Vec<_>>(), [Some(Timestamp(9)), Some(Timestamp(11))]);
}

#[tokio::test]
async fn the_first_reply_of_an_operation_stays_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    let op = OpId(Uuid::from_u128(1));
    store.save_op_reply(op, "first".into(), Timestamp(1)).await.unwrap();
    store.save_op_reply(op, "second".into(), Timestamp(2)).await.unwrap();
    assert_eq!(store.op_reply(op).await.unwrap().as_deref(), Some("first"));
    let later = Timestamp(1 + 24 * 60 * 60 * 1_000 + 1);
    store.save_op_reply(OpId(Uuid::from_u128(2)), "other".into(), later).await.unwrap();
    assert_eq!(store.op_reply(op).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_stands_as_its_event_says_before_the_event_is_heard() {
    let runner = Runner::new().await;
    for _ in 0..30 {
        let (told, _) = runner.finish(start("true")).await;
        assert_eq!(runner.tasks.get(&told.id).unwrap(), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_start_is_refused_to_every_other() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("echo x >> ran")).await;
    let others = [
        start("echo y >> ran"),
        Start { stdin: true, ..start("echo x >> ran") },
        Start { timeout_ms: Some(9_000), ..start("echo x >> ran") },
        Start { folder: Some("elsewhere".into()), ..start("echo x >> ran") },
    ];
    for other in others {
        let refused = runner.tasks.start(runner.session, task.op, other.clone()).await.unwrap_err();
        assert_eq!((refused.code, refused.retryable), (ProblemCode::IdReused, false), "{other:?}");
    }
    let stranger = SessionId(Uuid::from_u128(99));
    let refused = runner.tasks.start(stranger, task.op, start("echo x >> ran")).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::IdReused);
    assert!(runner.tasks.was_start(task.op) && !runner.tasks.was_start(crate::common::op()));
    assert_eq!(fs::read_to_string(runner.workspace().join("ran")).unwrap(), "x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_place_of_a_command_is_run_again_whole() {
    let runner = Runner::new().await;
    let long = format!("cat; pwd; echo {}", "x".repeat(5_000));
    fs::create_dir(runner.workspace().join("sub")).unwrap();
    let first = Start { folder: Some("sub".into()), timeout_ms: Some(60_000), ..start(&long) };
    let (first, printed) = runner.finish(first).await;
    let again = Start { again_of: Some(first.id.clone()), ..start("") };
    let op = crate::common::op();
    let second = runner.tasks.start(runner.session, op, again.clone()).await.unwrap();
    let (second, printed_again) = runner.end(&second.id).await;
    assert_eq!((&second.command, &second.folder, second.timeout_ms), (&long, &first.folder, Some(60_000)));
    assert_eq!(printed_again, printed);
    // A repetition is that task, also when the first is no longer known.
    runner.tasks.acknowledge(runner.session, Seq(1), |problem| panic!("{problem}"));
    runner.tasks.clear(runner.session, vec![first.id.clone()]).await.unwrap();
    assert_eq!(runner.tasks.start(runner.session, op, again.clone()).await.unwrap().id, second.id);
    let problem = runner.tasks.start(runner.session, crate::common::op(), again).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::NotFound);
}

/// The store refuses it for good: it is told all the same, once, and what comes later has other numbers.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_store_refuses_is_told_and_said_to_be_unsaved() {
    let runner = Runner::new().await;
    let store = runner.second_connection();
    store
        .execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'it refuses'); END",
        )
        .unwrap();
    let (task, preview) = runner.finish(start("echo END; exit 3")).await;
    assert!(task.unsaved);
    assert_eq!(task.state, TaskState::Failed { code: 3 });
    assert!(preview.head.starts_with("END\n[The runner could not save this end"), "{preview:?}");
    let stopped = runner.start(start("sleep 300")).await;
    let stopped = runner.tasks.stop(&stopped.id, Party::User, true).await.unwrap();
    assert!(matches!(stopped.state, TaskState::Stopped { .. }), "{stopped:?}");
    store.execute_batch("DROP TRIGGER refuses").unwrap();
    for _ in 0..40 {
        let (task, _) = runner.finish(start("true")).await;
        assert!(!task.unsaved);
    }
    let events = runner.tasks.events_after(runner.session, Seq(0), 1_000).await.unwrap();
    assert_eq!(events.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), (1..=42).collect::<Vec<_>>());
    let first = runner.tasks.events_after(runner.session, Seq(0), 5).await.unwrap();
    assert_eq!(first.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

/// The number of an end that the store refused is not given to another's: the page has taken that number in.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_store_refuses_takes_no_number_from_a_later_one() {
    let runner = Runner::new().await;
    let store = runner.second_connection();
    let older = runner.start(start("sleep 300")).await;
    store
        .execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'it refuses'); END",
        )
        .unwrap();
    let (refused, _) = runner.finish(start("true")).await;
    assert!(refused.unsaved);
    let taken = *runner.tasks.events_last(runner.session).borrow();
    assert_eq!(taken, Seq(1));
    // The page has it on its disk, and the runner dies before it hears of that.
    let copy = tempfile::tempdir().unwrap();
    store.execute_batch("DROP TRIGGER refuses").unwrap();
    fs::create_dir(copy.path().join("state")).unwrap();
    let file = copy.path().join("state").join("meanwhile.db");
    store.execute("VACUUM INTO ?1", [file.to_str().unwrap()]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(copy.path().join("state"), fs::Permissions::from_mode(0o700)).unwrap();
    let next = Runner::in_folder(copy.path(), |_| {}).await;
    let later = next.tasks.events_after(next.session, taken, 10).await.unwrap();
    let lost = |event: &TaskEvent| matches!(event, TaskEvent::Ended { task, .. } if task.id == older.id);
    assert!(later.iter().any(|(_, event)| lost(event)), "{later:?}");
    runner.tasks.stop(&older.id, Party::User, true).await.unwrap();
}
