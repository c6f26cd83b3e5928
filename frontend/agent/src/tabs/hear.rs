//! What the tabs of a session say to each other, as it is said and heard.

use super::outbox::{UNHEARD_MS, is_lasting};
use super::{Effect, Member, Out, State, TabMessage};
use crate::view::{Flash, Patch};
use shared::Timestamp;
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

    /// Says something to the person: at the tab where they asked for it, or here if that tab is no more; at
    /// all tabs if nobody did.
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
                    let (term, keeps) = (leader.term, leader.keeps());
                    out.push(Effect::Snapshot { to: from, term, keeps });
                }
            }
            TabMessage::Snapshot { to, term, keeps, patches } => {
                let follows = matches!(self.state, State::Follower { .. });
                if to == self.me && follows && term >= self.term {
                    self.kept = keeps;
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
            TabMessage::Claimed { term, keeps } => {
                if term > self.term {
                    self.kept = keeps;
                }
                self.newer(out, term);
                self.ask_for_title(out);
            }
            TabMessage::Command { from, number, term, at, command } => {
                // Whoever sent it was told that it may not have been done, and may want something else by
                // now.
                let late = at > Timestamp(0) && out.now.since(at) >= UNHEARD_MS && !is_lasting(&command);
                if (term == self.term || term == 0) && !late {
                    if let Some(leader) = self.leader_mut() {
                        leader.meet(from);
                    }
                    self.run(out, from, number, command);
                }
            }
            TabMessage::Ack { to, number } => {
                if to == self.me {
                    self.outbox.acknowledged(number);
                    self.title_is_given(out);
                }
            }
        }
    }

    /// Another tab, with a page of another version, said something that is not understood here. What it was
    /// about is seen in the whole.
    pub(super) fn garbled(&mut self, out: &mut Out) {
        match &mut self.state {
            State::Follower { whole } if *whole => {
                *whole = false;
                out.push(Effect::Post(TabMessage::Hello { from: self.me }));
            }
            // It may be the whole that is not understood.
            State::Follower { .. } | State::Leader(_) => {}
            State::Closed
            | State::Asking
            | State::Claiming { .. }
            | State::Opening { .. }
            | State::Unreadable { .. }
            | State::Deleting
            | State::Retitling { .. } => return,
        }
        if !std::mem::replace(&mut self.outdated, true) {
            let text = "another tab has this session open with another version of this page: reload this tab, and that one";
            out.push(Effect::Complain(text.to_owned()));
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
