//! Pause and resume of a task's tree; and the link of a task to the one it runs again.

use std::fs;
use std::time::Duration;

use shared::protocol::Start;
use shared::task::{Party, TaskState};
use shared::{ProblemCode, TaskId};

use crate::common::{PATIENCE, Runner, living, start, until};

/// Whether each process of a task is stopped; false if there is none.
fn stands_still(task: &TaskId) -> bool {
    let living = living(task);
    let stopped = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" T"))
    };
    !living.is_empty() && living.iter().all(stopped)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_tree_stands_still_wherever_it_hides_until_it_is_resumed() {
    let runner = Runner::new().await;
    // Forks all the time, under another session too.
    let command =
        "setsid sh -c 'while :; do (sleep 0.002 &); done' & while :; do (sleep 0.003; echo x); done";
    let task = runner.start(start(command)).await;
    until("it forks", || living(&task.id).len() >= 4).await;
    for _ in 0..5 {
        let paused = runner.tasks.freeze(&task.id, true).await.unwrap();
        assert!(paused.paused && paused.state == TaskState::Running, "{paused:?}");
        assert!(stands_still(&task.id), "the reply comes once all of it stands");
        assert!(runner.tasks.freeze(&task.id, true).await.unwrap().paused, "repeating changes nothing");
        let before = runner.tasks.get(&task.id).unwrap();
        assert!(before.paused);
        assert!(!runner.tasks.freeze(&task.id, false).await.unwrap().paused);
        let length = runner.tasks.output_length(&task.id).unwrap();
        let grown = *length.borrow();
        until("it prints again", || *length.borrow() > grown).await;
    }
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert_eq!(living(&task.id), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_task_can_be_stopped_and_hears_it() {
    let runner = Runner::new().await;
    let task = runner.start(start("trap 'echo bye; exit 3' TERM; while :; do sleep 0.01; done")).await;
    until("two processes", || living(&task.id).len() >= 2).await;
    runner.tasks.freeze(&task.id, true).await.unwrap();
    let stopped = runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    assert_eq!(stopped.state, TaskState::Stopped { by: Party::User, signal: None });
    assert!(!stopped.paused);
    assert!(runner.end(&task.id).await.1.head.ends_with("bye\n"));
    let task = runner.start(start("trap '' TERM; while :; do sleep 0.01; done")).await;
    until("two processes", || living(&task.id).len() >= 2).await;
    runner.tasks.freeze(&task.id, true).await.unwrap();
    let stopped = runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert_eq!(stopped.state, TaskState::Stopped { by: Party::User, signal: Some("SIGKILL".into()) });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_timeout_stands_still_with_the_task() {
    let runner = Runner::new().await;
    // So long that it is paused in time on a busy machine, too.
    let timeout = Duration::from_secs(4);
    let limited = Start { timeout_ms: Some(4_000), ..start("while :; do sleep 0.01; done") };
    let task = runner.start(limited).await;
    runner.tasks.freeze(&task.id, true).await.unwrap();
    // Time is what is tested: longer than the timeout.
    let pause = timeout + Duration::from_millis(500);
    tokio::time::sleep(pause).await;
    assert_eq!(runner.tasks.get(&task.id).unwrap().state, TaskState::Running);
    runner.tasks.freeze(&task.id, false).await.unwrap();
    let (task, _) = runner.end(&task.id).await;
    assert_eq!(task.state, TaskState::Timeout);
    let least = (timeout + pause).as_millis() - 50;
    assert!(u128::from(task.duration_ms.unwrap()) >= least, "{task:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_cannot_be_paused() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let running = runner.start(start("sleep 1000")).await;
    let queued = runner.start(start("true")).await;
    let refused = |frozen| {
        let (tasks, queued) = (&runner.tasks, &queued.id);
        async move { tasks.freeze(queued, frozen).await.unwrap_err() }
    };
    assert_eq!(refused(true).await.code, ProblemCode::Conflict);
    runner.tasks.stop(&running.id, Party::User, true).await.unwrap();
    runner.end(&queued.id).await;
    let problem = refused(true).await;
    assert!(problem.code == ProblemCode::Conflict && problem.message.contains("has ended"), "{problem}");
    assert_eq!(refused(false).await.code, ProblemCode::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_task_that_is_killed_from_outside_ends() {
    let runner = Runner::new().await;
    let task = runner.start(start("sleep 1000")).await;
    runner.tasks.freeze(&task.id, true).await.unwrap();
    let pid = task.pid.unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let (task, _) = tokio::time::timeout(PATIENCE, runner.end(&task.id)).await.unwrap();
    assert!(!task.paused && matches!(task.state, TaskState::Killed { .. }), "{task:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_runs_again_bears_the_link() {
    let runner = Runner::new().await;
    let (first, _) = runner.finish(start("echo x")).await;
    assert_eq!(first.again_of, None);
    let (second, _) = runner.finish(Start { again_of: Some(first.id.clone()), ..start("echo x") }).await;
    assert_eq!(second.again_of, Some(first.id.clone()));
    let unknown = Start { again_of: Some(TaskId("00000000".into())), ..start("echo x") };
    assert_eq!(runner.finish(unknown).await.0.again_of, None, "nobody could follow it");
    let runner = runner.restart().await;
    assert_eq!(runner.tasks.get(&second.id).unwrap().again_of, Some(first.id));
}
