//! What is done with a session by a lock of its own, whether it is open here or not: it is deleted, or gets a title.

use uuid::Uuid;

use super::{
    AppendError, Claim, ClaimError, Effect, Errand, LockMode, Member, Out, Received, State, TabMessage,
};
use crate::event::Command;
use crate::record::{Entry, Record};
use crate::session::Session;

impl Member {
    /// Its lock is held until nothing of the session is left, so that no tab that follows can bring any of it back.
    pub(super) fn delete(&mut self, out: &mut Out) {
        if self.leader().is_some_and(|leader| !leader.keeps()) {
            // It was in this tab alone.
            self.close(out);
            out.push(Effect::Gone);
        } else if self.leader().is_some() {
            out.push(Effect::Stop);
            self.turn_to_next(out);
            self.state = State::Deleting;
            out.push(Effect::Delete);
        } else if !matches!(self.state, State::Deleting) {
            self.run_errand(out, Errand::Delete);
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
                    // Its agent was stopped: it begins again from its log.
                    self.claim(out);
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
            Some((asked, Errand::Retitle(title))) if asked == request => {
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
                let text = "this session is open in another tab: close it there first";
                out.push(Effect::Complain(text.to_owned()));
            }
            Some((_, Errand::Retitle(title))) => {
                let command = Command::Rename { title };
                out.push(Effect::Post(TabMessage::Command { from: self.me, number: 1, term: 0, command }));
            }
            None => return,
        }
        self.end_if_closed(out);
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
        let Claim { term, log, .. } = match outcome {
            Ok(claim) => claim,
            Err(ClaimError::Unavailable(reason) | ClaimError::Unreadable(reason)) => {
                out.push(Effect::Complain(reason));
                return self.end_errand(out);
            }
        };
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
        out.push(Effect::Append { token, term, entries: vec![entry], heard: Received::default() });
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
