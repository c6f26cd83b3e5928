//! What the tabs of a session say to each other, as it is said and heard.

use super::{Effect, Member, Out, State, TabMessage};
use crate::view::Patch;

impl Member {
    /// Shows what changed, here and in tabs that follow.
    pub(super) fn show(&self, out: &mut Out, patches: Vec<Patch>) {
        if let Some(leader) = self.leader().filter(|leader| leader.followed) {
            let (term, patches) = (leader.term, patches.clone());
            out.push(Effect::Post(TabMessage::Show { term, patches }));
        }
        out.push(Effect::Show(patches));
    }

    pub(super) fn hear(&mut self, out: &mut Out, message: TabMessage) {
        match message {
            TabMessage::Hello { from } => {
                if let Some(leader) = self.leader_mut() {
                    leader.followed = true;
                    let term = leader.term;
                    out.push(Effect::Snapshot { to: from, term });
                }
            }
            TabMessage::Snapshot { to, term, patches } => {
                let follows = matches!(self.state, State::Follower { .. });
                if to == self.me && follows && term >= self.term {
                    if term > self.term {
                        self.term = term;
                        self.turn_to_next(out);
                    }
                    self.state = State::Follower { whole: true };
                    out.push(Effect::Show(patches));
                    self.send(out);
                }
            }
            TabMessage::Show { term, patches } => {
                self.newer(out, term);
                if matches!(self.state, State::Follower { whole: true }) && term == self.term {
                    out.push(Effect::Show(patches));
                }
            }
            TabMessage::Claimed { term } => self.newer(out, term),
            TabMessage::Command { from, number, term, command } => {
                if term == self.term || term == 0 {
                    self.run(out, from, number, command);
                }
            }
            TabMessage::Ack { to, number } => {
                if to == self.me {
                    self.outbox.acknowledged(number);
                }
            }
        }
    }

    /// Another tab leads under this term. One that is not above what was heard before is late.
    fn newer(&mut self, out: &mut Out, term: u64) {
        if term <= self.term {
            return;
        }
        self.term = term;
        if self.leader().is_some() {
            return self.step_down(out);
        }
        self.turn_to_next(out);
        if let State::Follower { whole } = &mut self.state {
            *whole = false;
            out.push(Effect::Post(TabMessage::Hello { from: self.me }));
        }
    }
}
