//! Everything one sees. Components read [`PageState`] and send [`PageCommand`]es; they decide nothing about
//! the agent.
//!
//! The shell provides both through context before it mounts [`Page`]:
//! `provide_context(PageState::new()); provide_context(Dispatch::new(|command| …));`

#![expect(unreachable_pub, reason = "`#[component]` re-emits the function as `pub`")]

mod approval;
mod auto_scroll;
mod call_dialog;
mod components;
pub(crate) mod composer;
mod conversation;
mod diff;
pub(crate) mod dom;
mod focus;
mod growing;
mod header;
mod help;
mod keys;
mod local;
mod mode;
mod notices;
mod page;
mod prose;
mod queue;
mod replay;
mod screen;
mod screens;
mod sessions;
mod settings;
mod shown;
mod task_card;
mod tasks;
#[cfg(all(test, target_arch = "wasm32"))]
mod tests;
mod timeline;
mod tool;

use agent::CallId;
use agent::event::Command;
use agent::model::Api;
use agent::settings::Settings;
use leptos::prelude::*;
use shared::{SessionId, TaskId};

pub use self::page::Page;
pub use crate::state::PageState;

/// What the page can ask for. Provided by the shell through context.
#[derive(Clone, Copy)]
pub struct Dispatch(UnsyncCallback<PageCommand>);

impl Dispatch {
    /// Commands go to `handler`. Make it in the root owner.
    pub fn new(handler: impl Fn(PageCommand) + 'static) -> Self {
        Self(UnsyncCallback::new(handler))
    }

    /// Sends a command.
    pub fn send(self, command: PageCommand) {
        self.0.run(command);
    }

    /// Sends an event to the agent.
    pub fn agent(self, event: Command) {
        self.send(PageCommand::Agent(event));
    }
}

/// Something the person at the page wants.
#[derive(Clone, Debug, PartialEq)]
pub enum PageCommand {
    /// To the agent, or to the tab that drives it.
    Agent(Command),
    /// The same of this session, whichever is shown when it arrives.
    AgentOf(SessionId, Command),
    /// A new session in this tab.
    NewSession,
    /// A new session in this tab, with this text in its box.
    ContinueInNewSession(String),
    /// Another session in this tab.
    OpenSession(SessionId),
    /// A session's title; an empty one takes the first message again.
    RenameSession(SessionId, String),
    /// Forget a session and its log. It was confirmed.
    DeleteSession(SessionId),
    /// This tab follows and wants to drive.
    TakeOver,
    /// Keep these settings. They come back through [`PageState::settings`].
    SaveSettings(Settings),
    /// Keep a key for direct calls in this browser.
    SetKey(Api, String),
    /// Forget that key.
    ForgetKey(Api),
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
    /// Keep the draft.
    SaveDraft(String),
    /// Ask the browser for notifications.
    AllowNotifications,
}

/// The page's state.
pub(crate) fn use_page() -> PageState {
    expect_context()
}

/// Where commands go.
pub(crate) fn use_dispatch() -> Dispatch {
    expect_context()
}
