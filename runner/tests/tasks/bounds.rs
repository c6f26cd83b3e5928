//! What a client may fill by naming ever new things, and a disk that does not answer.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use shared::protocol::Start;
use shared::task::TaskState;
use shared::{ProblemCode, Seq, SessionId};
use uuid::Uuid;

use crate::common::{PATIENCE, Runner, op, start, until};

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// Runs a command of a session to its end, and gives the number of that.
async fn run(runner: &Runner, session: SessionId) -> Seq {
    let before = *runner.tasks.events_last(session).borrow();
    runner.tasks.start(session, op(), start("true")).await.unwrap();
    let mut last = runner.tasks.events_last(session);
    let ended = last.wait_for(|last| *last > before);
    *tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_have_a_bound_and_those_of_which_nothing_is_left_make_room() {
    let runner = Runner::with(|config| config.limits.sessions = 4).await;
    for number in 0..4 {
        assert_eq!(run(&runner, session(number)).await, Seq(1));
    }
    let refused = runner.tasks.start(session(9), op(), start("true")).await.unwrap_err();
    assert_eq!((refused.code, refused.retryable), (ProblemCode::TooMany, true));
    assert!(refused.message.contains("clear"), "it says what to do: {refused}");
    assert_eq!(run(&runner, session(3)).await, Seq(2), "those that are known go on");
    // Acknowledged, but listed: not yet.
    runner.tasks.acknowledge(session(0), Seq(1), |problem| panic!("{problem}"));
    assert!(runner.tasks.start(session(9), op(), start("true")).await.is_err());
    assert_eq!(runner.tasks.clear(session(0), Vec::new()).await.unwrap().len(), 1);
    assert_eq!(run(&runner, session(9)).await, Seq(1));
    assert_eq!(*runner.tasks.events_last(session(0)).borrow(), Seq(0), "it was forgotten");
    // Also by the store, and what was not acknowledged was not.
    runner.tasks.acknowledge(session(9), Seq(1), |problem| panic!("{problem}"));
    assert_eq!(runner.tasks.clear(session(9), Vec::new()).await.unwrap().len(), 1);
    assert_eq!(run(&runner, session(0)).await, Seq(1));
    let runner = runner.restart().await;
    let last = |number| *runner.tasks.events_last(session(number)).borrow();
    assert_eq!([0, 1, 3, 9].map(last), [Seq(1), Seq(1), Seq(2), Seq(0)]);
    assert_eq!(runner.tasks.events_after(session(3), Seq(0), 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_nobody_takes_have_a_bound() {
    let runner = Runner::with(|config| config.limits.untaken = 3).await;
    for number in 1..=3 {
        assert_eq!(run(&runner, session(1)).await, Seq(number));
    }
    let refused = runner.tasks.start(session(1), op(), start("true")).await.unwrap_err();
    assert_eq!((refused.code, refused.retryable), (ProblemCode::TooMany, true));
    assert_eq!(run(&runner, session(2)).await, Seq(1), "of that session alone");
    runner.tasks.acknowledge(session(1), Seq(1), |problem| panic!("{problem}"));
    assert_eq!(run(&runner, session(1)).await, Seq(4));
    let events = runner.tasks.events_after(session(1), Seq(1), 10).await.unwrap();
    assert_eq!(events.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [2, 3, 4], "none is lost");
}

/// As on a full disk: what would be forgotten with its row is not, and its log is what makes room.
#[tokio::test(flavor = "multi_thread")]
async fn logs_make_room_though_the_store_cannot_be_written() {
    let runner = Runner::with(|config| {
        (config.limits.logs_total, config.limits.ended_kept) = (50_000, 0);
    })
    .await;
    let logs = runner.workspace().with_file_name("state").join("logs");
    let (old, _) = runner.finish(start("head -c 40000 /dev/zero")).await;
    until("it is reaped", || logs.join(old.id.as_str()).metadata().is_ok_and(|log| log.len() == 40_000))
        .await;
    // It was looked for old tasks as that one ended, and no more than once a second.
    let new = runner.start(start("sleep 1.5; head -c 40000 /dev/zero; touch printed; sleep 1000")).await;
    until("it has printed", || runner.workspace().join("printed").exists()).await;
    until("it is in the log", || *runner.tasks.output_length(&new.id).unwrap().borrow() == 40_000).await;
    let store = runner.hold_store();
    runner.tasks.acknowledge(runner.session, *runner.tasks.events_last(runner.session).borrow(), |_| {});
    until("it has made room", || !logs.join(old.id.as_str()).exists()).await;
    assert!(logs.join(new.id.as_str()).exists() && runner.tasks.get(&old.id).is_ok());
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_at_all_tasks_reads_so_much_and_says_what_it_did_not() {
    let runner = Runner::with(|config| config.limits.check_bytes = 25_000).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(runner.finish(start("head -c 9990 /dev/zero | tr '\\0' x; echo; echo found")).await.0.id);
    }
    let look = |task, pattern: Option<&str>| {
        runner.tasks.check(runner.session, task, None, pattern.map(str::to_owned), 1_000)
    };
    let found = look(None, Some("found")).await.unwrap();
    assert_eq!(found.iter().map(|one| one.matches).collect::<Vec<_>>(), [None, Some(1), Some(1)]);
    assert!(found[0].text.head.contains("Name this task"), "{:?}", found[0].text);
    assert_eq!(look(Some(ids[0].clone()), Some("found")).await.unwrap()[0].matches, Some(1));
    assert!(look(None, None).await.unwrap().iter().all(|one| one.text.head.is_empty()));
}

/// The log of one task is where writing blocks, as on a disk that hangs; the runner has one thread for all.
#[test]
fn a_log_that_cannot_be_written_for_long_holds_up_nobody_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let other = runtime.spawn(async move {
        let runner = Runner::new().await;
        let waits = |name: &str| format!("until [ -e {name} ]; do sleep 0.01; done");
        let command = format!("{}; echo said; touch printed; {}; exit 3", waits("go"), waits("over"));
        let slow = runner.start(Start { foreground_ms: Some(600_000), ..start(&command) }).await;
        let log = runner.workspace().with_file_name("state").join("logs").join(slow.id.as_str());
        assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
        fs::write(runner.workspace().join("go"), "").unwrap();
        until("it has printed", || runner.workspace().join("printed").exists()).await;
        for _ in 0..3 {
            let (task, output) = runner.finish(start("echo other")).await;
            assert_eq!((task.state, output.head.as_str()), (TaskState::Completed, "other\n"));
        }
        // Itself it can be looked at, too.
        let there = runner.tasks.background(&slow.id).await.unwrap();
        assert_eq!((there.foreground, there.output_bytes), (false, 0));
        assert_eq!(runner.tasks.check(runner.session, None, None, None, 100).await.unwrap().len(), 4);
        fs::write(runner.workspace().join("over"), "").unwrap();
        until("it has ended", || slow.pid.is_none_or(crate::common::is_dead)).await;
        told.send(log).unwrap();
        released.await.unwrap();
        let (task, output) = runner.end(&slow.id).await;
        assert_eq!((task.state, output.head.as_str()), (TaskState::Failed { code: 3 }, "said\n"));
    });
    let log = heard.recv_timeout(PATIENCE);
    if let Ok(log) = &log {
        // Now somebody reads there, and the writer goes on.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let _reader = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(log).unwrap();
        release.send(()).unwrap();
        runtime.block_on(other).unwrap();
    } else {
        runtime.shutdown_timeout(Duration::from_millis(1));
        panic!("everything waits for one log");
    }
}
