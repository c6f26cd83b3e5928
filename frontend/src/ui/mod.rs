//! Everything one sees. Components read [`PageState`] and send [`Wish`]es; they decide nothing about the agent.
//!
//! The shell provides both through context before it mounts [`Page`]:
//! `provide_context(PageState::new()); provide_context(Dispatch::new(|wish| …));`

#![expect(unreachable_pub, reason = "`#[component]` re-emits the function as `pub`")]

mod approval;
mod call_dialog;
pub(crate) mod composer;
mod conversation;
mod diff;
pub(crate) mod dom;
mod focus;
mod growing;
mod header;
mod help;
mod keys;
mod kit;
mod local;
mod mode;
mod prose;
mod queue;
mod replay;
mod screen;
mod screens;
mod sessions;
mod settings;
mod shown;
mod slips;
mod stick;
mod task_card;
mod tasks;
#[cfg(all(test, target_arch = "wasm32"))]
mod tests;
mod timeline;
mod tool;

use agent::CallId;
use agent::event::Command;
use agent::settings::Settings;
use leptos::prelude::*;
use shared::{SessionId, TaskId};

use self::call_dialog::CallDialog;
use self::conversation::Conversation;
use self::header::Header;
use self::help::HelpDialog;
use self::local::{Dialog, Local, Panel, use_local};
use self::mode::AllowAllDialog;
use self::replay::Replay;
use self::screens::{Banners, Toasts, Unpaired};
use self::sessions::SessionsPanel;
use self::settings::SettingsDialog;
use self::tasks::TasksPanel;
use self::timeline::Timeline;
use crate::state::Ownership;
pub use crate::state::PageState;

/// What the page can ask for. Provided by the shell through context.
#[derive(Clone, Copy)]
pub struct Dispatch(UnsyncCallback<Wish>);

impl Dispatch {
    /// Wishes go to `handler`. Make it in the root owner.
    pub fn new(handler: impl Fn(Wish) + 'static) -> Self {
        Self(UnsyncCallback::new(handler))
    }

    /// Sends a wish.
    pub fn send(self, wish: Wish) {
        self.0.run(wish);
    }

    /// Sends an event to the agent.
    pub fn agent(self, event: Command) {
        self.send(Wish::Agent(event));
    }
}

/// Something the person at the page wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// To the agent, or to the tab that drives it.
    Agent(Command),
    /// The same of this session, whichever is shown when it arrives.
    AgentOf(SessionId, Command),
    /// A new session in this tab.
    NewSession,
    /// A new session in this tab, with these words in its box.
    GoOnAnew(String),
    /// Another session in this tab.
    OpenSession(SessionId),
    /// A session's title; an empty one takes the first words again.
    RenameSession(SessionId, String),
    /// Forget a session and its log. It was confirmed.
    DeleteSession(SessionId),
    /// This tab follows and wants to drive.
    TakeOver,
    /// Keep these settings. They come back through [`PageState::settings`].
    SaveSettings(Settings),
    /// Keep a key for direct calls in this browser.
    SetKey(String),
    /// Forget that key.
    ForgetKey,
    /// A pasted pairing link or code.
    SubmitPairing(String),
    /// Put the exact messages of a call into [`PageState::call_view`].
    ShowCall(CallId),
    /// The session as JSON lines, as a download.
    Export,
    /// Put the session's log into [`PageState::replay`].
    Replay,
    /// All that is kept of a task's output in a tab of its own, without colours.
    WholeLog(TaskId),
    /// The same as a download.
    SaveLog(TaskId),
    /// All that is kept of a task's output into the clipboard, without colours.
    CopyLog(TaskId),
    /// Keep the words being written.
    SaveDraft(String),
    /// Ask the browser for notifications.
    AllowNotifications,
}

/// The page's state.
pub(crate) fn use_page() -> PageState {
    expect_context()
}

/// Where wishes go.
pub(crate) fn use_dispatch() -> Dispatch {
    expect_context()
}

/// The whole page.
#[component]
pub fn Page() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let local = Local::new();
    provide_context(local);
    keys::listen(page, dispatch, local);
    let unpaired = Memo::new(move |_| {
        page.ownership.with(|ownership| match ownership {
            Ownership::Unpaired { reason } => Some(reason.clone()),
            Ownership::Starting
            | Ownership::Driving
            | Ownership::Following
            | Ownership::Unreadable { .. } => None,
        })
    });
    view! {
        {move || match unpaired.get() {
            Some(reason) => view! { <Unpaired reason/> }.into_any(),
            None => view! { <Workbench/> }.into_any(),
        }}
        <Toasts/>
        <div class="unseen" role="status" aria-live="polite">{move || local.said.get()}</div>
    }
}

/// All panels.
#[component]
fn Workbench() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let hides = move |panel: Panel| move || local.hidden.with(|hidden| hidden.contains(&panel)).then_some("");
    let dialog = move || {
        local.dialog.get().map(|dialog| match dialog {
            Dialog::Settings => view! { <SettingsDialog/> }.into_any(),
            Dialog::Help => view! { <HelpDialog/> }.into_any(),
            Dialog::AllowAll => view! { <AllowAllDialog/> }.into_any(),
        })
    };
    view! {
        <div
            class="workbench"
            data-hide-sessions=hides(Panel::Sessions)
            data-hide-tasks=hides(Panel::Tasks)
            data-hide-timeline=hides(Panel::Timeline)
        >
            <Header/>
            <Banners/>
            <SessionsPanel/>
            {move || match page.replay.get() {
                Some(log) => view! { <Replay log/> }.into_any(),
                None => view! { <Conversation/><Timeline/> }.into_any(),
            }}
            <TasksPanel/>
            <Tabs/>
        </div>
        {dialog}
        {move || page.call_view.get().map(|view| view! { <CallDialog view/> })}
    }
}

/// On a narrow page: which panel is shown.
#[component]
fn Tabs() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let running = move || {
        page.tasks.with(|tasks| {
            tasks
                .iter()
                .filter(|handle| handle.task.with(|task| task.is_active() && !task.foreground))
                .count()
        })
    };
    let tabs = Panel::ALL.map(|panel| {
        view! {
            <button
                type="button"
                aria-pressed=move || (local.panel.get() == panel).to_string()
                on:click=move |_| local.panel.set(panel)
            >
                {panel.title()}
                {move || (panel == Panel::Tasks && running() > 0).then(|| view! { <small>{running()}</small> })}
            </button>
        }
    });
    view! { <div class="tabs" role="group" aria-label="Panels">{tabs}</div> }
}
