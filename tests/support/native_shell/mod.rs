//! A page without a browser: the agent's loop on tokio, with a real socket, real model calls and a log in
//! memory.
//!
//! What runs: a [`Session`] holds one pump and runs its effects in order, on one thread (a `LocalSet`). As in
//! the browser, an `Append` keeps every later effect back, except `Show` and `Alarm`, until its entries are
//! durable. The log belongs to a [`Store`], which outlives the session: [`Session::reload`] drops the pump
//! with everything under way and boots a new one from the log, as a reload of the page does. A store's writes
//! can be held back, so that a reload comes between a decision and its becoming durable.

mod calls;
mod socket;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use agent::effect::SessionSummary;
use agent::event::{Author, Boot, Command};
use agent::record::Entry;
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::{CallId, Effect, Event, Pump, Shell};
use shared::protocol::ClientFrame;
use shared::{SessionId, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use socket::open as open_socket;
pub use store::{Fits, Store};

use crate::runner::Client;
use crate::view::View;
use crate::wait;

/// A tab with a session in it.
pub struct Session {
    client: Client,
    store: Store,
    /// The tab's end of the line to the runner; another than the runner's own where a cable lies between.
    address: std::net::SocketAddr,
    page: Option<Page>,
}

/// One loading of the page.
struct Page {
    pump: Pump,
    hands: Rc<Hands>,
}

/// What runs effects.
struct Hands {
    me: Weak<Self>,
    client: Client,
    address: std::net::SocketAddr,
    store: Store,
    waiting: RefCell<VecDeque<Effect>>,
    saving: Cell<bool>,
    view: RefCell<View>,
    changed: watch::Sender<u64>,
    summary: RefCell<Option<SessionSummary>>,
    notifications: RefCell<Vec<String>>,
    sockets: RefCell<HashMap<u64, Line>>,
    calls: RefCell<HashMap<CallId, JoinHandle<()>>>,
    alarm: RefCell<Option<JoinHandle<()>>>,
    others: RefCell<Vec<JoinHandle<()>>>,
    visible: Cell<bool>,
}

/// A socket as its owner sees it.
struct Line {
    frames: mpsc::UnboundedSender<ClientFrame>,
    task: JoinHandle<()>,
}

/// The shell that the pump owns.
struct Native(Rc<Hands>);

/// Settings that ask nobody.
pub fn auto(provider: Provider) -> Settings {
    let model = match provider {
        Provider::Relay | Provider::Direct => "claude-opus-5-5".to_owned(),
        Provider::Auto | Provider::Demo => String::new(),
    };
    Settings { mode: Mode::Auto, model: ModelChoice::new(provider, &model), ..Settings::default() }
}

impl Session {
    /// Opens a new session with these settings.
    pub async fn open(client: &Client, settings: Settings) -> Self {
        Self::through(client.address, client, Store::new(settings)).await
    }

    /// Opens a stored session over this address.
    pub async fn through(address: std::net::SocketAddr, client: &Client, store: Store) -> Self {
        let mut session = Self { client: client.clone(), store, address, page: None };
        session.load();
        session.until("it shows its status", |view| view.status.is_some()).await;
        session
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.store.session()
    }

    /// Where its log lies.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Loads the page again, once everything shown is durable too: whatever was under way is gone, and the
    /// log is all that is left.
    pub async fn reload(&mut self) {
        self.saved().await;
        self.leave();
        self.come_back().await;
    }

    /// Waits until all entries so far are durable and nothing waits for that.
    pub async fn saved(&self) {
        let hands = &self.page().hands;
        let idle = || (!hands.saving.get() && hands.waiting.borrow().is_empty()).then_some(());
        wait::until("the log is written", idle).await;
    }

    /// Leaves the page as it stands, even with entries that are not durable. The session stays as it is in
    /// its store.
    pub fn leave(&mut self) {
        drop(self.page.take());
    }

    /// Loads the page after [`Session::leave`].
    pub async fn come_back(&mut self) {
        self.load();
        self.until("it shows its status again", |view| view.status.is_some()).await;
    }

    fn load(&mut self) {
        let hands = Rc::new_cyclic(|me| Hands {
            me: Weak::clone(me),
            client: self.client.clone(),
            address: self.address,
            store: self.store.clone(),
            waiting: RefCell::default(),
            saving: Cell::new(false),
            view: RefCell::default(),
            changed: watch::Sender::new(0),
            summary: RefCell::default(),
            notifications: RefCell::default(),
            sockets: RefCell::default(),
            calls: RefCell::default(),
            alarm: RefCell::default(),
            others: RefCell::default(),
            visible: Cell::new(true),
        });
        let pump = Pump::new(Native(Rc::clone(&hands)));
        let boot = Boot {
            session: self.store.session(),
            tab: uuid::Uuid::new_v4(),
            log: self.store.read(),
            nonce: uuid::Uuid::new_v4().as_u64_pair().0,
            settings: self.store.settings(),
            visible: true,
        };
        pump.send(Event::Opened(boot));
        self.page = Some(Page { pump, hands });
    }

    fn page(&self) -> &Page {
        self.page.as_ref().expect("the page was left")
    }

    /// Hands over an event.
    pub fn send(&self, event: Event) {
        self.page().pump.send(event);
    }

    /// Says something.
    pub fn send_message(&self, text: &str) {
        self.user(Command::QueueMessage { text: text.to_owned(), steer: false });
    }

    /// Something else that the person wants.
    pub fn user(&self, event: Command) {
        self.send(Event::Command { author: Author::default(), command: event });
    }

    /// Changes the settings.
    pub fn set(&self, settings: Settings) {
        self.store.set(settings.clone());
        self.send(Event::Settings(settings));
    }

    /// What is shown now.
    pub fn view(&self) -> View {
        self.page().hands.view.borrow().clone()
    }

    /// The session's line in the list of sessions.
    pub fn summary(&self) -> Option<SessionSummary> {
        self.page().hands.summary.borrow().clone()
    }

    /// What was raised as notifications.
    pub fn notifications(&self) -> Vec<String> {
        self.page().hands.notifications.borrow().clone()
    }

    /// The durable log.
    pub fn log(&self) -> Vec<Entry> {
        self.store.read()
    }

    /// Waits until something is shown.
    #[track_caller]
    pub fn until<'a>(
        &'a self,
        what: &'a str,
        shown: impl Fn(&View) -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let hands = Rc::clone(&self.page().hands);
            let mut changes = hands.changed.subscribe();
            let waited = tokio::time::timeout(wait::PATIENCE, async {
                while !shown(&hands.view.borrow()) {
                    changes.changed().await.expect("the page holds its own sender");
                }
            });
            let in_time = waited.await.is_ok();
            assert!(in_time, "{caller}: waited in vain until {what};\n{}", self.describe());
        }
    }

    /// Waits until there is nothing to do and nothing waits.
    #[track_caller]
    pub fn idle(&self) -> impl Future<Output = ()> {
        self.until("it is idle", View::is_idle)
    }

    /// Waits until it is idle and the model has said this.
    #[track_caller]
    pub fn shows<'a>(&'a self, text: &'a str) -> impl Future<Output = ()> + 'a {
        self.until(text, move |view| view.is_idle() && view.texts().iter().any(|said| said.contains(text)))
    }

    /// Everything that helps to see why a test fails.
    pub fn describe(&self) -> String {
        use std::fmt::Write as _;
        let view = self.view();
        let mut text =
            format!("status: {:#?}\nqueue: {:?}\ntoasts: {:?}\n", view.status, view.queue, view.toasts);
        for row in view.rows.values() {
            let _ = writeln!(text, "row {}: {:?}", row.id, row.kind);
        }
        for task in &view.tasks {
            let _ = writeln!(text, "task {}: {:?} {:?}", task.id, task.state, task.command);
        }
        for entry in self.log() {
            let line = serde_json::to_string(&entry).expect("records are JSON");
            let short: String = line.chars().take(400).collect();
            let _ = writeln!(text, "{short}");
        }
        text
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
        if !std::thread::panicking() {
            self.store.check();
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let hands = &self.hands;
        let lines = hands.sockets.take().into_values().map(|line| line.task);
        let calls = hands.calls.take().into_values();
        for task in lines.chain(calls).chain(hands.alarm.take()).chain(hands.others.take()) {
            task.abort();
        }
        hands.waiting.borrow_mut().clear();
    }
}

impl Shell for Native {
    fn now(&self) -> Timestamp {
        now()
    }

    fn run(&self, effect: Effect, pump: &Pump) {
        match effect {
            Effect::Show(patches) => {
                for patch in patches {
                    self.0.view.borrow_mut().apply(patch);
                }
                self.0.changed.send_modify(|count| *count += 1);
            }
            Effect::Flash { to: _, flash } => {
                self.0.view.borrow_mut().flash(flash);
                self.0.changed.send_modify(|count| *count += 1);
            }
            Effect::Alarm(at) => self.0.set_alarm(at, pump),
            later @ (Effect::Append(_)
            | Effect::Call(_)
            | Effect::CancelCall(_)
            | Effect::Connect { .. }
            | Effect::Disconnect { .. }
            | Effect::Send { .. }
            | Effect::Answered(_)
            | Effect::Index(_)
            | Effect::Notify { .. }
            | Effect::SaveRule(_)) => {
                self.0.waiting.borrow_mut().push_back(later);
                self.0.resume(pump);
            }
        }
    }
}

impl Hands {
    /// Runs what waits, up to the next `Append` that is not durable yet.
    fn resume(&self, pump: &Pump) {
        while !self.saving.get() {
            let Some(effect) = self.waiting.borrow_mut().pop_front() else { return };
            self.run(effect, pump);
        }
    }

    fn run(&self, effect: Effect, pump: &Pump) {
        match effect {
            Effect::Append(entries) => self.save(entries, pump),
            Effect::Call(call) => {
                let id = call.call;
                let task = tokio::task::spawn_local(calls::make(call, pump.clone()));
                self.calls.borrow_mut().insert(id, task);
            }
            Effect::CancelCall(id) => {
                if let Some(task) = self.calls.borrow_mut().remove(&id) {
                    task.abort();
                }
            }
            Effect::Connect { generation } => {
                self.hang_up();
                let (frames, to_send) = mpsc::unbounded_channel();
                let socket =
                    socket::run(self.address, self.client.clone(), generation, to_send, pump.clone());
                let task = tokio::task::spawn_local(socket);
                self.sockets.borrow_mut().insert(generation, Line { frames, task });
            }
            Effect::Disconnect { generation } => {
                if let Some(line) = self.sockets.borrow_mut().remove(&generation) {
                    line.task.abort();
                }
            }
            Effect::Send { generation, frame } => {
                if let Some(line) = self.sockets.borrow().get(&generation) {
                    // A socket that is gone drops its frames; the agent hears of that by `Closed`.
                    let _gone = line.frames.send(*frame);
                }
            }
            // Nobody follows who would wait for it.
            Effect::Answered(_) => {}
            Effect::Index(summary) => *self.summary.borrow_mut() = Some(summary),
            Effect::Notify { title, body } => {
                if !self.visible.get() {
                    self.notifications.borrow_mut().push(format!("{title}: {body}"));
                }
            }
            Effect::SaveRule(rule) => {
                let mut settings = self.store.settings();
                settings.rules.push(rule);
                self.store.set(settings.clone());
                pump.send(Event::Settings(settings));
            }
            Effect::Show(_) | Effect::Flash { .. } | Effect::Alarm(_) => unreachable!("these never wait"),
        }
    }

    fn hang_up(&self) {
        for (_, line) in self.sockets.borrow_mut().drain() {
            line.task.abort();
        }
    }

    fn save(&self, entries: Vec<Entry>, pump: &Pump) {
        self.saving.set(true);
        let through = entries.last().map_or(0, |entry| entry.n);
        let (hands, pump) = (Weak::clone(&self.me), pump.clone());
        let store = self.store.clone();
        let task = tokio::task::spawn_local(async move {
            let event = match store.append(entries).await {
                Ok(()) => Event::Saved { through },
                Err(reason) => Event::SaveFailed { reason },
            };
            let Some(hands) = hands.upgrade() else { return };
            hands.saving.set(false);
            hands.resume(&pump);
            pump.send(event);
        });
        let mut others = self.others.borrow_mut();
        others.retain(|task| !task.is_finished());
        others.push(task);
    }

    fn set_alarm(&self, at: Option<Timestamp>, pump: &Pump) {
        if let Some(earlier) = self.alarm.take() {
            earlier.abort();
        }
        let Some(at) = at else { return };
        let pump = pump.clone();
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(at.since(now()))).await;
            pump.send(Event::Tick);
        });
        *self.alarm.borrow_mut() = Some(task);
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    Timestamp(u64::try_from(since.as_millis()).expect("the clock is before the year 500 million"))
}
