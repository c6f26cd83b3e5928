//! Seeded simulation: whatever fails and whenever, each end is told once, each tool use has one result, nothing runs twice.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use agent::event::UserEvent;
use agent::model::Stop;
use agent::record::{Entry, Record};
use agent::session::Phase;
use agent::view::Patch;
use agent::{Agent, Event};
use serde_json::Value;
use shared::protocol::TaskEvent;
use shared::tools::ToolCall;
use shared::{Epoch, TaskId};

use crate::sim::model::FORBIDDEN;
use crate::sim::runner::Runner;
use crate::sim::world::World;

/// How many seeds a run tries, unless `MEANWHILE_SEEDS` says otherwise (a number, or `from..to`).
const SEEDS: u64 = if cfg!(target_arch = "wasm32") { 2_000 } else { 20_000 };
/// Within how many steps of calm everything must have come to rest.
const BOUND: u32 = 20_000;

#[test]
fn whatever_fails_each_end_is_told_once() {
    let (from, to) = seeds();
    #[cfg(target_arch = "wasm32")]
    let current = name_the_seed();
    for seed in from..to {
        #[cfg(target_arch = "wasm32")]
        current.store(seed, std::sync::atomic::Ordering::Relaxed);
        let caught = std::panic::catch_unwind(|| live(seed));
        if let Err(panic) = caught {
            let words = panic
                .downcast_ref::<String>()
                .map_or_else(|| panic.downcast_ref::<&str>().copied().unwrap_or("?"), String::as_str);
            panic!(
                "seed {seed}: {words}\nagain: MEANWHILE_SEEDS={seed}..{} cargo test -p agent whatever_fails",
                seed + 1
            );
        }
    }
}

/// Where a panic aborts, nothing can be caught: a hook names the seed that is being tried.
#[cfg(target_arch = "wasm32")]
fn name_the_seed() -> std::sync::Arc<std::sync::atomic::AtomicU64> {
    let current = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (before, shown) = (std::panic::take_hook(), current.clone());
    std::panic::set_hook(Box::new(move |info| {
        let seed = shown.load(std::sync::atomic::Ordering::Relaxed);
        wasm_bindgen_test::console_log!("simulation: the last seed tried is {seed}");
        before(info);
    }));
    current
}

fn seeds() -> (u64, u64) {
    let wish = std::env::var("MEANWHILE_SEEDS").unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().expect("MEANWHILE_SEEDS is a number or from..to");
    match wish.split_once("..") {
        Some((from, to)) => (number(from), number(to)),
        None if wish.is_empty() => (0, SEEDS),
        None => (0, number(&wish)),
    }
}

/// A session's life with faults, then calm, then what must be true.
fn live(seed: u64) {
    let mut world = World::new(seed);
    let trouble = 40 + world.chance.below(160);
    for _ in 0..trouble {
        disturb(&mut world);
        world.step();
    }
    world.calm = true;
    world.settle();
    world.say(false);
    let mut steps = 0;
    while !at_rest(&world) {
        steps += 1;
        assert!(steps < BOUND, "no rest after {steps} steps: {:?}", world.agent.session().phase);
        world.decide();
        if matches!(world.agent.session().phase, Phase::Failed { retry_at: None, .. }) {
            // What waited when a call failed for good does not ask by itself.
            world.send(Event::User(UserEvent::Retry));
        }
        let goes_on = world.step();
        if !goes_on && std::mem::take(&mut world.taken) {
            // Another page's hello came after this one's; then it waits for the person's word.
            world.send(Event::User(UserEvent::Reconnect));
            continue;
        }
        assert!(
            goes_on,
            "nothing more will happen, but: {:?} {:?}",
            world.agent.session().phase,
            world.agent.session().queue
        );
    }
    check(&world);
}

fn disturb(world: &mut World) {
    match world.chance.below(90) {
        0 => world.boot(),
        1 | 2 => world.cut(),
        3 => {
            let now = world.now;
            world.cut();
            world.runner.restart(now);
        }
        4..=7 => world.say(false),
        8 | 9 => world.say(true),
        10 => world.send(Event::User(UserEvent::StopReply)),
        11 => {
            let some = world.runner.tasks.keys().next_back().cloned();
            if let Some(task) = some {
                world.send(Event::User(UserEvent::StopTask { task }));
            }
        }
        12 => world.send(Event::Online),
        13 => world.send(Event::User(UserEvent::Retry)),
        14 => {
            let running = world.runner.tasks.values().find(|task| task.foreground && task.is_active());
            if let Some(task) = running.map(|task| task.id.clone()) {
                world.send(Event::User(UserEvent::Background { task }));
            }
        }
        15..=25 => world.decide(),
        26 => world.lose_store(),
        27 => world.fence(),
        28 => world.take_over(),
        _ => {}
    }
}

fn at_rest(world: &World) -> bool {
    let session = world.agent.session();
    let still =
        matches!(session.phase, Phase::Rest) && !session.queue.wakes() && session.queue.words().is_empty();
    let told = world.runner.is_empty() && world.runner.tasks.values().all(|task| task.state.is_end());
    still && told && world.disk.last().is_some_and(|entry| entry.n == session.last)
}

fn check(world: &World) {
    nothing_ran_twice(world);
    ends_are_told_once(world);
    folding_again_gives_the_same(world);
    words_are_said_once(world);
}

fn nothing_ran_twice(world: &World) {
    for (command, times) in &world.runner.processes {
        let most = 1 + u32::from(world.forgotten.contains(command));
        assert!(*times <= most, "{command} was started {times} times");
    }
    for (path, times) in &world.runner.files {
        let most = 1 + u32::from(world.forgotten.contains(path));
        assert!(*times <= most, "{path} was written {times} times");
    }
    let mut done = world.runner.processes.keys().chain(world.runner.files.keys());
    let forbidden = done.find(|name| name.starts_with(FORBIDDEN));
    assert_eq!(forbidden, None, "what was half or not meant was carried out");
}

/// Each end of a task is told by a notice, or shown by a tool's result, or, if it was stopped or lost, still waits for the next call; and the
/// notice comes at most once, and not after a tool showed the end.
fn ends_are_told_once(world: &World) {
    let session = world.agent.session();
    let mut notices: BTreeMap<TaskId, u32> = BTreeMap::new();
    for message in session.transcript.messages() {
        for block in &message.content {
            for id in entries_of(block) {
                *notices.entry(id).or_default() += 1;
            }
        }
    }
    for task in world.runner.tasks.values() {
        let told = notices.get(&task.id).copied().unwrap_or(0);
        let shown = session.consumed.contains(&task.id);
        let waits = session.queue.ends().iter().any(|end| end.task.id == task.id);
        assert!(told <= 1, "{} was told {told} times", task.id);
        assert!(told == 1 || shown || waits, "{} ({:?}) was never told", task.id, task.state);
        assert!(!(told == 1 && waits), "{} was told and waits", task.id);
        if told == 1 && shown {
            assert!(notice_before_result(&world.disk, &task.id), "{} was shown and then told", task.id);
        }
    }
    for (id, told) in &notices {
        let number = u64::from_str_radix(&id.0, 16).expect("a task's id is its number");
        assert!((1..=world.runner.born).contains(&number), "a forged entry was taken for one: {id}");
        // Of tasks of a lost store too.
        assert_eq!(*told, 1, "{id} was told {told} times");
    }
    let arrivals: Vec<(Epoch, u64)> = world
        .disk
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Arrived { seq, epoch, .. } => Some((*epoch, seq.0)),
            _ => None,
        })
        .collect();
    assert!(
        arrivals
            .chunk_by(|one, next| one.0 == next.0)
            .all(|of_one| of_one.iter().map(|(_, seq)| *seq).eq(1..=of_one.len() as u64)),
        "events were lost or doubled: {arrivals:?}"
    );
}

/// The ids of the entries in a block of background results, as a reader takes them: lines that begin with `[bg:`.
fn entries_of(block: &Value) -> Vec<TaskId> {
    let text = block["text"].as_str().unwrap_or_default();
    let Some(inner) = text.strip_prefix("<background-results>\n") else { return Vec::new() };
    let inner = inner.strip_suffix("\n</background-results>").expect("the block is closed at its end");
    assert!(!inner.contains("</background-results"), "the block can be closed from within");
    inner
        .lines()
        .filter_map(|line| line.strip_prefix("[bg:"))
        .map(|line| TaskId(line[..8].to_owned()))
        .collect()
}

fn notice_before_result(log: &[Entry], task: &TaskId) -> bool {
    let told = log
        .iter()
        .position(|entry| matches!(&entry.record, Record::Asked { drained, .. } if drained.contains(task)));
    let shown = log.iter().position(
        |entry| matches!(&entry.record, Record::ToolDone { consumed, .. } if consumed.contains(task)),
    );
    told < shown
}

fn folding_again_gives_the_same(world: &World) {
    let mut again = agent::session::Session::default();
    for entry in &world.disk {
        again.apply(entry);
    }
    let session = world.agent.session();
    assert_eq!(again.transcript, session.transcript);
    assert_eq!(again.queue, session.queue);
    assert_eq!(again.phase, session.phase);
    let text = serde_json::to_string(&world.disk).unwrap();
    let back: Vec<Entry> = serde_json::from_str(&text).unwrap();
    assert_eq!(back, world.disk, "the log does not survive being written down");
    assert_eq!(rows(&reopened(world)), rows(&world.agent), "a reload shows something else");
}

fn reopened(world: &World) -> Agent {
    let mut agent = Agent::new();
    let boot = agent::event::Boot {
        session: world.agent.session().id.unwrap(),
        log: world.disk.clone(),
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
fn words_are_said_once(world: &World) {
    let said: Vec<String> = world
        .disk
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Said { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect();
    let blocks: Vec<&Value> =
        world.agent.session().transcript.messages().iter().flat_map(|message| &message.content).collect();
    for words in said {
        let times = blocks.iter().filter(|block| block["text"] == words.as_str()).count();
        assert_eq!(times, 1, "{words:?} is in the conversation {times} times");
    }
}

/// The simulation would be worth little if chance never made what it is about.
#[test]
fn chance_makes_what_the_simulation_is_about() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            disturb(&mut world);
            world.step();
        }
        if world.rivals > 0 {
            *seen.entry("two pages alive on one session").or_default() += 1;
        }
        for entry in &world.disk {
            let kind = match &entry.record {
                Record::Asked { drained, .. } if drained.len() > 1 => "several ends in one call",
                Record::Asked { drained, .. } if drained.len() == 1 => "an end in a call",
                Record::Asked { cause: agent::record::Cause::Wake, .. } => "a wake",
                Record::Asked { cause: agent::record::Cause::Again, .. } => "a call made again",
                Record::CallFailed { .. } => "a failed call",
                Record::ToolDone { consumed, .. } if !consumed.is_empty() => "an end shown by a tool",
                Record::Arrived { event: TaskEvent::Backgrounded { .. }, .. } => {
                    "a command sent to the background"
                }
                Record::StoppedReply => "a stopped reply",
                Record::NewEpoch { epoch } if *epoch != Runner::new().epoch => "a lost store",
                Record::Answered { content, stop: Stop::MaxTokens, .. }
                    if content.iter().any(|block| block["type"] == "tool_use") =>
                {
                    "a tool use of an answer at the limit of tokens"
                }
                Record::Answered { stop: Stop::Pause, .. } => "a pause",
                Record::Answered { stop: Stop::Other { .. }, .. } => "an unknown stop",
                _ => continue,
            };
            *seen.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 12 + usize::from(seen.contains_key("a wake")), "{seen:?}");
    assert!(ToolCall::parse("bash", &serde_json::json!({"command": "x"})).is_ok());
}
