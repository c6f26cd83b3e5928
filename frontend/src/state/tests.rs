//! The fold from patches to signals, and what it leaves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::view::{DrainedLine, Row, RowKind};
use leptos::prelude::*;
use shared::output::{Bytes, OutputSlice};
use shared::task::Task;
use shared::{SessionId, TaskId, Timestamp};

use super::*;

#[test]
fn rows_stand_in_the_order_of_their_ids() {
    check(&[said(3, "c"), said(1, "a"), said(2, "b")], &["1:a", "2:b", "3:c"]);
    check(&[said(1, "a"), said(2, "b"), said(1, "A")], &["1:A", "2:b"]);
    check(&[said(1, "a"), said(2, "b"), Patch::Drop { row: 1 }], &["2:b"]);
    check(&[said(1, "a"), Patch::Reset, said(2, "b")], &["2:b"]);
    check(&[text(1, "a", true), grow(1, "b"), grow(9, "lost")], &["1:ab"]);
}

#[test]
fn a_pushed_row_wakes_no_other() {
    let page = page();
    page.take_in(vec![text(1, "one", true)]);
    let RowBody::Text(stream) = body(page, 1) else { panic!("a text") };
    let runs = watched(move || stream.tail.with(String::len));
    page.take_in(vec![text(2, "two", true), grow(2, " more"), said(3, "words")]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    page.take_in(vec![grow(1, " more")]);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn closed_blocks_are_not_touched_again() {
    let page = page();
    page.take_in(vec![text(1, "one\n\ntwo\n", true)]);
    page.take_in(vec![grow(1, "\nthree\n"), grow(1, "and")]);
    let RowBody::Text(stream) = body(page, 1) else { panic!("a text") };
    let closed = stream.clone();
    let starts = move || {
        let parts = closed.closed.get().into_iter().flat_map(|section| section.parts.get());
        parts.map(|part| part.start).collect::<Vec<_>>()
    };
    let runs = watched(starts.clone());
    page.take_in(vec![grow(1, " so on"), text(1, "one\n\ntwo\n\nthree\nand so on.", false)]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(stream.text(), "one\n\ntwo\n\nthree\nand so on.");
    assert_eq!(starts(), [0, 5]);
    assert!(!stream.live.get());
    page.take_in(vec![text(1, "another", false)]);
    assert_eq!(stream.text(), "another");
}

/// Of code that grows only the last lines are looked at again, and it is whole whatever pieces it comes in.
#[test]
fn code_that_grows_closes_its_lines() {
    let line = "let some = code;\n";
    let whole = format!("Look:\n\n```rust\n{}\n\n```\nand `so` on.\n\n~~~\nopen\n", line.repeat(600));
    for step in [1, 7, 1_000, whole.len()] {
        let page = page();
        page.take_in(vec![text(1, "", true)]);
        let mut from = 0;
        while from < whole.len() {
            let to = crate::format::floor(&whole, (from + step).min(whole.len()));
            page.take_in(vec![grow(1, &whole[from..to])]);
            from = to;
            let RowBody::Text(stream) = body(page, 1) else { panic!("a text") };
            assert_eq!(stream.text(), whole[..to], "{step}");
            assert!(stream.tail.with(String::len) <= PART + line.len() || step > PART, "{step}: {to}");
        }
        let RowBody::Text(stream) = body(page, 1) else { panic!("a text") };
        assert_eq!(stream.open_code().map(|code| code.language.to_string()), Some(String::new()), "{step}");
        assert_eq!(stream.tail.get(), "open\n");
        page.take_in(vec![text(1, &whole, false)]);
        assert_eq!(stream.text(), whole);
    }
}

#[test]
fn a_row_is_drawn_anew_only_if_it_must_be() {
    let page = page();
    let serial = || page.rows.with(|rows| rows[0].serial);
    page.take_in(vec![text(1, "a", true)]);
    let first = serial();
    page.take_in(vec![text(1, "ab", false)]);
    assert_eq!(serial(), first);
    page.take_in(vec![said(1, "ab")]);
    let second = serial();
    assert_ne!(second, first);
    page.take_in(vec![Patch::Reset, said(1, "ab")]);
    assert_ne!(serial(), second);
}

#[test]
fn drained_lines_of_another_call_are_another_slip() {
    let page = page();
    let line = DrainedLine {
        task: TaskId("a".into()),
        status: "completed".into(),
        text: String::new(),
        severity: Severity::Good,
    };
    let slip = |call| row(1, RowKind::Drained { call: CallId(call), lines: vec![line.clone()] });
    page.take_in(vec![slip(1)]);
    let serial = page.rows.with(|rows| rows[0].serial);
    page.take_in(vec![slip(1)]);
    assert_eq!(page.rows.with(|rows| rows[0].serial), serial);
    page.take_in(vec![slip(2)]);
    assert_ne!(page.rows.with(|rows| rows[0].serial), serial);
}

#[test]
fn the_full_set_of_tasks_replaces_the_list_and_keeps_what_stays() {
    let page = page();
    page.take_in(vec![
        Patch::Tasks(vec![task("a", 1), task("b", 2)]),
        output("a", 0, "hello\n"),
        output("x", 0, "lost"),
    ]);
    assert_eq!(ids(page), ["b", "a"]);
    page.take_in(vec![Patch::Tasks(vec![task("a", 1), task("c", 3)])]);
    assert_eq!(ids(page), ["c", "a"]);
    let kept = page.task(&TaskId("a".into())).expect("it stayed");
    assert_eq!(kept.screen.with(crate::terminal::Screen::text), "hello\n");
    page.take_in(vec![Patch::TasksGone(vec![TaskId("c".into())]), Patch::Task(Box::new(task("d", 4)))]);
    assert_eq!(ids(page), ["d", "a"]);
}

#[test]
fn a_task_that_does_not_change_wakes_nobody() {
    let page = page();
    page.take_in(vec![Patch::Task(Box::new(task("a", 1))), Patch::Task(Box::new(task("b", 2)))]);
    let handle = page.task(&TaskId("a".into())).expect("it is there").task;
    let runs = watched(move || handle.with(|task| task.output_bytes));
    let changed = Task { output_bytes: 7, ..task("a", 1) };
    page.take_in(vec![
        Patch::Task(Box::new(task("a", 1))),
        Patch::Task(Box::new(Task { output_bytes: 1, ..task("b", 2) })),
    ]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    page.take_in(vec![Patch::Task(Box::new(changed))]);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn toasts_are_bounded() {
    let page = page();
    for n in 0..TOASTS + 3 {
        page.toast(Severity::Plain, n.to_string());
    }
    let texts = page.toasts.with(|toasts| toasts.iter().map(|toast| toast.text.clone()).collect::<Vec<_>>());
    assert_eq!(texts, ["3", "4", "5", "6"]);
}

fn page() -> PageState {
    let owner = Owner::new();
    owner.set();
    // It lives as long as the test's thread.
    std::mem::forget(owner);
    PageState::new()
}

/// Counts how often `read` runs.
fn watched<T: 'static>(read: impl Fn() -> T + Send + Sync + 'static) -> Arc<AtomicUsize> {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let effect = ImmediateEffect::new(move || {
        read();
        count.fetch_add(1, Ordering::Relaxed);
    });
    std::mem::forget(effect);
    runs
}

fn check(patches: &[Patch], expected: &[&str]) {
    let page = page();
    page.take_in(patches.to_vec());
    let shown: Vec<String> = page.rows.with(|rows| {
        rows.iter()
            .map(|row| match &row.body {
                RowBody::User(text) => format!("{}:{}", row.id, text.get()),
                RowBody::Text(stream) | RowBody::Thinking(stream) => format!("{}:{}", row.id, stream.text()),
                RowBody::Tool(_) | RowBody::Completions { .. } | RowBody::Notice { .. } => row.id.to_string(),
            })
            .collect()
    });
    assert_eq!(shown, expected, "{patches:?}");
}

fn body(page: PageState, id: u64) -> RowBody {
    page.rows
        .with(|rows| rows.iter().find(|row| row.id == id).map(|row| row.body.clone()))
        .expect("it is there")
}

fn ids(page: PageState) -> Vec<String> {
    page.tasks.with(|tasks| tasks.iter().map(|task| task.id.0.clone()).collect())
}

fn row(id: u64, kind: RowKind) -> Patch {
    Patch::Row(Box::new(Row { id, at: Timestamp(id), kind }))
}

fn said(id: u64, text: &str) -> Patch {
    row(id, RowKind::User { text: text.to_owned() })
}

fn text(id: u64, text: &str, live: bool) -> Patch {
    row(id, RowKind::Text { text: text.to_owned(), live })
}

fn grow(row: u64, text: &str) -> Patch {
    Patch::Grow { row, text: text.to_owned() }
}

fn output(task: &str, from: u64, text: &str) -> Patch {
    let data = Bytes(text.as_bytes().to_vec());
    Patch::Output {
        task: TaskId(task.to_owned()),
        slice: OutputSlice { from, data, ..OutputSlice::default() },
    }
}

pub(crate) fn task(id: &str, created: u64) -> Task {
    let session: SessionId =
        serde_json::from_str("\"00000000-0000-4000-8000-000000000001\"").expect("a session");
    serde_json::from_value(serde_json::json!({
        "id": id, "session": session, "op": session, "command": "sleep 1", "folder": "/", "state": { "status": "running" }, "created": created,
    }))
    .expect("a task")
}
