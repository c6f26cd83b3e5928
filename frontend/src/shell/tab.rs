//! The tab: its list of sessions, the sessions that are open in it, and the one that is shown.
//!
//! Every command of the page comes in here. A command for the agent goes to the handle that is shown; all
//! others are done here. A session that is left while it works stays open behind the scenes until its member
//! closes it.
//!
//! Which sessions other tabs drive is read from the locks, which are the truth; a channel of all tabs only
//! says when to look.

mod locks;
mod persistence;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use agent::Event;
use agent::effect::SessionSummary;
use agent::event::{Author, Command};
use agent::settings::Rule;
use agent::tabs::{self, Role};
use agent::view::{Flash, Patch, Severity};
use futures_channel::oneshot;
use futures_util::future::select;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use shared::SessionId;
use uuid::Uuid;
use wasm_bindgen_futures::spawn_local;

use super::channel::Channel;
use super::clock;
use super::js::hidden;
use super::page::{self, PageEvent};
use super::pairing::Pairing;
use super::session::SessionHandle;
use super::store::Store;
use super::{address, local_storage, notify};
use crate::state::{CallView, Ownership, PageState, PairLink};
use crate::ui::PageCommand;

/// How long the start waits for the runner's answer to the pairing, in milliseconds.
const PAIRING_TIME: u32 = 5_000;

/// What tabs broadcast to each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
enum Broadcast {
    /// A session's line changed.
    #[serde(rename = "line")]
    Summary(SessionSummary),
    /// A session was deleted.
    Gone { session: SessionId },
    /// A tab opened or closed a session.
    Locks,
}

/// The tab.
pub(crate) struct TabController {
    pub(super) store: Store,
    pub(super) pairing: Rc<Pairing>,
    me: Weak<Self>,
    /// Names the tab to the runner.
    pub(super) number: Uuid,
    state: PageState,
    broadcast: Channel<Broadcast>,
    summaries: RefCell<BTreeMap<SessionId, SessionSummary>>,
    /// Sessions that some tab drives, this one included, with the browser's names for those tabs.
    held: RefCell<BTreeMap<SessionId, String>>,
    handles: RefCell<BTreeMap<SessionId, Rc<SessionHandle>>>,
    shown: Cell<Option<SessionId>>,
    /// The session that this tab began, as in `local_storage`, which a browser may refuse.
    begun: Cell<Option<SessionId>>,
    /// Lines and drafts that are to be written; the newest of each session counts.
    unwritten: RefCell<BTreeMap<SessionId, SessionSummary>>,
    drafts: RefCell<BTreeMap<SessionId, String>>,
    /// The draft of the shown session as it is kept.
    kept_draft: RefCell<String>,
    writing: Cell<bool>,
    looking: Cell<bool>,
}

impl TabController {
    /// Sets the tab up and opens its session: the one in the address, or a new one.
    pub(crate) async fn open(state: PageState, address: address::Fragment) -> Rc<Self> {
        let store = Store::open().await;
        let tab = Rc::new_cyclic(|me: &Weak<Self>| {
            let (pairs, receives) = (me.clone(), me.clone());
            Self {
                store,
                pairing: Rc::new(Pairing::new(move || with(&pairs, Self::pairing_changed))),
                me: me.clone(),
                number: Uuid::new_v4(),
                state,
                broadcast: Channel::join("meanwhile.sessions", move |broadcast| {
                    if let Some(broadcast) = broadcast {
                        with(&receives, |tab| tab.receive(broadcast));
                    }
                }),
                summaries: RefCell::default(),
                held: RefCell::default(),
                handles: RefCell::default(),
                shown: Cell::new(None),
                begun: Cell::new(None),
                unwritten: RefCell::default(),
                drafts: RefCell::default(),
                kept_draft: RefCell::default(),
                writing: Cell::new(false),
                looking: Cell::new(false),
            }
        });
        let me = tab.me.clone();
        page::listen(move |page_event| with(&me, |tab| tab.page_event(page_event)));
        tab.settings_changed();
        state.notifications.set(notify::permission());
        let lines = tab.store.summaries().await;
        if let (Err(reason), None) = (&lines, tab.store.problem()) {
            tab.report_error(&format!("The sessions of this browser could not be listed: {reason}"));
        }
        let lines = lines.unwrap_or_default();
        tab.summaries.replace(lines.into_iter().map(|line| (line.session, line)).collect());
        tab.start(|tab| async move {
            let _ = tab.store.prune_claims(clock::system()).await;
        });
        tab.pair(address.code).await;
        match address.session {
            Some(session) => tab.visit(session).await,
            None => tab.switch(tab.new_session()),
        }
        tab
    }

    /// Does what the person at the page wants.
    pub(crate) fn run(&self, command: PageCommand) {
        match command {
            PageCommand::Agent(command) => self.to_agent(self.shown.get(), command),
            PageCommand::AgentOf(session, command) => self.to_agent(Some(session), command),
            PageCommand::NewSession => self.switch(self.new_session()),
            PageCommand::ContinueInNewSession(text) => {
                self.switch(self.new_session());
                self.state.draft.set(text.clone());
                self.run(PageCommand::SaveDraft(text));
            }
            PageCommand::OpenSession(session) => self.switch(session),
            PageCommand::RenameSession(session, title) => {
                self.rename(session, title);
            }
            PageCommand::DeleteSession(session) => self.delete(session),
            PageCommand::TakeOver => {
                if let Some(handle) = self.handle() {
                    handle.send(tabs::Event::TakeOver);
                }
            }
            PageCommand::SaveSettings(settings) => {
                self.settings_saved(local_storage::save_settings(&settings));
            }
            PageCommand::SetKey(api, key) => self.settings_saved(local_storage::save_key(api, &key)),
            PageCommand::ForgetKey(api) => {
                local_storage::forget_key(api);
                self.settings_saved(Ok(()));
            }
            PageCommand::SubmitPairing(text) => {
                self.start(|tab| async move { tab.pairing.submit(&text).await });
            }
            PageCommand::ShowCall(call) => self.start(|tab| async move {
                let request = tab.log().await.and_then(|log| {
                    agent::transcript::request_of_call(&log, call)
                        .ok_or_else(|| "the log does not hold this call any more".to_owned())
                });
                tab.state.call_view.set(Some(CallView { call, request }));
            }),
            PageCommand::Export => self.start(|tab| async move { tab.try_it(tab.export().await) }),
            PageCommand::Replay => self.start(|tab| async move {
                let session = tab.shown.get();
                match tab.log().await {
                    Ok(_) if tab.shown.get() != session => {}
                    Ok(log) => tab.state.replay.set(Some(log)),
                    Err(reason) => tab.report_error(&reason),
                }
            }),
            PageCommand::WholeLog(task) => {
                self.start(|tab| async move { tab.try_it(tab.open_log(&task).await) });
            }
            PageCommand::SaveLog(task) => {
                self.start(|tab| async move { tab.try_it(tab.save_log(&task).await) });
            }
            PageCommand::CopyLog(task) => self.start(|tab| async move { tab.copy_log(&task).await }),
            PageCommand::SaveDraft(text) => {
                if let Some(session) = self.shown.get() {
                    self.save_draft(session, text);
                }
            }
            PageCommand::AllowNotifications => {
                self.start(|tab| async move { tab.state.notifications.set(notify::ask().await) });
            }
        }
    }

    /// Shows patches of a session, if that session is shown.
    pub(super) fn show(&self, session: SessionId, patches: Vec<Patch>) {
        if self.shown.get() == Some(session) {
            self.state.apply(patches);
        }
    }

    /// Says something to the person; of a session that is not shown, under its title.
    pub(super) fn flash(&self, session: SessionId, flash: Flash) {
        match flash {
            Flash::Toast { severity, text } if self.shown.get() == Some(session) => {
                self.state.toast(severity, text);
            }
            Flash::Toast { severity, text } => {
                let title = self.summaries.borrow().get(&session).map(|line| line.title.clone());
                let title = title.filter(|title| !title.is_empty());
                let title = title.unwrap_or_else(|| "another session".to_owned());
                self.state.toast(severity, format!("{title}: {text}"));
            }
            Flash::Draft { text } => self.restore_messages(session, vec![text]),
            Flash::PairLink { url, expires } => self.state.pair_link.set(Some(PairLink { url, expires })),
        }
    }

    /// A session that runs here has a new line.
    pub(super) fn index(&self, line: SessionSummary) {
        let session = line.session;
        if self.is_begun_here(session) {
            self.begun.set(None);
            local_storage::set_begun(None);
        }
        self.broadcast.post(&Broadcast::Summary(line.clone()));
        self.summaries.borrow_mut().insert(session, line.clone());
        self.unwritten.borrow_mut().insert(session, line);
        self.write_on();
        self.list();
    }

    /// Adds a rule to the settings.
    pub(super) fn add_rule(&self, rule: Rule) {
        self.settings_saved(local_storage::add_rule(rule));
    }

    /// A handle's role changed.
    pub(super) fn handles_changed(&self) {
        self.start(|tab| async move {
            tab.publish_role();
            tab.list();
            tab.broadcast.post(&Broadcast::Locks);
            tab.look_at_locks().await;
        });
    }

    /// Shows for a while that something did not work.
    pub(super) fn report_error(&self, reason: &str) {
        self.state.toast(Severity::Bad, reason.to_owned());
    }

    fn to_agent(&self, session: Option<SessionId>, command: Command) {
        let handle = session.and_then(|session| self.handles.borrow().get(&session).cloned());
        match handle {
            Some(handle) => handle.send(tabs::Event::Command(command)),
            // Of a session that was closed meanwhile.
            None if session.is_some() => {}
            None => self.report_error("the page has not started yet"),
        }
    }

    fn handle(&self) -> Option<Rc<SessionHandle>> {
        self.handles.borrow().get(&self.shown.get()?).cloned()
    }

    fn each_handle(&self, apply: impl Fn(&SessionHandle)) {
        let handles: Vec<_> = self.handles.borrow().values().cloned().collect();
        for handle in handles {
            apply(&handle);
        }
    }

    /// Shows another session. The one before is closed, or goes on behind the scenes while it works.
    fn switch(&self, session: SessionId) {
        if self.shown.get() != Some(session) {
            address::show(Some(session));
            self.turn_to(session);
        }
    }

    pub(super) fn new_session(&self) -> SessionId {
        let session = SessionId(Uuid::new_v4());
        self.begun.set(Some(session));
        local_storage::set_begun(Some(session));
        session
    }

    /// Whether this tab began it, and nothing was said in it yet.
    pub(super) fn is_begun_here(&self, session: SessionId) -> bool {
        self.begun.get() == Some(session) || local_storage::begun() == Some(session)
    }

    fn turn_to(&self, session: SessionId) {
        let before = self.shown.replace(Some(session));
        self.state.apply(vec![Patch::Reset]);
        self.state.flush();
        // Whoever is quick writes before the first session is there.
        let early = before.is_none().then(|| self.written()).filter(|early| !early.is_empty());
        self.state.draft.set(early.clone().unwrap_or_default());
        if let Some(early) = early {
            self.save_draft(session, early);
        }
        self.kept_draft.take();
        // What hears that there is none makes the box anew, and with it the focus goes.
        if self.state.replay.with_untracked(Option::is_some) {
            self.state.replay.set(None);
        }
        let open = self.handles.borrow().get(&session).cloned();
        if let Some(handle) = open {
            handle.send(tabs::Event::Visit);
        } else if let Some(tab) = self.me.upgrade() {
            let handle = SessionHandle::new(&tab, session);
            self.handles.borrow_mut().insert(session, handle.clone());
            handle.send(tabs::Event::Open { begun: !self.is_begun_here(session) });
        }
        let left = before.and_then(|before| self.handles.borrow().get(&before).cloned());
        if let Some(left) = left {
            left.send(tabs::Event::Leave);
        }
        self.handles_changed();
        self.list();
        self.start(|tab| async move { tab.bring_draft(session).await });
    }

    fn close(&self, session: SessionId) {
        let handle = self.handles.borrow_mut().remove(&session);
        if let Some(handle) = handle {
            handle.send(tabs::Event::Close);
        }
    }

    /// A handle is done with.
    pub(super) fn closed(&self, handle: &SessionHandle) {
        self.handles.borrow_mut().retain(|_, open| open.id != handle.id);
    }

    fn try_it(&self, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            self.report_error(&reason);
        }
    }

    /// The settings were to be saved, and are read again.
    fn settings_saved(&self, outcome: Result<(), String>) {
        self.try_it(outcome);
        self.settings_changed();
    }

    fn settings_changed(&self) {
        let settings = local_storage::settings();
        self.state.settings.set(settings.clone());
        self.each_handle(|handle| handle.send_to_agent(Event::Settings(settings.clone())));
    }

    /// Finds out whether this browser is paired; without waiting for a runner that does not answer.
    async fn pair(&self, code: Option<String>) {
        let (done, wait) = oneshot::channel();
        let pairing = self.pairing.clone();
        // It goes on after that time: a code that was sent is used up.
        spawn_local(async move {
            pairing.begin(code).await;
            let _ = done.send(());
        });
        select(wait, TimeoutFuture::new(PAIRING_TIME)).await;
    }

    fn pairing_changed(&self) {
        self.publish_role();
        if let Some(reason) = self.pairing.take_unkept() {
            self.report_error(&reason);
        }
        if self.pairing.problem().is_none() {
            self.each_handle(|handle| {
                handle
                    .send_to_agent(Event::Command { author: Author::default(), command: Command::Reconnect });
            });
        }
    }

    /// Tells the page what this tab is to its session.
    fn publish_role(&self) {
        let Some(handle) = self.handle() else { return };
        let ownership = match (handle.role(), self.pairing.problem()) {
            (Role::Follower, _) => Ownership::Following,
            (_, Some(reason)) => Ownership::Unpaired { reason },
            (Role::Leader, None) => Ownership::Driving,
            (Role::Unreadable { reason }, None) => Ownership::Unreadable { reason },
            (Role::Starting | Role::Closed, None) => Ownership::Starting,
        };
        self.state.ownership.set(ownership);
        self.state.storage_problem.set(self.store.problem());
    }

    /// Another tab has told all others something.
    fn receive(&self, broadcast: Broadcast) {
        match broadcast {
            Broadcast::Summary(line) => {
                self.summaries.borrow_mut().insert(line.session, line);
                self.list();
            }
            Broadcast::Gone { session } => self.forget(session),
            Broadcast::Locks => self.start(|tab| async move { tab.look_at_locks().await }),
        }
    }

    /// Something happened to the page.
    fn page_event(&self, page_event: PageEvent) {
        match page_event {
            PageEvent::Visible => {
                let visible = !hidden();
                if visible {
                    self.come_back();
                } else {
                    self.leave();
                }
                self.each_handle(|handle| handle.send_to_agent(Event::Visible(visible)));
                self.start(|tab| async move { tab.look_at_locks().await });
            }
            PageEvent::Online => self.each_handle(|handle| handle.send_to_agent(Event::Online)),
            PageEvent::Leaves => {
                self.leave();
                self.broadcast.post(&Broadcast::Locks);
            }
            PageEvent::Settings => self.settings_changed(),
            PageEvent::MessagesLeft(session) => {
                let handle = self.handles.borrow().get(&session).cloned();
                if let Some(handle) = handle.filter(|handle| handle.leads()) {
                    handle.send(tabs::Event::Left(local_storage::messages_of(session)));
                }
            }
            PageEvent::Paired => self.start(|tab| async move { tab.pairing.reread().await }),
            PageEvent::Address => {
                let address = address::take();
                if let Some(session) = address.session {
                    self.start(|tab| async move { tab.visit(session).await });
                } else {
                    address::show(self.shown.get());
                }
                self.start(|tab| async move {
                    if address.code.is_some() {
                        tab.pairing.begin(address.code).await;
                    }
                });
            }
        }
    }

    fn start<F: Future<Output = ()> + 'static>(&self, work: impl FnOnce(Rc<Self>) -> F) {
        if let Some(tab) = self.me.upgrade() {
            spawn_local(work(tab));
        }
    }
}

/// The browser's name for this tab, as it is known by a session that runs here.
fn own_name<'a>(
    held: &'a BTreeMap<SessionId, String>,
    handles: &BTreeMap<SessionId, Rc<SessionHandle>>,
) -> Option<&'a String> {
    held.iter()
        .find(|(session, _)| handles.get(session).is_some_and(|handle| handle.leads()))
        .map(|(_, name)| name)
}

fn with(tab: &Weak<TabController>, run: impl FnOnce(&TabController)) {
    if let Some(tab) = tab.upgrade() {
        run(&tab);
    }
}
