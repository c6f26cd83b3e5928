//! Seeded simulation: whatever fails and whenever, each end is told once, each tool use has one result,
//! nothing runs twice.
//!
//! That the agent is at rest, and what was delivered to the model, is judged from outside: by the runner, the
//! disks, the page and the bytes of the requests. `cargo xtask faults` takes repairs out of the agent and
//! shows that this finds each.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use agent::event::Command;
use agent::model::Stop;
use agent::record::{Entry, Record, Trigger};
use agent::view::{Patch, TurnView};
use agent::{Agent, Event};
use shared::Epoch;
use shared::protocol::TaskEvent;

use crate::sim::delivered::{self, Delivered};
use crate::sim::model::{Cut, FORBIDDEN};
use crate::sim::runner::Runner;
use crate::sim::seeds;
use crate::sim::world::World;

/// How many seeds a run tries, unless `MEANWHILE_SEEDS` says otherwise (a number, or `from..to`).
const SEEDS: u64 = if cfg!(target_arch = "wasm32") { 2_000 } else { 20_000 };
/// Within how many steps of calm everything must have come to rest, and within how much of the simulated
/// time.
const STEPS: u32 = 20_000;
const CALM_MS: u64 = 30 * 60_000;

#[test]
fn whatever_fails_each_end_is_told_once() {
    seeds::try_all("whatever_fails", SEEDS, live);
}

/// A session's life with faults, then calm, then what must be true.
fn live(seed: u64) {
    let mut world = World::new(seed);
    let trouble = 40 + world.chance.below(160);
    be_troubled(&mut world, trouble);
    finish(&mut world);
}

/// Calm, until all is at rest; then one word more, with which whatever still waited must be delivered.
fn finish(world: &mut World) {
    world.calm_down();
    world.send_message(false);
    come_to_rest(world, false);
    world.send_message(false);
    come_to_rest(world, true);
    check(world);
}

fn come_to_rest(world: &mut World, all: bool) {
    let (mut steps, until) = (0, world.now + CALM_MS);
    while !world.at_rest(all) {
        steps += 1;
        let goes_on = steps < STEPS && world.now < until && world.step();
        assert!(
            goes_on,
            "no rest after {steps} steps and {} ms: {}",
            world.now + CALM_MS - until,
            state(world)
        );
        world.decide();
        world.take_back();
        if world.page().turn == Some(TurnView::Failed) {
            // What waited when a call failed for good does not ask by itself.
            world.user(Command::Retry);
        }
        world.in_time();
    }
}

/// What the world looks like, for a failure's words.
fn state(world: &World) -> String {
    let page = world.page();
    let delivered = page.last_body.as_ref().map(delivered::read).unwrap_or_default();
    let untold: Vec<_> = world.own_completions(&delivered).filter(|(id, _)| !delivered.knows(id)).collect();
    let tasks: Vec<_> = world.runner.tasks.values().map(|task| (&task.id, &task.state)).collect();
    let session = page.agent.session();
    format!(
        "it shows {:?}, {:?}; untold {untold:?}; tasks {tasks:?}; outbox empty: {}; {:?} {:?}",
        page.turn,
        page.link,
        world.runner.is_empty(),
        session.phase,
        session.queue
    )
}

/// So many steps, with something going wrong or wanted at each, or only now and then.
fn be_troubled(world: &mut World, steps: u64) {
    let rare = [1, 2, 5, 12][world.chance.index(4)];
    for _ in 0..steps {
        if world.chance.one_in(rare) {
            disturb(world);
        }
        // A session in which nothing is wished shows nothing.
        if world.page().turn == Some(TurnView::Idle) && world.chance.one_in(6) {
            world.send_message(false);
        }
        if world.chance.one_in(4) {
            world.decide();
        }
        world.step();
    }
}

fn disturb(world: &mut World) {
    match world.chance.below(100) {
        0 => world.reload(),
        1 | 2 => world.cut(),
        3 => {
            let now = world.now;
            world.cut();
            world.runner.restart(now);
        }
        4..=7 => world.send_message(false),
        8 | 9 => world.send_message(true),
        10 => world.user(Command::StopReply),
        11 => {
            let some = world.runner.tasks.keys().next_back().cloned();
            if let Some(task) = some {
                world.user(Command::StopTask { task });
            }
        }
        12 => world.event(Event::Online),
        13 => world.user(Command::Retry),
        14 => {
            let running = world.runner.tasks.values().find(|task| task.foreground && task.is_active());
            if let Some(task) = running.map(|task| task.id.clone()) {
                world.user(Command::Background { task });
            }
        }
        15..=25 => world.decide(),
        26 if world.chance.one_in(2) => world.lose_store(),
        27 if world.chance.one_in(2) => world.fence(),
        28 => world.take_over(),
        29 => world.deaden(),
        30 => {
            let length = [10, 300, 1_000, 5_000, 60_000, 4_000_000][world.chance.index(6)];
            world.go_away(length);
        }
        31 if world.chance.one_in(3) => world.freeze(),
        32 => world.set_clock(),
        33 => world.fill_or_empty(),
        34 => world.hide_or_show(),
        35 if world.chance.one_in(2) => world.other_browser(),
        36 => world.go_elsewhere(),
        // People load a page again that says that it cannot save.
        38 | 39 if world.is_full() => world.reload(),
        37 if world.chance.one_in(3) => world.sleep(),
        _ => {}
    }
}

fn check(world: &World) {
    let delivered = delivered::read(world.page().last_body.as_ref().expect("the person said something"));
    nothing_ran_twice(world);
    completions_are_delivered_once(world, &delivered);
    results_are_of_their_own_uses(world, &delivered);
    folding_again_gives_the_same(world);
    messages_are_sent_once(world, &delivered);
}

fn nothing_ran_twice(world: &World) {
    let begun = world.runner.processes.iter().chain(&world.runner.files);
    for (name, times) in begun {
        let asked = world.model.asked.get(name).copied().unwrap_or(0);
        let most = asked + world.forgotten.get(name).copied().unwrap_or(0);
        assert!(*times <= most, "{name} was asked for {asked} times and done {times} times");
        assert!(!name.starts_with(FORBIDDEN), "what was half or not meant was carried out: {name}");
    }
}

/// Each end of a task is told by a notice, or shown by a tool's result; by a notice at most once, and not
/// after a tool showed it.
fn completions_are_delivered_once(world: &World, delivered: &Delivered) {
    for (id, _) in world.own_completions(delivered) {
        assert!(delivered.knows(id), "the completion of {id} was never delivered");
    }
    assert_eq!(delivered.doubled(), None);
    for (id, _) in &delivered.notices {
        assert!(world.runner.commands.contains_key(id), "a forged entry was taken for one: {id}");
    }
    let arrivals: Vec<(Epoch, u64)> = world
        .disk()
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::CompletionReceived { seq, epoch, .. } => Some((*epoch, seq.0)),
            _ => None,
        })
        .collect();
    let alone = world.browsers.len() == 1;
    assert!(
        arrivals.chunk_by(|one, next| one.0 == next.0).all(|of_one| {
            let whole = of_one.iter().map(|(_, seq)| *seq).eq(1..=of_one.len() as u64);
            // What another browser acknowledged is not sent again.
            whole || !alone && of_one.windows(2).all(|pair| pair[0].1 < pair[1].1)
        }),
        "events were lost or doubled: {arrivals:?}"
    );
}

fn results_are_of_their_own_uses(world: &World, delivered: &Delivered) {
    assert_eq!(delivered.foreign(&world.runner.commands), None);
}

fn folding_again_gives_the_same(world: &World) {
    let mut again = agent::session::Session::default();
    for entry in world.disk() {
        again.apply(entry);
    }
    let agent = &world.page().agent;
    assert!(again == *agent.session(), "the log gives another state: {again:#?}\n{:#?}", agent.session());
    let text = serde_json::to_string(world.disk()).unwrap();
    let back: Vec<Entry> = serde_json::from_str(&text).unwrap();
    assert_eq!(back, world.disk(), "the log does not survive being written down");
    assert_eq!(rows(&reopened(world)), rows(agent), "a reload shows something else");
}

fn reopened(world: &World) -> Agent {
    let mut agent = Agent::new();
    let boot = agent::event::Boot {
        session: world.page().agent.session().id.unwrap(),
        tab: uuid::Uuid::from_u128(9),
        log: world.disk().to_vec(),
        nonce: 1,
        settings: agent::settings::Settings::default(),
        visible: true,
    };
    let _ = agent.handle(shared::Timestamp(world.now), Event::Opened(boot));
    agent
}

fn rows(agent: &Agent) -> Vec<agent::view::Row> {
    let rows = agent.snapshot().into_iter().filter_map(|patch| match patch {
        // When a block began to stream is not in the log, and not worth it.
        Patch::Row(row) => Some(agent::view::Row { at: shared::Timestamp(0), ..*row }),
        _ => None,
    });
    rows.collect()
}

/// Every word of the person's is in the conversation, once.
fn messages_are_sent_once(world: &World, delivered: &Delivered) {
    for message in world.sent() {
        assert_eq!(delivered.messages.get(message), Some(&1), "{message:?} is not in the conversation once");
    }
}

/// A short life in calm: words, tools, a background task. Gives how many steps it took.
fn short_life(seed: u64, at: Option<(u32, u64)>, cut: Option<Cut>) -> u32 {
    let mut world = World::new(seed);
    world.calm = true;
    world.model.cut_next = cut.or(Some(Cut { at: usize::MAX, breaks: false }));
    world.send_message(false);
    world.send_message(false);
    let mut steps = 0;
    while steps < 150 && !world.at_rest(true) {
        if let Some((step, length)) = at
            && step == steps
        {
            world.go_away(length);
        }
        steps += 1;
        world.decide();
        world.step();
    }
    finish(&mut world);
    steps
}

fn named(what: &str, seed: u64, test: impl FnOnce() -> u32 + std::panic::UnwindSafe) -> u32 {
    if cfg!(target_arch = "wasm32") {
        return test();
    }
    std::panic::catch_unwind(test)
        .unwrap_or_else(|panic| panic!("{what}, seed {seed}: {}", seeds::message_of(panic.as_ref())))
}

#[test]
fn a_runner_may_be_away_at_any_step_for_any_length() {
    let seeds = if cfg!(target_arch = "wasm32") { 0..1 } else { 0..4 };
    for seed in seeds {
        let steps = short_life(seed, None, None);
        assert!(steps > 20, "that life is too short: {steps}");
        for step in 0..steps {
            for length in [1, 900, 15_000, 700_000] {
                named(&format!("away at {step} for {length}"), seed, || {
                    short_life(seed, Some((step, length)), None)
                });
            }
        }
    }
}

#[test]
fn a_stream_may_die_at_any_byte() {
    let every = if cfg!(target_arch = "wasm32") { 7 } else { 1 };
    for seed in 0..1 {
        for at in (0..1_600).step_by(every) {
            for breaks in [false, true] {
                named(&format!("cut at {at}"), seed, || short_life(seed, None, Some(Cut { at, breaks })));
            }
        }
    }
}

/// The simulation would be worth little if chance never made what it is about.
#[test]
fn chance_makes_what_the_simulation_is_about() {
    const ABOUT: &[&str] = &[
        "several ends in one call",
        "an end in a call",
        "a wake",
        "a call made again",
        "a call that goes on",
        "a failed call",
        "an end shown by a tool",
        "a command sent to the background",
        "a stopped reply",
        "a new store",
        "a tool use of an answer at the limit of tokens",
        "a pause",
        "an unknown stop",
        "a stream that is cut",
        "a stream that falls silent",
        "two tabs on one session",
        "a page that is fenced off late",
        "a page that stands still",
        "a machine that sleeps",
        "a lost store",
        "a full disk",
        "a save that fails",
        "a socket that never opens",
        "a link that dies without a word",
        "a runner that is away",
        "a reply that is long in coming",
        "the runner's alarm",
        "a timer that rings early",
        "a timer that rings late",
        "a clock that is set back a little",
        "a clock that is set back far",
        "a clock that jumps ahead",
        "another browser without the log",
        "another browser with an old log",
        "a return to another browser",
    ];
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..800 {
        let mut world = World::new(seed);
        be_troubled(&mut world, 150);
        let entries = world.browsers.iter().flat_map(|browser| &browser.disk);
        for kind in entries.flat_map(|entry| kinds(&entry.record)) {
            *seen.entry(kind).or_default() += 1;
        }
        for (kind, times) in world.seen.iter().chain(&world.runner.seen) {
            *seen.entry(kind).or_default() += times;
        }
    }
    let rare: Vec<_> = ABOUT.iter().filter(|kind| seen.get(**kind).copied().unwrap_or(0) < 10).collect();
    assert!(rare.is_empty(), "too rare: {rare:?} in {seen:#?}");
}

/// What a record shows to have come about.
fn kinds(record: &Record) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let mut is = |true_: bool, kind| kinds.extend(true_.then_some(kind));
    match record {
        Record::RequestSent { drained, cause, .. } => {
            is(drained.len() > 1, "several ends in one call");
            is(drained.len() == 1, "an end in a call");
            is(*cause == Trigger::Wake, "a wake");
            is(*cause == Trigger::Again, "a call made again");
            is(*cause == Trigger::Continue, "a call that goes on");
        }
        Record::CallFailed { .. } => is(true, "a failed call"),
        Record::ToolDone { consumed, .. } => is(!consumed.is_empty(), "an end shown by a tool"),
        Record::CompletionReceived { event: TaskEvent::Backgrounded { .. }, .. } => {
            is(true, "a command sent to the background");
        }
        Record::StoppedReply => is(true, "a stopped reply"),
        Record::NewEpoch { epoch } => is(*epoch != Runner::new().epoch, "a new store"),
        Record::ResponseReceived { content, stop, .. } => {
            let tools = content.iter().any(|block| block["type"] == "tool_use");
            is(*stop == Stop::MaxTokens && tools, "a tool use of an answer at the limit of tokens");
            is(*stop == Stop::Pause, "a pause");
            is(matches!(stop, Stop::Other { .. }), "an unknown stop");
        }
        _ => {}
    }
    kinds
}
