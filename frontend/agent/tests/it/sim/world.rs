//! The world: runs the agents' effects as the page's shell does, with faults between ([`network`]) and people
//! about ([`people`]).

mod network;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use agent::effect::{ModelCall, Target};
use agent::event::{Boot, LinkInput, ModelInput};
use agent::record::{Entry, Record};
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::TurnView;
use agent::{CallId, Effect, Event};
use serde_json::Value;
use shared::protocol::{ClientFrame, ServerFrame};
use shared::{OpId, Problem, ProblemCode, Seq, SessionId, TaskId};
use uuid::Uuid;

use super::chance::Chance;
use super::delivered::{self, Delivered};
use super::model::{Answer, Ending, Model};
use super::page::Page;
use super::runner::Runner;

pub(crate) struct World {
    pub(crate) chance: Chance,
    /// The true time, by which the runner goes.
    pub(crate) now: u64,
    pub(crate) runner: Runner,
    pub(crate) model: Model,
    pub(crate) browsers: Vec<Browser>,
    pages: Vec<Page>,
    /// The page at which the person is.
    front: u64,
    /// The browser of each page that there ever was: what it sent may arrive after it is gone.
    homes: Vec<usize>,
    /// What will happen, by time and order.
    agenda: BTreeMap<(u64, u64), Happening>,
    order: u64,
    /// Sockets that carry nothing any more, of which nobody has heard.
    dead: BTreeSet<u64>,
    /// Until when the runner cannot be reached.
    away_until: u64,
    /// How often an event was overtaken. A page asks for it again and again, but not for ever.
    overtaken: BTreeMap<Seq, u32>,
    /// Who acknowledged what: the browser.
    acked: BTreeMap<(u128, Seq), usize>,
    /// The numbers of the events that bore the ends.
    pub(crate) completions: BTreeMap<TaskId, (u128, Seq)>,
    /// How often something was done of which neither the disk, which was full, nor the runner's store, which
    /// was lost, knows.
    pub(crate) forgotten: BTreeMap<String, u32>,
    /// What was done in stores that were lost.
    lost: Vec<(OpId, String)>,
    pub(crate) calm: bool,
    pub(crate) messages: u32,
    /// What came about, and how often.
    pub(crate) seen: BTreeMap<&'static str, u32>,
    provider: Provider,
}

/// What is kept in one browser for the session's address.
pub(crate) struct Browser {
    /// The log.
    pub(crate) disk: Vec<Entry>,
    /// Who may write to it: the page that opened it last.
    claim: u64,
    /// There is no room.
    full: bool,
    /// How wrong its clock is.
    skew: i64,
}

enum Happening {
    ToRunner {
        socket: u64,
        frame: ClientFrame,
    },
    /// A piece of a model's answer comes to the runner, to be passed on through this socket.
    Relay {
        socket: u64,
        frame: ServerFrame,
    },
    ToPage {
        page: u64,
        socket: u64,
        input: LinkInput,
    },
    Written {
        page: u64,
        entries: Vec<Entry>,
        fails: bool,
    },
    /// They were written before another page opened the log.
    Known {
        page: u64,
        through: u64,
    },
    /// The lock was taken.
    Fenced {
        page: u64,
    },
    Model {
        page: u64,
        call: CallId,
        input: ModelInput,
    },
}

impl Happening {
    /// The page to which it happens.
    const fn page(&self) -> Option<u64> {
        match self {
            Self::ToRunner { .. } | Self::Relay { .. } => None,
            Self::ToPage { page, .. }
            | Self::Written { page, .. }
            | Self::Known { page, .. }
            | Self::Fenced { page }
            | Self::Model { page, .. } => Some(*page),
        }
    }
}

/// To whom a model's answer goes.
#[derive(Clone)]
enum Asker {
    Page(u64, CallId),
    Socket(u64, String),
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let model = Model::new(chance.one_in(4));
        let provider = if chance.one_in(3) { Provider::Relay } else { Provider::Demo };
        let mut world = Self {
            chance,
            now: 100_000_000,
            runner: Runner::new(),
            model,
            browsers: vec![Browser { disk: Vec::new(), claim: 0, full: false, skew: 0 }],
            pages: Vec::new(),
            front: 0,
            homes: Vec::new(),
            agenda: BTreeMap::new(),
            order: 0,
            dead: BTreeSet::new(),
            away_until: 0,
            overtaken: BTreeMap::new(),
            acked: BTreeMap::new(),
            completions: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            lost: Vec::new(),
            calm: false,
            messages: 0,
            seen: BTreeMap::new(),
            provider,
        };
        world.open(0);
        world
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The page at which the person is.
    pub(crate) fn page(&self) -> &Page {
        self.get(self.front).expect("the page at which the person is, is there")
    }

    /// The log in the browser of that page.
    pub(crate) fn disk(&self) -> &[Entry] {
        &self.browsers[self.page().browser].disk
    }

    fn get(&self, id: u64) -> Option<&Page> {
        self.pages.iter().find(|page| page.id == id)
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Page> {
        self.pages.iter_mut().find(|page| page.id == id)
    }

    /// A fresh page opens the log of a browser, and the person goes there.
    fn open(&mut self, browser: usize) {
        self.homes.push(browser);
        let id = self.homes.len() as u64;
        self.front = id;
        self.browsers[browser].claim = id;
        let log = self.browsers[browser].disk.clone();
        self.pages.push(Page::new(id, browser, &log, self.now));
        let settings = Settings {
            model: ModelChoice::new(self.provider, ""),
            mode: if self.chance.one_in(3) { Mode::AskCommands } else { Mode::Auto },
            ..Settings::default()
        };
        let boot = Boot {
            session: SessionId(Uuid::from_u128(7)),
            tab: Uuid::from_u128(9),
            log,
            nonce: self.chance.next(),
            settings,
            visible: true,
        };
        self.send(id, Event::Opened(boot));
    }

    /// Hands an event to a page; nothing if it is no more.
    fn send(&mut self, id: u64, event: Event) {
        let Some(page) = self.pages.iter_mut().find(|page| page.id == id) else { return };
        let system = self.now.saturating_add_signed(self.browsers[page.browser].skew);
        let effects = page.handle(event, system, self.now);
        page.pending.extend(effects);
        self.release(id);
    }

    /// Runs what may be run: everything up to an append that is not yet written.
    fn release(&mut self, id: u64) {
        let Some(page) = self.get_mut(id) else { return };
        let mut rest = std::mem::take(&mut page.pending).into_iter();
        let mut later = Vec::new();
        for effect in rest.by_ref() {
            let writing = self.get(id).is_some_and(|page| page.writing);
            if writing && !matches!(effect, Effect::Show(_) | Effect::Flash { .. } | Effect::Alarm(_)) {
                later.push(effect);
            } else {
                self.run(id, effect);
            }
        }
        if let Some(page) = self.get_mut(id) {
            page.pending.extend(later);
        }
    }

    fn run(&mut self, id: u64, effect: Effect) {
        match effect {
            Effect::Append(entries) => {
                let Some(page) = self.get_mut(id) else { return };
                page.writing = true;
                let browser = page.browser;
                let fails = self.browsers[browser].full || !self.calm && self.chance.one_in(60);
                let after = self.delay(20);
                self.plan(after, Happening::Written { page: id, entries, fails });
            }
            Effect::Call(ModelCall { call, target, body }) => {
                assert!(matches!(target, Target::Demo(_)), "{target:?}");
                self.ask(&Asker::Page(id, call), &body);
            }
            Effect::Connect { generation } => self.connect(id, generation),
            Effect::Disconnect { .. } => self.leave(id),
            Effect::Send { generation, frame } => self.up(id, generation, *frame),
            Effect::Alarm(at) => self.set_alarm(id, at.map(|at| at.0)),
            Effect::Show(_)
            | Effect::Flash { .. }
            | Effect::Answered(_)
            | Effect::CancelCall(_)
            | Effect::Index(_)
            | Effect::Notify { .. }
            | Effect::SaveRule(_) => {}
        }
    }

    /// The one timer of a page. A browser's rings early by a millisecond or two, and late if the page is
    /// hidden or the machine busy.
    fn set_alarm(&mut self, id: u64, at: Option<u64>) {
        let (now, calm) = (self.now, self.calm);
        let Some(page) = self.pages.iter_mut().find(|page| page.id == id) else { return };
        let Some(at) = at else {
            page.alarm = None;
            return;
        };
        let system = now.saturating_add_signed(self.browsers[page.browser].skew);
        let wait = at.saturating_sub(page.clock.now(system, now));
        let early = if self.chance.one_in(3) { 1 + self.chance.below(2) } else { 0 };
        let late = match (page.hidden, self.chance.below(8)) {
            (true, _) => self.chance.below(60_000),
            (false, 0) if !calm => self.chance.below(3_000),
            (false, _) => 0,
        };
        page.alarm = Some(now + wait.saturating_sub(early) + late);
        if early > 0 && wait > 0 && late == 0 {
            self.saw("a timer that rings early");
        }
        if late > 0 {
            self.saw("a timer that rings late");
        }
    }

    /// A model is asked.
    fn ask(&mut self, asker: &Asker, body: &str) {
        let body: Value = serde_json::from_str(body).unwrap();
        let answer = self.model.answer(&body, &mut self.chance, self.calm);
        let mut after = self.delay(300);
        let (bytes, ending) = match answer {
            Answer::Status { status, retry_after } => {
                let hint = retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
                self.head(asker, after, status, hint);
                (br#"{"type":"error","error":{"type":"e","message":"no"}}"#.to_vec(), Ending::Good)
            }
            Answer::Stream { bytes, ending } => {
                self.head(asker, after, 200, None);
                (bytes, ending)
            }
        };
        let most = match &ending {
            Ending::Good => bytes.len(),
            Ending::Cut(cut) => cut.at,
            Ending::Silence(at) => *at,
        };
        let mut rest = &bytes[..most];
        while !rest.is_empty() {
            let size = (1 + self.chance.index(400)).min(rest.len());
            let (piece, more) = rest.split_at(size);
            rest = more;
            after += self.delay(40);
            self.model(asker, after, ModelInput::Data(piece.to_vec()));
        }
        let over = match ending {
            Ending::Good => ModelInput::End,
            Ending::Cut(cut) => {
                self.saw("a stream that is cut");
                if cut.breaks { ModelInput::Lost { reason: "cut".to_owned() } } else { ModelInput::End }
            }
            Ending::Silence(_) => {
                self.saw("a stream that falls silent");
                return;
            }
        };
        self.model(asker, after + 1, over);
    }

    fn head(&mut self, asker: &Asker, after: u64, status: u16, more: Option<(String, String)>) {
        let kind = if status == 200 { "text/event-stream" } else { "application/json" };
        let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
        headers.extend(more);
        self.model(asker, after, ModelInput::Head { status, headers: headers.into_iter().collect() });
    }

    fn model(&mut self, asker: &Asker, after: u64, input: ModelInput) {
        let happening = match asker.clone() {
            Asker::Page(page, call) => Happening::Model { page, call, input },
            Asker::Socket(socket, call) => {
                let frame = match input {
                    ModelInput::Head { status, headers } => ServerFrame::ModelHead { call, status, headers },
                    ModelInput::Data(data) => {
                        ServerFrame::ModelData { call, data: shared::output::Bytes(data) }
                    }
                    ModelInput::End => ServerFrame::ModelEnd { call, problem: None },
                    ModelInput::Lost { reason } | ModelInput::Refused { reason } => ServerFrame::ModelEnd {
                        call,
                        problem: Some(Problem::retryable(ProblemCode::Upstream, reason)),
                    },
                };
                Happening::Relay { socket, frame }
            }
        };
        self.plan(after, happening);
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
        let ring = |page: &Page| page.alarm.map(|at| at.max(page.frozen_until));
        let alarm = self.pages.iter().filter_map(ring).min();
        let Some(at) = [next, alarm, self.runner.next()].into_iter().flatten().min() else { return false };
        self.now = self.now.max(at);
        self.runner.tick(self.now);
        self.down();
        let now = self.now;
        let due = |page: &&Page| ring(page).is_some_and(|at| at <= now);
        let ringing: Vec<u64> = self.pages.iter().filter(due).map(|page| page.id).collect();
        for id in ringing {
            if let Some(page) = self.get_mut(id) {
                page.alarm = None;
            }
            self.send(id, Event::Tick);
        }
        let due = self.agenda.keys().next().copied().filter(|(at, _)| *at <= self.now);
        if let Some(key) = due
            && let Some(happening) = self.agenda.remove(&key)
        {
            self.happen(happening);
        }
        self.down();
        true
    }

    fn happen(&mut self, happening: Happening) {
        if let Some(page) = happening.page().and_then(|id| self.get(id))
            && page.frozen_until > self.now
        {
            let after = page.frozen_until - self.now;
            return self.plan(after, happening);
        }
        match happening {
            Happening::ToRunner { socket, frame } => self.reach_runner(socket, frame),
            Happening::Relay { socket, frame } => {
                if self.runner.driver() == Some(socket) {
                    self.runner.out.push((socket, frame));
                }
            }
            Happening::ToPage { page, socket, input } => {
                self.send(page, Event::Link { generation: socket, input });
            }
            Happening::Written { page, entries, fails } => self.written(page, &entries, fails),
            Happening::Known { page, through } => {
                if let Some(page) = self.get_mut(page) {
                    page.writing = false;
                }
                self.send(page, Event::Saved { through });
            }
            Happening::Fenced { page } => self.fenced(page),
            Happening::Model { page, call, input } => self.send(page, Event::Model { call, input }),
        }
    }

    fn written(&mut self, id: u64, entries: &[Entry], fails: bool) {
        let Some(page) = self.get_mut(id) else { return };
        page.writing = false;
        let browser = page.browser;
        if self.browsers[browser].claim != id {
            return self.fenced(id);
        }
        let hole = entries[0].n > self.browsers[browser].disk.len() as u64 + 1;
        if fails || hole {
            self.saw("a save that fails");
            if let Some(page) = self.get_mut(id) {
                page.pending.retain(|effect| !matches!(effect, Effect::Append(_)));
            }
            self.send(id, Event::SaveFailed { reason: "no room".to_owned() });
        } else {
            let through = entries.last().map_or(0, |entry| entry.n);
            self.write(browser, entries);
            self.send(id, Event::Saved { through });
        }
    }

    /// Writes to the disk as the page does: an entry that is there already must be the same.
    fn write(&mut self, browser: usize, entries: &[Entry]) {
        let disk = &mut self.browsers[browser].disk;
        for entry in entries {
            let place = usize::try_from(entry.n - 1).unwrap();
            match disk.get(place) {
                Some(known) => assert_eq!(known, entry, "two different entries of one number"),
                None => disk.push(entry.clone()),
            }
        }
    }

    /// Whether, as seen from outside, nothing is left to do: nothing runs, nothing waits to be acknowledged,
    /// the page says that it rests, and everything was delivered to the model; `all` of it, or all but the
    /// completions that wait for the next word.
    pub(crate) fn at_rest(&self, all: bool) -> bool {
        let page = self.page();
        let idle = page.turn == Some(TurnView::Idle) && !page.writing && page.pending.is_empty();
        let ran = self.runner.is_empty() && self.runner.tasks.values().all(|task| task.state.is_end());
        let Some(body) = page.last_body.as_ref().filter(|_| idle && ran) else { return false };
        let delivered = delivered::read(body);
        let completions =
            self.own_completions(&delivered).all(|(id, may_wait)| may_wait && !all || delivered.knows(id));
        let messages = self.sent().all(|message| delivered.messages.contains_key(message));
        completions && messages
    }

    /// The completions that this browser's log must know, and whether each may wait for the next word. Those
    /// that another browser acknowledged are delivered there, and here if the model was told that the task
    /// began.
    pub(crate) fn own_completions<'a>(
        &'a self,
        delivered: &'a Delivered,
    ) -> impl Iterator<Item = (&'a TaskId, bool)> {
        use shared::task::TaskState;
        let browser = self.page().browser;
        let own = move |id: &TaskId| {
            let here = self
                .completions
                .get(id)
                .and_then(|completion| self.acked.get(completion))
                .is_none_or(|by| *by == browser);
            here || delivered.begun.contains(id)
        };
        let tasks = self.runner.tasks.values().filter(move |task| own(&task.id));
        tasks.map(|task| (&task.id, matches!(task.state, TaskState::Stopped { .. } | TaskState::Lost { .. })))
    }

    /// What the person said, as far as the log knows.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &str> {
        self.disk().iter().filter_map(|entry| match &entry.record {
            Record::Queued { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }

    /// In calm: what is due is done in time though timers are late, since the runner's frames are not.
    pub(crate) fn in_time(&self) {
        let page = self.page();
        let connected = page.welcomed.is_some_and(|since| since + 2_000 < self.now) && !self.is_deaf(page);
        if let Some(due) = page.retry_due.filter(|_| connected) {
            assert!(self.now < due + 2_000, "a failed call was due {} ms ago", self.now - due);
        }
    }
}
