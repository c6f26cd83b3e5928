//! Commands on their way: from the person to the leader, here or in another tab, and the word that they are
//! done.

use uuid::Uuid;

use super::leader::{Duty, Leader};
use super::{Effect, Member, Out, State, TabMessage};
use crate::event::Command;

impl Member {
    pub(super) fn command(&mut self, out: &mut Out, command: Command) {
        if let State::Unreadable { reason } = &self.state {
            out.push(Effect::Complain(format!("nobody hears this session: {reason}")));
            return give_back(out, command);
        }
        let me = self.me;
        if let State::Leader(leader) = &mut self.state {
            // The agent has them all, and says itself that it cannot save.
            if let Some(number) = self.outbox.make_room() {
                leader.forget(me, number);
            }
        } else if self.outbox.is_full() {
            let text = "nobody hears this session just now; your last words were not taken";
            out.push(Effect::Complain(text.to_owned()));
            return give_back(out, command);
        }
        let (viewer, _) = me.as_u64_pair();
        self.outbox.push(out.now, command.seen_by(viewer));
        self.send(out);
    }

    /// Hands the leader what it was not told yet, here or in another tab.
    pub(super) fn send(&mut self, out: &mut Out) {
        let (me, term) = (self.me, self.term);
        if self.leader().is_some() {
            for (number, command) in self.outbox.send() {
                self.run(out, me, number, command);
            }
        } else if matches!(self.state, State::Follower { whole: true }) {
            for (number, command) in self.outbox.send() {
                let at = out.now;
                out.push(Effect::Post(TabMessage::Command { from: me, number, term, at, command }));
            }
        }
    }

    /// Tells the person of what has waited too long for a leader, or for its answer.
    pub(super) fn give_up_waiting(&mut self, out: &mut Out) {
        if self.leader().is_none() && self.outbox.give_up(out.now) {
            let text =
                "no tab that runs this session has answered: what you asked for last may not have been done";
            out.push(Effect::Complain(text.to_owned()));
        }
    }

    pub(super) fn run(&mut self, out: &mut Out, from: Uuid, number: u64, command: Command) {
        let Some(leader) = self.leader_mut() else { return };
        match leader.hear(from, number, matches!(command, Command::QueueMessage { .. })) {
            Duty::Run => out.push(Effect::Run { from, number, command }),
            Duty::Wait => {}
            Duty::Acknowledge => self.acknowledge(out, from, number),
        }
    }

    /// Tells of each command that is done now.
    pub(super) fn acknowledge_done(&mut self, out: &mut Out) {
        let done = self.leader_mut().map(Leader::done).unwrap_or_default();
        for (from, number) in done {
            self.acknowledge(out, from, number);
        }
    }

    fn acknowledge(&mut self, out: &mut Out, from: Uuid, number: u64) {
        if self.leader_mut().is_some_and(|leader| leader.pays(from, number)) {
            out.push(Effect::ForgetLeft { from, number });
        }
        if from == self.me {
            self.outbox.acknowledged(number);
        } else if number > 0 {
            out.push(Effect::Post(TabMessage::Ack { to: from, number }));
        }
    }
}

/// A message that is not taken is the person's again.
fn give_back(out: &mut Out, command: Command) {
    if let Command::QueueMessage { text, .. } = command {
        out.push(Effect::GiveBack(vec![text]));
    }
}
