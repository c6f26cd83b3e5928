//! A runner that dies around a change of a file: a repetition is answered as the first would have been, and
//! nothing is done twice. Each case is a process of its own that really dies.

use std::fs;
use std::path::Path;
use std::process::Command;

use runner::files::{ChangeRequest, Files};
use runner::sessions::{Content, Memory, Operations};
use runner::state_dir::StateDir;
use runner::store::Store;
use shared::protocol::{Op, Outcome, Reply};
use shared::{OpId, Problem, ProblemCode, SessionId};
use tempfile::TempDir;
use uuid::Uuid;

const OP: OpId = OpId(Uuid::from_u128(0x0123_4567_89ab_cdef));

/// What the edit of this text is.
fn edit_of(old_text: &str) -> Content {
    let op = Op::EditFile {
        path: "file".into(),
        old_text: old_text.into(),
        new_text: "two".into(),
        approved: false,
    };
    Content::of(SessionId(Uuid::from_u128(1)), &op)
}

/// What a runner has, as far as it changes files.
struct Life {
    _state: StateDir,
    files: Files,
    operations: Operations,
}

impl Life {
    async fn begin(folder: &Path) -> Self {
        let state = StateDir::open(&folder.join("state")).unwrap();
        let store = Store::open(&state).unwrap();
        let files = Files::open(&folder.join("ws")).unwrap();
        let operations = Operations::open(store, files.clone()).await.unwrap();
        Self { _state: state, files, operations }
    }

    /// Does the edit under its id, and dies where it is told to.
    async fn edit(&self, dies: &'static str) -> Outcome {
        let edit =
            ChangeRequest::Edit { path: "file".into(), old_text: "one".into(), new_text: "two".into() };
        let journal = self.operations.journal(OP, Some(edit_of("one")));
        let run = async {
            let journaled = move |entry: &_, change: &_| -> Result<(), Problem> {
                die_at("prepared", dies);
                journal(entry, change)?;
                die_at("journaled", dies);
                Ok(())
            };
            let made = self.files.change(edit, OP.0, journaled).await;
            die_at("made", dies);
            made.map_or_else(Outcome::Err, |change| Outcome::Ok(Reply::Changed(change)))
        };
        self.operations.once(OP, edit_of("one"), Memory::Kept, run).await
    }
}

fn die_at(point: &str, dies: &str) {
    if point == dies {
        std::process::abort();
    }
}

/// The runner that dies.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as a process of another test"]
async fn mortal() {
    let (Some(folder), Ok(dies)) = (std::env::var_os("MEANWHILE_MORTAL"), std::env::var("MEANWHILE_DIES"))
    else {
        return;
    };
    Life::begin(folder.as_ref()).await.edit(dies.leak()).await;
}

/// A workspace with the file, over which a runner died at that point.
fn died(point: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ws")).unwrap();
    fs::write(file(&folder), "one one\n").unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::mortal", "--ignored", "--nocapture"])
        .env("MEANWHILE_MORTAL", folder.path())
        .env("MEANWHILE_DIES", point)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), None, "it was to be killed: {ended:?}");
    folder
}

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("ws/file")
}

fn content(folder: &TempDir) -> String {
    fs::read_to_string(file(folder)).unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("ws")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn temporary(folder: &TempDir) -> std::path::PathBuf {
    let name = names(folder).into_iter().find(|name| Path::new(name).extension() == Some("tmp".as_ref()));
    folder.path().join("ws").join(name.expect("it was prepared"))
}

#[track_caller]
fn assert_edited(outcome: &Outcome) {
    let Outcome::Ok(Reply::Changed(change)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((change.path.as_str(), change.created, change.added, change.removed), ("file", false, 1, 1));
    assert!(change.diff.ends_with("-one one\n+two one\n"), "{}", change.diff);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_change_the_repetition_makes_it() {
    for point in ["prepared", "journaled"] {
        let folder = died(point);
        assert_eq!((content(&folder).as_str(), names(&folder).len()), ("one one\n", 2), "{point}");
        let life = Life::begin(folder.path()).await;
        assert_edited(&life.edit("").await);
        assert_eq!(content(&folder), "two one\n", "{point}");
        assert_eq!(names(&folder), ["file"], "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_journaled_and_not_made_is_cleared_away_at_the_start() {
    let folder = died("journaled");
    let _life = Life::begin(folder.path()).await;
    assert_eq!(names(&folder), ["file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_change_the_repetition_gets_the_first_reply() {
    let folder = died("made");
    assert_eq!(content(&folder), "two one\n");
    for _ in 0..2 {
        let life = Life::begin(folder.path()).await;
        assert_edited(&life.edit("").await);
        assert_eq!(content(&folder), "two one\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_did_to_the_file_meanwhile_stays() {
    let folder = died("made");
    fs::write(file(&folder), "one, by somebody else\n").unwrap();
    let life = Life::begin(folder.path()).await;
    assert_edited(&life.edit("").await);
    assert_eq!(content(&folder), "one, by somebody else\n");
    let folder = died("made");
    fs::remove_file(file(&folder)).unwrap();
    assert_edited(&Life::begin(folder.path()).await.edit("").await);
    assert!(!file(&folder).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prepared_and_cleared_away_by_others_counts_as_not_made() {
    let folder = died("journaled");
    fs::remove_file(temporary(&folder)).unwrap();
    assert_edited(&Life::begin(folder.path()).await.edit("").await);
    assert_eq!(content(&folder), "two one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_of_another_workspace_is_left_alone() {
    let folder = died("made");
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    let files = Files::open(&folder.path().join("elsewhere")).unwrap();
    let operations = Operations::open(store, files).await.unwrap();
    let done = async { Outcome::Err(Problem::new(ProblemCode::NotFound, "elsewhere")) };
    assert!(
        matches!(operations.once(OP, edit_of("one"), Memory::Kept, done).await, Outcome::Err(problem) if problem.message == "elsewhere")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_earlier_format_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ws")).unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    let epoch = store.epoch();
    store.close();
    drop(store);
    drop(state);
    for earlier in [
        "DROP TABLE intents; DROP TABLE forgotten; PRAGMA user_version = 1",
        "DROP TABLE forgotten; PRAGMA user_version = 2",
    ] {
        let earlier = format!(
            "ALTER TABLE clients DROP COLUMN key; ALTER TABLE clients DROP COLUMN paired_by; {earlier}"
        );
        let state = folder.path().join("state");
        rusqlite::Connection::open(state.join("meanwhile.db")).unwrap().execute_batch(&earlier).unwrap();
        let life = Life::begin(folder.path()).await;
        drop(life);
        let state = StateDir::open(&state).unwrap();
        let store = Store::open(&state).unwrap();
        assert_eq!((store.epoch(), store.journal().await.unwrap()), (epoch, Vec::new()), "{earlier}");
        store.close();
    }
}

/// Whether an id that was an edit's is refused to everything else, and nothing of that is done.
async fn assert_reused(operations: &Operations, other: Content, memory: Memory) {
    let run = async { panic!("it was done") };
    let outcome = operations.once(OP, other, memory, run).await;
    assert!(
        matches!(&outcome, Outcome::Err(problem) if problem.code == ProblemCode::IdReused && !problem.retryable),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_with_another_content_is_refused() {
    let other_session = Content::of(
        SessionId(Uuid::from_u128(2)),
        &Op::EditFile {
            path: "file".into(),
            old_text: "one".into(),
            new_text: "two".into(),
            approved: false,
        },
    );
    for point in ["made", "done"] {
        let folder = died(if point == "made" { point } else { "prepared" });
        let life = Life::begin(folder.path()).await;
        if point == "done" {
            assert_edited(&life.edit("").await);
        }
        assert_reused(&life.operations, edit_of("other"), Memory::Kept).await;
        assert_reused(&life.operations, other_session.clone(), Memory::Kept).await;
        // A start, which keeps its reply elsewhere.
        assert_reused(&life.operations, edit_of("other"), Memory::Elsewhere).await;
        drop(life);
        // Also by the next runner; and the first is still remembered for what it was.
        let life = Life::begin(folder.path()).await;
        assert_reused(&life.operations, edit_of("other"), Memory::Kept).await;
        assert_edited(&life.edit("").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_under_way_is_refused_to_another_content_at_once() {
    let folder = died("prepared");
    let life = Life::begin(folder.path()).await;
    let operations = life.operations.clone();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let first = tokio::spawn(async move {
        let run = async {
            begun.send(()).unwrap();
            std::future::pending().await
        };
        operations.once(OP, edit_of("one"), Memory::Kept, run).await
    });
    begins.await.unwrap();
    assert_reused(&life.operations, edit_of("other"), Memory::Kept).await;
    first.abort();
}

#[test]
fn fields_that_say_nothing_are_no_other_content() {
    let session = SessionId(Uuid::from_u128(1));
    let of = |op: &str| Content::of(session, &serde_json::from_str(op).unwrap());
    let start = of(r#"{"op":"start","command":"x"}"#);
    assert_eq!(start, of(r#"{"op":"start","command":"x","stdin":false,"sandbox":null}"#));
    for other in [
        r#"{"op":"start","command":"y"}"#,
        r#"{"op":"start","command":"x","stdin":true}"#,
        r#"{"op":"start","command":"x","folder":"a"}"#,
        r#"{"op":"start","command":"x","sandbox":"read_only"}"#,
    ] {
        assert_ne!(start, of(other), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_while_the_store_takes_nothing_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("ws")).unwrap();
    let life = Life::begin(folder.path()).await;
    let full = rusqlite::Connection::open(folder.path().join("state/meanwhile.db")).unwrap();
    full.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON ops BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    .unwrap();
    let mut done = 0;
    for _ in 0..2 {
        let run = async {
            done += 1;
            Outcome::Ok(Reply::Done)
        };
        let outcome = life.operations.once(OP, edit_of("one"), Memory::Kept, run).await;
        assert!(matches!(outcome, Outcome::Ok(Reply::Done)), "{outcome:?}");
    }
    assert_eq!(done, 1);
    assert_reused(&life.operations, edit_of("another"), Memory::Kept).await;
}
