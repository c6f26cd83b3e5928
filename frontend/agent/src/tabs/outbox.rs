//! Commands on their way to the leader: kept until it has done them, sent again to the next, and done once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use shared::Timestamp;
use uuid::Uuid;

use crate::event::Command;

/// How many commands are kept that no leader has answered; and of the leader's own that are not saved.
const MOST_KEPT: usize = 64;
const MOST_UNSAVED: usize = 1_024;
/// How long what is meant for what is to be seen just now waits for a leader, and then for its answer, in
/// milliseconds.
pub(super) const UNHEARD_MS: u64 = 5_000;
pub(super) const UNANSWERED_MS: u64 = 15_000;
/// Of how many tabs it is noted which commands are in the log.
const MOST_TABS: usize = 64;

/// The last command of each tab that was heard. Each tab's commands come in order, so whatever is not above
/// it comes twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Received(Vec<(Uuid, u64)>);

impl Received {
    /// The last command of this tab; 0 for none.
    #[must_use]
    pub fn of(&self, tab: Uuid) -> u64 {
        self.0.iter().find(|(from, _)| *from == tab).map_or(0, |(_, number)| *number)
    }

    /// Whether nothing is noted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a command. The tabs that were not heard for the longest are forgotten: they are gone.
    pub fn note(&mut self, tab: Uuid, number: u64) {
        let number = number.max(self.of(tab));
        self.0.retain(|(from, _)| *from != tab);
        self.0.push((tab, number));
        let excess = self.0.len().saturating_sub(MOST_TABS);
        self.0.drain(..excess);
    }

    /// Adds what another list has.
    pub fn merge(&mut self, other: &Self) {
        for (tab, number) in &other.0 {
            self.note(*tab, *number);
        }
    }
}

/// A command that no leader has answered.
#[derive(Debug)]
struct Kept {
    number: u64,
    command: Command,
    /// Whether the leader of now was told.
    sent: bool,
    since: Timestamp,
}

impl Kept {
    /// Until when it waits.
    fn until(&self) -> Option<Timestamp> {
        let wait = if self.sent { UNANSWERED_MS } else { UNHEARD_MS };
        (!is_lasting(&self.command)).then(|| self.since.plus(wait))
    }
}

/// Whether it is for whoever leads, and whenever. All else is meant for what is to be seen just now.
pub(super) const fn is_lasting(command: &Command) -> bool {
    matches!(command, Command::QueueMessage { .. } | Command::Watch { .. } | Command::Unwatch { .. })
}

/// Whether nothing is lost if it is not done: the person sees that it was not.
const fn is_look(command: &Command) -> bool {
    matches!(command, Command::Watch { .. } | Command::Unwatch { .. } | Command::Reconnect)
}

/// The commands of one tab.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last: u64,
    kept: VecDeque<Kept>,
    /// Whether some went for others that came after them.
    overflowed: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= MOST_KEPT
    }

    pub(super) fn push(&mut self, now: Timestamp, command: Command) {
        self.last += 1;
        self.kept.push_back(Kept { number: self.last, command, sent: false, since: now });
    }

    /// Makes room among those that the agent here has, and says which goes.
    pub(super) fn make_room(&mut self) -> Option<u64> {
        if self.kept.len() < MOST_UNSAVED {
            return None;
        }
        self.overflowed = true;
        self.kept.pop_front().map(|kept| kept.number)
    }

    /// What the leader of now was not told yet: from now on it was.
    pub(super) fn send(&mut self) -> Vec<(u64, Command)> {
        let unsent = self.kept.iter_mut().filter(|kept| !kept.sent);
        unsent
            .map(|kept| {
                kept.sent = true;
                (kept.number, kept.command.clone())
            })
            .collect()
    }

    pub(super) fn acknowledged(&mut self, number: u64) {
        self.kept.retain(|kept| kept.number != number);
        self.overflowed &= !self.kept.is_empty();
    }

    /// There is another leader. Messages are for whoever leads; all else was meant for what was to be seen
    /// then, and may have been done. Gives whether the person must be told of it.
    pub(super) fn turn_to_next(&mut self) -> bool {
        let lost = self.remove(|kept| kept.sent && !matches!(kept.command, Command::QueueMessage { .. }));
        for kept in &mut self.kept {
            kept.sent = false;
        }
        std::mem::take(&mut self.overflowed) || lost
    }

    /// Gives up on what has waited too long. Gives whether the person must be told of it.
    pub(super) fn give_up(&mut self, now: Timestamp) -> bool {
        self.remove(|kept| kept.until().is_some_and(|until| until <= now))
    }

    /// Until when the first of them waits.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.kept.iter().filter_map(Kept::until).min()
    }

    /// Gives whether any of them was more than a look.
    fn remove(&mut self, which: impl Fn(&Kept) -> bool) -> bool {
        let lost = self.kept.iter().any(|kept| which(kept) && !is_look(&kept.command));
        self.kept.retain(|kept| !which(kept));
        lost
    }

    /// Nobody will hear them: gives the messages, and whether there was more.
    pub(super) fn take_messages(&mut self) -> (Vec<String>, bool) {
        let lost = self.remove(|kept| !matches!(kept.command, Command::QueueMessage { .. }));
        let texts = self.kept.drain(..).filter_map(|kept| {
            if let Command::QueueMessage { text, .. } = kept.command { Some(text) } else { None }
        });
        (texts.collect(), lost)
    }

    /// The messages that were sent, with their numbers; and the other commands, without a text.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (u64, &str, bool)> {
        self.kept.iter().filter(|kept| !is_look(&kept.command)).map(|kept| {
            let Command::QueueMessage { text, steer } = &kept.command else {
                return (kept.number, "", false);
            };
            (kept.number, text.as_str(), *steer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn queue_message(text: &str) -> Command {
        Command::QueueMessage { text: text.to_owned(), steer: false }
    }

    #[test]
    fn messages_go_to_the_next_leader_and_other_commands_do_not_go_twice() {
        let mut outbox = Outbox::default();
        for command in [queue_message("one"), Command::StopReply, queue_message("two")] {
            outbox.push(Timestamp(1_000), command);
        }
        assert_eq!(outbox.send().len(), 3);
        assert_eq!(outbox.send(), [], "all were told");
        outbox.push(Timestamp(1_000), Command::Retry);
        outbox.acknowledged(1);
        assert!(outbox.turn_to_next(), "the stop may not have been heard");
        assert_eq!(outbox.send(), [(3, queue_message("two")), (4, Command::Retry)]);
        outbox.acknowledged(4);
        assert!(!outbox.turn_to_next());
        assert_eq!(outbox.take_messages(), (vec!["two".to_owned()], false));
    }

    #[test]
    fn only_messages_and_looks_wait_without_an_end() {
        let mut outbox = Outbox::default();
        let task = shared::TaskId("0a1b2c3d".to_owned());
        outbox.push(Timestamp(1_000), queue_message("one"));
        outbox.push(Timestamp(1_000), Command::Watch { task, viewer: 1 });
        assert_eq!(outbox.until(), None);
        outbox.push(Timestamp(1_000), Command::StopReply);
        assert_eq!(outbox.until(), Some(Timestamp(1_000 + UNHEARD_MS)));
        assert!(!outbox.give_up(Timestamp(999 + UNHEARD_MS)));
        assert!(outbox.give_up(Timestamp(1_000 + UNHEARD_MS)));
        outbox.push(Timestamp(9_000), Command::Reconnect);
        assert_eq!(outbox.send().len(), 3);
        assert_eq!(outbox.until(), Some(Timestamp(9_000 + UNANSWERED_MS)));
        assert!(!outbox.give_up(Timestamp(9_000 + UNANSWERED_MS)), "it is seen that it was not done");
        assert_eq!(outbox.kept.len(), 2);
    }

    #[test]
    fn who_was_heard_is_bounded_and_never_goes_back() {
        let tab = |n: usize| Uuid::from_u128(n as u128);
        let mut heard = Received::default();
        for n in 0..2 * MOST_TABS {
            heard.note(tab(n), 5);
            heard.note(tab(0), 3);
        }
        assert_eq!(heard.0.len(), MOST_TABS);
        assert_eq!((heard.of(tab(0)), heard.of(tab(1)), heard.of(tab(2 * MOST_TABS - 1))), (5, 0, 5));
    }
}
