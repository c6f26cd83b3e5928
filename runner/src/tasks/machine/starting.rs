//! Tries to start the command. Where descriptors, processes or memory are short it is tried again, in line with others,
//! until the line has not moved for too long.

use std::time::Duration;

use tokio::time::Instant;

/// First wait after an exhaustion of descriptors, processes or memory.
const PATIENCE: Duration = Duration::from_millis(25);
/// And the longest between two tries of the first in line.
const LONGEST: Duration = Duration::from_millis(200);

/// Its place among those that wait for what is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It has not stood in it.
    Out,
    Waiting,
    First,
}

#[derive(Debug)]
pub(super) struct Starting {
    begun: Instant,
    line: Line,
    wait: Duration,
    again: Instant,
    /// What was short the last time.
    reason: String,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    Attempt,
    AwaitTurn,
    Wait,
    /// It stays short.
    GiveUp(String),
}

impl Starting {
    pub(super) fn new(now: Instant, patience: Duration, line_free: bool) -> (Self, Next) {
        let reason = "Descriptors, processes or memory are short.".to_owned();
        let mut starting =
            Self { begun: now, line: Line::Out, wait: PATIENCE, again: now + patience, reason };
        // Nobody overtakes those who wait.
        let next = if line_free { Next::Attempt } else { starting.wait(now, patience, None) };
        (starting, next)
    }

    /// When time is to be looked at.
    pub(super) const fn again(&self) -> Instant {
        self.again
    }

    pub(super) fn turn(&mut self) -> Next {
        self.line = Line::First;
        Next::Attempt
    }

    pub(super) fn short(
        &mut self,
        now: Instant,
        patience: Duration,
        reason: String,
        line_moved: Option<Instant>,
    ) -> Next {
        self.reason = reason;
        self.wait(now, patience, line_moved)
    }

    pub(super) fn time(&mut self, now: Instant, patience: Duration, line_moved: Option<Instant>) -> Next {
        if now < self.again {
            return Next::Wait;
        }
        if self.line == Line::First {
            self.wait = LONGEST.min(self.wait * 2);
            // Until that was tried, which is at once.
            self.again = now + self.wait;
            return Next::Attempt;
        }
        self.wait(now, patience, line_moved)
    }

    fn wait(&mut self, now: Instant, patience: Duration, line_moved: Option<Instant>) -> Next {
        let give_up = line_moved.map_or(self.begun, |moved| moved.max(self.begun)) + patience;
        if now >= give_up {
            return Next::GiveUp(std::mem::take(&mut self.reason));
        }
        self.again = if self.line == Line::First { give_up.min(now + self.wait) } else { give_up };
        if self.line == Line::Out {
            self.line = Line::Waiting;
            return Next::AwaitTurn;
        }
        Next::Wait
    }
}
