//! The lesson's own three examples with the demo model, with real commands.

use agent::model::demo::examples;
use agent::record::{Entry, Record};
use agent::settings::Provider;
use e2e::log::each_completion_is_in_the_next_call;
use e2e::native_shell::{Session, auto};
use e2e::runner::Runner;
use e2e::stage::play;
use e2e::view::View;
use shared::protocol::TaskEvent;
use shared::task::TaskState;

async fn scene() -> (Session, Runner) {
    let runner = Runner::start().await;
    let client = runner.pair().await;
    let session = Session::open(&client, auto(Provider::Demo)).await;
    (session, runner)
}

/// Plays an example until nothing runs, every end has arrived, and nothing waits. That a task has ended may be seen before its end comes.
async fn example(session: &Session, n: usize) {
    session.send_message(examples()[n].wish);
    session.until("it works", |view| !view.is_idle()).await;
    let arrived = || {
        let is_end = |entry: &Entry| {
            matches!(&entry.record, Record::CompletionReceived { event: TaskEvent::Ended { .. }, .. })
        };
        session.log().iter().filter(|entry| is_end(entry)).count()
    };
    let over = |view: &View| {
        view.is_idle() && view.tasks.iter().all(|task| !task.is_active()) && arrived() == view.tasks.len()
    };
    session.until("all is over", over).await;
}

#[test]
fn a_file_is_made_while_the_command_runs() {
    play(async {
        let (session, runner) = scene().await;
        example(&session, 0).await;
        let log = session.log();
        let view = session.view();
        let task = view.task("sleep 5").expect("it was started");
        assert_eq!(task.state, TaskState::Completed);
        assert_eq!(task.last_line, "done");

        let card = view
            .tools()
            .into_iter()
            .find(|card| card.name == "write_file")
            .expect("a file was written")
            .clone();
        let file = runner.workspace().join(&card.subject);
        let written = file.metadata().and_then(|file| file.modified()).expect("the file is there");
        let written = written.duration_since(std::time::UNIX_EPOCH).expect("it is past 1970").as_millis();
        let ended = task.ended.expect("it ended").0;
        assert!(written + 1000 < ended.into(), "the file came at {written}, the task ended at {ended}");
        each_completion_is_in_the_next_call(&log);
        assert_eq!(view.drained(), (1, 1));
    });
}

#[test]
fn three_tasks_run_at_once() {
    play(async {
        let (session, _runner) = scene().await;
        example(&session, 1).await;
        let view = session.view();
        let mut order: Vec<_> = view.tasks.iter().map(|task| (task.ended, task.command.clone())).collect();
        order.sort();
        let order: Vec<_> = order.into_iter().map(|(_, command)| command).collect();
        assert_eq!(order, ["sleep 2", "sleep 4", "sleep 6"]);
        let starts = view.tasks.iter().filter_map(|task| task.started);
        let ends = view.tasks.iter().filter_map(|task| task.ended);
        assert!(starts.max() < ends.min(), "all three ran at once");
        assert!(view.tasks.iter().all(|task| task.state == TaskState::Completed));
        assert!(view.tools().iter().any(|card| card.name == "check_background"), "their status was checked");
        each_completion_is_in_the_next_call(&session.log());
    });
}

#[test]
fn tests_run_in_the_background_if_there_are_any() {
    play(async {
        let (session, runner) = scene().await;
        std::fs::write(runner.workspace().join("Makefile"), "test:\n\t@sleep 1; echo 3 passed\n")
            .expect("it can be written");
        example(&session, 2).await;
        let view = session.view();
        let task = view.task("make test").unwrap_or_else(|| panic!("no task\n{}", session.describe()));
        assert_eq!(task.state, TaskState::Completed, "{task:?}");
        assert!(task.last_line.contains("3 passed"), "{task:?}");
        each_completion_is_in_the_next_call(&session.log());
    });
}

#[test]
fn without_tests_the_demo_says_so() {
    play(async {
        let (session, _runner) = scene().await;
        example(&session, 2).await;
        let said = session.view().texts().join("\n");
        assert!(said.contains("I found no tests here"), "an honest word: {said}");
    });
}
