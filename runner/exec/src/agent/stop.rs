//! Ending a tree, freezing and thawing it.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::link::Link;
use super::run::{Mode, Running};
use crate::frames::FromAgent;
use crate::tree::{self, Member, Motion};

/// Between two rounds of KILL when no reaping calls for one.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// How long a tree may take to stand still.
const FREEZE: Duration = Duration::from_secs(2);
/// How long KILL is given before what still lives is reported.
const STUCK: Duration = Duration::from_secs(10);

impl Running {
    fn signal(&self, signals: &[Signal]) {
        tree::signal(&tree::members(Some(self.pid)), signals);
    }

    pub(super) fn ask(&mut self, grace: Duration) {
        if self.mode == Mode::Free {
            self.mode = Mode::Asked(Instant::now() + grace);
            self.signal(&[Signal::TERM, Signal::CONT]);
        }
    }

    pub(super) fn kill(&mut self) {
        if !matches!(self.mode, Mode::Killing { .. }) {
            let now = Instant::now();
            self.mode = Mode::Killing { since: now, again: now + ROUND, told: false };
        }
        self.signal(&[Signal::KILL]);
    }

    /// When [`Self::on_time`] is wanted.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self.mode {
            Mode::Free => None,
            Mode::Asked(at) | Mode::Killing { again: at, .. } => Some(at),
        }
    }

    /// Another round of a stop, if one is due.
    pub(super) fn on_time(&mut self, link: &mut Link) {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        let Mode::Killing { since, told, .. } = self.mode else { return self.kill() };
        let left = tree::members(Some(self.pid));
        tree::signal(&left, &[Signal::KILL]);
        // What is dead and not yet reaped needs no more than time.
        let stuck = !left.is_empty() && now >= since + STUCK;
        if stuck && !told {
            link.send(&[&FromAgent::Unkillable(tree::describe(&left))]);
        }
        let told = told || stuck;
        self.mode = Mode::Killing { since, again: now + if told { STUCK } else { ROUND }, told };
    }

    /// Another round after a reaping: whoever was just forked.
    pub(super) fn kill_again(&self) {
        if matches!(self.mode, Mode::Killing { .. }) {
            self.signal(&[Signal::KILL]);
        }
    }

    /// Freezes the tree where it is, or thaws it, and says whether it is frozen then. A process that is being
    /// forked while its parent is stopped is found in the next round; one that is stopped forks no more. What
    /// is being ended stays as it is.
    pub(super) fn freeze(&mut self, freeze: bool) -> bool {
        if self.mode != Mode::Free {
            return false;
        }
        if !freeze {
            self.thaw();
            return false;
        }
        let until = Instant::now() + FREEZE;
        loop {
            let mut moving = tree::members(Some(self.pid));
            moving.retain(|member| tree::motion(*member) != Motion::Still);
            let late = Instant::now() > until;
            // What was told to stop and waits for a device does nothing more.
            if moving.is_empty() || late && moving.iter().all(|member| self.will_stop(*member)) {
                return true;
            }
            if late {
                self.thaw();
                return false;
            }
            tree::signal(&moving, &[Signal::STOP]);
            self.frozen.extend(moving);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn will_stop(&self, member: Member) -> bool {
        self.frozen.contains(&member) && tree::motion(member) != Motion::Moves
    }

    /// Children first: a parent that waits must not see them stopped.
    fn thaw(&mut self) {
        let mut members = tree::members(Some(self.pid));
        members.retain(|member| self.frozen.contains(member));
        members.reverse();
        tree::signal(&members, &[Signal::CONT]);
        self.frozen.clear();
    }
}
