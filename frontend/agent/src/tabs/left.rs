//! What a page leaves behind when it may be going, and what the next leader, or one that lives on, makes of
//! it.

use super::{Effect, Member, Out, State, TabMessage, UnsavedMessage};
use crate::event::Command;
use crate::record::Entry;

impl Member {
    /// What the person has sent and no log holds for certain, with what the agent here has not saved.
    #[must_use]
    pub fn unsaved_messages(&self, unsaved: Vec<Entry>) -> Vec<UnsavedMessage> {
        let leader = self.leader();
        let with_agent = |number| leader.is_some_and(|leader| leader.runs(self.me, number));
        let kept =
            self.outbox.unanswered().filter(|(number, text, _)| text.is_empty() || !with_agent(*number));
        let kept = kept.map(|(number, text, steer)| UnsavedMessage {
            n: 0,
            text: text.to_owned(),
            steer,
            from: self.me,
            number,
        });
        leader
            .map(|leader| leader.unsaved(self.me, unsaved))
            .unwrap_or_default()
            .into_iter()
            .chain(kept)
            .collect()
    }

    /// The log was read, and this is what pages left behind: the agent starts.
    pub(super) fn lead(&mut self, out: &mut Out, mut left: Vec<UnsavedMessage>) {
        if !matches!(self.state, State::Opening { .. }) {
            return;
        }
        let before = std::mem::replace(&mut self.state, State::Asking);
        let State::Opening { mut leader, log } = before else { return };
        let marks: Vec<_> = left.extract_if(.., |left| left.text.is_empty()).collect();
        for UnsavedMessage { from, number, .. } in &marks {
            out.push(Effect::ForgetLeft { from: *from, number: *number });
        }
        if !marks.is_empty() {
            let text = "the page went before it was answered: what you asked for last in this session may not have been done";
            out.push(Effect::Complain(text.to_owned()));
        }
        left.retain(|message| {
            let written = message.is_in(&log, &leader.heard);
            if written && message.number > 0 {
                out.push(Effect::ForgetLeft { from: message.from, number: message.number });
            } else if !written {
                leader.owes(message);
            }
            !written
        });
        left.sort_by_key(|message| message.number);
        (self.term, self.kept) = (leader.term, leader.keeps());
        self.state = State::Leader(leader);
        out.push(Effect::Start { log });
        out.push(Effect::Post(TabMessage::Claimed { term: self.term, keeps: self.kept }));
        self.turn_to_next(out);
        for UnsavedMessage { text, steer, from, number, .. } in left {
            self.run(out, from, number, Command::QueueMessage { text, steer });
        }
        self.send(out);
    }

    /// Pages left messages behind while this tab leads. Only those are taken whose earlier commands are
    /// known: they may be on their way.
    pub(super) fn take_left(&mut self, out: &mut Out, mut left: Vec<UnsavedMessage>) {
        left.retain(|message| message.number > 0 && !message.text.is_empty() && message.from != self.me);
        left.sort_by_key(|message| message.number);
        for message in left {
            let Some(leader) = self.leader_mut() else { return };
            let heard = leader.heard.of(message.from);
            if message.number <= heard + 1 {
                leader.owes(&message);
                let UnsavedMessage { text, steer, from, number, .. } = message;
                self.run(out, from, number, Command::QueueMessage { text, steer });
            }
        }
    }
}
