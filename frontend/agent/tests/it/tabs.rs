//! Tabs of one session: whatever happens to them, one leads, the others show the same, and what was said is done once.
//!
//! The simulation drives the members themselves; what is right is judged by the log, by what the agents were handed, and by what
//! the pages show. `cargo xtask faults` takes repairs out of the members and shows that this finds each.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use agent::event::{Command, Event as AgentEvent};
use agent::record::{Entry, Record};
use agent::tabs::{
    AppendError, Claim, ClaimError, Effect, Event, LockMode, Member, Received, Role, TabMessage,
    UnsavedMessage,
};
use agent::view::Flash;
use shared::{TaskId, Timestamp};
use uuid::Uuid;

use crate::sim::seeds;
use crate::sim::tabs::{Browser, text_of};

/// How many seeds a run tries, unless `MEANWHILE_SEEDS` says otherwise.
const SEEDS: u64 = if cfg!(target_arch = "wasm32") { 500 } else { 5_000 };
/// Within how many steps of calm all must be quiet.
const STEPS: u32 = 20_000;

#[test]
fn whatever_happens_to_tabs_one_leads_and_what_is_said_is_done_once() {
    seeds::try_all("whatever_happens", SEEDS, live);
}

fn live(seed: u64) {
    let mut tabs = Browser::new(seed);
    let steps = 30 + tabs.chance.below(200);
    be_troubled(&mut tabs, steps);
    tabs.calm_down();
    be_quiet(&mut tabs);
    let all: Vec<u64> = tabs.tabs.iter().map(|tab| tab.id).collect();
    for tab in all {
        tabs.send_message(tab);
    }
    be_quiet(&mut tabs);
    check(&tabs, |author| tabs.tabs.iter().any(|tab| tab.id == author));
    // What pages left behind is for whoever opens the session next.
    tabs.close_all();
    tabs.open(false);
    be_quiet(&mut tabs);
    check(&tabs, |author| !tabs.crashed.contains(&author));
}

fn be_troubled(tabs: &mut Browser, steps: u64) {
    let rare = [1, 3, 8][tabs.chance.index(3)];
    for _ in 0..steps {
        if tabs.chance.one_in(rare) {
            tabs.disturb();
        }
        tabs.step();
    }
}

fn be_quiet(tabs: &mut Browser) {
    let mut steps = 0;
    while tabs.step() {
        steps += 1;
        assert!(steps < STEPS, "they never come to rest");
    }
}

/// The words of these tabs are all there.
fn check(tabs: &Browser, is_heard: impl Fn(u64) -> bool) {
    let roles: Vec<_> = tabs.tabs.iter().map(|tab| (tab.id, &tab.role)).collect();
    let leaders = tabs.tabs.iter().filter(|tab| tab.role == Role::Leader).count();
    assert_eq!(leaders, usize::from(!tabs.tabs.is_empty()), "one leads: {roles:?}");

    let log: BTreeMap<u64, String> =
        tabs.store.log.iter().map(|entry| (entry.n, text_of(entry).to_owned())).collect();
    for tab in &tabs.tabs {
        assert_eq!(tab.view, log, "tab {} of {roles:?} shows something else", tab.id);
    }

    let mut written: BTreeMap<&str, u32> = BTreeMap::new();
    for text in log.values() {
        *written.entry(text).or_default() += 1;
    }
    for (text, times) in &written {
        assert_eq!(*times, 1, "{text} is done {times} times");
    }
    for text in &tabs.given_back {
        assert!(!written.contains_key(text.as_str()), "{text} was given back, and is done");
    }
    for (text, author) in &tabs.queued {
        assert!(
            !is_heard(*author) || written.contains_key(text.as_str()),
            "{text} of tab {author} is lost: {roles:?}"
        );
    }
    for (text, author) in &tabs.wanted {
        let times = tabs.done.get(text).copied().unwrap_or(0);
        // What is for whoever leads may be heard by two, of which one can write.
        assert!(times <= 1 || *author == 0, "{text} of tab {author} is handed to {times} agents");
        let informed = tabs.tabs.iter().find(|tab| tab.id == *author).is_none_or(|tab| tab.complaints > 0);
        assert!(times > 0 || informed, "{text} of tab {author} is lost, and nobody was told");
    }
}

/// The simulation would be worth little if chance never made what it is about.
#[test]
fn chance_makes_what_tabs_are_about() {
    const ABOUT: &[&str] = &[
        "a lock that is stolen",
        "a tab that crashes",
        "a tab that stands still",
        "a title without opening",
        "a session that nobody looks at is closed",
        "an append that is fenced off",
        "an append that fails",
        "an append of a claim that is over",
        "messages that a page left behind",
        "messages that are not taken",
        "messages that come to a second leader",
    ];
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..400 {
        let mut tabs = Browser::new(seed);
        be_troubled(&mut tabs, 150);
        for (kind, times) in &tabs.seen {
            *seen.entry(kind).or_default() += times;
        }
    }
    let rare: Vec<_> = ABOUT.iter().filter(|kind| seen.get(**kind).copied().unwrap_or(0) < 10).collect();
    assert!(rare.is_empty(), "too rare: {rare:?} in {seen:#?}");
}

/// One member by hand.
struct Hand(Member, u64);

impl Hand {
    fn new() -> Self {
        Self(Member::new(Uuid::from_u128(1)), 1_000)
    }

    fn send(&mut self, event: Event) -> Vec<Effect> {
        self.1 += 1;
        self.0.handle(Timestamp(self.1), event)
    }

    /// Its lock is granted; gives the token by which it claims the log.
    fn grant(&mut self, request: u64) -> Uuid {
        match self.send(Event::Granted { request }).as_slice() {
            [Effect::Claim { token, .. }, ..] => *token,
            other => panic!("it claims the log first: {other:?}"),
        }
    }

    fn lead(&mut self) -> Uuid {
        assert_eq!(self.send(Event::Open)[0], Effect::Lock { request: 1, mode: LockMode::IfFree });
        let token = self.grant(1);
        let claim = Claim { term: 5_000, log: vec![queued(1, "one")], heard: Received::default() };
        assert_eq!(self.send(Event::Read { token, outcome: Ok(claim) }), [Effect::ReadLeft]);
        let effects = self.send(Event::Left(Vec::new()));
        assert_eq!(effects[1], Effect::Post(TabMessage::Claimed { term: 5_000 }));
        assert_eq!(self.0.role(), Role::Leader);
        token
    }
}

fn queued(n: u64, text: &str) -> Entry {
    Entry { n, at: Timestamp(n), record: Record::Queued { id: n, text: text.to_owned(), steer: false } }
}

fn queue_message(text: &str) -> Command {
    Command::QueueMessage { text: text.to_owned(), steer: false }
}

#[test]
fn messages_for_a_log_that_cannot_be_read_are_given_back() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    for text in ["one", "two"] {
        assert_eq!(hand.send(Event::Command(queue_message(text))), []);
    }
    let token = hand.grant(1);
    let outcome = Err(ClaimError::Unreadable("a reason".to_owned()));
    let effects = hand.send(Event::Read { token, outcome });
    let back = Effect::GiveBack(vec!["one".to_owned(), "two".to_owned()]);
    let role = Role::Unreadable { reason: "a reason".to_owned() };
    assert_eq!(effects, [Effect::Release { request: 1 }, back, Effect::Role(role)]);
    let effects = hand.send(Event::Command(queue_message("three")));
    let [Effect::Complain(text), Effect::GiveBack(back)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("a reason") && back == &["three".to_owned()], "{effects:?}");
}

#[test]
fn a_message_that_is_not_taken_is_given_back() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let mut taken = 0;
    let refused = loop {
        let effects = hand.send(Event::Command(queue_message("again")));
        if !effects.is_empty() {
            break effects;
        }
        taken += 1;
        assert!(taken < 1_000, "it has a bound");
    };
    let [Effect::Complain(_), Effect::GiveBack(back)] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(back, &["again".to_owned()]);
}

#[test]
fn what_is_not_saved_keeps_a_session_that_nobody_looks_at() {
    let mut hand = Hand::new();
    let token = hand.lead();
    let _ = hand.send(Event::Append(vec![queued(2, "an answer")]));
    let failed = Err(AppendError::Failed("full".to_owned()));
    let _ = hand.send(Event::Appended { token, outcome: failed });
    let _ = hand.send(Event::Leave);
    assert!(!hand.send(Event::Tick).contains(&Effect::Closed), "it would be lost");
    let _ = hand.send(Event::Append(vec![queued(2, "an answer")]));
    let _ = hand.send(Event::Appended { token, outcome: Ok(()) });
    assert!(hand.send(Event::Tick).contains(&Effect::Closed));
}

#[test]
fn whoever_loses_a_session_that_could_not_be_saved_is_told() {
    for fails in [false, true] {
        let mut hand = Hand::new();
        let token = hand.lead();
        let _ = hand.send(Event::Append(vec![queued(2, "an answer")]));
        let outcome = if fails { Err(AppendError::Failed("full".to_owned())) } else { Ok(()) };
        let _ = hand.send(Event::Appended { token, outcome });
        let effects = hand.send(Event::Stolen { request: 1 });
        let told = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Complain(text) if text.contains("not saved")));
        assert_eq!(told, fails, "{effects:?}");
    }

    let mut hand = Hand::new();
    let token = hand.lead();
    let _ = hand.send(Event::Append(vec![queued(2, "an answer")]));
    let effects = hand.send(Event::Appended { token, outcome: Err(AppendError::Fenced) });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Complain(_))), "{effects:?}");
}

/// It would begin the session anew under its name, take its completions and say them to a model that knows nothing.
#[test]
fn a_tab_without_a_store_does_not_begin_a_session_that_another_led() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Message(TabMessage::Claimed { term: 5_000 }));
    let token = hand.grant(2);
    let effects =
        hand.send(Event::Read { token, outcome: Err(ClaimError::Unavailable("no store".to_owned())) });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Unreadable { reason: "no store".to_owned() });
}

#[test]
fn a_session_that_is_in_one_tab_alone_is_not_taken_from_it() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let token = hand.grant(1);
    let _ = hand.send(Event::Read { token, outcome: Err(ClaimError::Unavailable("private".to_owned())) });
    let left =
        UnsavedMessage { n: 0, text: "left".to_owned(), steer: false, from: Uuid::from_u128(3), number: 1 };
    let effects = hand.send(Event::Left(vec![left]));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Run { .. })), "{effects:?}");
    let effects = hand.send(Event::Ran { from: Uuid::from_u128(3), number: 1, through: 1, waits: false });
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::ForgetLeft { .. })),
        "no log that lasts has it: {effects:?}"
    );
    let effects = hand.send(Event::Stolen { request: 1 });
    assert_eq!(
        effects,
        [Effect::Lock { request: 2, mode: LockMode::Wait }],
        "it goes on, and waits for the lock"
    );
    assert_eq!(hand.send(Event::Granted { request: 2 }), []);
    assert_eq!(hand.0.role(), Role::Leader);
    let effects = hand.send(Event::Delete);
    assert!(effects.contains(&Effect::Gone) && !effects.contains(&Effect::Delete), "{effects:?}");
    assert!(effects.contains(&Effect::Release { request: 2 }), "{effects:?}");
}

#[test]
fn a_failed_deletion_leaves_a_session_that_goes_on() {
    let mut hand = Hand::new();
    let first = hand.lead();
    let effects = hand.send(Event::Delete);
    assert_eq!(effects, [Effect::Stop, Effect::Delete, Effect::Role(Role::Starting)]);
    assert_eq!(hand.send(Event::Command(queue_message("meanwhile"))), []);
    let effects = hand.send(Event::Deleted(Err("stuck".to_owned())));
    let [Effect::Complain(text), Effect::Claim { token, .. }] = effects.as_slice() else {
        panic!("it begins again: {effects:?}")
    };
    assert_eq!(text, "stuck");
    assert_ne!(*token, first);
    let claim = Claim { term: 6_000, log: vec![queued(1, "one")], heard: Received::default() };
    let _ = hand.send(Event::Read { token: *token, outcome: Ok(claim) });
    let effects = hand.send(Event::Left(Vec::new()));
    assert!(
        matches!(&effects[2], Effect::Run { command, .. } if *command == queue_message("meanwhile")),
        "{effects:?}"
    );
    assert_eq!(hand.0.role(), Role::Leader);

    // The lock is kept until nothing is left.
    let _ = hand.send(Event::Delete);
    let effects = hand.send(Event::Deleted(Ok(())));
    assert_eq!(effects[0], Effect::Release { request: 1 });
    assert!(effects.contains(&Effect::Gone));
}

#[test]
fn a_session_that_another_tab_leads_is_not_deleted() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let _ = hand.send(Event::Refused { request: 1 });
    assert_eq!(hand.0.role(), Role::Follower);
    assert_eq!(hand.send(Event::Delete), [Effect::Lock { request: 3, mode: LockMode::IfFree }]);
    let effects = hand.send(Event::Refused { request: 3 });
    assert!(matches!(effects.as_slice(), [Effect::Complain(_)]), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Follower);
}

#[test]
fn an_answer_comes_when_the_message_is_on_the_disk() {
    let mut hand = Hand::new();
    let token = hand.lead();
    let from = Uuid::from_u128(2);
    let command = TabMessage::Command { from, number: 1, term: 5_000, command: queue_message("two") };
    let run = Effect::Run { from, number: 1, command: queue_message("two") };
    assert_eq!(hand.send(Event::Message(command.clone())), [run]);
    // The agent wants it written before it is known to have taken the command.
    assert_eq!(hand.send(Event::Append(vec![queued(2, "two")])), []);
    let effects = hand.send(Event::Ran { from, number: 1, through: 2, waits: false });
    let mut heard = Received::default();
    heard.note(from, 1);
    let append = |heard: &Received| Effect::Append {
        token,
        term: 5_000,
        entries: vec![queued(2, "two")],
        heard: heard.clone(),
    };
    assert_eq!(effects, [append(&heard)]);
    assert_eq!(hand.send(Event::Message(command.clone())), [], "it is under way");
    let failed = Err(AppendError::Failed("full".to_owned()));
    let effects = hand.send(Event::Appended { token, outcome: failed });
    assert_eq!(effects, [Effect::Tell(AgentEvent::SaveFailed { reason: "full".to_owned() })]);
    assert_eq!(hand.send(Event::Append(vec![queued(2, "two")])), [append(&heard)], "it is tried again");
    let effects = hand.send(Event::Appended { token, outcome: Ok(()) });
    let ack = Effect::Post(TabMessage::Ack { to: from, number: 1 });
    assert_eq!(effects, [ack.clone(), Effect::Tell(AgentEvent::Saved { through: 2 })]);
    assert_eq!(hand.send(Event::Message(command)), [ack], "it is done");
}

#[test]
fn what_the_runner_has_not_answered_is_not_done() {
    let mut hand = Hand::new();
    let _ = hand.lead();
    let stop = Command::StopTask { task: TaskId("0a1b2c3d".to_owned()) };
    let me = Uuid::from_u128(1);
    assert_eq!(
        hand.send(Event::Command(stop.clone())),
        [Effect::Run { from: me, number: 1, command: stop.clone() }]
    );
    assert_eq!(hand.send(Event::Ran { from: me, number: 1, through: 0, waits: true }), []);
    let follower = Uuid::from_u128(2);
    let message = TabMessage::Command { from: follower, number: 1, term: 5_000, command: stop };
    let _ = hand.send(Event::Message(message));
    assert_eq!(hand.send(Event::Ran { from: follower, number: 1, through: 0, waits: true }), []);
    let _ = hand.send(Event::Leave);
    assert!(!hand.send(Event::Tick).contains(&Effect::Closed), "it would be lost");
    let ack = Effect::Post(TabMessage::Ack { to: follower, number: 1 });
    assert_eq!(hand.send(Event::Answered { from: follower, number: 1 }), [ack]);
    let effects = hand.send(Event::Stolen { request: 1 });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Complain(_))), "{effects:?}");

    let mut hand = Hand::new();
    let _ = hand.lead();
    let _ = hand.send(Event::Command(Command::ClearTasks));
    let _ = hand.send(Event::Ran { from: me, number: 1, through: 0, waits: true });
    let _ = hand.send(Event::Answered { from: me, number: 1 });
    let _ = hand.send(Event::Leave);
    assert!(hand.send(Event::Tick).contains(&Effect::Closed));
}

#[test]
fn what_concerns_one_person_is_said_at_their_tab() {
    let mut hand = Hand::new();
    let _ = hand.lead();
    let (follower, gone) = (Uuid::from_u128(2), Uuid::from_u128(3));
    let _ = hand.send(Event::Message(TabMessage::Hello { from: follower }));
    let link = Flash::PairLink { url: "http://127.0.0.1:1/".to_owned(), expires: Timestamp(1) };
    let posted = |to| Effect::Post(TabMessage::Flash { term: 5_000, to, flash: link.clone() });
    let here = Effect::Flash(link.clone());
    for (to, said) in [
        (Some(follower), vec![posted(Some(follower))]),
        (Some(Uuid::from_u128(1)), vec![here.clone()]),
        (Some(gone), vec![here.clone()]),
        (None, vec![posted(None), here.clone()]),
    ] {
        assert_eq!(hand.send(Event::Flash { to, flash: link.clone() }), said);
    }
    // Words go back into the box, whichever session the page shows.
    let draft = Flash::Draft { text: "words".to_owned() };
    let back = Effect::GiveBack(vec!["words".to_owned()]);
    assert_eq!(hand.send(Event::Flash { to: None, flash: draft.clone() })[1], back);

    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Message(TabMessage::Claimed { term: 5_000 }));
    let say = |to| Event::Message(TabMessage::Flash { term: 5_000, to, flash: draft.clone() });
    assert_eq!(hand.send(say(Some(Uuid::from_u128(1)))), [back.clone()]);
    assert_eq!(hand.send(say(Some(follower))), []);
    assert_eq!(hand.send(say(None)), [back]);
}

#[test]
fn a_session_of_which_nothing_is_kept_goes_on_in_memory() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open);
    let token = hand.grant(1);
    let outcome = Err(ClaimError::Unavailable("private".to_owned()));
    assert_eq!(hand.send(Event::Read { token, outcome }), [Effect::ReadLeft]);
    let _ = hand.send(Event::Left(Vec::new()));
    let from = Uuid::from_u128(2);
    let term = 1_002;
    let _ = hand.send(Event::Message(TabMessage::Command {
        from,
        number: 1,
        term,
        command: queue_message("one"),
    }));
    let effects = hand.send(Event::Ran { from, number: 1, through: 1, waits: false });
    assert_eq!(effects, [Effect::Post(TabMessage::Ack { to: from, number: 1 })]);
}

/// Tabs with a page of an earlier version may be open.
#[test]
fn what_tabs_said_before_terms_is_understood() {
    for text in [
        r#"{"word":"hello","from":"00000000-0000-0000-0000-000000000002"}"#,
        r#"{"word":"whole","to":"00000000-0000-0000-0000-000000000002","patches":[]}"#,
        r#"{"word":"show","patches":[]}"#,
        r#"{"word":"took"}"#,
        r#"{"word":"wish","from":"00000000-0000-0000-0000-000000000002","number":1,"command":{"user":"retry"}}"#,
        r#"{"word":"heard","to":"00000000-0000-0000-0000-000000000002","number":1}"#,
    ] {
        let read: Result<TabMessage, _> = serde_json::from_str(text);
        assert!(read.is_ok(), "{text}: {read:?}");
    }
}
