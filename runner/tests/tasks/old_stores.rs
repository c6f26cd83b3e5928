//! A runner over the store of an earlier one, of each format that ever was: what that owed is delivered, what
//! it left without an end is told as lost, and what was done is not done again. `tests/stores/README.md` says
//! what they hold.

use std::fs;
use std::time::Duration;

use runner::files::Files;
use runner::sessions::{Content, Memory, Operations};
use runner::state_dir::StateDir;
use shared::protocol::{Op, Outcome, Reply, Start, TaskEvent};
use shared::task::TaskState;
use shared::{OpId, ProblemCode, Seq, TaskId};
use tempfile::TempDir;
use uuid::Uuid;

use crate::common::{Runner, start, until};

const OLD: [&[u8]; 4] = [
    include_bytes!("../stores/format-1.sqlite3"),
    include_bytes!("../stores/format-2.sqlite3"),
    include_bytes!("../stores/format-3.sqlite3"),
    include_bytes!("../stores/format-4.sqlite3"),
];

fn folder_with(old: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    drop(StateDir::open(&state).unwrap());
    fs::write(state.join("meanwhile.db"), old).unwrap();
    folder
}

const fn op(n: u128) -> OpId {
    OpId(Uuid::from_u128(n))
}

/// The commands of what is owed, with how each stands, in order.
async fn owed(runner: &Runner) -> Vec<(String, &'static str)> {
    let events = runner.events().await.into_iter().map(|event| match event {
        TaskEvent::Ended { task, .. } => (task.command, task.state.word()),
        TaskEvent::Backgrounded { task, .. } => (task.command, "backgrounded"),
    });
    events.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_store_owes_is_delivered_once() {
    for old in OLD {
        let folder = folder_with(old);
        let runner = Runner::in_folder(folder.path(), |_| {}).await;
        assert_eq!(runner.store.warning(), None);
        until("the lost are told", || runner.tasks.events_last(runner.session).borrow().0 == 11).await;
        let mut told = owed(&runner).await;
        // Which of the two that it left is told first is not said.
        told[8..].sort();
        let expected = [
            ("echo done", "completed"),
            ("exit 7", "failed"),
            ("kill -SEGV $$", "killed"),
            ("sleep 100", "timeout"),
            ("sleep 200", "stopped"),
            ("sleep 300", "lost"),
            ("true", "error"),
            ("sleep 400", "backgrounded"),
            ("sleep 400", "lost"),
            ("sleep 500", "lost"),
        ];
        assert!(told.iter().map(|(command, state)| (command.as_str(), *state)).eq(expected), "{told:?}");
        for id in ["aaaa0009", "aaaa0010"] {
            let task = runner.tasks.get(&TaskId(id.to_owned())).unwrap();
            assert!(matches!(task.state, TaskState::Lost { .. }), "{task:?}");
        }
        runner.tasks.acknowledge(runner.session, Seq(11), |problem| panic!("{problem}"));
        end(runner).await;

        let runner = Runner::in_folder(folder.path(), |_| {}).await;
        assert_eq!(owed(&runner).await, []);
        assert_eq!(runner.tasks.acknowledged(runner.session), Seq(11));
        let (task, preview) = runner.finish(start("echo new")).await;
        assert_eq!((task.state, preview.head.as_str()), (TaskState::Completed, "new\n"));
        end(runner).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_store_has_done_is_not_done_again() {
    for (format, old) in (1..).zip(OLD) {
        let folder = folder_with(old);
        let runner = Runner::in_folder(folder.path(), |config| {
            config.limits.ended_age = Duration::MAX;
        })
        .await;
        let tasks = runner.tasks.list().len();
        let again = |command: &str| Start { folder: Some("/".into()), ..start(command) };
        for (n, command) in [(1, "echo heard"), (3, "exit 7"), (9, "sleep 400"), (10, "sleep 500")] {
            let task = runner.tasks.start(runner.session, op(0x100 + n), again(command)).await.unwrap();
            assert_eq!(task.id.as_str(), format!("aaaa{n:04}"));
        }
        if format >= 3 {
            let refused = runner.tasks.start(runner.session, op(0x10c), again("x")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::Conflict);
        }
        assert_eq!(runner.tasks.list().len(), tasks, "nothing was started");
        replies(&runner, format).await;
        end(runner).await;
    }
}

/// Replies are those of the first time.
async fn replies(runner: &Runner, format: usize) {
    let files = Files::open(runner.workspace()).unwrap();
    let operations = Operations::open(runner.store.clone(), files).await.unwrap();
    let write = Op::WriteFile { path: "a.txt".into(), content: "one\n".into(), approved: false };
    let content = Content::of(runner.session, &write);
    let repeated = async |n| {
        operations.once(op(n), content.clone(), Memory::Kept, async { panic!("it was done") }).await
    };
    let first = repeated(0x200).await;
    assert!(matches!(&first, Outcome::Ok(Reply::Changed(change)) if change.path == "a.txt"), "{first:?}");
    let second = repeated(0x201).await;
    assert!(matches!(&second, Outcome::Err(problem) if problem.code == ProblemCode::NotFound), "{second:?}");
    // What was announced in a workspace that is not this one stays for a runner there.
    let intended = if format >= 2 { vec![op(0x202)] } else { Vec::new() };
    let left: Vec<_> = runner.store.journal().await.unwrap().into_iter().map(|one| one.op).collect();
    assert_eq!(left, intended);
}

async fn end(runner: Runner) {
    runner.tasks.shutdown(Duration::ZERO).await;
}
