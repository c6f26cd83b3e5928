//! The browser's services: what the agent asks for is done here, and nothing is decided.
//!
//! # What runs, what it owns, in what order
//! The [`TabController`] is the tab: it owns the list of sessions and one [`session::SessionHandle`] for each
//! session that is open here. A handle does what the session's [`agent::tabs::Member`] asks for: that one
//! decides whether the session is led here, or in another tab that is followed. A leading handle owns a pump,
//! and in it a [`EffectRunner`], which runs the agent's effects one after the other: an `Append` goes to the
//! member, and holds back all later effects but `Show`, `Flash` and `Alarm` until the entries are durable.
//! Whatever comes back (saved, bytes, frames, ticks) enters the pump as an event.
//!
//! Shutting a runner down closes its socket, ends its calls and its alarm, and drops what waits; nothing it
//! still hears goes further.

mod address;
mod channel;
mod clock;
mod crypto;
mod files;
mod greet;
mod idb;
mod identity;
mod js;
mod local_storage;
mod lock;
mod model;
mod notice;
mod notify;
mod page;
mod pairing;
mod request;
mod session;
mod socket;
mod store;
mod tab;

pub(crate) use address::take as take_address;
pub(crate) use notice::install as install_notice;
pub(crate) use tab::TabController;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use agent::effect::SessionSummary;
use agent::event::Author;
use agent::record::Entry;
use agent::view::{Flash, Patch};
use agent::{Effect, Event, Pump, Shell};
use shared::{SessionId, Timestamp};
use uuid::Uuid;

use clock::Clock;
use model::Calls;
use socket::Link;

/// Where a session's agent is written down and shows itself.
trait Stage {
    /// Writes entries. What came of it is told by [`EffectRunner::written`].
    fn append(&self, entries: Vec<Entry>);
    /// Shows what changed, here and in tabs that follow.
    fn show(&self, patches: Vec<Patch>);
    /// Says something to the person, at one tab or at all.
    fn flash(&self, to: Option<Uuid>, flash: Flash);
    /// The runner has answered what a command asked for.
    fn answered(&self, author: Author);
    /// The session's line in the list changed.
    fn index(&self, summary: SessionSummary);
}

/// Runs the effects of one session's agent. Clones share one runner.
#[derive(Clone)]
pub(crate) struct EffectRunner(Rc<Inner>);

struct Inner {
    session: SessionId,
    tab: Rc<TabController>,
    stage: Weak<dyn Stage>,
    clock: Clock,
    link: Link,
    calls: Calls,
    /// Effects that wait for the entries before them.
    waiting: RefCell<VecDeque<Effect>>,
    /// Whether entries are being written.
    saving: Cell<bool>,
    shut_down: Cell<bool>,
}

impl EffectRunner {
    /// A runner for one session's agent. Its clock never shows a time before `not_before`.
    fn new(
        session: SessionId,
        stage: Weak<dyn Stage>,
        tab: &Rc<TabController>,
        not_before: Timestamp,
    ) -> Self {
        Self(Rc::new(Inner {
            session,
            tab: tab.clone(),
            stage,
            clock: Clock::new(not_before),
            link: Link::new(),
            calls: Calls::default(),
            waiting: RefCell::default(),
            saving: Cell::new(false),
            shut_down: Cell::new(false),
        }))
    }

    /// Forgets what waits. What follows an entry that can never be written must not be done.
    fn clear(&self) {
        self.0.waiting.borrow_mut().clear();
    }

    /// Lets go of everything. Nothing is run any more.
    fn shut_down(&self) {
        self.0.shut_down.set(true);
        self.clear();
        self.0.link.drop_all();
        self.0.calls.cancel_all();
        self.0.clock.stop();
    }

    /// The entries are durable or cannot become so: what waited for them goes on.
    fn written(&self, outcome: Event, pump: &Pump) {
        self.0.saving.set(false);
        if matches!(outcome, Event::SaveFailed { .. }) {
            // What follows would leave a gap, and hide why; all that is missing is written again.
            self.0.waiting.borrow_mut().retain(|effect| !matches!(effect, Effect::Append(_)));
        }
        pump.send(outcome);
        self.resume(pump);
    }

    /// Begins what waits, up to and including the next writing.
    fn resume(&self, pump: &Pump) {
        while !self.0.saving.get() && !self.0.shut_down.get() {
            let Some(effect) = self.next() else { return };
            self.run(effect, pump);
        }
    }

    fn next(&self) -> Option<Effect> {
        self.0.waiting.borrow_mut().pop_front()
    }

    fn run(&self, effect: Effect, pump: &Pump) {
        let inner = &self.0;
        match effect {
            Effect::Append(entries) => {
                inner.saving.set(true);
                self.stage(|stage| stage.append(entries));
            }
            Effect::Call(call) => inner.calls.begin(call, local_storage::key, pump),
            Effect::CancelCall(call) => inner.calls.cancel(call),
            Effect::Connect { generation } => inner.link.connect(generation, &inner.tab.pairing, pump),
            Effect::Disconnect { generation } => inner.link.disconnect(generation),
            Effect::Send { generation, frame } => inner.link.send(generation, &frame),
            Effect::Alarm(at) => inner.clock.alarm(at, pump),
            Effect::Show(patches) => self.stage(|stage| stage.show(patches)),
            Effect::Flash { to, flash } => self.stage(|stage| stage.flash(to, flash)),
            Effect::Answered(author) => self.stage(|stage| stage.answered(author)),
            Effect::Index(summary) => self.stage(|stage| stage.index(summary)),
            Effect::Notify { title, body } => notify::raise(inner.session, &title, &body),
            Effect::SaveRule(rule) => inner.tab.add_rule(rule),
        }
    }

    fn stage(&self, tell: impl FnOnce(&dyn Stage)) {
        if let Some(stage) = self.0.stage.upgrade() {
            tell(&*stage);
        }
    }
}

impl Shell for EffectRunner {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn run(&self, effect: Effect, pump: &Pump) {
        if self.0.shut_down.get() {
            return;
        }
        if matches!(effect, Effect::Show(_) | Effect::Flash { .. } | Effect::Alarm(_)) {
            self.run(effect, pump);
        } else {
            self.0.waiting.borrow_mut().push_back(effect);
            self.resume(pump);
        }
    }
}
