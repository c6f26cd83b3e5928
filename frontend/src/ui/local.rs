//! What only the page itself knows: which panels and dialogs are open, what has the focus, what time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leptos::prelude::*;
use shared::{TaskId, Timestamp};

/// How often clocks on the page move.
const TICK: Duration = Duration::from_millis(500);

/// State of the views. A cheap handle, provided by [`super::Page`] to everything below it.
#[derive(Clone, Copy)]
pub(crate) struct Local {
    /// Which panel a narrow page shows.
    pub(crate) panel: RwSignal<Panel>,
    /// Which side panels a wide page hides.
    pub(crate) hidden: RwSignal<BTreeSet<Panel>>,
    /// Tasks whose output is open.
    pub(crate) open_tasks: RwSignal<BTreeSet<TaskId>>,
    /// A task that is to be brought into view; counts up so that asking twice works.
    pub(crate) focus_task: RwSignal<Option<(TaskId, u64)>>,
    /// The dialog that is open.
    pub(crate) dialog: RwSignal<Option<Dialog>>,
    /// Said to screen readers when it changes.
    pub(crate) announcement: RwSignal<String>,
    /// The page's clock.
    pub(crate) now: RwSignal<Timestamp>,
    /// Whose screen shows each task's output, and in how many places.
    pub(crate) watched: StoredValue<BTreeMap<TaskId, (u64, usize)>>,
}

/// A part of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Panel {
    Sessions,
    Conversation,
    Tasks,
    Timeline,
}

/// A dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    Settings,
    Help,
    AllowAll,
}

impl Panel {
    pub(crate) const ALL: [Self; 4] = [Self::Sessions, Self::Conversation, Self::Tasks, Self::Timeline];

    /// Its name, also that of its element.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Conversation => "conversation",
            Self::Tasks => "tasks",
            Self::Timeline => "timeline",
        }
    }

    /// Its name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Sessions => "Sessions",
            Self::Conversation => "Conversation",
            Self::Tasks => "Tasks",
            Self::Timeline => "Timeline",
        }
    }
}

impl Local {
    /// Starts the clock, which stops with the owner.
    pub(crate) fn new() -> Self {
        let local = Self {
            panel: RwSignal::new(Panel::Conversation),
            hidden: RwSignal::default(),
            open_tasks: RwSignal::default(),
            focus_task: RwSignal::default(),
            dialog: RwSignal::default(),
            announcement: RwSignal::default(),
            now: RwSignal::new(clock()),
            watched: StoredValue::default(),
        };
        if let Ok(handle) = set_interval_with_handle(move || local.now.set(clock()), TICK) {
            on_cleanup(move || handle.clear());
        }
        local
    }

    /// A handle's screen is shown in one place more; says whether the output must be asked for.
    pub(crate) fn watches(self, task: &TaskId, serial: u64) -> bool {
        let count = |watched: &mut BTreeMap<TaskId, (u64, usize)>| {
            let (of, count) = watched.get(task).copied().unwrap_or_default();
            watched.insert(task.clone(), (serial, count + 1));
            count == 0 || of != serial
        };
        self.watched.try_update_value(count).unwrap_or(false)
    }

    /// It is shown in one place less; says whether that was the last.
    pub(crate) fn watches_no_more(self, task: &TaskId) -> bool {
        let count = |watched: &mut BTreeMap<TaskId, (u64, usize)>| match watched.get(task).copied() {
            Some((serial, count)) if count > 1 => {
                watched.insert(task.clone(), (serial, count - 1));
                false
            }
            _ => {
                watched.remove(task);
                true
            }
        };
        self.watched.try_update_value(count).unwrap_or(true)
    }

    /// Brings a task into view and opens its output.
    pub(crate) fn show_task(self, task: &TaskId) {
        self.hidden.update(|hidden| {
            hidden.remove(&Panel::Tasks);
        });
        self.panel.set(Panel::Tasks);
        self.open_tasks.update(|open| {
            open.insert(task.clone());
        });
        self.focus_task.update(|focus| {
            let count = focus.as_ref().map_or(0, |(_, count)| *count);
            *focus = Some((task.clone(), count + 1));
        });
    }

    /// Shows a panel if it is hidden, and puts the focus there.
    pub(crate) fn go_to(self, panel: Panel) {
        self.hidden.update(|hidden| {
            hidden.remove(&panel);
        });
        self.panel.set(panel);
        request_animation_frame(move || super::dom::focus_id(panel.as_str()));
    }

    /// Milliseconds from `start` to now. Reads the clock reactively.
    pub(crate) fn since(self, start: Timestamp) -> u64 {
        self.now.get().since(start)
    }
}

/// The page's clock, now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970 fit")]
pub(crate) fn clock() -> Timestamp {
    Timestamp(js_sys::Date::now() as u64)
}

pub(crate) fn use_local() -> Local {
    expect_context()
}
