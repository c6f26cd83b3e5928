//! Rows of the conversation: a handle a row.

use agent::CallId;
use agent::view::{DrainedLine, Row, RowKind, Severity, ToolCard};
use leptos::prelude::*;
use shared::Timestamp;

use super::stream::Stream;

/// A row. Clones share its signals.
#[derive(Clone)]
pub struct RowHandle {
    /// Its identity and its place.
    pub id: u64,
    /// Unique to this handle: a row that is replaced by one of another kind, or comes again after a reset,
    /// must be drawn anew.
    pub serial: u64,
    /// When it began.
    pub at: Timestamp,
    /// What it shows.
    pub body: RowBody,
}

/// What a row shows.
#[derive(Clone)]
pub enum RowBody {
    /// The person's message.
    User(ArcRwSignal<String>),
    /// The model's text.
    Text(Stream),
    /// The model's thinking.
    Thinking(Stream),
    /// A tool use.
    Tool(ArcRwSignal<ToolCard>),
    /// Results that went into a call.
    Completions {
        /// The call.
        call: CallId,
        /// One line a task.
        lines: ArcRwSignal<Vec<DrainedLine>>,
    },
    /// Something the agent itself says.
    Notice {
        /// How grave.
        severity: ArcRwSignal<Severity>,
        /// What happened.
        text: ArcRwSignal<String>,
        /// Whether asking again is offered.
        retry: ArcRwSignal<bool>,
    },
}

/// Where a row is, or where it would be.
pub(super) fn find(rows: &[RowHandle], row: u64) -> Result<usize, usize> {
    rows.binary_search_by_key(&row, |handle| handle.id)
}

/// Inserts or replaces a row.
pub(super) fn put(rows: RwSignal<Vec<RowHandle>>, row: Row) {
    let found = rows.with_untracked(|rows| find(rows, row.id));
    let handle = |kind| RowHandle { id: row.id, serial: super::serial(), at: row.at, body: body(kind) };
    match found {
        Ok(at) => {
            let Some(old) = rows.with_untracked(|rows| rows.get(at).cloned()) else { return };
            if let Some(kind) = refresh(&old.body, row.kind) {
                rows.update(|rows| rows[at] = handle(kind));
            }
        }
        Err(at) => rows.update(|rows| rows.insert(at, handle(row.kind))),
    }
}

/// Adds text to a row.
pub(super) fn grow(rows: RwSignal<Vec<RowHandle>>, row: u64, text: &str) {
    let body = rows.with_untracked(|rows| {
        let at = find(rows, row).ok()?;
        rows.get(at).map(|handle| handle.body.clone())
    });
    match body {
        Some(RowBody::Text(stream) | RowBody::Thinking(stream)) => stream.push(text),
        Some(RowBody::Tool(card)) => card.update(|card| card.input.push_str(text)),
        Some(RowBody::User(message)) => message.update(|message| message.push_str(text)),
        Some(RowBody::Completions { .. } | RowBody::Notice { .. }) | None => {}
    }
}

/// Changes a row in place; gives the new kind back if it is another than the old.
fn refresh(body: &RowBody, kind: RowKind) -> Option<RowKind> {
    match (body, kind) {
        (RowBody::User(old), RowKind::User { text }) => set_if_new(old, text),
        (RowBody::Text(stream), RowKind::Text { text, live })
        | (RowBody::Thinking(stream), RowKind::Thinking { text, live }) => stream.replace(&text, live),
        (RowBody::Tool(old), RowKind::Tool(card)) => set_if_new(old, *card),
        (RowBody::Completions { call: old, lines: shown }, RowKind::Drained { call, lines })
            if *old == call =>
        {
            set_if_new(shown, lines);
        }
        (
            RowBody::Notice { severity, text, retry },
            RowKind::Notice { severity: new, text: new_text, retry: again },
        ) => {
            set_if_new(severity, new);
            set_if_new(text, new_text);
            set_if_new(retry, again);
        }
        (_, other) => return Some(other),
    }
    None
}

fn body(kind: RowKind) -> RowBody {
    match kind {
        RowKind::User { text } => RowBody::User(ArcRwSignal::new(text)),
        RowKind::Text { text, live } => RowBody::Text(Stream::new(&text, live)),
        RowKind::Thinking { text, live } => RowBody::Thinking(Stream::new(&text, live)),
        RowKind::Tool(card) => RowBody::Tool(ArcRwSignal::new(*card)),
        RowKind::Drained { call, lines } => RowBody::Completions { call, lines: ArcRwSignal::new(lines) },
        RowKind::Notice { severity, text, retry } => RowBody::Notice {
            severity: ArcRwSignal::new(severity),
            text: ArcRwSignal::new(text),
            retry: ArcRwSignal::new(retry),
        },
    }
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}
