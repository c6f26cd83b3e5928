//! Delivery simulated from seeds: the real machines, registry, rows and outboxes, and around them all that
//! can fail.
//!
//! A world is a store, the runner's memory over it, processes, one page with a disk, and the network between.
//! Each step does one thing, or breaks one: something happens to a task, at a wrong moment or twice; the
//! runner dies before or after any of its transactions, the page before or after it saves, a connection with
//! all that is on its way; an older connection's acknowledgement arrives late. In the end nothing breaks any
//! more, and then every completion must have been taken in exactly once, in order, and nothing run twice.
//! `MEANWHILE_SEEDS=FROM..TO` plays other worlds.

#![expect(clippy::unwrap_in_result, reason = "the model's own failures end the test")]

mod life;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use shared::output::Preview;
use shared::protocol::{Start, TaskEvent};
use shared::task::{Task, TaskState};
use shared::{OpId, Seq, SessionId, TaskId, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::end::Untold;
use super::entry::{Phase, TaskEntry};
use super::events::deliver;
use super::log::Log;
use super::machine::{Attempt, Input, Machine, Now};
use super::outbox::Outboxes;
use super::recovery::lost;
use super::registry::Registry;
use super::retention::is_done;
use crate::limits::Limits;
use crate::store::in_memory;
use crate::store::rows::{self, Numbered};

const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const SEEDS: std::ops::Range<u64> = 0..400;
const STEPS: u32 = 250;

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// What a page sends.
enum Up {
    Start(OpId),
    Ack(Seq),
    Clear,
}

/// What a runner sends.
enum Down {
    Started(OpId),
    Event(Seq, Box<TaskEvent>),
}

/// A connection, with what is on its way.
#[derive(Default)]
struct Link {
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    /// The last event sent.
    cursor: Seq,
}

/// The runner's memory. It goes when the runner dies.
#[derive(Default)]
struct Life {
    outboxes: Outboxes,
    registry: Registry,
    /// Of tasks of which something is left, by the number of their row.
    machines: BTreeMap<String, Machine<()>>,
    /// Tries to start that take their time.
    trying: BTreeMap<String, Attempt>,
    /// What the next transaction takes along. It goes, too, when the runner dies before.
    soon: Vec<Soon>,
}

type Soon = Box<dyn FnOnce(&Connection) -> rusqlite::Result<()>>;

/// The page. Its disk is `cursor`, `completions` and `open`; it never loses those.
#[derive(Default)]
struct Page {
    cursor: Seq,
    completions: HashMap<OpId, u32>,
    open: BTreeSet<OpId>,
    asked: u64,
}

struct World {
    chance: Chance,
    store: Connection,
    life: Option<Life>,
    link: Option<Link>,
    page: Page,
    ran: HashMap<OpId, u32>,
    /// Tasks with an event that the store has refused for good. It is told from memory, and the next life
    /// tells an end again.
    refused: BTreeSet<OpId>,
    now: u64,
    begun: Instant,
    /// Whether things break.
    breaks: bool,
}

/// The runner died.
struct Died;

fn entry(task: &Task, phase: Phase) -> Arc<TaskEntry> {
    let log = Log::new("/nowhere".into(), 0, 0, Arc::default());
    Arc::new(TaskEntry::new(task.clone(), log, phase, mpsc::channel(1).0))
}

fn task(op: OpId, number: u64, state: TaskState) -> Task {
    let id = TaskId(format!("{number:08x}"));
    Task { state, ..Task::new(id, SESSION, op, "true".into(), "/".into(), Timestamp(number)) }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed),
            store: in_memory(),
            life: None,
            link: None,
            page: Page::default(),
            ran: HashMap::new(),
            refused: BTreeSet::new(),
            now: 0,
            begun: Instant::now(),
            breaks: true,
        }
    }

    /// One transaction of the runner, which may die before or after it.
    fn commit<T>(&mut self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Died> {
        self.store.execute_batch("BEGIN").unwrap();
        for soon in self.life.as_mut().map(|life| std::mem::take(&mut life.soon)).into_iter().flatten() {
            soon(&self.store).unwrap();
        }
        let value = run(&self.store).unwrap();
        if self.breaks && self.chance.one_in(25) {
            self.store.execute_batch("ROLLBACK").unwrap();
            return Err(Died);
        }
        self.store.execute_batch("COMMIT").unwrap();
        if self.breaks && self.chance.one_in(25) { Err(Died) } else { Ok(value) }
    }

    fn now(&self) -> Now {
        Now { at: self.begun + Duration::from_millis(self.now * 20), clock: Timestamp(self.now) }
    }

    /// A runner begins: what was active is lost.
    fn begin(&mut self) -> Result<(), Died> {
        let loaded = rows::load(&self.store).unwrap();
        let mut life = Life::default();
        for (session, last, acknowledged) in loaded.sessions {
            life.outboxes.restore(session, last, acknowledged);
        }
        for (op, task, at) in loaded.forgotten {
            life.registry.forgotten.add(op, task, at);
        }
        let mut active = Vec::new();
        for rows::StoredTask { task, end_seq } in loaded.tasks {
            let entry = entry(&task, Phase::Reaped);
            entry.set_end_seq(end_seq.unwrap_or_default());
            if task.is_active() {
                active.push(Arc::clone(&entry));
            }
            life.registry.insert(entry, task.op);
        }
        self.life = Some(life);
        for entry in active {
            let task = lost(Task::clone(&entry.task()), None, &[], Timestamp(self.now));
            self.end(&entry, Untold::new().tell(task).into_task())?;
        }
        Ok(())
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("it lives")
    }

    fn end(&mut self, entry: &TaskEntry, task: Task) -> Result<(), Died> {
        self.save(entry, TaskEvent::Ended { task: Box::new(task), preview: Preview::default() })
    }

    fn save(&mut self, entry: &TaskEntry, event: TaskEvent) -> Result<(), Died> {
        const REFUSE: &str =
            "CREATE TEMP TRIGGER refuses BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END";
        let (saved, given) = (event.clone(), self.life().outboxes.newest(SESSION));
        let refuses = self.breaks && self.chance.one_in(15);
        if refuses {
            self.store.execute_batch(REFUSE).unwrap();
            self.refused.insert(entry.task().op);
        }
        let numbered = self.commit(move |store| rows::save_event(store, &saved, given));
        self.store.execute_batch("DROP TRIGGER IF EXISTS refuses").unwrap();
        let Numbered { seq, refused } = numbered?;
        assert_eq!(refused.is_some(), refuses);
        deliver(entry, &self.life().outboxes, seq, Arc::new(event), !refuses);
        Ok(())
    }

    fn start(&mut self, op: OpId) -> Result<(), Died> {
        if !self.life().registry.is_start(op) {
            self.now += 1;
            let queued = task(op, self.now, TaskState::Queued);
            let row = queued.clone();
            self.commit(move |store| rows::insert_task(store, &row))?;
            let start = Start {
                foreground_ms: self.chance.one_in(2).then_some(200),
                timeout_ms: self.chance.one_in(3).then_some(400),
                command: "true".into(),
                folder: None,
                stdin: self.chance.one_in(3),
                preview_chars: 0,
                again_of: None,
                sandbox: None,
            };
            let task = Task { foreground: start.foreground_ms.is_some(), stdin: start.stdin, ..queued };
            let machine = Machine::new(self.now(), task.clone(), &start, Limits::default());
            let life = self.life();
            life.registry.insert(entry(&task, Phase::Waiting), op);
            life.machines.insert(task.id.0.clone(), machine);
            let line_free = self.chance.one_in(2);
            self.happens(&task.id, Input::Slot { line_free })?;
        }
        if let Some(link) = &mut self.link {
            link.down.push_back(Down::Started(op));
        }
        Ok(())
    }

    fn acknowledge(&mut self, through: Seq) -> Result<(), Died> {
        self.life().outboxes.acknowledge(SESSION, through);
        self.soon(move |store| rows::acknowledge(store, SESSION, through).map(drop))
    }

    /// Something that may wait, perhaps as long as until something else is written.
    fn soon(&mut self, run: impl FnOnce(&Connection) -> rusqlite::Result<()> + 'static) -> Result<(), Died> {
        self.life().soon.push(Box::new(run));
        if self.chance.one_in(2) { Ok(()) } else { self.commit(|_| Ok(())) }
    }

    fn clear(&mut self) -> Result<(), Died> {
        let now = Timestamp(self.now);
        let life = self.life();
        let done = life.registry.order.values().filter(|entry| is_done(entry, &life.outboxes));
        let done: Vec<_> = done.map(|entry| entry.id.clone()).collect();
        let ids = done.clone();
        self.commit(move |store| rows::delete_tasks(store, &ids, now))?;
        self.life().registry.forget(&done, now);
        Ok(())
    }

    /// The page connects, names its cursor, and asks again for what it has no reply to.
    fn connect(&mut self) -> Result<(), Died> {
        // What the connection before was still sending may arrive, behind the fence.
        let late = self.link.take();
        let cursor = self.page.cursor;
        let mut link = Link { cursor, ..Link::default() };
        link.up.extend(self.page.open.iter().copied().map(Up::Start));
        self.link = Some(link);
        for up in late.into_iter().flat_map(|link| link.up) {
            // A fenced connection's acknowledgement and clearing count for nothing; its starts are the same
            // operations.
            if let (Up::Start(op), true) = (up, self.chance.one_in(2)) {
                self.start(op)?;
            }
        }
        if cursor > Seq(0) { self.acknowledge(cursor) } else { Ok(()) }
    }

    /// The next event on its way.
    fn send(&mut self) {
        let Some(cursor) = self.link.as_ref().map(|link| link.cursor) else { return };
        let after: Vec<_> = if let Some(events) = self.life().outboxes.tail(SESSION, cursor, 3) {
            events.into_iter().map(|(seq, event)| (seq, TaskEvent::clone(&event))).collect()
        } else {
            let after = self.life().outboxes.sent_through(SESSION, cursor);
            let stored = rows::events_after(&self.store, SESSION, after, 3, 1024 * 1024).unwrap();
            let stored = stored.into_iter().map(|(seq, event)| (seq, Arc::new(event))).collect();
            let events = self.life().outboxes.with_unsaved(SESSION, after, stored, 3);
            events.into_iter().map(|(seq, event)| (seq, TaskEvent::clone(&event))).collect()
        };
        let Some(link) = &mut self.link else { return };
        for (seq, event) in after {
            link.cursor = seq;
            link.down.push_back(Down::Event(seq, Box::new(event)));
        }
    }

    /// The page hears something, unless it dies first.
    fn hear(&mut self) {
        let Some(down) = self.link.as_mut().and_then(|link| link.down.pop_front()) else { return };
        match down {
            Down::Started(op) => {
                self.page.open.remove(&op);
            }
            Down::Event(seq, event) => {
                if seq <= self.page.cursor {
                    return;
                }
                // A life that ends takes what the store had refused with it.
                assert!(seq.0 == self.page.cursor.0 + 1 || !self.refused.is_empty(), "an event is missing");
                if self.breaks && self.chance.one_in(20) {
                    self.link = None;
                    return;
                }
                self.page.cursor = seq;
                if let TaskEvent::Ended { task, .. } = *event {
                    *self.page.completions.entry(task.op).or_default() += 1;
                }
            }
        }
        if self.chance.one_in(2)
            && let Some(link) = &mut self.link
        {
            link.up.push_back(Up::Ack(self.page.cursor));
        }
    }

    fn step(&mut self) -> Result<(), Died> {
        self.now += 1;
        if self.life.is_none() {
            return self.begin();
        }
        if self.link.is_none() {
            return self.connect();
        }
        match self.chance.below(if self.breaks { 12 } else { 7 }) {
            0 | 1 => match self.link.as_mut().and_then(|link| link.up.pop_front()) {
                Some(Up::Start(op)) => self.start(op),
                Some(Up::Ack(through)) => {
                    let sent = self.link.as_ref().map_or(Seq(0), |link| link.cursor);
                    self.acknowledge(through.min(sent))
                }
                Some(Up::Clear) => self.clear(),
                None => Ok(()),
            },
            2 | 3 => {
                let live: Vec<_> = self.life().machines.keys().cloned().collect();
                match live.get(usize::try_from(self.chance.below(live.len().max(1) as u64)).unwrap()) {
                    Some(id) => {
                        let come = if self.chance.one_in(3) { self.life().trying.remove(id) } else { None };
                        let input = come.map_or_else(|| self.something(), Input::Attempted);
                        self.happens(&TaskId(id.clone()), input)
                    }
                    None => Ok(()),
                }
            }
            4 => {
                self.send();
                Ok(())
            }
            5 | 6 => {
                self.hear();
                Ok(())
            }
            7 | 8 => {
                self.page.asked += 1;
                let op = OpId(Uuid::from_u128(u128::from(self.page.asked)));
                self.page.open.insert(op);
                if let Some(link) = &mut self.link {
                    link.up.push_back(Up::Start(op));
                }
                Ok(())
            }
            9 => {
                if let Some(link) = &mut self.link {
                    link.up.push_back(Up::Clear);
                }
                Ok(())
            }
            10 if self.chance.one_in(3) => self.connect(),
            11 if self.chance.one_in(3) => {
                self.link = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn step_or_die(&mut self) {
        if self.step().is_err() {
            self.life = None;
            self.link = None;
        }
    }

    fn is_done(&self) -> bool {
        self.page.open.is_empty() && self.page.completions.len() as u64 == self.page.asked
    }
}

#[test]
fn whatever_fails_every_completion_is_taken_in_once_and_nothing_runs_twice() {
    let seeds = std::env::var("MEANWHILE_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| {
        let (from, to) = seeds.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let (mut all, mut twice) = (0, 0);
    for seed in seeds.unwrap_or(SEEDS) {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step_or_die();
            }
            world.breaks = false;
            for _ in 0..50_000 {
                if world.is_done() {
                    break;
                }
                world.step_or_die();
            }
            assert!(
                world.is_done(),
                "something never arrived: {:?} of {}",
                world.page.completions.len(),
                world.page.asked
            );
            for (op, times) in &world.page.completions {
                let most = if world.refused.contains(op) { 2 } else { 1 };
                assert!(*times <= most, "the end of {op} was taken in {times} times");
                assert!(world.ran.get(op).is_none_or(|ran| *ran == 1), "{op} ran more than once");
            }
            assert!(world.ran.keys().all(|op| world.page.completions.contains_key(op)));
            (world.page.asked, world.page.asked - world.ran.len() as u64)
        });
        let (asked, not_run) =
            played.unwrap_or_else(|_| panic!("MEANWHILE_SEEDS={seed}..{} plays this again", seed + 1));
        all += asked;
        twice += not_run;
    }
    assert!(all > 1_000 && twice > 0, "the worlds were too quiet: {all} tasks, {twice} lost before they ran");
}
