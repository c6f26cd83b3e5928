//! Tabs of one session: whatever happens to them, one leads, the others show the same, and what was said is
//! done once.
//!
//! The simulation drives the members themselves; what is right is judged by the log, by what the agents were
//! handed, and by what the pages show. `cargo xtask faults` takes repairs out of the members and shows that
//! this finds each.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use agent::CallId;
use agent::event::{Command, Event as AgentEvent};
use agent::model::{Stop, Usage};
use agent::record::{Entry, Record, Trigger};
use agent::settings::{ModelChoice, Provider};
use agent::tabs::{
    AppendError, Claim, ClaimError, Effect, Event, LockMode, Member, Received, Role, TabMessage,
    UnsavedMessage,
};
use agent::view::{Flash, Patch};
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
    // What one of them says next could hide that they were stuck.
    check(&tabs, |author| tabs.tabs.iter().any(|tab| tab.id == author));
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
    for (text, (author, at)) in &tabs.wanted {
        let times = tabs.done.get(text).copied().unwrap_or(0);
        // What is for whoever leads may be heard by two, of which one can write.
        let errand = tabs.errands.contains(author);
        assert!(times <= 1 || errand, "{text} of tab {author} is handed to {times} agents");
        let here = tabs.tabs.iter().any(|tab| tab.id == *author) || errand;
        // What is wanted at a page that is gone, whoever opens the session next is told.
        let excused = !here && !is_heard(*author);
        let informed = tabs.complaints.iter().any(|(tab, when)| when >= at && (tab == author || !here));
        assert!(times > 0 || informed || excused, "{text} of tab {author} is lost, and nobody was told");
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
        "an entry of the agent's own",
        "an append that lands and is said to have failed",
        "a claim that fails",
        "a message that is not understood",
        "a page that hides and comes back",
        "a tab that is closed while it stands still",
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

    /// A while later.
    fn tick(&mut self) -> Vec<Effect> {
        self.1 += 20_000;
        self.send(Event::Tick)
    }

    /// Its lock is granted; gives the token by which it claims the log.
    fn grant(&mut self, request: u64) -> Uuid {
        match self.send(Event::Granted { request }).as_slice() {
            [Effect::Claim { token, .. }, ..] => *token,
            other => panic!("it claims the log first: {other:?}"),
        }
    }

    fn lead(&mut self) -> Uuid {
        assert_eq!(
            self.send(Event::Open { begun: false })[0],
            Effect::Lock { request: 1, mode: LockMode::IfFree }
        );
        let token = self.grant(1);
        let claim = Claim { term: 5_000, log: vec![queued(1, "one")], heard: Received::default() };
        assert_eq!(self.send(Event::Read { token, outcome: Ok(claim) }), [Effect::ReadLeft]);
        let effects = self.send(Event::Left(Vec::new()));
        assert_eq!(effects[1], Effect::Post(TabMessage::Claimed { term: 5_000, keeps: true }));
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
    let _ = hand.send(Event::Open { begun: false });
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
    let _ = hand.send(Event::Open { begun: false });
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
    assert!(!hand.tick().contains(&Effect::Closed), "it would be lost");
    let _ = hand.send(Event::Append(vec![queued(2, "an answer")]));
    let _ = hand.send(Event::Appended { token, outcome: Ok(()) });
    assert!(hand.tick().contains(&Effect::Closed));
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

/// It would begin the session anew under its name, take its completions and say them to a model that knows
/// nothing.
#[test]
fn a_tab_without_a_store_does_not_begin_a_session_that_another_led() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: false });
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Message(TabMessage::Claimed { term: 5_000, keeps: true }));
    let token = hand.grant(2);
    let effects =
        hand.send(Event::Read { token, outcome: Err(ClaimError::Unavailable("no store".to_owned())) });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Unreadable { reason: "no store".to_owned() });
}

#[test]
fn a_session_that_is_in_one_tab_alone_is_not_taken_from_it() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: false });
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
    let _ = hand.send(Event::Open { begun: false });
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
    let command =
        TabMessage::Command { from, number: 1, term: 5_000, at: Timestamp(0), command: queue_message("two") };
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
    let message =
        TabMessage::Command { from: follower, number: 1, term: 5_000, at: Timestamp(0), command: stop };
    let _ = hand.send(Event::Message(message));
    assert_eq!(hand.send(Event::Ran { from: follower, number: 1, through: 0, waits: true }), []);
    let _ = hand.send(Event::Leave);
    assert!(!hand.tick().contains(&Effect::Closed), "it would be lost");
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
    assert!(hand.tick().contains(&Effect::Closed));
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
    for (to, shown) in [
        (Some(follower), vec![posted(Some(follower))]),
        (Some(Uuid::from_u128(1)), vec![here.clone()]),
        (Some(gone), vec![here.clone()]),
        (None, vec![posted(None), here]),
    ] {
        assert_eq!(hand.send(Event::Flash { to, flash: link.clone() }), shown);
    }
    // Words go back into the box, whichever session the page shows.
    let draft = Flash::Draft { text: "words".to_owned() };
    let back = Effect::GiveBack(vec!["words".to_owned()]);
    assert_eq!(hand.send(Event::Flash { to: None, flash: draft.clone() })[1], back);

    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: false });
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Message(TabMessage::Claimed { term: 5_000, keeps: true }));
    let say = |to| Event::Message(TabMessage::Flash { term: 5_000, to, flash: draft.clone() });
    assert_eq!(hand.send(say(Some(Uuid::from_u128(1)))), std::slice::from_ref(&back));
    assert_eq!(hand.send(say(Some(follower))), []);
    assert_eq!(hand.send(say(None)), [back]);
}

#[test]
fn a_session_of_which_nothing_is_kept_goes_on_in_memory() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: false });
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
        at: Timestamp(0),
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

#[test]
fn a_title_for_a_session_that_is_open_elsewhere_waits_for_its_leader() {
    let rename = || Command::Rename { title: "a title".to_owned() };
    let retitled = |answered: bool| {
        let mut hand = Hand::new();
        let _ = hand.send(Event::Retitle { title: "a title".to_owned() });
        let effects = hand.send(Event::Refused { request: 1 });
        let asks = |effect: &Effect| matches!(effect, Effect::Post(TabMessage::Command { number: 1, term: 0, command, .. }) if *command == rename());
        assert_eq!(effects[0], Effect::Lock { request: 2, mode: LockMode::Wait });
        assert!(effects.iter().any(asks) && !effects.contains(&Effect::Closed), "{effects:?}");
        // The holder was only about to lead.
        let effects = hand.send(Event::Message(TabMessage::Claimed { term: 5_000, keeps: true }));
        assert!(effects.iter().any(asks), "{effects:?}");
        if answered {
            hand.send(Event::Message(TabMessage::Ack { to: Uuid::from_u128(1), number: 1 }))
        } else {
            hand.tick()
        }
    };
    let effects = retitled(true);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Complain(_))), "{effects:?}");
    assert!(effects.contains(&Effect::Release { request: 2 }) && effects.contains(&Effect::Closed));
    let effects = retitled(false);
    assert!(matches!(&effects[0], Effect::Complain(text) if text.contains("try again")), "{effects:?}");
    assert!(effects.contains(&Effect::Release { request: 2 }) && effects.contains(&Effect::Closed));

    // Whoever led has given it before the lock came.
    let mut hand = Hand::new();
    let _ = hand.send(Event::Retitle { title: "a title".to_owned() });
    let _ = hand.send(Event::Refused { request: 1 });
    let token = hand.grant(2);
    let mut heard = Received::default();
    heard.note(Uuid::from_u128(1), 1);
    let claim = Claim { term: 5_000, log: vec![queued(1, "one")], heard };
    let effects = hand.send(Event::Read { token, outcome: Ok(claim) });
    assert_eq!(effects[0], Effect::Release { request: 2 }, "{effects:?}");
}

#[test]
fn what_is_meant_for_what_is_seen_now_does_not_wait_for_whoever_leads_later() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Command(queue_message("one")));
    let _ = hand.send(Event::Command(Command::StopReply));
    let effects = hand.tick();
    assert!(matches!(&effects[0], Effect::Complain(_)), "{effects:?}");
    let me = Uuid::from_u128(1);
    let whole = TabMessage::Snapshot { to: me, term: 5_000, keeps: true, patches: Vec::new() };
    let effects = hand.send(Event::Message(whole));
    let sent: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Post(_))).collect();
    assert!(
        matches!(sent.as_slice(), [Effect::Post(TabMessage::Command { number: 1, .. })]),
        "the message alone is sent: {effects:?}"
    );
    // A leader that does not answer.
    let _ = hand.send(Event::Command(Command::StopReply));
    assert!(matches!(&hand.tick()[0], Effect::Complain(_)));

    // It wakes, and hears what was given up.
    let mut hand = Hand::new();
    let _ = hand.lead();
    let from = Uuid::from_u128(2);
    let at = Timestamp(hand.1);
    hand.1 += 60_000;
    for (number, command, runs) in [(1, Command::StopReply, false), (2, queue_message("two"), true)] {
        let message = TabMessage::Command { from, number, term: 5_000, at, command };
        let effects = hand.send(Event::Message(message));
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Run { .. })), runs, "{effects:?}");
    }
}

#[test]
fn what_is_not_understood_is_seen_in_the_whole() {
    let me = Uuid::from_u128(1);
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let _ = hand.send(Event::Refused { request: 1 });
    let whole = || TabMessage::Snapshot { to: me, term: 5_000, keeps: true, patches: Vec::new() };
    let _ = hand.send(Event::Message(whole()));
    let effects = hand.send(Event::Garbled);
    let [Effect::Post(TabMessage::Hello { .. }), Effect::Complain(text)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert!(text.contains("reload"));
    let grow = Patch::Grow { row: 1, text: "more".to_owned() };
    let show = TabMessage::Show { term: 5_000, patches: vec![grow] };
    assert_eq!(hand.send(Event::Message(show)), [], "it would be drawn onto a wrong view");
    assert_eq!(hand.send(Event::Garbled), [], "it may be the whole that is not understood");
    let _ = hand.send(Event::Message(whole()));
    assert_eq!(hand.send(Event::Garbled).len(), 1, "it is said once");
}

#[test]
fn messages_left_behind_are_for_a_leader_that_lives_on_as_well() {
    let mut hand = Hand::new();
    let token = hand.lead();
    let from = Uuid::from_u128(2);
    let left =
        |number, text: &str| UnsavedMessage { n: 0, text: text.to_owned(), steer: false, from, number };
    let effects = hand.send(Event::Left(vec![left(3, "three"), left(1, "one")]));
    let run = Effect::Run { from, number: 1, command: queue_message("one") };
    assert_eq!(effects, [run], "what comes between may be on its way");
    assert_eq!(hand.send(Event::Left(vec![left(1, "one")])), [], "it is under way");
    let _ = hand.send(Event::Append(vec![queued(2, "one")]));
    let _ = hand.send(Event::Ran { from, number: 1, through: 2, waits: false });
    let effects = hand.send(Event::Appended { token, outcome: Ok(()) });
    assert!(effects.contains(&Effect::ForgetLeft { from, number: 1 }), "{effects:?}");
}

#[test]
fn a_page_leaves_behind_that_something_was_not_answered() {
    let mut hand = Hand::new();
    let _ = hand.lead();
    let me = Uuid::from_u128(1);
    let _ = hand.send(Event::Command(Command::ClearTasks));
    let _ = hand.send(Event::Ran { from: me, number: 1, through: 0, waits: true });
    let left = hand.0.unsaved_messages(Vec::new());
    assert_eq!(left, [UnsavedMessage { n: 0, text: String::new(), steer: false, from: me, number: 1 }]);
    let _ = hand.send(Event::Answered { from: me, number: 1 });
    assert_eq!(hand.0.unsaved_messages(Vec::new()), []);

    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let token = hand.grant(1);
    let claim = Claim { term: 5_000, log: vec![queued(1, "one")], heard: Received::default() };
    let _ = hand.send(Event::Read { token, outcome: Ok(claim) });
    let effects = hand.send(Event::Left(left));
    assert_eq!(effects[0], Effect::ForgetLeft { from: me, number: 1 });
    assert!(matches!(&effects[1], Effect::Complain(_)), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Run { .. })), "{effects:?}");
}

/// The answer goes with the page, too; and whoever leads next takes what has a higher number for a sign that
/// it is done.
#[test]
fn a_message_that_is_answered_and_not_saved_is_left_behind() {
    let mut hand = Hand::new();
    let _ = hand.lead();
    let me = Uuid::from_u128(1);
    let _ = hand.send(Event::Command(queue_message("two")));
    let answered = Record::RequestSent {
        call: CallId(1),
        cause: Trigger::User,
        append: Vec::new(),
        drained: Vec::new(),
        messages: vec![2],
        model: ModelChoice::new(Provider::Demo, ""),
    };
    let answer = Record::ResponseReceived {
        call: CallId(1),
        content: Vec::new(),
        stop: Stop::End,
        usage: Usage::default(),
    };
    let entry = |n, record| Entry { n, at: Timestamp(n), record };
    let entries = vec![queued(2, "two"), entry(3, answered), entry(4, answer)];
    let _ = hand.send(Event::Append(entries.clone()));
    let _ = hand.send(Event::Ran { from: me, number: 1, through: 2, waits: false });
    let left = hand.0.unsaved_messages(entries);
    assert_eq!(left, [UnsavedMessage { n: 2, text: "two".to_owned(), steer: false, from: me, number: 1 }]);
}

#[test]
fn a_session_is_deleted_wherever_its_opening_stands() {
    for claims in [false, true] {
        let mut hand = Hand::new();
        let _ = hand.send(Event::Open { begun: true });
        let effects = if claims {
            let _ = hand.grant(1);
            hand.send(Event::Delete)
        } else {
            assert_eq!(hand.send(Event::Delete), []);
            hand.send(Event::Granted { request: 1 })
        };
        assert_eq!(effects, [Effect::Delete]);
        let effects = hand.send(Event::Deleted(Ok(())));
        assert!(effects.contains(&Effect::Release { request: 1 }) && effects.contains(&Effect::Gone));
    }
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let _ = hand.send(Event::Delete);
    let effects = hand.send(Event::Refused { request: 1 });
    assert!(matches!(&effects[0], Effect::Complain(text) if text.contains("another tab")), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Follower);

    // What was on its way goes with it, and nobody is told that it may not have been done.
    let mut hand = Hand::new();
    let _ = hand.lead();
    let _ = hand.send(Event::Command(Command::StopReply));
    let effects = hand.send(Event::Delete);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Complain(_))), "{effects:?}");
    // A lock that was taken meanwhile is not this tab's any more.
    let _ = hand.send(Event::Stolen { request: 1 });
    let effects = hand.send(Event::Deleted(Err("stuck".to_owned())));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Claim { .. })), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Follower);
}

#[test]
fn a_session_that_was_begun_is_not_begun_anew_where_nothing_is_kept() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let token = hand.grant(1);
    let outcome = Err(ClaimError::Unavailable("private".to_owned()));
    let effects = hand.send(Event::Read { token, outcome });
    assert!(!effects.contains(&Effect::ReadLeft), "{effects:?}");
    assert_eq!(hand.0.role(), Role::Unreadable { reason: "private".to_owned() });
}

#[test]
fn a_session_in_the_memory_of_one_tab_is_neither_taken_over_nor_begun_anew() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let _ = hand.send(Event::Refused { request: 1 });
    let _ = hand.send(Event::Message(TabMessage::Claimed { term: 5_000, keeps: false }));
    let effects = hand.send(Event::TakeOver);
    let [Effect::Complain(text)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("memory"), "{text}");
    // The other tab is closed.
    let token = hand.grant(2);
    let claim = Claim { term: 6_000, log: Vec::new(), heard: Received::default() };
    let _ = hand.send(Event::Read { token, outcome: Ok(claim) });
    assert!(matches!(hand.0.role(), Role::Unreadable { .. }), "{:?}", hand.0.role());
}

/// Its number alone does not tell that it was done.
#[test]
fn what_was_asked_for_before_a_message_that_was_left_behind_is_done_as_well() {
    let mut hand = Hand::new();
    let _ = hand.send(Event::Open { begun: true });
    let token = hand.grant(1);
    let claim = Claim { term: 5_000, log: vec![queued(1, "one")], heard: Received::default() };
    let _ = hand.send(Event::Read { token, outcome: Ok(claim) });
    let from = Uuid::from_u128(2);
    let left = UnsavedMessage { n: 0, text: "two".to_owned(), steer: false, from, number: 2 };
    let _ = hand.send(Event::Left(vec![left]));
    let command = Command::StopReply;
    let message = TabMessage::Command { from, number: 1, term: 5_000, at: Timestamp(0), command };
    let effects = hand.send(Event::Message(message));
    assert_eq!(effects, [Effect::Run { from, number: 1, command: Command::StopReply }]);
}
