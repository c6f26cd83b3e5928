//! Tabs that have one session open: a lock, a store and a channel between them, each of which can be slow or
//! fail; and what people do with tabs.
//!
//! The members are the product's own. The agents are toys that write down what they are told, so that what
//! was done can be read off the log; the store's fence, the lock's queue and the order of messages are made
//! here.

mod happen;
mod people;
mod toy;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent::event::Command;
use agent::record::{Entry, Record};
use agent::tabs::{self, Effect, Event, LockMode, Member, Received, Role, TabMessage, UnsavedMessage};
use agent::view::Patch;
use shared::{TaskId, Timestamp};
use uuid::Uuid;

use super::chance::Chance;
use toy::Toy;
pub(crate) use toy::text_of;

pub(crate) struct Tab {
    pub(crate) id: u64,
    me: Uuid,
    member: Member,
    /// The role that it was last said to have.
    pub(crate) role: Role,
    agent: Option<Toy>,
    /// What the page shows.
    pub(crate) view: BTreeMap<u64, String>,
    /// What it cannot take yet, since it stands still.
    frozen: Option<VecDeque<Happening>>,
    alarm: Option<u64>,
    /// It could not read the log, or did not understand another tab: the person was told so, and to load it
    /// again.
    pub(crate) blind: bool,
    garbled: bool,
    /// What the agent that was stopped last had not saved.
    dropped: usize,
    /// Which of the claims was the last that it was told of.
    claim: u64,
    /// It was opened for an errand only.
    errand: bool,
}

/// What is kept of the session in this browser.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) log: Vec<Entry>,
    token: Option<Uuid>,
    term: u64,
    heard: Received,
    /// The claim under which the log is written, of how many.
    claim: u64,
    claims: u64,
    left: Vec<UnsavedMessage>,
}

impl Store {
    /// What page's storage is for: it takes no time.
    fn leave(&mut self, left: Vec<UnsavedMessage>) {
        tabs::merge_left(&mut self.left, left);
    }
}

#[derive(Default)]
struct Lock {
    holder: Option<(u64, u64)>,
    waiting: VecDeque<(u64, u64)>,
}

enum Happening {
    /// Something comes to a tab.
    Reach {
        tab: u64,
        event: Event,
        claim: Option<u64>,
    },
    /// A timer of the browser's.
    Ring {
        tab: u64,
        at: u64,
    },
    /// The agent tries again to save.
    SaveAgain {
        tab: u64,
        start: u64,
    },
    /// The agent's turn is over.
    Live {
        tab: u64,
        start: u64,
    },
    /// The runner answers the agent.
    Answer {
        tab: u64,
        start: u64,
        from: Uuid,
        number: u64,
        name: String,
    },
    /// A page hears that another left messages behind.
    Left {
        tab: u64,
    },
    Thaw {
        tab: u64,
    },
    Ask {
        tab: u64,
        request: u64,
        mode: LockMode,
    },
    Release {
        tab: u64,
        request: u64,
    },
    /// Whatever a tab that is gone held.
    ReleaseAll {
        tab: u64,
    },
    Claim {
        tab: u64,
        token: Uuid,
        term: u64,
    },
    Append {
        tab: u64,
        token: Uuid,
        term: u64,
        entries: Vec<Entry>,
        heard: Received,
        claim: u64,
        fate: Fate,
    },
}

/// What becomes of something that is asked of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// It is done, and said to have failed.
    Unknown,
    Fails,
}

/// What keeps its order. Between two of them nothing does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Message(u64, u64),
    ToLock(u64),
    FromLock(u64),
    ToStore(u64),
    FromStore(u64),
    Alone,
}

pub(crate) struct Browser {
    pub(crate) chance: Chance,
    now: u64,
    calm: bool,
    pub(crate) tabs: Vec<Tab>,
    opened: u64,
    lock: Lock,
    pub(crate) store: Store,
    agenda: BTreeMap<(u64, u64), (Lane, Happening)>,
    order: u64,
    lanes: BTreeMap<Lane, u64>,
    /// What was said, and by which tab.
    pub(crate) queued: BTreeMap<String, u64>,
    /// Those that a person has again, since no tab took them.
    pub(crate) given_back: BTreeSet<String>,
    /// What else was wanted, by which tab, and when.
    pub(crate) wanted: BTreeMap<String, (u64, u64)>,
    /// When persons were told that something may not have been done, and at which tab.
    pub(crate) complaints: Vec<(u64, u64)>,
    /// Tabs that were there for an errand only.
    pub(crate) errands: BTreeSet<u64>,
    /// How often each was handed to an agent.
    pub(crate) done: BTreeMap<String, u32>,
    /// Browser that went without a moment to leave their messages behind.
    pub(crate) crashed: BTreeSet<u64>,
    /// What came about, and how often.
    pub(crate) seen: BTreeMap<&'static str, u32>,
    messages: u32,
}

impl Browser {
    pub(crate) fn new(seed: u64) -> Self {
        let mut tabs = Self {
            chance: Chance::new(seed),
            now: 1_000_000,
            calm: false,
            tabs: Vec::new(),
            opened: 0,
            lock: Lock::default(),
            store: Store::default(),
            agenda: BTreeMap::new(),
            order: 0,
            lanes: BTreeMap::new(),
            queued: BTreeMap::new(),
            given_back: BTreeSet::new(),
            wanted: BTreeMap::new(),
            complaints: Vec::new(),
            errands: BTreeSet::new(),
            done: BTreeMap::new(),
            crashed: BTreeSet::new(),
            seen: BTreeMap::new(),
            messages: 0,
        };
        tabs.open(false);
        tabs
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn get(&mut self, id: u64) -> Option<&mut Tab> {
        self.tabs.iter_mut().find(|tab| tab.id == id)
    }

    /// Plans something for a while from now, behind what is on the same lane.
    fn plan(&mut self, lane: Lane, most: u64, happening: Happening) {
        let late = !self.calm && self.chance.one_in(12);
        let delay = match self.chance.below(3) {
            _ if late => self.chance.below(400 * most),
            0 => 0,
            _ => self.chance.below(most),
        };
        let mut at = self.now + delay;
        if lane != Lane::Alone {
            at = at.max(self.lanes.get(&lane).copied().unwrap_or(0));
            self.lanes.insert(lane, at);
        }
        self.set(at, lane, happening);
    }

    fn set(&mut self, at: u64, lane: Lane, happening: Happening) {
        self.order += 1;
        self.agenda.insert((at, self.order), (lane, happening));
    }

    /// Lets the next thing happen; false if nothing will.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at, _), (_, happening))) = self.agenda.pop_first() else { return false };
        // No two things happen in one millisecond: a claim takes longer.
        self.now = at.max(self.now + 1);
        let whose = match &happening {
            Happening::Reach { tab, .. }
            | Happening::Ring { tab, .. }
            | Happening::SaveAgain { tab, .. }
            | Happening::Live { tab, .. }
            | Happening::Answer { tab, .. }
            | Happening::Left { tab } => Some(*tab),
            _ => None,
        };
        let frozen = whose.and_then(|tab| self.get(tab)).and_then(|tab| tab.frozen.as_mut());
        match frozen {
            Some(frozen) => frozen.push_back(happening),
            None => self.happen(happening),
        }
        true
    }

    /// Hands an event to a member, and does what it asks for, as the page's shell does.
    fn send(&mut self, id: u64, event: Event) {
        let mut inbox = VecDeque::from([event]);
        while let Some(event) = inbox.pop_front() {
            let now = Timestamp(self.now);
            let Some(tab) = self.get(id) else { return };
            for effect in tab.member.handle(now, event) {
                self.run_effect(id, effect, &mut inbox);
            }
        }
    }

    fn run_effect(&mut self, id: u64, effect: Effect, inbox: &mut VecDeque<Event>) {
        let now = self.now;
        let Some(tab) = self.get(id) else { return };
        match effect {
            Effect::Lock { request, mode } => {
                self.plan(Lane::ToLock(id), 3, Happening::Ask { tab: id, request, mode });
            }
            Effect::Release { request } => {
                self.plan(Lane::ToLock(id), 3, Happening::Release { tab: id, request });
            }
            Effect::Claim { token, term } => {
                self.plan(Lane::ToStore(id), 10, Happening::Claim { tab: id, token, term });
            }
            Effect::Append { token, term, entries, heard } => {
                let claim = tab.claim;
                let fate = self.fate(8);
                let append = Happening::Append { tab: id, token, term, entries, heard, claim, fate };
                self.plan(Lane::ToStore(id), 10, append);
            }
            Effect::ReadLeft => {
                let left = self.store.left.clone();
                if !left.is_empty() {
                    self.saw("messages that a page left behind");
                }
                inbox.push_back(Event::Left(left));
            }
            Effect::ForgetLeft { from, number } => {
                self.store.left.retain(|message| (message.from, message.number) != (from, number));
            }
            Effect::Start { log } => {
                let toy = Toy::new(now, log);
                inbox.push_back(Event::Show(toy.whole()));
                tab.agent = Some(toy);
            }
            Effect::Stop => {
                tab.dropped = tab.agent.take().map_or(0, |toy| toy.unsaved.len() + usize::from(toy.works));
            }
            Effect::Run { from, number, command } => self.run(id, from, number, command, inbox),
            Effect::Tell(event) => self.tell(id, event, inbox),
            Effect::Post(message) => self.post(id, &message),
            Effect::Snapshot { to, term, keeps } => {
                let patches = tab.agent.as_ref().expect("a leader has an agent").whole();
                self.post(id, &TabMessage::Snapshot { to, term, keeps, patches });
            }
            Effect::Show(patches) => tab.show(patches),
            Effect::Flash(flash) => panic!("no toy says this: {flash:?}"),
            Effect::Redraw => {
                let patches = tab.agent.as_ref().expect("a leader has an agent").whole();
                tab.show(patches);
            }
            Effect::Role(role) => (tab.role, tab.dropped) = (role, 0),
            Effect::Alarm(at) => {
                tab.alarm = at.map(|at| at.0);
                if let Some(Timestamp(at)) = at {
                    self.set(at, Lane::Alone, Happening::Ring { tab: id, at });
                }
            }
            // It says nothing of what was asked for.
            Effect::Complain(text) if text.contains("version of this page") => {}
            Effect::Complain(_) => self.complaints.push((id, now)),
            Effect::Titled(title) => *self.done.entry(title).or_default() += 1,
            Effect::Closed => {
                assert_eq!(tab.dropped, 0, "a session is closed with what it has not saved, or at work");
                self.saw("a session that nobody looks at is closed");
                self.gone(id, None);
            }
            // The person has them again.
            Effect::GiveBack(messages) => {
                for text in messages {
                    self.saw("messages that are not taken");
                    assert_eq!(self.queued.remove(&text), Some(id), "{text} was not this tab's to give back");
                    // Whether it was done meanwhile, one that cannot read the log does not know.
                    if !self.get(id).is_some_and(|tab| tab.blind) {
                        self.given_back.insert(text);
                    }
                }
            }
            Effect::Delete | Effect::Gone => {
                panic!("the log can be read, and nobody deletes it: {effect:?}")
            }
        }
    }

    fn fate(&mut self, one_in: u64) -> Fate {
        match self.chance.below(3) {
            _ if self.calm || !self.chance.one_in(one_in) => Fate::Done,
            0 => Fate::Unknown,
            _ => Fate::Fails,
        }
    }

    fn post(&mut self, from: u64, message: &TabMessage) {
        let others: Vec<u64> = self.tabs.iter().map(|tab| tab.id).filter(|id| *id != from).collect();
        for tab in others {
            // Whatever a newer page says, a message of the person's is what it always was.
            let says = matches!(message, TabMessage::Command { command: Command::QueueMessage { .. }, .. });
            let garbled = !self.calm && !says && self.chance.one_in(60);
            let event = if garbled { Event::Garbled } else { Event::Message(message.clone()) };
            self.plan(Lane::Message(from, tab), 20, Happening::Reach { tab, event, claim: None });
        }
    }

    /// An agent is handed a command.
    fn run(&mut self, id: u64, from: Uuid, number: u64, command: Command, inbox: &mut VecDeque<Event>) {
        let now = self.now;
        let Some(toy) = self.get(id).and_then(|tab| tab.agent.as_mut()) else { return };
        let (name, record) = match command {
            Command::QueueMessage { text, steer } => {
                (text.clone(), Some(Record::Queued { id: toy.next(), text, steer }))
            }
            Command::Rename { title } => (title.clone(), Some(Record::Titled { title })),
            Command::EditMessage { text, .. } => (text, None),
            Command::StopTask { task: TaskId(name) } => {
                let start = toy.start;
                let through = toy.unsaved.last().map_or(0, |entry| entry.n);
                inbox.push_back(Event::Ran { from, number, through, waits: true });
                let answer = Happening::Answer { tab: id, start, from, number, name };
                return self.plan(Lane::Alone, 2_000, answer);
            }
            other => panic!("nobody wants this: {other:?}"),
        };
        if matches!(record, Some(Record::Queued { .. })) {
            // It answers, and is at work until then.
            toy.works = true;
            inbox.push_back(Event::Works(true));
        }
        let start = toy.start;
        inbox.extend(record.and_then(|record| toy.record(now, record)).map(Event::Append));
        inbox.push_back(Event::Show(toy.unshown()));
        let through = toy.unsaved.last().map_or(0, |entry| entry.n);
        inbox.push_back(Event::Ran { from, number, through, waits: false });
        self.plan(Lane::Alone, 3_000, Happening::Live { tab: id, start });
        let times = self.done.entry(name).or_default();
        *times += 1;
        if *times == 2 {
            self.saw("messages that come to a second leader");
        }
    }

    fn tell(&mut self, id: u64, event: agent::Event, inbox: &mut VecDeque<Event>) {
        let Some(toy) = self.get(id).and_then(|tab| tab.agent.as_mut()) else { return };
        match event {
            agent::Event::Saved { through } => inbox.extend(toy.saved(through).map(Event::Append)),
            agent::Event::SaveFailed { .. } => {
                toy.save_failed();
                let start = toy.start;
                self.plan(Lane::Alone, 1_000, Happening::SaveAgain { tab: id, start });
            }
            other => panic!("no agent is told this: {other:?}"),
        }
    }
}

impl Tab {
    fn show(&mut self, patches: Vec<Patch>) {
        for patch in patches {
            match patch {
                Patch::Reset => self.view.clear(),
                Patch::Grow { row, text } => self.view.entry(row).or_default().push_str(&text),
                other => panic!("no toy shows this: {other:?}"),
            }
        }
    }
}
