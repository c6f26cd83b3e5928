//! One session that is open in this tab: its [`Member`] decides, and what it asks for is done here.
//!
//! A handle owns the locks that were asked for, the channel of the session, and the agent if it runs here.
//! One event at a time goes to the member; an effect may send another, which waits its turn.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use agent::effect::SessionSummary;
use agent::event::{Author, Boot, Command};
use agent::record::Entry;
use agent::tabs::{Effect, Event, LockMode, Member, Received, Role, TabMessage, UnsavedMessage};
use agent::view::{Flash, Patch, Severity};
use agent::{Agent, Pump};
use gloo_timers::callback::Timeout;
use shared::{SessionId, Timestamp};
use uuid::Uuid;
use wasm_bindgen_futures::spawn_local;

use super::channel::Channel;
use super::lock::{self, AbortOnDrop, LockGuard};
use super::{EffectRunner, Stage, TabController, clock, js, local_storage};

/// An open session.
pub(super) struct SessionHandle {
    /// Which.
    pub(super) session: SessionId,
    /// What the member is called; no other handle is, not even one of the same session in this tab.
    pub(super) id: Uuid,
    tab: Rc<TabController>,
    me: Weak<Self>,
    channel: OnceCell<Channel<TabMessage>>,
    member: RefCell<Member>,
    inbox: RefCell<VecDeque<Event>>,
    running: Cell<bool>,
    locks: RefCell<BTreeMap<u64, Lock>>,
    agent: RefCell<Option<(Pump, EffectRunner)>>,
    alarm: RefCell<Option<Timeout>>,
}

/// A lock that was asked for. Dropping it gives up the wait, or the lock.
enum Lock {
    Asked { _wait: Option<AbortOnDrop> },
    Held { _guard: LockGuard },
}

impl SessionHandle {
    /// A handle on a session, of which nothing is done yet.
    pub(super) fn new(tab: &Rc<TabController>, session: SessionId) -> Rc<Self> {
        let id = Uuid::new_v4();
        let handle = Rc::new_cyclic(|me| Self {
            session,
            id,
            tab: tab.clone(),
            me: me.clone(),
            channel: OnceCell::new(),
            member: RefCell::new(Member::new(id)),
            inbox: RefCell::default(),
            running: Cell::new(false),
            locks: RefCell::default(),
            agent: RefCell::default(),
            alarm: RefCell::default(),
        });
        let me = handle.me.clone();
        let joined = Channel::join(&format!("meanwhile.session.{session}"), move |message| {
            if let Some(handle) = me.upgrade() {
                handle.send(message.map_or(Event::Garbled, Event::Message));
            }
        });
        let _ = handle.channel.set(joined);
        handle
    }

    /// Hands the member an event. One that is sent while another is handled waits its turn.
    pub(super) fn send(&self, event: Event) {
        self.inbox.borrow_mut().push_back(event);
        if self.running.replace(true) {
            return;
        }
        while let Some(event) = self.next() {
            let effects = self.member.borrow_mut().handle(clock::system(), event);
            for effect in effects {
                self.run_effect(effect);
            }
        }
        self.running.set(false);
    }

    /// A function of its own, so that the inbox is not borrowed while the event is handled.
    fn next(&self) -> Option<Event> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Sends the agent an event, if it runs here.
    pub(super) fn send_to_agent(&self, event: agent::Event) {
        if let Some((pump, _)) = self.agent() {
            pump.send(event);
        }
    }

    /// What this tab is to the session.
    pub(super) fn role(&self) -> Role {
        self.member.borrow().role()
    }

    /// Whether the agent runs here.
    pub(super) fn leads(&self) -> bool {
        self.role() == Role::Leader
    }

    /// What the agent has written of the log that may not be kept; nothing if it runs in another tab.
    pub(super) fn unsaved(&self) -> Vec<Entry> {
        self.agent().map(|(pump, _)| pump.with(Agent::unsaved)).unwrap_or_default()
    }

    /// The messages that the person has sent and that may be in no log.
    pub(super) fn left_messages(&self) -> Vec<UnsavedMessage> {
        self.member.borrow().unsaved_messages(self.unsaved())
    }

    fn agent(&self) -> Option<(Pump, EffectRunner)> {
        self.agent.borrow().clone()
    }

    fn run_effect(&self, effect: Effect) {
        match effect {
            Effect::Lock { request, mode } => self.lock(request, mode),
            Effect::Release { request } => {
                let lock = self.locks.borrow_mut().remove(&request);
                drop(lock);
            }
            Effect::Claim { token, term } => self.claim(token, term),
            Effect::Append { token, term, entries, heard } => self.write(token, term, entries, heard),
            Effect::ReadLeft => self.send(Event::Left(local_storage::read_messages(self.session))),
            Effect::ForgetLeft { from, number } => {
                local_storage::forget_messages(self.session, |left| {
                    (left.from, left.number) == (from, number)
                });
            }
            Effect::Start { log } => self.start(log),
            Effect::Stop => {
                let agent = self.agent.take();
                if let Some((pump, effects)) = agent {
                    effects.clear();
                    pump.send(agent::Event::Fenced);
                    effects.shut_down();
                }
            }
            Effect::Run { from, number, command } => self.run_command(from, number, command),
            Effect::Tell(event) => {
                if let Some((pump, effects)) = self.agent() {
                    effects.written(event, &pump);
                }
            }
            Effect::Post(message) => self.post(&message),
            Effect::Snapshot { to, term, keeps } => {
                if let Some((pump, _)) = self.agent() {
                    let patches = pump.with(Agent::snapshot);
                    self.post(&TabMessage::Snapshot { to, term, keeps, patches });
                }
            }
            Effect::Show(patches) => self.tab.show(self.session, patches),
            Effect::Flash(flash) => self.tab.flash(self.session, flash),
            Effect::Redraw => {
                if let Some((pump, _)) = self.agent() {
                    self.tab.show(self.session, pump.with(Agent::snapshot));
                }
            }
            Effect::Role(_) => self.tab.handles_changed(),
            Effect::Alarm(at) => self.set_alarm(at),
            Effect::Complain(text) => {
                self.tab.flash(self.session, Flash::Toast { severity: Severity::Bad, text });
            }
            Effect::GiveBack(messages) => self.tab.restore_messages(self.session, messages),
            Effect::Delete => self.delete(),
            Effect::Gone => self.tab.gone(self.session),
            Effect::Titled(title) => self.tab.titled(self.session, title),
            Effect::Closed => self.tab.closed(self),
        }
    }

    fn post(&self, message: &TabMessage) {
        if let Some(channel) = self.channel.get() {
            channel.post(message);
        }
    }

    fn lock(&self, request: u64, mode: LockMode) {
        let Some(handle) = self.me.upgrade() else { return };
        let wait = if mode == LockMode::Wait { AbortOnDrop::new() } else { None };
        let signal = wait.as_ref().map(AbortOnDrop::signal);
        self.locks.borrow_mut().insert(request, Lock::Asked { _wait: wait });
        spawn_local(async move {
            let me = handle.me.clone();
            let stolen = move || {
                if let Some(handle) = me.upgrade() {
                    handle.send(Event::Stolen { request });
                }
            };
            if let Some(guard) = lock::acquire(handle.session, mode, signal, stolen).await {
                let asked = handle.locks.borrow_mut().insert(request, Lock::Held { _guard: guard });
                drop(asked);
                handle.send(Event::Granted { request });
            } else {
                handle.send(Event::Refused { request });
            }
        });
    }

    fn claim(&self, token: Uuid, term: u64) {
        let Some(handle) = self.me.upgrade() else { return };
        spawn_local(async move {
            let claim = handle.tab.store.claim(handle.session, token, term).await;
            let outcome = claim.map_err(Into::into);
            handle.send(Event::Read { token, outcome });
        });
    }

    fn write(&self, token: Uuid, term: u64, entries: Vec<Entry>, heard: Received) {
        let Some(handle) = self.me.upgrade() else { return };
        spawn_local(async move {
            let written = handle.tab.store.append(handle.session, token, term, &entries, &heard).await;
            let outcome = written.map_err(Into::into);
            handle.send(Event::Appended { token, outcome });
        });
    }

    fn start(&self, log: Vec<Entry>) {
        let Some(handle) = self.me.upgrade() else { return };
        let not_before = log.last().map(|entry| entry.at).unwrap_or_default();
        let stage: Rc<dyn Stage> = handle;
        let effects = EffectRunner::new(self.session, Rc::downgrade(&stage), &self.tab, not_before);
        let pump = Pump::new(effects.clone());
        self.agent.replace(Some((pump.clone(), effects)));
        let (nonce, _) = Uuid::new_v4().as_u64_pair();
        let settings = local_storage::settings();
        let visible = !js::hidden();
        pump.send(agent::Event::Opened(Boot {
            session: self.session,
            tab: self.tab.number,
            log,
            nonce,
            settings,
            visible,
        }));
    }

    fn run_command(&self, from: Uuid, number: u64, command: Command) {
        let Some((pump, _)) = self.agent() else { return };
        let author = Author { from, number };
        pump.send(agent::Event::Command { author, command });
        let (through, waits) = pump.with(|agent| (agent.owed(), agent.owes_answer(author)));
        self.send(Event::Ran { from, number, through, waits });
    }

    fn set_alarm(&self, at: Option<Timestamp>) {
        let alarm = at.map(|at| {
            let wait = u32::try_from(at.since(clock::system())).unwrap_or(u32::MAX);
            let me = self.me.clone();
            Timeout::new(wait, move || {
                if let Some(handle) = me.upgrade() {
                    handle.send(Event::Tick);
                }
            })
        });
        self.alarm.replace(alarm);
    }

    fn delete(&self) {
        let Some(handle) = self.me.upgrade() else { return };
        spawn_local(async move {
            let deleted = handle.tab.delete_kept(handle.session).await;
            handle.send(Event::Deleted(deleted));
        });
    }
}

impl Stage for SessionHandle {
    fn append(&self, entries: Vec<Entry>) {
        self.send(Event::Append(entries));
    }

    fn show(&self, patches: Vec<Patch>) {
        self.send(Event::Show(patches));
    }

    fn flash(&self, to: Option<Uuid>, flash: Flash) {
        self.send(Event::Flash { to, flash });
    }

    fn answered(&self, Author { from, number }: Author) {
        self.send(Event::Answered { from, number });
    }

    fn index(&self, summary: SessionSummary) {
        self.send(Event::Works(summary.works()));
        self.tab.index(summary);
    }
}
