//! What follows from what, step by step, by a clock of their own.

use std::time::Duration;

use exec::frames::Exited;
use shared::protocol::Start;
use shared::task::{Party, Process, Task, TaskState};
use shared::{OpId, SessionId, TaskId, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Attempt, Effect, Input, Machine, Now};
use crate::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(5);

/// A machine with its clock.
struct Played {
    machine: Machine<()>,
    now: Instant,
}

impl Played {
    /// It has a slot; `line_free`: nobody waits for what is short.
    fn with(timeout: Option<Duration>, line_free: bool) -> Self {
        let session = SessionId(Uuid::nil());
        let (id, op) = (TaskId("a".into()), OpId(Uuid::nil()));
        let task = Task::new(id, session, op, "true".into(), "/".into(), Timestamp(0));
        let start = Start {
            command: "true".into(),
            folder: None,
            timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap()),
            foreground_ms: None,
            stdin: false,
            preview_chars: 0,
            again_of: None,
            sandbox: None,
        };
        let now = Instant::now();
        let machine = Machine::new(Now { at: now, clock: Timestamp(0) }, task, &start, Limits::default());
        let mut played = Self { machine, now };
        let wanted = if line_free { "Attempt" } else { "AwaitTurn" };
        assert_eq!(played.step(Input::Slot { line_free }), [wanted]);
        played
    }

    fn running() -> Self {
        let mut played = Self::with(None, true);
        played.step(Input::Attempted(Attempt::Started { pid: 7 }));
        played
    }

    /// The names of what follows.
    fn step(&mut self, input: Input<()>) -> Vec<String> {
        let now = Now { at: self.now, clock: Timestamp(1) };
        let effects = self.machine.step(now, input);
        effects.iter().map(name).collect()
    }

    /// What is due next comes, within the time given.
    fn time(&mut self, within: Duration) -> Vec<String> {
        let due = self.machine.due().expect("something is due");
        assert!(due <= self.now + within, "{:?}", due - self.now);
        self.now = self.now.max(due);
        self.step(Input::Time { line_moved: None })
    }

    fn stop(&mut self, grace: Duration) -> Vec<String> {
        self.step(Input::Stop { by: Party::User, grace })
    }

    /// Its supervisor is told to end the tree.
    fn stops(&mut self, grace: Duration) {
        assert_eq!(self.stop(grace), ["LookForPorts"]);
        assert_eq!(self.step(Input::Looked), ["Stop"]);
        assert_eq!(self.step(Input::Stopping { grace }), [""; 0]);
    }

    fn ends(&mut self, input: Input<()>) -> (TaskState, Vec<String>) {
        let now = Now { at: self.now, clock: Timestamp(1) };
        let effects = self.machine.step(now, input);
        let names = effects.iter().map(name).collect();
        let ended = effects.into_iter().find_map(|effect| {
            if let Effect::End(ended) = effect { Some(ended.into_task().state) } else { None }
        });
        (ended.expect("it ends"), names)
    }
}

fn name(effect: &Effect<()>) -> String {
    let text = format!("{effect:?}");
    text.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn exited(asked: bool) -> Input<()> {
    Input::Exited(Exited { code: None, signal: Some(15), asked, ran_us: 1, remaining: Vec::new() })
}

fn left() -> Vec<Process> {
    vec![Process { pid: 9, command: "deaf".into() }]
}

const STOPPED: TaskState = TaskState::Stopped { by: Party::User, signal: None };
const PARTED: [&str; 4] = ["LetGo", "KillOrphans", "CloseInput", "DrainOutput"];
const OVER: [&str; 3] = ["End", "ReleaseSlot", "Reaped"];

#[test]
fn a_start_of_which_nothing_is_heard_is_given_up_a_moment_after_a_stop() {
    let mut played = Played::with(None, true);
    assert_eq!(played.machine.due(), None, "it may take its time");
    assert_eq!(played.stop(GRACE), [""; 0]);
    assert_eq!(played.time(SECOND), PARTED);
    let (state, effects) = played.ends(Input::Orphans(String::new()));
    assert_eq!((state, effects), (STOPPED, OVER.map(String::from).to_vec()));
    // What comes late is nothing.
    assert_eq!(played.step(Input::Attempted(Attempt::Started { pid: 7 })), [""; 0]);
}

#[test]
fn a_second_stop_does_not_wait_for_a_start() {
    let mut played = Played::with(None, true);
    played.stop(GRACE);
    assert_eq!(played.stop(GRACE), PARTED);
}

#[test]
fn a_start_that_comes_after_a_stop_is_stopped_with_grace() {
    let mut played = Played::with(None, true);
    played.stop(GRACE);
    let effects = played.step(Input::Attempted(Attempt::Started { pid: 7 }));
    assert_eq!(effects, ["Started", "LookForPorts"]);
    let now = Now { at: played.now, clock: Timestamp(1) };
    let effects = played.machine.step(now, Input::Looked);
    assert!(matches!(effects[..], [Effect::Stop { grace: GRACE }]), "{effects:?}");
}

#[test]
fn a_start_that_is_short_of_something_after_a_stop_is_over() {
    let mut played = Played::with(None, true);
    played.stop(GRACE);
    let short = Attempt::Short { reason: "none".into(), line_moved: None };
    assert_eq!(played.ends(Input::Attempted(short)).0, STOPPED);
    assert!(played.machine.is_reaped());
}

#[test]
fn a_start_of_which_nothing_is_heard_ends_with_the_time_of_its_task() {
    let mut played = Played::with(Some(2 * SECOND), true);
    let patience = Limits::default().start_patience;
    assert_eq!(played.time(2 * SECOND + patience), PARTED);
    assert_eq!(played.ends(Input::Orphans(String::new())).0, TaskState::Timeout);
}

#[test]
fn a_start_that_hangs_gives_its_turn_to_those_behind_it() {
    let mut played = Played::with(None, false);
    assert_eq!(played.step(Input::Turn), ["Attempt"]);
    // Before any of them has lost its patience.
    assert_eq!(played.time(Limits::default().start_patience / 2), ["GiveTurnBack"]);
    assert_eq!(played.machine.due(), None);
    // Should it be short of something then, it stands in line again.
    let short = Attempt::Short { reason: "none".into(), line_moved: Some(played.now) };
    assert_eq!(played.step(Input::Attempted(short)), ["Shrink", "AwaitTurn"]);
}

#[test]
fn a_supervisor_that_says_nothing_of_a_tree_that_is_gone_is_given_up() {
    let mut played = Played::running();
    played.stops(GRACE);
    assert_eq!(played.time(GRACE + SECOND), ["KillPast"]);
    for _ in 0..2 {
        assert_eq!(played.step(Input::KilledPast { alone: true }), [""; 0]);
        assert_eq!(played.time(SECOND), ["KillPast"]);
    }
    assert_eq!(played.step(Input::KilledPast { alone: true }), PARTED);
    let (state, effects) = played.ends(Input::Orphans(String::new()));
    assert_eq!((state, effects), (STOPPED, OVER.map(String::from).to_vec()));
}

#[test]
fn a_supervisor_that_speaks_or_whose_tree_the_system_holds_is_not_given_up_soon() {
    let mut played = Played::running();
    played.stops(Duration::ZERO);
    played.time(SECOND);
    for _ in 0..20 {
        for _ in 0..2 {
            assert_eq!(played.step(Input::KilledPast { alone: true }), [""; 0]);
            assert_eq!(played.time(SECOND), ["KillPast"]);
        }
        played.step(Input::Remaining(left()));
    }
    // It waits for what the system does not end, has said so, and is what will see the end of that.
    assert_eq!(played.step(Input::Unkillable(left())), ["Unkillable"]);
    for _ in 0..100 {
        assert_eq!(played.step(Input::KilledPast { alone: false }), [""; 0]);
        assert_eq!(played.time(SECOND), ["KillPast"]);
    }
    // One that has said nothing by then never will.
    let mut silent = Played::running();
    silent.stops(Duration::ZERO);
    silent.time(SECOND);
    let rounds = (1..100).find(|_| {
        let parted = silent.step(Input::KilledPast { alone: false }) == PARTED;
        parted || silent.time(SECOND) != ["KillPast"]
    });
    assert!(rounds.is_some_and(|rounds| rounds > 10), "{rounds:?}");
}

#[test]
fn what_the_system_does_not_end_is_said_as_it_is_now() {
    let mut played = Played::running();
    played.stops(Duration::ZERO);
    played.step(exited(true));
    let mut said = |input| {
        let now = Now { at: played.now, clock: Timestamp(1) };
        let effects = played.machine.step(now, input);
        effects
            .into_iter()
            .find_map(|effect| if let Effect::Unkillable(text) = effect { Some(text) } else { None })
    };
    assert!(said(Input::Unkillable(left())).flatten().is_some_and(|text| text.contains("deaf")));
    let others = vec![Process { pid: 10, command: "other".into() }];
    assert!(said(Input::Remaining(others)).flatten().is_some_and(|text| !text.contains("deaf")));
    assert_eq!(said(Input::Remaining(Vec::new())), Some(None), "nothing is left to say");
    assert_eq!(said(Input::Remaining(left())), None, "of these it was not said");
}

#[test]
fn a_slot_is_given_back_when_nothing_is_left() {
    let mut played = Played::running();
    played.stops(600 * SECOND);
    assert_eq!(played.step(exited(true)), ["CloseInput"]);
    // What is being ended is not called left behind, but it is there.
    let over = Input::Output { grew: false, written: true, over: true };
    assert_eq!(played.step(over), ["End"]);
    assert_eq!(played.step(Input::Empty), ["DrainOutput", "ReleaseSlot", "Reaped"]);
    // As one that ends with all that it started does.
    let mut clean = Played::running();
    clean.step(exited(false));
    assert_eq!(clean.step(Input::Empty), ["DrainOutput", "End", "ReleaseSlot", "Reaped"]);
    // And one whose supervisor dies.
    let mut orphaned = Played::running();
    assert_eq!(orphaned.step(Input::SupervisorDied), PARTED);
    assert_eq!(orphaned.step(Input::Orphans(String::new())), OVER);
}

#[test]
fn requests_that_are_not_answered_have_a_bound() {
    let mut played = Played::running();
    for _ in 0..16 {
        assert_eq!(played.step(Input::Freeze { frozen: true, reply: () }), ["Freeze"]);
    }
    assert_eq!(played.step(Input::Freeze { frozen: true, reply: () }), ["Reply"]);
    played.step(Input::Frozen(true));
    assert_eq!(played.step(Input::Freeze { frozen: true, reply: () }), ["Freeze"]);
}
