//! What is done with a session by a lock of its own, whether it is open here or not: it is deleted, or gets a
//! title.

use shared::Timestamp;
use uuid::Uuid;

use super::outbox::UNANSWERED_MS;
use super::{
    AppendError, Claim, ClaimError, Effect, Errand, LockMode, Member, Out, Received, State, TabMessage,
};
use crate::event::Command;
use crate::record::{Entry, Record};
use crate::session::Session;

pub(super) const OPEN_ELSEWHERE: &str = "this session is open in another tab: close it there first";

impl Member {
    /// Its lock is held until nothing of the session is left, so that no tab that follows can bring any of it
    /// back.
    pub(super) fn delete(&mut self, out: &mut Out) {
        if self.leader().is_some_and(|leader| !leader.keeps()) {
            // It was in this tab alone.
            self.close(out);
            out.push(Effect::Gone);
            return;
        }
        match &self.state {
            State::Leader(_) => {
                out.push(Effect::Stop);
                self.state = State::Deleting;
                out.push(Effect::Delete);
            }
            // The lock is held.
            State::Claiming { .. } | State::Opening { .. } => {
                self.state = State::Deleting;
                out.push(Effect::Delete);
            }
            // The answer is on its way.
            State::Asking => self.state = State::Deleting,
            State::Deleting => {}
            State::Closed | State::Follower { .. } | State::Unreadable { .. } | State::Retitling { .. } => {
                self.run_errand(out, Errand::Delete);
            }
        }
    }

    pub(super) fn deleted(&mut self, out: &mut Out, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.close(out);
                out.push(Effect::Gone);
            }
            Err(reason) => {
                out.push(Effect::Complain(reason));
                if matches!(self.state, State::Deleting) {
                    // Its agent was stopped: it begins again from its log, if no other tab took it meanwhile.
                    self.turn_to_next(out);
                    if self.lock.is_some() { self.claim(out) } else { self.follow(out) }
                } else {
                    self.end_errand(out);
                }
            }
        }
    }

    pub(super) fn run_errand(&mut self, out: &mut Out, errand: Errand) {
        if self.errand.is_none() {
            self.errand = Some((self.request(out, LockMode::IfFree), errand));
        }
    }

    /// The lock is held. False if it was not asked for by an errand.
    pub(super) fn go_on_errand(&mut self, out: &mut Out, request: u64) -> bool {
        match self.errand.clone() {
            Some((asked, Errand::Delete)) if asked == request => out.push(Effect::Delete),
            Some((asked, Errand::Retitle { title, .. })) if asked == request => {
                let (token, term) = self.fresh_claim(out.now);
                self.state = State::Retitling { token, title };
                out.push(Effect::Claim { token, term });
            }
            _ => return false,
        }
        true
    }

    /// The lock is not free.
    pub(super) fn leave_errand(&mut self, out: &mut Out, request: u64) {
        match self.errand.take_if(|(asked, _)| *asked == request) {
            Some((_, Errand::Delete)) => {
                out.push(Effect::Complain(OPEN_ELSEWHERE.to_owned()));
                self.end_if_closed(out);
            }
            // Whoever leads gives the title; or it is given here, should the lock come first.
            Some((_, Errand::Retitle { title, .. })) => {
                let until = Some(out.now.plus(UNANSWERED_MS));
                self.errand = Some((self.request(out, LockMode::Wait), Errand::Retitle { title, until }));
                self.ask_for_title(out);
            }
            None => {}
        }
    }

    /// A title waits for whoever leads.
    pub(super) fn ask_for_title(&self, out: &mut Out) {
        if let Some((_, Errand::Retitle { title, until: Some(_) })) = &self.errand {
            let (from, command) = (self.me, Command::Rename { title: title.clone() });
            out.push(Effect::Post(TabMessage::Command { from, number: 1, term: 0, at: out.now, command }));
        }
    }

    /// The leader has given it.
    pub(super) fn title_is_given(&mut self, out: &mut Out) {
        if matches!(self.errand, Some((_, Errand::Retitle { until: Some(_), .. })))
            && matches!(self.state, State::Closed)
        {
            self.end_errand(out);
        }
    }

    /// Until when a leader is waited for.
    pub(super) fn errand_until(&self) -> Option<Timestamp> {
        match &self.errand {
            Some((_, Errand::Retitle { until, .. })) if matches!(self.state, State::Closed) => *until,
            _ => None,
        }
    }

    /// It has not answered.
    pub(super) fn give_up_errand(&mut self, out: &mut Out) {
        if self.errand_until().is_some_and(|until| until <= out.now) {
            let text = "the title may not have been given: the tab that runs this session does not answer; open it, and try again";
            out.push(Effect::Complain(text.to_owned()));
            self.end_errand(out);
        }
    }

    fn end_errand(&mut self, out: &mut Out) {
        if let Some((request, _)) = self.errand.take() {
            out.push(Effect::Release { request });
        }
        if matches!(self.state, State::Retitling { .. }) {
            self.state = State::Closed;
        }
        self.end_if_closed(out);
    }

    /// One that was there for its errand only is done with.
    fn end_if_closed(&self, out: &mut Out) {
        if matches!(self.state, State::Closed) {
            out.push(Effect::Closed);
        }
    }

    pub(super) fn retitle(
        &mut self,
        out: &mut Out,
        token: Uuid,
        title: String,
        outcome: Result<Claim, ClaimError>,
    ) {
        let Claim { term, log, mut heard } = match outcome {
            Ok(claim) => claim,
            Err(ClaimError::Unavailable(reason) | ClaimError::Unreadable(reason)) => {
                out.push(Effect::Complain(reason));
                return self.end_errand(out);
            }
        };
        // Whoever led before has given it.
        if heard.of(self.me) > 0 {
            return self.end_errand(out);
        }
        // Whoever leads next knows that it was given, should it be asked as well.
        heard = Received::default();
        heard.note(self.me, 1);
        let Some(last) = log.last() else {
            out.push(Effect::Complain("this session is not in the list any more".to_owned()));
            return self.end_errand(out);
        };
        let entry = Entry { n: last.n + 1, at: last.at.max(out.now), record: Record::Titled { title } };
        let mut folded = Session::default();
        for entry in log.iter().chain([&entry]) {
            folded.apply(entry);
        }
        self.state = State::Retitling { token, title: folded.title().to_owned() };
        out.push(Effect::Append { token, term, entries: vec![entry], heard });
    }

    /// What came of it.
    pub(super) fn retitled(&mut self, out: &mut Out, outcome: Result<(), AppendError>) {
        let State::Retitling { title, .. } = &self.state else { return };
        out.push(match outcome {
            Ok(()) => Effect::Titled(title.clone()),
            Err(AppendError::Fenced) => Effect::Complain("another tab runs this session".to_owned()),
            Err(AppendError::Failed(reason)) => Effect::Complain(reason),
        });
        self.end_errand(out);
    }
}
