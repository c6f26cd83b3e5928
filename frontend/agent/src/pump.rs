//! The loop around the agent: one inbox, each event run to completion, its effects handed to the shell in
//! order.
//!
//! An effect may send an event; it waits its turn. The same pump runs in the browser and in native tests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shared::Timestamp;

use crate::{Agent, Effect, Event};

/// What a platform lends to the agent: a clock and a pair of hands.
pub trait Shell {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Does it, or starts doing it. Results come back through the pump.
    fn run(&self, effect: Effect, pump: &Pump);
}

/// A cheap handle; clones share one agent.
#[derive(Clone)]
pub struct Pump(Rc<Inner>);

struct Inner {
    agent: RefCell<Agent>,
    shell: Box<dyn Shell>,
    inbox: RefCell<VecDeque<Event>>,
    running: Cell<bool>,
}

impl Pump {
    /// A pump around an agent that has seen nothing yet.
    pub fn new(shell: impl Shell + 'static) -> Self {
        Self(Rc::new(Inner {
            agent: RefCell::new(Agent::new()),
            shell: Box::new(shell),
            inbox: RefCell::default(),
            running: Cell::new(false),
        }))
    }

    /// Hands over an event. One that is sent while another is handled waits its turn.
    pub fn send(&self, event: Event) {
        self.0.inbox.borrow_mut().push_back(event);
        if self.0.running.replace(true) {
            return;
        }
        while let Some(event) = self.next() {
            let now = self.0.shell.now();
            let effects = self.0.agent.borrow_mut().handle(now, event);
            for effect in effects {
                self.0.shell.run(effect, self);
            }
        }
        self.0.running.set(false);
    }

    /// Looks at the agent between events.
    pub fn with<T>(&self, look: impl FnOnce(&Agent) -> T) -> T {
        look(&self.0.agent.borrow())
    }

    /// A function of its own, so that the inbox is not borrowed while the event is handled.
    fn next(&self) -> Option<Event> {
        self.0.inbox.borrow_mut().pop_front()
    }
}
