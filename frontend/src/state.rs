//! The reactive copy of the agent's view, and what the shell says beyond it.
//!
//! The shell hands over patches by [`PageState::apply`]. While the page is visible they wait for the next
//! animation frame and are taken in together, so that a fast stream costs one rendering a frame, and a large
//! answer or a long session is drawn over several; while it is hidden, where no frames come, they are taken
//! in at once. [`PageState::take_in`] is the plain fold without the waiting.
//!
//! A long transcript is a list of handles with a signal each: pushing a row wakes no other row, and a growing
//! row wakes only its last block. Everything the shell sets itself (sessions, ownership, settings, …) is a
//! plain signal.

mod pending;
mod rows;
mod stream;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;

pub use rows::{RowBody, RowHandle};
pub use stream::{OpenCode, PART, Part, PartBody, Section, Stream};
pub use tasks::TaskHandle;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use agent::CallId;
use agent::effect::SessionSummary;
use agent::record::Entry;
use agent::settings::{Mode, ModelChoice, Settings};
use agent::transcript::SentRequest;
use agent::view::{Drain, LinkView, Patch, Severity, Span, Spent, Status, TurnView, Waiting};
use leptos::prelude::*;
use shared::protocol::Stats;
use shared::{SessionId, TaskId, Timestamp};

use pending::Pending;

/// All the page shows. A cheap handle; copies share one state. Make it in the root owner.
#[derive(Clone, Copy)]
pub struct PageState {
    /// The conversation, in the order of the rows' ids.
    pub rows: RwSignal<Vec<RowHandle>>,
    /// All tasks of the runner, the newest first.
    pub tasks: RwSignal<Vec<TaskHandle>>,
    /// What waits for the next call.
    pub queue: RwSignal<Vec<Waiting>>,
    /// What the agent is doing.
    pub status: RwSignal<Status>,
    /// The runner as a whole, once known.
    pub stats: RwSignal<Option<Stats>>,
    /// Bars of the timeline.
    pub spans: RwSignal<BTreeMap<u64, Span>>,
    /// Drains of the timeline, by call.
    pub drains: RwSignal<BTreeMap<CallId, Drain>>,
    /// Toasts that still show.
    pub toasts: RwSignal<Vec<Toast>>,
    /// A link that pairs another browser.
    pub pair_link: RwSignal<Option<PairLink>>,

    /// Set by the shell: the sessions of this browser, which one this is, which are open in other tabs.
    pub sessions: RwSignal<Sessions>,
    /// Set by the shell: what this tab is to its session.
    pub ownership: RwSignal<Ownership>,
    /// Set by the shell: why nothing can be stored, if nothing can.
    pub storage_problem: RwSignal<Option<String>>,
    /// Set by the shell after [`crate::ui::PageCommand::ShowCall`], cleared by the page.
    pub call_view: RwSignal<Option<CallView>>,
    /// Set by the shell, changed by the page through [`crate::ui::PageCommand::SaveSettings`] alone.
    pub settings: RwSignal<Settings>,
    /// The draft. Set by the shell whenever a session opens: what was being written there.
    pub draft: RwSignal<String>,
    /// Set by the shell after [`crate::ui::PageCommand::Replay`]: the session's log. Cleared by the page.
    pub replay: RwSignal<Option<Vec<Entry>>>,
    /// Set by the shell: whether notifications may still be asked for.
    pub notifications: RwSignal<Notifications>,

    pending: StoredValue<Pending>,
}

/// The list of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// All of this browser, in any order.
    pub list: Vec<SessionSummary>,
    /// The one that is open in this tab.
    pub current: Option<SessionId>,
    /// Those that other tabs drive.
    pub elsewhere: Vec<SessionId>,
    /// How many this tab drives, each with a connection of its own.
    pub here: usize,
    /// Those that were deleted; their tasks may go on.
    pub deleted: Vec<SessionId>,
}

/// What this tab is to its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// The log is being read.
    #[default]
    Starting,
    /// This tab's agent runs it.
    Driving,
    /// Another tab's agent runs it; this one shows the same.
    Following,
    /// The session's log cannot be read: nothing can be said in it.
    Unreadable {
        /// Why, and what to do.
        reason: String,
    },
    /// The browser is not paired with the runner.
    Unpaired {
        /// Why, in a sentence; empty when it never was.
        reason: String,
    },
}

/// Whether the browser lets the page raise notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notifications {
    /// It was not asked yet.
    #[default]
    Ask,
    /// It does.
    Granted,
    /// It does not.
    Denied,
    /// It has none.
    Unsupported,
}

/// The exact messages of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// Which call.
    pub call: CallId,
    /// What was sent, or why it is not there any more.
    pub request: Result<SentRequest, String>,
}

/// A link that pairs another browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairLink {
    /// The link.
    pub url: String,
    /// Until when it may be used.
    pub expires: Timestamp,
}

/// A short message that shows for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// Its identity.
    pub id: u64,
    /// How grave.
    pub severity: Severity,
    /// What is said.
    pub text: String,
}

/// How many toasts show at once; older ones go first.
const TOASTS: usize = 4;

impl Default for PageState {
    fn default() -> Self {
        Self::new()
    }
}

impl PageState {
    /// An empty page.
    pub fn new() -> Self {
        Self {
            rows: RwSignal::default(),
            tasks: RwSignal::default(),
            queue: RwSignal::default(),
            status: RwSignal::new(blank_status()),
            stats: RwSignal::default(),
            spans: RwSignal::default(),
            drains: RwSignal::default(),
            toasts: RwSignal::default(),
            pair_link: RwSignal::default(),
            sessions: RwSignal::default(),
            ownership: RwSignal::default(),
            storage_problem: RwSignal::default(),
            call_view: RwSignal::default(),
            settings: RwSignal::default(),
            draft: RwSignal::default(),
            replay: RwSignal::default(),
            notifications: RwSignal::default(),
            pending: StoredValue::default(),
        }
    }

    /// Takes patches: with the next animation frame while the page is visible, at once while it is hidden.
    pub fn apply(&self, patches: Vec<Patch>) {
        let Some(waiting) = self.pending.try_update_value(|pending| {
            let waiting = !pending.is_empty();
            pending.extend(patches);
            waiting
        }) else {
            return;
        };
        if is_hidden() {
            self.flush();
        } else if !waiting {
            self.with_the_next_frame();
        }
    }

    /// Takes in at once whatever waits for a frame.
    pub fn flush(&self) {
        if let Some(pending) = self.pending.try_update_value(std::mem::take) {
            self.take_in(pending.all());
        }
    }

    fn with_the_next_frame(self) {
        request_animation_frame(move || {
            if is_hidden() {
                self.flush();
                return;
            }
            // A row that is there already is not drawn anew.
            let is_there = |row| self.rows.with_untracked(|rows| rows::find(rows, row).is_ok());
            let taken =
                self.pending.try_update_value(|pending| (pending.frame(now(), is_there), pending.is_empty()));
            let Some((patches, over)) = taken else { return };
            self.take_in(patches);
            if !over {
                self.with_the_next_frame();
            }
        });
    }

    /// Folds patches in, now.
    pub fn take_in(&self, patches: Vec<Patch>) {
        for patch in patches {
            self.take_in_one(patch);
        }
    }

    /// Shows a message for a while.
    pub fn toast(&self, severity: Severity, text: String) {
        self.toasts.update(|toasts| {
            let id = toasts.last().map_or(1, |last| last.id + 1);
            toasts.push(Toast { id, severity, text });
            let excess = toasts.len().saturating_sub(TOASTS);
            toasts.drain(..excess);
        });
    }

    /// The task of this name, if it is known. Reads the list reactively.
    pub fn task(&self, id: &TaskId) -> Option<TaskHandle> {
        self.tasks.with(|tasks| tasks.iter().find(|task| task.id == *id).cloned())
    }

    fn take_in_one(&self, patch: Patch) {
        match patch {
            Patch::Reset => self.reset(),
            Patch::Row(row) => rows::put(self.rows, *row),
            Patch::Grow { row, text } => rows::grow(self.rows, row, &text),
            Patch::Drop { row } => self.rows.update(|rows| rows.retain(|handle| handle.id != row)),
            Patch::Queue(queue) => set_if_new(self.queue, queue),
            Patch::Status(status) => set_if_new(self.status, *status),
            Patch::Tasks(all) => tasks::replace(self.tasks, all),
            Patch::Task(task) => tasks::put(self.tasks, *task),
            Patch::TasksGone(ids) => {
                self.tasks.update(|tasks| tasks.retain(|task| !ids.contains(&task.id)));
            }
            Patch::Output { task, slice } => tasks::output(self.tasks, &task, &slice),
            Patch::Stats(stats) => self.stats.set(Some(stats)),
            Patch::Span(span) => {
                self.spans.update(|spans| {
                    spans.insert(span.id, span);
                });
            }
            Patch::Drain(drain) => {
                self.drains.update(|drains| {
                    drains.insert(drain.call, drain);
                });
            }
        }
    }

    fn reset(&self) {
        self.rows.update(Vec::clear);
        self.tasks.update(Vec::clear);
        self.queue.update(Vec::clear);
        self.spans.update(BTreeMap::clear);
        self.drains.update(BTreeMap::clear);
        self.status.set(blank_status());
        self.call_view.set(None);
    }
}

/// Milliseconds since the page was opened.
fn now() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

fn is_hidden() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Hidden
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}

/// A number that no other handle has.
fn serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

fn blank_status() -> Status {
    Status {
        title: String::new(),
        turn: TurnView::Idle,
        link: LinkView::Opening,
        workspace: String::new(),
        confined: None,
        relay: Vec::new(),
        model: ModelChoice::default(),
        mode: Mode::default(),
        was_auto: false,
        wide: None,
        wake: true,
        budget_left: 0,
        spent: Spent::default(),
        unsaved: None,
        polls: 0,
        refused: false,
        full: false,
    }
}
