//! The world: performs the agent's effects as the page's shell does, with faults between ([`network`]).

mod network;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent::effect::{ModelCall, Target};
use agent::event::{Boot, Decision, LinkInput, ModelInput, UserEvent};
use agent::record::{Entry, Record};
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::{Patch, RowKind, ToolState};
use agent::{Agent, CallId, Effect, Event};
use shared::protocol::ClientFrame;
use shared::{SessionId, Timestamp};
use uuid::Uuid;

use super::chance::Chance;
use super::model::{self, Answer};
use super::runner::Runner;

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now: u64,
    pub(crate) agent: Agent,
    pub(crate) runner: Runner,
    /// The log on the disk.
    pub(crate) disk: Vec<Entry>,
    /// Effects that wait for an append before them.
    held: VecDeque<Effect>,
    writing: bool,
    /// What will happen, by time and order.
    agenda: BTreeMap<(u64, u64), Happening>,
    order: u64,
    /// When the last frame of each direction arrives, so that a socket keeps its order.
    last_up: u64,
    last_down: u64,
    socket: Option<u64>,
    alarm: Option<u64>,
    boots: u64,
    /// Who may write to the disk: the page that opened it last.
    claim: u64,
    /// An older page on the same session, which may not have heard yet that it was fenced off.
    rival: Option<Page>,
    /// Pages that were told so only by the disk or the lock, after they did more.
    pub(crate) rivals: u32,
    /// What was done and neither the page's disk, which was full, nor the runner's store, which was lost, knows of.
    pub(crate) forgotten: BTreeSet<String>,
    /// Whether the runner told a page that another one's connection drives the session.
    pub(crate) taken: bool,
    pub(crate) calm: bool,
    /// Every request's body, in order.
    pub(crate) requests: Vec<String>,
    /// An approval that is shown.
    asked: Option<(CallId, usize)>,
    pub(crate) words: u32,
}

/// What belongs to one page. That of the page whose turn it is lies in the world itself.
struct Page {
    agent: Agent,
    held: VecDeque<Effect>,
    writing: bool,
    last_up: u64,
    last_down: u64,
    socket: Option<u64>,
    alarm: Option<u64>,
    boots: u64,
    asked: Option<(CallId, usize)>,
}

enum Happening {
    ToRunner {
        socket: u64,
        frame: ClientFrame,
    },
    ToPage {
        socket: u64,
        boot: u64,
        input: LinkInput,
    },
    Written {
        boot: u64,
        entries: Vec<Entry>,
        fails: bool,
    },
    /// They were written before another page opened the log.
    Known {
        boot: u64,
        through: u64,
    },
    /// The lock was taken.
    Fenced {
        boot: u64,
    },
    Model {
        boot: u64,
        call: CallId,
        input: ModelInput,
    },
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            now: 1_000_000,
            agent: Agent::new(),
            runner: Runner::new(),
            disk: Vec::new(),
            held: VecDeque::new(),
            writing: false,
            agenda: BTreeMap::new(),
            order: 0,
            last_up: 0,
            last_down: 0,
            socket: None,
            alarm: None,
            boots: 0,
            claim: 0,
            rival: None,
            rivals: 0,
            forgotten: BTreeSet::new(),
            taken: false,
            calm: false,
            requests: Vec::new(),
            asked: None,
            words: 0,
        };
        world.boot();
        world
    }

    /// The page is loaded (again): all that is not on the disk is gone.
    pub(crate) fn boot(&mut self) {
        self.rival = None;
        self.boots += 1;
        // A transaction under way may or may not have been finished.
        let pending: Vec<Vec<Entry>> = std::mem::take(&mut self.agenda)
            .into_iter()
            .filter_map(|(at, happening)| match happening {
                Happening::Written { boot, entries, fails: false } if boot + 1 == self.boots => Some(entries),
                kept @ Happening::ToRunner { .. } => {
                    self.agenda.insert(at, kept);
                    None
                }
                Happening::ToPage { .. }
                | Happening::Written { .. }
                | Happening::Known { .. }
                | Happening::Fenced { .. }
                | Happening::Model { .. } => None,
            })
            .collect();
        for entries in pending {
            let hole = entries[0].n > self.disk.len() as u64 + 1;
            if !hole && self.chance.one_in(2) {
                self.write(&entries);
            }
        }
        self.runner.cut();
        self.socket = None;
        self.held.clear();
        self.writing = false;
        self.alarm = None;
        self.asked = None;
        self.open();
    }

    /// A fresh page opens the log.
    fn open(&mut self) {
        self.claim = self.boots;
        self.agent = Agent::new();
        let settings = Settings {
            model: ModelChoice { provider: Provider::Demo, model: String::new() },
            mode: if self.chance.one_in(3) { Mode::AskCommands } else { Mode::Auto },
            ..Settings::default()
        };
        let boot = Boot {
            session: SessionId(Uuid::from_u128(7)),
            log: self.disk.clone(),
            nonce: self.chance.next(),
            settings,
            visible: true,
        };
        self.send(Event::Opened(boot));
    }

    /// Another tab takes the session over: this page's agent does nothing from here on, and the other begins with what is on the disk.
    pub(crate) fn fence(&mut self) {
        self.send(Event::Fenced);
        let words = UserEvent::Say { text: "too late".to_owned(), steer: true };
        let reload = LinkInput::Closed { code: 1006, reason: String::new() };
        let call = self.agent.session().call;
        for event in [
            Event::Tick,
            Event::Online,
            Event::User(words),
            Event::Link { generation: self.socket.unwrap_or(0), input: reload },
            Event::Model { call, input: ModelInput::End },
        ] {
            self.now += 10_000;
            let effects = self.agent.handle(Timestamp(self.now), event);
            let acts = effects.iter().any(|effect| !matches!(effect, Effect::Show(_)));
            assert!(!acts, "a page that was fenced off acts: {effects:?}");
        }
        self.boot();
    }

    /// The runner's store is lost.
    pub(crate) fn lose_store(&mut self) {
        self.cut();
        let begun: BTreeSet<_> = self
            .disk
            .iter()
            .filter_map(|entry| match &entry.record {
                Record::ToolBegan { op, .. } => Some(*op),
                _ => None,
            })
            .collect();
        let unknown = self.runner.done().filter(|(op, _)| !begun.contains(op));
        self.forgotten.extend(unknown.map(|(_, name)| name.to_owned()));
        self.runner.lose_store();
    }

    /// Another tab opens the session while this one is alive, and this one hears of it late: by the lock, by its next
    /// write, or by the runner.
    pub(crate) fn take_over(&mut self) {
        self.rival = None;
        // A transaction that began before may or may not be finished before; the tab hears of it later.
        let writing: Vec<(u64, u64)> = self
            .agenda
            .iter()
            .filter(|(_, happening)| matches!(happening, Happening::Written { boot, fails: false, .. } if *boot == self.boots))
            .map(|(at, _)| *at)
            .collect();
        for at in writing {
            if self.chance.one_in(2)
                && let Some(Happening::Written { boot, entries, .. }) = self.agenda.remove(&at)
                && entries[0].n <= self.disk.len() as u64 + 1
            {
                self.write(&entries);
                let through = entries.last().map_or(0, |entry| entry.n);
                self.agenda.insert(at, Happening::Known { boot, through });
            }
        }
        let newest = self.boots + 1;
        self.rival = Some(Page {
            agent: Agent::new(),
            held: VecDeque::new(),
            writing: false,
            last_up: 0,
            last_down: 0,
            socket: None,
            alarm: None,
            boots: newest,
            asked: None,
        });
        let after = self.delay(2_000);
        self.plan(after, Happening::Fenced { boot: self.boots });
        self.swap();
        self.open();
    }

    /// The older page, if there is one, is told at last.
    pub(crate) fn settle(&mut self) {
        if self.rival.is_some() {
            self.swap();
            self.fenced();
            self.swap();
            self.rival = None;
        }
    }

    /// Gives the turn to the other page.
    fn swap(&mut self) {
        let Some(rival) = &mut self.rival else { return };
        std::mem::swap(&mut self.agent, &mut rival.agent);
        std::mem::swap(&mut self.held, &mut rival.held);
        std::mem::swap(&mut self.writing, &mut rival.writing);
        std::mem::swap(&mut self.last_up, &mut rival.last_up);
        std::mem::swap(&mut self.last_down, &mut rival.last_down);
        std::mem::swap(&mut self.socket, &mut rival.socket);
        std::mem::swap(&mut self.alarm, &mut rival.alarm);
        std::mem::swap(&mut self.boots, &mut rival.boots);
        std::mem::swap(&mut self.asked, &mut rival.asked);
    }

    /// Does something as the page of this boot; nothing if it is no more.
    fn as_page(&mut self, boot: u64, act: impl FnOnce(&mut Self)) {
        if boot == self.boots {
            act(self);
        } else if self.rival.as_ref().is_some_and(|rival| rival.boots == boot) {
            self.swap();
            act(self);
            self.swap();
        }
    }

    /// The page was told that another one runs the session.
    fn fenced(&mut self) {
        self.rivals += 1;
        self.held.clear();
        let effects = self.agent.handle(Timestamp(self.now), Event::Fenced);
        let quiet = |effect: &Effect| {
            matches!(
                effect,
                Effect::Show(_) | Effect::CancelCall(_) | Effect::Disconnect { .. } | Effect::Alarm(None)
            )
        };
        assert!(effects.iter().all(quiet), "a page that is fenced off acts: {effects:?}");
        self.alarm = None;
        self.leave();
    }

    pub(crate) fn send(&mut self, event: Event) {
        for effect in self.agent.handle(Timestamp(self.now), event) {
            self.held.push_back(effect);
        }
        self.release();
    }

    /// Performs what may be performed: everything up to an append that is not yet written.
    fn release(&mut self) {
        let mut later = VecDeque::new();
        while let Some(effect) = self.held.pop_front() {
            let free = matches!(effect, Effect::Show(_) | Effect::Alarm(_));
            if self.writing && !free {
                later.push_back(effect);
            } else {
                self.perform(effect);
            }
        }
        self.held = later;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Append(entries) => {
                self.writing = true;
                let fails = !self.calm && self.chance.one_in(60);
                let boot = self.boots;
                let after = self.delay(20);
                self.plan(after, Happening::Written { boot, entries, fails });
            }
            Effect::Call(call) => self.call(&call),
            Effect::Connect { generation } => self.connect(generation),
            Effect::Disconnect { .. } => self.leave(),
            Effect::Send { generation, frame } => self.up(generation, *frame),
            Effect::Alarm(at) => self.alarm = at.map(|at| at.0),
            Effect::Show(patches) => self.show(patches),
            Effect::CancelCall(_) | Effect::Index(_) | Effect::Notify { .. } | Effect::SaveRule(_) => {}
        }
    }

    fn show(&mut self, patches: Vec<Patch>) {
        for patch in patches {
            if let Patch::Row(row) = patch
                && let RowKind::Tool(card) = row.kind
            {
                let this = (card.call, card.index);
                if matches!(card.state, ToolState::Asks { .. }) {
                    self.asked = Some(this);
                } else if self.asked == Some(this) {
                    self.asked = None;
                }
            }
        }
    }

    fn call(&mut self, call: &ModelCall) {
        assert_eq!(call.target, Target::Demo);
        // All that had come was drained into this very request, as far as the log is this page's.
        if self.claim == self.boots && !matches!(last_asked(&self.disk), Some(agent::record::Cause::Continue))
        {
            let waiting = self.agent.session().queue.ends().len();
            let arrived_since = self.agent.session().last > self.disk.last().map_or(0, |entry| entry.n);
            assert!(waiting == 0 || arrived_since, "{waiting} ends were left behind by a call");
        }
        self.requests.push(call.body.clone());
        let answer = model::answer(&call.body, call.call.0, &mut self.chance, self.calm);
        let mut after = self.delay(300);
        let (status, bytes, cut) = match answer {
            Answer::Status(status) => {
                (status, br#"{"type":"error","error":{"type":"e","message":"no"}}"#.to_vec(), None)
            }
            Answer::Stream { bytes, cut } => (200, bytes, cut),
        };
        let kind = if status == 200 { "text/event-stream" } else { "application/json" };
        let headers = [("content-type".to_owned(), kind.to_owned())].into();
        self.model(after, call.call, ModelInput::Head { status, headers });
        let mut rest = &bytes[..cut.unwrap_or(bytes.len())];
        while !rest.is_empty() {
            let size = usize::try_from(self.chance.below(400) + 1).unwrap().min(rest.len());
            let (piece, more) = rest.split_at(size);
            rest = more;
            after += self.delay(40);
            self.model(after, call.call, ModelInput::Data(piece.to_vec()));
        }
        let end = if cut.is_some() && self.chance.one_in(2) {
            ModelInput::Lost { reason: "cut".to_owned() }
        } else {
            ModelInput::End
        };
        self.model(after + 1, call.call, end);
    }

    fn model(&mut self, after: u64, call: CallId, input: ModelInput) {
        let boot = self.boots;
        self.plan(after, Happening::Model { boot, call, input });
    }

    fn delay(&mut self, most: u64) -> u64 {
        if self.chance.one_in(3) { 0 } else { self.chance.below(most) }
    }

    fn plan(&mut self, after: u64, happening: Happening) {
        self.order += 1;
        self.agenda.insert((self.now + after, self.order), happening);
    }

    /// Lets the next thing happen; false if nothing will happen by itself.
    pub(crate) fn step(&mut self) -> bool {
        let next = self.agenda.keys().next().map(|(at, _)| *at);
        let rivals = self.rival.as_ref().and_then(|rival| rival.alarm);
        let alarm = self.alarm.into_iter().chain(rivals).min().map(|at| at.max(self.now));
        let Some(at) = [next, alarm, self.runner.next()].into_iter().flatten().min() else { return false };
        self.now = self.now.max(at);
        self.runner.tick(self.now);
        self.down();
        self.ring();
        self.swap();
        self.ring();
        self.swap();
        let due = self.agenda.keys().next().copied().filter(|(at, _)| *at <= self.now);
        if let Some(key) = due
            && let Some(happening) = self.agenda.remove(&key)
        {
            self.happen(happening);
        }
        self.down();
        true
    }

    fn ring(&mut self) {
        if self.alarm.is_some_and(|at| at <= self.now) {
            self.alarm = None;
            self.send(Event::Tick);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToRunner { socket, frame } => {
                let now = self.now;
                self.runner.frame(socket, frame, now, &mut self.chance);
            }
            Happening::ToPage { socket, boot, input } => {
                self.as_page(boot, |world| world.send(Event::Link { generation: socket, input }));
            }
            Happening::Written { boot, entries, fails } => {
                self.as_page(boot, |world| world.written(&entries, fails));
            }
            Happening::Known { boot, through } => self.as_page(boot, |world| {
                world.writing = false;
                world.send(Event::Saved { through });
            }),
            Happening::Fenced { boot } => self.as_page(boot, Self::fenced),
            Happening::Model { boot, call, input } => {
                self.as_page(boot, |world| world.send(Event::Model { call, input }));
            }
        }
    }

    fn written(&mut self, entries: &[Entry], fails: bool) {
        self.writing = false;
        if self.claim != self.boots {
            return self.fenced();
        }
        let hole = entries[0].n > self.disk.len() as u64 + 1;
        if fails || hole {
            self.send(Event::SaveFailed { reason: "no room".to_owned() });
        } else {
            let through = entries.last().map_or(0, |entry| entry.n);
            self.write(entries);
            self.send(Event::Saved { through });
        }
    }

    /// Writes to the disk as the page does: an entry that is there already must be the same.
    fn write(&mut self, entries: &[Entry]) {
        for entry in entries {
            let place = usize::try_from(entry.n - 1).unwrap();
            match self.disk.get(place) {
                Some(known) => assert_eq!(known, entry, "two different entries of one number"),
                None => self.disk.push(entry.clone()),
            }
        }
    }

    pub(crate) fn say(&mut self, steer: bool) {
        self.words += 1;
        let text = format!("wish {}", self.words);
        self.send(Event::User(UserEvent::Say { text, steer }));
    }

    pub(crate) fn decide(&mut self) {
        if let Some((call, index)) = self.asked {
            let decision =
                if self.chance.one_in(4) { Decision::Deny { words: String::new() } } else { Decision::Once };
            self.send(Event::User(UserEvent::Decide { call, index, decision }));
        }
    }
}

fn last_asked(log: &[Entry]) -> Option<agent::record::Cause> {
    log.iter().rev().find_map(|entry| match &entry.record {
        Record::Asked { cause, .. } => Some(*cause),
        _ => None,
    })
}
