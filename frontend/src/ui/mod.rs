//! Everything one sees. Components read [`PageState`] and send [`Wish`]es; they decide nothing about the agent.
//!
//! The shell provides both through context before it mounts [`Page`]:
//! `provide_context(PageState::new()); provide_context(Dispatch::new(|wish| …));`

#![expect(unreachable_pub, reason = "`#[component]` re-emits the function as `pub`")]

use agent::CallId;
use agent::event::UserEvent;
use agent::settings::Settings;
use leptos::prelude::*;
use shared::{SessionId, TaskId};

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
    pub fn agent(self, event: UserEvent) {
        self.send(Wish::Agent(event));
    }
}

/// Something the person at the page wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// To the agent, or to the tab that drives it.
    Agent(UserEvent),
    /// A new session in this tab.
    NewSession,
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
    /// All that is kept of a task's output, in a tab of its own or as a download.
    WholeLog(TaskId),
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
    let state = use_page();
    let _ = use_dispatch();
    view! { <main>{move || state.status.with(|status| status.title.clone())}</main> }
}
