//! One session that is open in this tab: driven here, or followed while another tab drives it.
//!
//! `Starting` → `Leader` or `Follower`; `Follower` → `Leader` when the lock comes, by itself or by taking over; `Leader` →
//! `Follower` when it is taken. Two tabs never drive at once: the one that takes the lock claims the log in the store before it
//! reads it, and the other's writing fails from that moment on.
//!
//! The tabs speak over a channel of the session: the driver says what it shows, a newcomer says hello and gets the whole.
//! Commands made in a following tab go to the driver; words that were said are kept until it has heard them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use agent::effect::SessionSummary;
use agent::event::{Boot, Command};
use agent::record::{Entry, Record};
use agent::view::Patch;
use agent::{Event, Pump};
use serde::{Deserialize, Serialize};
use shared::SessionId;
use uuid::Uuid;
use wasm_bindgen_futures::spawn_local;

use super::channel::Channel;
use super::local_storage::LeftWords;
use super::lock::{self, AbortOnDrop, LockGuard, LockMode};
use super::store::StoreError;
use super::{EffectRunner, Stage, TabController, js, local_storage};
use crate::state::Ownership;

/// How many commands are kept while nobody can hear them.
const UNHEARD: usize = 64;

/// The words in entries that are not saved and to which no answer has come.
fn unanswered(entries: Vec<Entry>) -> Vec<LeftWords> {
    let (mut waiting, mut asked) = (Vec::<(u64, LeftWords)>::new(), Vec::new());
    for entry in entries {
        if let Record::Queued { id, text, steer } = entry.record {
            waiting.push((id, LeftWords { n: entry.n, text, steer }));
        } else if let Record::Edited { id, text, steer, .. } = entry.record {
            if let Some((_, words)) = waiting.iter_mut().find(|(waits, _)| *waits == id) {
                (words.text, words.steer) = (text, steer);
            }
        } else if let Record::Cancelled { id } = entry.record {
            waiting.retain(|(waits, _)| *waits != id);
        } else if let Record::RequestSent { said, .. } = entry.record {
            asked.extend(said);
        } else if matches!(entry.record, Record::ResponseReceived { .. }) {
            waiting.retain(|(waits, _)| !asked.contains(waits));
        }
    }
    waiting.into_iter().map(|(_, words)| words).collect()
}

/// Whether an entry holds these words, so that they were written after all.
fn holds(entry: &Entry, words: &LeftWords) -> bool {
    entry.n == words.n && matches!(&entry.record, Record::Queued { text, .. } if *text == words.text)
}

/// What the tabs of one session say to each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub(super) enum TabMessage {
    /// I follow; what is there to see?
    Hello { from: Uuid },
    /// This is the whole.
    #[serde(rename = "whole")]
    Snapshot { to: Uuid, patches: Vec<Patch> },
    /// This has changed.
    Show { patches: Vec<Patch> },
    /// I drive now.
    #[serde(rename = "took")]
    Claimed,
    /// The person here wants this.
    #[serde(rename = "wish")]
    Command { from: Uuid, number: u64, command: Command },
    /// I have heard it.
    #[serde(rename = "heard")]
    Ack { to: Uuid, number: u64 },
}

/// The channel of a session.
pub(super) fn channel(session: SessionId, on: impl Fn(TabMessage) + 'static) -> Channel<TabMessage> {
    Channel::join(&format!("meanwhile.session.{session}"), on)
}

/// An open session.
pub(super) struct SessionHandle {
    /// Which.
    pub(super) session: SessionId,
    tab: Rc<TabController>,
    me: Weak<Self>,
    channel: OnceCell<Channel<TabMessage>>,
    role: RefCell<Role>,
    /// Counts the changes of role: what was begun under an earlier one is void.
    changes: Cell<u64>,
    /// Whether another tab ever said hello.
    followed: Cell<bool>,
    /// Commands that the driver has not heard yet.
    unheard: RefCell<VecDeque<(u64, Command)>>,
    commands: Cell<u64>,
    summary: RefCell<Option<SessionSummary>>,
}

/// What this tab is to the session.
enum Role {
    /// The lock is asked for, or the log is read.
    Starting,
    /// Its agent runs here.
    Leader { pump: Pump, effects: EffectRunner, _guard: LockGuard },
    /// Its agent runs in another tab. Patches mean nothing before the whole has come.
    Follower { whole: bool, _abort: Option<AbortOnDrop> },
    /// Its log cannot be read.
    Failed(String),
    /// It was closed.
    Closed,
}

impl SessionHandle {
    /// Opens a session: to drive it if nobody does, otherwise to follow.
    pub(super) fn open(tab: &Rc<TabController>, session: SessionId) -> Rc<Self> {
        let handle = Rc::new_cyclic(|me| Self {
            session,
            tab: tab.clone(),
            me: me.clone(),
            channel: OnceCell::new(),
            role: RefCell::new(Role::Starting),
            changes: Cell::new(0),
            followed: Cell::new(false),
            unheard: RefCell::default(),
            commands: Cell::new(0),
            summary: RefCell::default(),
        });
        let me = handle.me.clone();
        let joined = channel(session, move |message| {
            if let Some(handle) = me.upgrade() {
                handle.hear(message);
            }
        });
        let _ = handle.channel.set(joined);
        handle.ask(LockMode::IfFree);
        handle
    }

    /// Takes the session from the tab that drives it.
    pub(super) fn take_over(&self) {
        if matches!(*self.role.borrow(), Role::Follower { .. }) {
            self.change(Role::Starting);
            self.ask(LockMode::Steal);
        }
    }

    /// Gives the session up. Its lock goes to whoever waits.
    pub(super) fn close(&self) {
        if let Role::Leader { effects, .. } = self.change(Role::Closed) {
            effects.shut_down();
        }
    }

    /// Stops the agent, and keeps the lock.
    pub(super) fn halt(&self) {
        if let Role::Leader { effects, .. } = &*self.role.borrow() {
            effects.shut_down();
        }
    }

    /// The person at this page wants something of the agent.
    pub(super) fn run(&self, command: Command) {
        let (viewer, _) = self.tab.id.as_u64_pair();
        let command = command.seen_by(viewer);
        if let Role::Failed(reason) = &*self.role.borrow() {
            let words = format!("nobody hears this session: {reason}");
            self.tab.complain(&words);
            return;
        }
        let pump = match &*self.role.borrow() {
            Role::Leader { pump, .. } => Some(pump.clone()),
            Role::Starting | Role::Follower { .. } | Role::Failed(_) | Role::Closed => None,
        };
        match pump {
            Some(pump) => pump.send(Event::Command(command)),
            None => self.pass_on(command),
        }
    }

    /// Tells the agent, if it runs here.
    pub(super) fn tell(&self, event: Event) {
        let pump = self.pump();
        if let Some(pump) = pump {
            pump.send(event);
        }
    }

    /// What this tab is to the session.
    pub(super) fn ownership(&self) -> Ownership {
        match &*self.role.borrow() {
            Role::Leader { .. } => Ownership::Driving,
            Role::Follower { .. } => Ownership::Following,
            Role::Failed(reason) => Ownership::Unreadable { reason: reason.clone() },
            Role::Starting | Role::Closed => Ownership::Starting,
        }
    }

    /// Whether the agent runs here.
    pub(super) fn drives(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader { .. })
    }

    /// Whether nothing is lost by closing: no work is going on here.
    pub(super) fn is_idle(&self) -> bool {
        let quiet = match &*self.role.borrow() {
            Role::Leader { effects, .. } => effects.is_idle(),
            Role::Starting => false,
            Role::Follower { .. } | Role::Failed(_) | Role::Closed => true,
        };
        let works =
            self.summary.borrow().as_ref().is_some_and(|line| line.busy || line.asks || line.running > 0);
        quiet && !(self.drives() && works)
    }

    /// The session's line in the list changed.
    pub(super) fn index(&self, summary: SessionSummary) {
        self.summary.replace(Some(summary));
    }

    /// Shows the whole of what there is to see here.
    pub(super) fn show_whole(&self) {
        let pump = self.pump();
        if let Some(pump) = pump {
            self.tab.show(self.session, pump.with(agent::Agent::snapshot));
        } else if matches!(*self.role.borrow(), Role::Follower { .. }) {
            self.say(&TabMessage::Hello { from: self.tab.id });
        }
    }

    /// Shows what changed, here and in tabs that follow.
    pub(super) fn show(&self, patches: Vec<Patch>) {
        if self.followed.get() {
            let message = TabMessage::Show { patches };
            self.say(&message);
            let TabMessage::Show { patches } = message else { return };
            self.tab.show(self.session, patches);
        } else {
            self.tab.show(self.session, patches);
        }
    }

    /// Another tab has the session: the agent here stops.
    pub(super) fn fenced(&self) {
        let Role::Leader { pump, effects, .. } = self.change(Role::Starting) else {
            self.follow();
            return;
        };
        effects.clear();
        pump.send(Event::Fenced);
        effects.shut_down();
        self.follow();
    }

    /// What the agent has written of the log that may not be kept; nothing if it runs in another tab.
    pub(super) fn unsaved(&self) -> Vec<Entry> {
        self.pump().map(|pump| pump.with(agent::Agent::unsaved)).unwrap_or_default()
    }

    /// What the person has said and no log holds for certain.
    pub(super) fn unkept(&self) -> Vec<LeftWords> {
        let unsaved = unanswered(self.unsaved());
        let unheard = self.unheard.borrow();
        let unheard = unheard.iter().filter_map(|(_, command)| {
            let Command::Say { text, steer } = command else { return None };
            Some(LeftWords { n: 0, text: text.clone(), steer: *steer })
        });
        unsaved.into_iter().chain(unheard).collect()
    }

    fn pump(&self) -> Option<Pump> {
        match &*self.role.borrow() {
            Role::Leader { pump, .. } => Some(pump.clone()),
            Role::Starting | Role::Follower { .. } | Role::Failed(_) | Role::Closed => None,
        }
    }

    /// Asks for the lock, and goes on by the answer.
    fn ask(&self, mode: LockMode) {
        let Some(handle) = self.me.upgrade() else { return };
        let abort = if mode == LockMode::Wait { AbortOnDrop::new() } else { None };
        let signal = abort.as_ref().map(AbortOnDrop::signal);
        if mode == LockMode::Wait {
            self.change(Role::Follower { whole: false, _abort: abort });
            self.say(&TabMessage::Hello { from: self.tab.id });
        }
        let change = self.changes.get();
        spawn_local(async move {
            let me = handle.me.clone();
            let stolen = move || {
                if let Some(handle) = me.upgrade() {
                    handle.stolen();
                }
            };
            let guard = lock::acquire(handle.session, mode, signal, stolen).await;
            if handle.changes.get() != change {
                return;
            }
            match guard {
                Some(guard) => handle.drive(guard).await,
                // Waiting ends without the lock only where the page itself ends.
                None if mode == LockMode::Wait => {}
                None => handle.follow(),
            }
        });
    }

    fn follow(&self) {
        if !matches!(*self.role.borrow(), Role::Closed) {
            self.ask(LockMode::Wait);
        }
    }

    fn stolen(&self) {
        let has = matches!(*self.role.borrow(), Role::Leader { .. } | Role::Starting);
        if has {
            self.fenced();
        }
    }

    /// Claims and reads the log, and starts the agent.
    async fn drive(self: &Rc<Self>, guard: LockGuard) {
        self.change(Role::Starting);
        let change = self.changes.get();
        let token = Uuid::new_v4().to_string();
        let log = self.tab.store.claim(self.session, &token).await;
        if self.changes.get() != change {
            return;
        }
        let log = match log {
            Ok(log) => log,
            Err(StoreError::Unavailable(_)) => Vec::new(),
            Err(error) => {
                self.change(Role::Failed(error.to_string()));
                let said = self.unheard.take().into_iter().filter_map(|(_, command)| {
                    if let Command::Say { text, .. } = command { Some(text) } else { None }
                });
                self.tab.give_back(self.session, &said.collect::<Vec<_>>());
                return;
            }
        };
        let floor = log.last().map(|entry| entry.at).unwrap_or_default();
        let mut left = local_storage::take_said(self.session);
        left.retain(|words| !log.iter().any(|entry| holds(entry, words)));
        let stage: Rc<dyn Stage> = self.clone();
        let effects = EffectRunner::new(self.session, Rc::downgrade(&stage), &self.tab, token, floor);
        let pump = Pump::new(effects.clone());
        self.change(Role::Leader { pump: pump.clone(), effects, _guard: guard });
        let (nonce, _) = Uuid::new_v4().as_u64_pair();
        let settings = local_storage::settings();
        pump.send(Event::Opened(Boot {
            session: self.session,
            log,
            nonce,
            settings,
            visible: !js::hidden(),
        }));
        self.say(&TabMessage::Claimed);
        for LeftWords { text, steer, .. } in left {
            pump.send(Event::Command(Command::Say { text, steer }));
        }
        for (_, command) in self.unheard.take() {
            pump.send(Event::Command(command));
        }
    }

    /// Hands a command to the tab that drives, or keeps it until there is one.
    fn pass_on(&self, command: Command) {
        let number = self.commands.get() + 1;
        self.commands.set(number);
        let starting = matches!(*self.role.borrow(), Role::Starting);
        if starting || matches!(command, Command::Say { .. }) {
            let mut unheard = self.unheard.borrow_mut();
            if unheard.len() == UNHEARD {
                self.tab.complain("nobody hears this session just now; your last words were not taken");
                return;
            }
            unheard.push_back((number, command.clone()));
        }
        self.say(&TabMessage::Command { from: self.tab.id, number, command });
    }

    fn hear(&self, message: TabMessage) {
        match message {
            TabMessage::Hello { from } => {
                let pump = self.pump();
                if let Some(pump) = pump {
                    self.followed.set(true);
                    self.say(&TabMessage::Snapshot { to: from, patches: pump.with(agent::Agent::snapshot) });
                }
            }
            TabMessage::Snapshot { to, patches } => {
                let fits = match &mut *self.role.borrow_mut() {
                    Role::Follower { whole, .. } if to == self.tab.id => {
                        *whole = true;
                        true
                    }
                    Role::Follower { .. }
                    | Role::Starting
                    | Role::Leader { .. }
                    | Role::Failed(_)
                    | Role::Closed => false,
                };
                if fits {
                    self.tab.show(self.session, patches);
                }
            }
            TabMessage::Show { patches } => {
                if matches!(*self.role.borrow(), Role::Follower { whole: true, .. }) {
                    self.tab.show(self.session, patches);
                }
            }
            TabMessage::Claimed => self.taken(),
            TabMessage::Command { from, number, command } => {
                let pump = self.pump();
                if let Some(pump) = pump {
                    self.say(&TabMessage::Ack { to: from, number });
                    pump.send(Event::Command(command));
                }
            }
            TabMessage::Ack { to, number } => {
                if to == self.tab.id {
                    self.unheard.borrow_mut().retain(|(unheard, _)| *unheard != number);
                }
            }
        }
    }

    /// A tab says that it drives.
    fn taken(&self) {
        if self.drives() {
            self.fenced();
            return;
        }
        if let Role::Follower { whole, .. } = &mut *self.role.borrow_mut() {
            *whole = false;
        } else {
            return;
        }
        self.say(&TabMessage::Hello { from: self.tab.id });
        for (number, command) in self.unheard.borrow().iter() {
            self.say(&TabMessage::Command { from: self.tab.id, number: *number, command: command.clone() });
        }
    }

    fn change(&self, role: Role) -> Role {
        self.changes.set(self.changes.get() + 1);
        let before = self.role.replace(role);
        self.tab.handles_changed();
        before
    }

    fn say(&self, message: &TabMessage) {
        if let Some(channel) = self.channel.get() {
            channel.say(message);
        }
    }
}

impl Stage for SessionHandle {
    fn show(&self, patches: Vec<Patch>) {
        self.show(patches);
    }

    fn fenced(&self) {
        self.fenced();
    }
}
