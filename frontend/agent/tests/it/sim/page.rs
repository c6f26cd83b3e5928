//! One page in one browser, and what is known of it from outside: what was handed to it, what it shows, and
//! whether a request that it makes may be made now and says all that it must.

use std::collections::{BTreeSet, VecDeque};

use agent::event::{Command, LinkInput};
use agent::record::{Entry, Record};
use agent::view::{LinkView, Patch, RowKind, ToolState, TurnView};
use agent::{Agent, CallId, Effect, Event};
use serde_json::Value;
use shared::protocol::{ServerFrame, TaskEvent, close};
use shared::{Epoch, Seq, TaskId, Timestamp};
use uuid::Uuid;

use super::clock::Clock;
use super::delivered::{self, Delivered};
use crate::api;

/// How long a page waits for a connection that is being made, and for what it owes, before it asks a model
/// without.
const PATIENCE_MS: u64 = 1_900;

pub(crate) struct Page {
    pub(crate) id: u64,
    pub(crate) browser: usize,
    pub(crate) agent: Agent,
    pub(crate) clock: Clock,
    /// Effects that wait for an append before them.
    pub(crate) pending: VecDeque<Effect>,
    pub(crate) writing: bool,
    /// When the last frame of each direction arrives, so that a socket keeps its order.
    pub(crate) last_up: u64,
    pub(crate) last_down: u64,
    pub(crate) socket: Option<u64>,
    /// When its timer rings, by the true time.
    pub(crate) alarm: Option<u64>,
    pub(crate) frozen_until: u64,
    pub(crate) hidden: bool,
    /// Whether the runner told it that another connection drives the session.
    pub(crate) taken: bool,
    /// An approval that is shown.
    pub(crate) asked: Option<(CallId, usize)>,
    /// What it shows that it does.
    pub(crate) turn: Option<TurnView>,
    /// How it shows its connection.
    pub(crate) link: Option<LinkView>,
    /// Until when it shows that it waits with a failed call, by the true time.
    pub(crate) retry_due: Option<u64>,
    /// The newest request it made.
    pub(crate) last_body: Option<Value>,
    /// When it was loaded, by its own clock, and whether a try to connect came to an end since.
    loaded: Option<u64>,
    tried: bool,
    generation: u64,
    /// The event that comes next on this connection, and the last that waited when it began.
    next: Option<Seq>,
    waiting: Seq,
    /// The last event that was handed to it, of this store.
    known: (Epoch, Seq),
    /// Since when the runner talks to it.
    pub(crate) welcomed: Option<u64>,
    /// The same by its own clock.
    greeted: u64,
    /// Ends that were handed to it, or to those before it on this log.
    heard: BTreeSet<TaskId>,
    /// The person said something since the last failure.
    urged: bool,
}

impl Page {
    pub(crate) fn new(id: u64, browser: usize, log: &[Entry], now: u64) -> Self {
        let mut heard = BTreeSet::new();
        let mut urged = false;
        for entry in log {
            match &entry.record {
                Record::CompletionReceived { event: TaskEvent::Ended { task, .. }, .. } => {
                    heard.insert(task.id.clone());
                }
                Record::CallFailed { .. } => urged = false,
                Record::Queued { .. } => urged = true,
                _ => {}
            }
        }
        Self {
            id,
            browser,
            agent: Agent::new(),
            clock: Clock::new(log.last().map_or(0, |entry| entry.at.0), now),
            pending: VecDeque::new(),
            writing: false,
            last_up: 0,
            last_down: 0,
            socket: None,
            alarm: None,
            frozen_until: 0,
            hidden: false,
            taken: false,
            asked: None,
            turn: None,
            link: None,
            retry_due: None,
            last_body: None,
            loaded: None,
            tried: false,
            generation: 0,
            next: None,
            waiting: Seq(0),
            known: (Epoch(Uuid::nil()), Seq(0)),
            welcomed: None,
            greeted: 0,
            heard,
            urged,
        }
    }

    /// Hands it an event, and looks at what it wants done. Gives the requests that it makes.
    pub(crate) fn handle(&mut self, event: Event, system: u64, now: u64) -> Vec<Effect> {
        let clock = self.clock.now(system, now);
        let _loaded = self.loaded.get_or_insert(clock);
        self.hear(&event, clock, now);
        let effects = self.agent.handle(Timestamp(clock), event);
        for effect in &effects {
            match effect {
                Effect::Connect { generation } => {
                    self.generation = *generation;
                    (self.next, self.welcomed) = (None, None);
                }
                Effect::Disconnect { .. } => {
                    self.tried = true;
                    (self.next, self.welcomed) = (None, None);
                }
                _ => {
                    if let Some(body) = body_of(effect) {
                        self.judge(body, clock);
                    }
                }
            }
        }
        for effect in &effects {
            if let Effect::Show(patches) = effect {
                self.show(patches, clock, now);
            }
        }
        effects
    }

    fn hear(&mut self, event: &Event, clock: u64, now: u64) {
        match event {
            Event::Command {
                command: Command::QueueMessage { .. } | Command::Retry | Command::StopReply,
                ..
            } => {
                self.urged = true;
            }
            Event::Link { generation, input } if *generation == self.generation => match input {
                LinkInput::Closed { code, .. } => {
                    self.taken = *code == close::FENCED;
                    self.tried = true;
                    (self.next, self.welcomed) = (None, None);
                }
                LinkInput::Frame(frame) => self.hear_frame(frame, clock, now),
                LinkInput::Opened | LinkInput::Garbled { .. } => {}
            },
            _ => {}
        }
    }

    fn hear_frame(&mut self, frame: &ServerFrame, clock: u64, now: u64) {
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.tried = true;
                self.welcomed = Some(now);
                self.greeted = clock;
                (self.next, self.waiting) = (Some(welcome.next), welcome.last);
                if self.known.0 != welcome.epoch {
                    self.known = (welcome.epoch, Seq(0));
                }
            }
            ServerFrame::Event { seq, event } if self.next.is_some_and(|next| *seq == next) => {
                self.next = Some(Seq(seq.0 + 1));
                self.known.1 = self.known.1.max(*seq);
                if let TaskEvent::Ended { task, .. } = event {
                    self.heard.insert(task.id.clone());
                }
            }
            _ => {}
        }
    }

    /// A request must keep the rules, say all that the page has heard, and not be made before its time.
    fn judge(&mut self, body: &str, clock: u64) {
        let body: Value = serde_json::from_str(body).unwrap();
        if let Err(broken) = api::check(&body).and_then(|()| api::alternate(&body)) {
            panic!("a request breaks a rule: {broken}\n{body:#}");
        }
        if let Some(before) = &self.last_body {
            grows(before, &body);
        }
        let delivered = delivered::read(&body);
        self.delivers_all(&delivered);
        if let Some(doubled) = delivered.doubled() {
            panic!("{doubled}");
        }
        if let Some(TurnView::BacksOff { until, .. }) = &self.turn {
            assert!(
                until.0 <= clock || self.urged,
                "asked {} ms before the failed call is due",
                until.0 - clock
            );
        }
        let hopes = !self.tried && self.loaded.is_some_and(|since| clock < since + PATIENCE_MS);
        assert!(!hopes, "asked before the runner could say what waits");
        let fresh = self.welcomed.is_some() && clock < self.greeted + PATIENCE_MS;
        let missing =
            fresh && self.known.1 < self.waiting && self.next.is_some_and(|next| next <= self.waiting);
        assert!(!missing, "asked while {:?} to {} were on their way", self.next, self.waiting);
        self.last_body = Some(body);
    }

    /// Each end that was handed to the page is in the very next request.
    fn delivers_all(&self, delivered: &Delivered) {
        if !delivered.goes_on
            && let Some(missing) = self.heard.iter().find(|id| !delivered.knows(id))
        {
            panic!("a request does not tell the end of {missing}, which was known");
        }
    }

    fn show(&mut self, patches: &[Patch], clock: u64, now: u64) {
        for patch in patches {
            match patch {
                Patch::Status(status) => {
                    self.retry_due = None;
                    if let TurnView::BacksOff { until, .. } = &status.turn {
                        self.retry_due = Some(now + until.0.saturating_sub(clock));
                        let again = self.turn.as_ref() == Some(&status.turn);
                        self.urged &= again || self.turn.is_none();
                    }
                    self.turn = Some(status.turn.clone());
                    self.link = Some(status.link.clone());
                }
                Patch::Row(row) => {
                    if let RowKind::Tool(card) = &row.kind {
                        let this = (card.call, card.index);
                        if matches!(card.state, ToolState::Asks { .. }) {
                            self.asked = Some(this);
                        } else if self.asked == Some(this) {
                            self.asked = None;
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The body of a request to a model that an effect is.
pub(crate) fn body_of(effect: &Effect) -> Option<&str> {
    use shared::protocol::{ClientFrame, Op};
    match effect {
        Effect::Call(call) => Some(&call.body),
        Effect::Send { frame, .. } => match &**frame {
            ClientFrame::Request { op: Op::ModelCall(call), .. } => Some(&call.body),
            _ => None,
        },
        _ => None,
    }
}

/// Thinking is bound to all that came before it: a conversation may grow at its end, and nothing in it may
/// change.
fn grows(before: &Value, now: &Value) {
    assert_eq!(before["system"], now["system"], "the system prompt changed");
    assert_eq!(before["tools"], now["tools"], "the tools changed");
    let list = |value: &Value| value.as_array().unwrap().clone();
    let plain = |block: &Value| {
        let mut block = block.clone();
        block.as_object_mut().unwrap().remove("cache_control");
        block
    };
    let (before, now) = (list(&before["messages"]), list(&now["messages"]));
    for (n, message) in before.iter().enumerate() {
        let blocks = list(&message["content"]);
        let kept = now.get(n).map(|now| list(&now["content"])).unwrap_or_default();
        let grown = kept.len() > blocks.len() && n + 1 < before.len();
        let same = kept.len() >= blocks.len()
            && kept.iter().zip(&blocks).all(|(now, before)| plain(now) == plain(before));
        assert!(same && !grown, "message {n} changed: {message:#} {:#}", now[n]);
    }
}
