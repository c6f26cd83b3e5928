//! Supervision with real processes: what runs, what ends, what is left, what is told.

use std::time::{Duration, Instant};

use crate::common::{Runner, gone, start};
use shared::task::{Party, TaskState};

#[tokio::test(flavor = "multi_thread")]
async fn exit_zero_is_completed_with_its_output() {
    let runner = Runner::new().await;
    let (task, excerpt) = runner.finish(start("echo one; echo two >&2; echo three")).await;
    assert_eq!(task.state, TaskState::Completed);
    assert_eq!(excerpt.head, "one\ntwo\nthree\n");
    assert_eq!(task.output_bytes, 14);
    assert_eq!(task.last_line, "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_exit_is_failed_with_its_code() {
    let runner = Runner::new().await;
    assert_eq!(runner.finish(start("exit 7")).await.0.state, TaskState::Failed { code: 7 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_killed_with_its_name() {
    let runner = Runner::new().await;
    let state = runner.finish(start("kill -SEGV $$")).await.0.state;
    assert_eq!(state, TaskState::Killed { signal: "SIGSEGV".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pipe_does_not_hold_the_end() {
    let runner = Runner::new().await;
    let begun = Instant::now();
    let (task, excerpt) = runner.finish(start("echo hi; sleep 300 & sleep 0.2")).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!((task.state, excerpt.head.as_str()), (TaskState::Completed, "hi\n"));
    assert_eq!(task.left_behind.len(), 1);
    assert_eq!(task.left_behind[0].command, "sleep 300");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_can_be_stopped() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("sleep 300 &")).await;
    let pid = task.left_behind[0].pid;
    let after = runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    assert!(gone(pid), "{pid}");
    assert_eq!((after.state, after.left_behind), (TaskState::Completed, vec![]));
}
