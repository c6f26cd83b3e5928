//! The tabs that have one session open, as a pure machine: one leads, the others follow. A [`Member`] is one
//! tab's part in it.
//!
//! # What runs, what it owns, in what order
//! [`Member::handle`] takes one [`Event`] and says by [`Effect`]s what must be done. It owns the tab's role,
//! the leader's term and this tab's commands that no leader has answered; the lock, the store, the channel
//! and the agent belong to the shell.
//!
//! `Asking` → `Claiming` → `Opening` → `Leader`, or `Asking` → `Follower`; `Follower` → `Claiming` when the
//! lock comes, by itself or by taking over; `Leader` → `Follower` when it is taken. The lock is for people
//! and may be late or not there at all. That no two tabs write one log is the store's affair: whoever holds
//! the lock claims the log under a fresh token before it reads it, and from that moment on the earlier tab's
//! appends fail. Claims are numbered, and by the number ([`Claim::term`]) a tab tells the newer of two
//! leaders, in whatever order their messages come.
//!
//! A command waits until a leader has shown itself. Messages are kept until the log has them: the append that
//! writes them notes in the same transaction whose command they are, so that the next leader, to whom they
//! are sent again, knows them. All other commands are meant for what was to be seen just then: they are sent
//! once, and if their leader goes without an answer, or none answers within seconds, the person is told.

mod command;
mod errand;
mod hear;
mod leader;
mod left;
mod message;
mod outbox;

pub use message::{
    AppendError, Claim, ClaimError, Effect, Event, LockMode, Role, TabMessage, UnsavedMessage, merge_left,
};
pub use outbox::Received;

use shared::Timestamp;
use uuid::Uuid;

use crate::event::Event as AgentEvent;
use crate::record::Entry;
use leader::Leader;
use outbox::Outbox;

/// How long a session that nobody looks at stays open after its work is done, in milliseconds.
const IDLE_GRACE_MS: u64 = 10_000;

/// One tab's part in a session. Its first event is [`Event::Open`]; or [`Event::Delete`] or
/// [`Event::Retitle`], if it is not opened for more.
#[derive(Debug)]
pub struct Member {
    me: Uuid,
    state: State,
    /// The lock that counts; what is heard of another is void.
    lock: Option<u64>,
    /// What is done with a lock of its own.
    errand: Option<(u64, Errand)>,
    requests: u64,
    claims: u64,
    /// The highest that was heard of.
    term: u64,
    outbox: Outbox,
    /// Whether the session was begun before.
    begun: bool,
    /// Whether the leader that was heard last keeps its log in this browser.
    kept: bool,
    /// Whether a tab with another version of the page was heard.
    outdated: bool,
    /// When it is looked whether a session can be closed that the page does not show.
    idle_at: Option<Timestamp>,
    /// For when the last alarm was set.
    alarm: Option<Timestamp>,
}

#[derive(Debug)]
enum State {
    Closed,
    /// The lock is asked for.
    Asking,
    /// The log is claimed and read.
    Claiming {
        token: Uuid,
        term: u64,
    },
    /// It was read, and what pages left behind is looked at.
    Opening {
        leader: Box<Leader>,
        log: Vec<Entry>,
    },
    Leader(Box<Leader>),
    /// Patches mean nothing before the whole has come.
    Follower {
        whole: bool,
    },
    Unreadable {
        reason: String,
    },
    /// It led, and everything is being deleted.
    Deleting,
    /// A log that is not open here gets a title.
    Retitling {
        token: Uuid,
        title: String,
    },
}

/// What is done by a lock of its own, whether the session is open here or not.
#[derive(Clone, Debug)]
enum Errand {
    Delete,
    Retitle {
        title: String,
        /// Until when a leader's answer is waited for, if one was asked.
        until: Option<Timestamp>,
    },
}

/// What one event leads to.
struct Out {
    now: Timestamp,
    effects: Vec<Effect>,
}

impl Out {
    fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

impl Member {
    /// A member that nobody else is called like: not a tab, but this tab's opening of this session.
    #[must_use]
    pub fn new(me: Uuid) -> Self {
        Self {
            me,
            state: State::Closed,
            lock: None,
            errand: None,
            requests: 0,
            claims: 0,
            term: 0,
            outbox: Outbox::default(),
            begun: false,
            kept: true,
            outdated: false,
            idle_at: None,
            alarm: None,
        }
    }

    /// What this tab is to the session.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.state {
            State::Closed | State::Retitling { .. } => Role::Closed,
            State::Asking | State::Claiming { .. } | State::Opening { .. } | State::Deleting => {
                Role::Starting
            }
            State::Leader(_) => Role::Leader,
            State::Follower { .. } => Role::Follower,
            State::Unreadable { reason } => Role::Unreadable { reason: reason.clone() },
        }
    }

    /// Takes one event and says what must be done about it.
    #[must_use = "effects that are not run are lost"]
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let before = self.role();
        let mut out = Out { now, effects: Vec::new() };
        self.take(&mut out, event);
        self.set_alarm(&mut out);
        let role = self.role();
        if role != before {
            out.push(Effect::Role(role));
        }
        out.effects
    }

    fn take(&mut self, out: &mut Out, event: Event) {
        match event {
            Event::Open { begun } => {
                self.begun = begun;
                self.ask(out, LockMode::IfFree);
            }
            Event::TakeOver => self.take_over(out),
            Event::Close => self.close(out),
            Event::Leave => {
                self.idle_at = Some(out.now.plus(IDLE_GRACE_MS));
            }
            Event::Visit => self.visit(out),
            Event::Tick => self.tick(out),
            Event::Command(command) => self.command(out, command),
            Event::Delete => self.delete(out),
            Event::Retitle { title } => self.run_errand(out, Errand::Retitle { title, until: None }),
            Event::Granted { request } => self.granted(out, request),
            Event::Refused { request } => self.refused(out, request),
            Event::Stolen { request } => self.stolen(out, request),
            Event::Read { token, outcome } => self.read(out, token, outcome),
            Event::Left(messages) if self.leader().is_some() => self.take_left(out, messages),
            Event::Left(messages) => self.lead(out, messages),
            Event::Append(entries) => {
                if let Some(leader) = self.leader_mut() {
                    leader.write(entries);
                    self.write(out);
                }
            }
            Event::Appended { token, outcome } => self.appended(out, token, outcome),
            Event::Ran { from, number, through, waits } => {
                if let Some(leader) = self.leader_mut() {
                    leader.ran(from, number, through, waits);
                }
                self.acknowledge_done(out);
                self.write(out);
            }
            Event::Answered { from, number } => {
                if let Some(leader) = self.leader_mut() {
                    leader.answered(from, number);
                }
                self.acknowledge_done(out);
            }
            Event::Show(patches) => self.show(out, patches),
            Event::Flash { to, flash } => self.flash(out, to, flash),
            Event::Works(works) => {
                if let Some(leader) = self.leader_mut() {
                    leader.works = works;
                }
            }
            Event::Deleted(outcome) => self.deleted(out, outcome),
            Event::Message(message) => self.hear(out, message),
            Event::Garbled => self.garbled(out),
        }
    }

    /// The person wants to write here.
    fn take_over(&mut self, out: &mut Out) {
        if !matches!(self.state, State::Follower { .. }) {
            return;
        }
        if self.kept {
            return self.ask(out, LockMode::Steal);
        }
        let text =
            "this session is in the memory of the other tab alone, and cannot be taken over: go on there";
        out.push(Effect::Complain(text.to_owned()));
    }

    /// A time has come, or the timer rang early.
    fn tick(&mut self, out: &mut Out) {
        self.alarm = None;
        self.give_up_waiting(out);
        self.give_up_errand(out);
        if self.idle_at.is_some_and(|at| at <= out.now) {
            if self.is_idle() {
                self.close(out);
                out.push(Effect::Closed);
            } else {
                self.idle_at = Some(out.now.plus(IDLE_GRACE_MS));
            }
        }
    }

    /// Asks for one alarm at the nearest time at which something must be looked at.
    fn set_alarm(&mut self, out: &mut Out) {
        let waits = self.outbox.until().filter(|_| self.leader().is_none());
        let at = [self.idle_at, waits, self.errand_until()].into_iter().flatten().min();
        if at != self.alarm {
            self.alarm = at;
            out.push(Effect::Alarm(at));
        }
    }

    fn leader(&self) -> Option<&Leader> {
        if let State::Leader(leader) = &self.state { Some(leader) } else { None }
    }

    fn leader_mut(&mut self) -> Option<&mut Leader> {
        if let State::Leader(leader) = &mut self.state { Some(leader) } else { None }
    }

    fn request(&mut self, out: &mut Out, mode: LockMode) -> u64 {
        self.requests += 1;
        out.push(Effect::Lock { request: self.requests, mode });
        self.requests
    }

    /// Asks for the lock in another way than before.
    fn ask(&mut self, out: &mut Out, mode: LockMode) {
        self.release(out);
        self.state = State::Asking;
        self.lock = Some(self.request(out, mode));
    }

    fn release(&mut self, out: &mut Out) {
        if let Some(request) = self.lock.take() {
            out.push(Effect::Release { request });
        }
    }

    /// Waits for the lock, and sees what the leader shows.
    fn follow(&mut self, out: &mut Out) {
        self.ask(out, LockMode::Wait);
        self.state = State::Follower { whole: false };
        out.push(Effect::Post(TabMessage::Hello { from: self.me }));
    }

    fn granted(&mut self, out: &mut Out, request: u64) {
        if self.lock == Some(request) && matches!(self.state, State::Asking | State::Follower { .. }) {
            return self.claim(out);
        }
        if self.lock == Some(request) && self.leader().is_some() {
            return;
        }
        if self.lock == Some(request) && matches!(self.state, State::Deleting) {
            return out.push(Effect::Delete);
        }
        if !self.go_on_errand(out, request) {
            out.push(Effect::Release { request });
        }
    }

    fn refused(&mut self, out: &mut Out, request: u64) {
        if self.lock == Some(request) && matches!(self.state, State::Asking) {
            self.lock = None;
            return self.follow(out);
        }
        if self.lock == Some(request) && matches!(self.state, State::Deleting) {
            self.lock = None;
            out.push(Effect::Complain(errand::OPEN_ELSEWHERE.to_owned()));
            return self.follow(out);
        }
        self.leave_errand(out, request);
    }

    fn stolen(&mut self, out: &mut Out, request: u64) {
        if self.lock != Some(request) {
            return;
        }
        if self.leader().is_some_and(|leader| !leader.keeps()) {
            // Nobody else has its log: whoever took the lock finds none, and gives it back.
            self.lock = Some(self.request(out, LockMode::Wait));
        } else if self.leader().is_some() {
            self.step_down(out);
        } else if matches!(self.state, State::Claiming { .. } | State::Opening { .. }) {
            self.follow(out);
        } else if matches!(self.state, State::Deleting) {
            self.lock = None;
        }
    }

    /// New each time: what was written under an earlier one and is still on its way must not land.
    fn fresh_claim(&mut self, now: Timestamp) -> (Uuid, u64) {
        self.claims += 1;
        let token = Uuid::new_v5(&self.me, &self.claims.to_be_bytes());
        (token, now.0.max(self.term + 1))
    }

    fn claim(&mut self, out: &mut Out) {
        let (token, term) = self.fresh_claim(out.now);
        self.state = State::Claiming { token, term };
        out.push(Effect::Claim { token, term });
    }

    fn read(&mut self, out: &mut Out, token: Uuid, outcome: Result<Claim, ClaimError>) {
        let term = match &self.state {
            State::Claiming { token: of, term } if *of == token => *term,
            State::Retitling { token: of, title } if *of == token => {
                return self.retitle(out, token, title.clone(), outcome);
            }
            State::Closed
            | State::Asking
            | State::Claiming { .. }
            | State::Opening { .. }
            | State::Leader(_)
            | State::Follower { .. }
            | State::Unreadable { .. }
            | State::Deleting
            | State::Retitling { .. } => return,
        };
        let (claim, keeps) = match outcome {
            // Begun anew under its name, it would take completions of which the model knows nothing.
            Ok(claim) if claim.log.is_empty() && !self.kept => {
                let reason = "it was in the memory of the tab alone that ran it, and is gone with that tab";
                return self.give_up(out, reason.to_owned());
            }
            Ok(claim) => (claim, true),
            // Under this name something is there already, which this tab cannot read.
            Err(ClaimError::Unavailable(reason)) if self.term > 0 || self.begun => {
                return self.give_up(out, reason);
            }
            Err(ClaimError::Unavailable(_)) => {
                (Claim { term, log: Vec::new(), heard: Received::default() }, false)
            }
            Err(ClaimError::Unreadable(reason)) => return self.give_up(out, reason),
        };
        // A newer leader has spoken, so the log that was read may be old.
        if claim.term < self.term {
            return self.follow(out);
        }
        let leader = Box::new(Leader::new(token, claim.term, keeps, claim.heard));
        self.state = State::Opening { leader, log: claim.log };
        out.push(Effect::ReadLeft);
    }

    /// The log cannot be read: nothing that is said here is heard by anybody.
    fn give_up(&mut self, out: &mut Out, reason: String) {
        self.release(out);
        self.state = State::Unreadable { reason };
        let (messages, lost) = self.outbox.take_messages();
        out.push(Effect::GiveBack(messages));
        if lost {
            let text = "this session cannot be opened: what you asked for last was not done";
            out.push(Effect::Complain(text.to_owned()));
        }
    }

    /// Another tab has the session: the agent here stops.
    fn step_down(&mut self, out: &mut Out) {
        if self.leader().is_some_and(|leader| leader.fails) {
            let text = "another tab took this session over before this one could save it all: what it had not saved may be gone";
            out.push(Effect::Complain(text.to_owned()));
        }
        out.push(Effect::Stop);
        self.turn_to_next(out);
        self.follow(out);
    }

    fn close(&mut self, out: &mut Out) {
        if self.leader().is_some() {
            out.push(Effect::Stop);
        }
        self.release(out);
        if let Some((request, _)) = self.errand.take() {
            out.push(Effect::Release { request });
        }
        self.idle_at = None;
        self.outbox = Outbox::default();
        self.state = State::Closed;
    }

    fn visit(&mut self, out: &mut Out) {
        self.idle_at = None;
        if self.leader().is_some() {
            out.push(Effect::Redraw);
        } else if let State::Follower { whole } = &mut self.state {
            *whole = false;
            out.push(Effect::Post(TabMessage::Hello { from: self.me }));
        }
    }

    /// Whether nothing is lost by closing: no work is going on here.
    fn is_idle(&self) -> bool {
        match &self.state {
            State::Leader(leader) => leader.is_idle(),
            State::Follower { .. } => self.outbox.is_empty() && self.errand.is_none(),
            State::Unreadable { .. } | State::Closed => self.errand.is_none(),
            State::Asking
            | State::Claiming { .. }
            | State::Opening { .. }
            | State::Deleting
            | State::Retitling { .. } => false,
        }
    }

    fn write(&mut self, out: &mut Out) {
        let Some(leader) = self.leader_mut() else { return };
        let (token, term) = (leader.token, leader.term);
        if let Some((entries, heard)) = leader.next() {
            out.push(Effect::Append { token, term, entries, heard });
        }
    }

    fn appended(&mut self, out: &mut Out, token: Uuid, outcome: Result<(), AppendError>) {
        if matches!(&self.state, State::Retitling { token: of, .. } if *of == token) {
            return self.retitled(out, outcome);
        }
        let Some(leader) = self.leader_mut().filter(|leader| leader.token == token) else { return };
        let Some(through) = leader.written() else { return };
        match outcome {
            Ok(()) => {
                leader.fails = false;
                leader.saved(through);
                self.acknowledge_done(out);
                out.push(Effect::Tell(AgentEvent::Saved { through }));
            }
            Err(AppendError::Fenced) => {
                leader.fails = true;
                self.step_down(out);
            }
            Err(AppendError::Failed(reason)) => {
                leader.fails = true;
                out.push(Effect::Tell(AgentEvent::SaveFailed { reason }));
            }
        }
    }

    /// The leader that was told is no more, or is another.
    fn turn_to_next(&mut self, out: &mut Out) {
        if self.outbox.turn_to_next() {
            let text = "the tab that ran this session went before it answered: what you asked for last may not have been done";
            out.push(Effect::Complain(text.to_owned()));
        }
    }
}
