//! What the tabs of a session say to each other, as it is said and heard.

use super::{Effect, Member, Out, State, TabMessage};
use crate::view::{Flash, Patch};
use uuid::Uuid;

impl Member {
    /// Shows what changed, here and in tabs that follow.
    pub(super) fn show(&self, out: &mut Out, patches: Vec<Patch>) {
        if let Some(leader) = self.leader().filter(|leader| leader.is_followed()) {
            let (term, patches) = (leader.term, patches.clone());
            out.push(Effect::Post(TabMessage::Show { term, patches }));
        }
        out.push(Effect::Show(patches));
    }

    /// Says something to the person: at the tab where they asked for it, or here if that tab is no more; at all tabs if nobody did.
    pub(super) fn flash(&self, out: &mut Out, to: Option<Uuid>, flash: Flash) {
        let Some(leader) = self.leader() else { return };
        let elsewhere = to.is_some_and(|to| to != self.me && leader.knows(to));
        if elsewhere || to.is_none() && leader.is_followed() {
            let (term, flash) = (leader.term, flash.clone());
            out.push(Effect::Post(TabMessage::Flash { term, to, flash }));
        }
        if !elsewhere {
            say(out, flash);
        }
    }

    pub(super) fn hear(&mut self, out: &mut Out, message: TabMessage) {
        match message {
            TabMessage::Hello { from } => {
                if let Some(leader) = self.leader_mut() {
                    leader.meet(from);
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
            TabMessage::Flash { term, to, flash } => {
                self.newer(out, term);
                let follows = matches!(self.state, State::Follower { .. });
                if to.map_or(follows && term == self.term, |to| to == self.me) {
                    say(out, flash);
                }
            }
            TabMessage::Claimed { term } => self.newer(out, term),
            TabMessage::Command { from, number, term, command } => {
                if term == self.term || term == 0 {
                    if let Some(leader) = self.leader_mut() {
                        leader.meet(from);
                    }
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

/// Says something to the person at this page.
fn say(out: &mut Out, flash: Flash) {
    out.push(match flash {
        Flash::Draft { text } => Effect::GiveBack(vec![text]),
        Flash::Toast { .. } | Flash::PairLink { .. } => Effect::Flash(flash),
    });
}
