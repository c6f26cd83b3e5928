//! Commands on their way to the leader: kept until it has done them, sent again to the next, and done once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Command;

/// How many commands are kept that no leader has answered; and of the leader's own that are not saved.
const MOST_KEPT: usize = 64;
const MOST_UNSAVED: usize = 1_024;
/// Of how many tabs it is noted which commands are in the log.
const MOST_TABS: usize = 64;

/// The last command of each tab that was heard. Each tab's commands come in order, so whatever is not above it comes twice.
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

    pub(super) fn push(&mut self, command: Command) {
        self.last += 1;
        self.kept.push_back(Kept { number: self.last, command, sent: false });
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

    /// There is another leader. Messages are for whoever leads; all else was meant for what was to be seen then, and may have
    /// been done. Gives whether the person must be told of it.
    pub(super) fn turn_to_next(&mut self) -> bool {
        let before = self.kept.len();
        let looks = |command: &Command| {
            matches!(command, Command::Watch { .. } | Command::Unwatch { .. } | Command::Reconnect)
        };
        let silent = self.kept.iter().filter(|kept| kept.sent && looks(&kept.command)).count();
        self.kept.retain(|kept| !kept.sent || matches!(kept.command, Command::QueueMessage { .. }));
        for kept in &mut self.kept {
            kept.sent = false;
        }
        std::mem::take(&mut self.overflowed) || before - self.kept.len() > silent
    }

    /// Nobody will hear them: gives the messages.
    pub(super) fn take_messages(&mut self) -> Vec<String> {
        let texts = self.kept.drain(..).filter_map(|kept| {
            if let Command::QueueMessage { text, .. } = kept.command { Some(text) } else { None }
        });
        texts.collect()
    }

    /// The messages that were sent, with their numbers.
    pub(super) fn messages(&self) -> impl Iterator<Item = (u64, &str, bool)> {
        self.kept.iter().filter_map(|kept| {
            let Command::QueueMessage { text, steer } = &kept.command else { return None };
            Some((kept.number, text.as_str(), *steer))
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
            outbox.push(command);
        }
        assert_eq!(outbox.send().len(), 3);
        assert_eq!(outbox.send(), [], "all were told");
        outbox.push(Command::Retry);
        outbox.acknowledged(1);
        assert!(outbox.turn_to_next(), "the stop may not have been heard");
        assert_eq!(outbox.send(), [(3, queue_message("two")), (4, Command::Retry)]);
        outbox.acknowledged(4);
        assert!(!outbox.turn_to_next());
        assert_eq!(outbox.take_messages(), ["two"]);
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
