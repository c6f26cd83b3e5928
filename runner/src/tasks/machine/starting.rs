//! Tries to start the command. Where descriptors, processes or memory are short it is tried again, in line
//! with others, until the line has not moved for too long.
//!
//! A try may hang, as in a folder on a network. Then it has no use for its turn, which others get. It is
//! given up when the time of the task is over, or a moment after somebody has asked for its end: most begin
//! within that, and are stopped with grace.

use std::time::Duration;

use shared::task::Party;
use tokio::time::Instant;

/// First wait after an exhaustion of descriptors, processes or memory.
const PATIENCE: Duration = Duration::from_millis(25);
/// And the longest between two tries of the first in line.
const LONGEST: Duration = Duration::from_millis(200);
/// How long a try that somebody has stopped may go on.
const MOMENT: Duration = Duration::from_secs(1);

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
    patience: Duration,
    /// The time that the task has.
    timeout: Option<Duration>,
    begun: Instant,
    line: Line,
    wait: Duration,
    again: Instant,
    /// Since when a try is on.
    trying: Option<Instant>,
    /// Who asked for its end first, and with which grace.
    asked: Option<(Party, Duration)>,
    /// When the try is given up.
    give_up: Option<Instant>,
    /// What was short the last time.
    reason: String,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    Attempt,
    AwaitTurn,
    /// The try goes on without it.
    GiveTurnBack,
    Wait,
    /// It stays short.
    GiveUp(String),
    /// The try is not waited for.
    Abandon,
}

impl Starting {
    pub(super) fn new(
        now: Instant,
        patience: Duration,
        timeout: Option<Duration>,
        line_free: bool,
    ) -> (Self, Next) {
        let reason = "Descriptors, processes or memory are short.".to_owned();
        let mut starting = Self {
            patience,
            timeout,
            begun: now,
            line: Line::Out,
            wait: PATIENCE,
            again: now + patience,
            trying: None,
            asked: None,
            give_up: None,
            reason,
        };
        // Nobody overtakes those who wait.
        let next = if line_free { starting.attempt(now) } else { starting.wait(now, None) };
        (starting, next)
    }

    /// When time is to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.trying {
            Some(since) => self.turn_until(since).into_iter().chain(self.give_up).min(),
            None => Some(self.again),
        }
    }

    /// Who asked for its end, and with which grace.
    pub(super) const fn asked(&self) -> Option<(Party, Duration)> {
        self.asked
    }

    pub(super) const fn is_trying(&self) -> bool {
        self.trying.is_some()
    }

    /// Somebody asks for the end of what is being tried.
    pub(super) fn stop(&mut self, now: Instant, by: Party, grace: Duration) -> Next {
        match &mut self.asked {
            Some((first, _)) if *first == by => return Next::Abandon,
            Some((_, shortest)) => *shortest = grace.min(*shortest),
            None => self.asked = Some((by, grace)),
        }
        self.give_up = Some(self.give_up.map_or(now + MOMENT, |at| at.min(now + MOMENT)));
        Next::Wait
    }

    pub(super) fn turn(&mut self, now: Instant) -> Next {
        if self.trying.is_some() {
            return Next::GiveTurnBack;
        }
        self.line = Line::First;
        self.attempt(now)
    }

    pub(super) fn short(&mut self, now: Instant, reason: String, line_moved: Option<Instant>) -> Next {
        self.trying = None;
        self.reason = reason;
        self.wait(now, line_moved)
    }

    pub(super) fn time(&mut self, now: Instant, line_moved: Option<Instant>) -> Next {
        if let Some(since) = self.trying {
            if self.give_up.is_some_and(|at| at <= now) {
                return Next::Abandon;
            }
            if self.turn_until(since).is_some_and(|at| at <= now) {
                self.line = Line::Out;
                return Next::GiveTurnBack;
            }
            return Next::Wait;
        }
        if now < self.again {
            return Next::Wait;
        }
        if self.line == Line::First {
            self.wait = LONGEST.min(self.wait * 2);
            return self.attempt(now);
        }
        self.wait(now, line_moved)
    }

    /// When its turn is given back: sooner than those behind it lose their patience.
    fn turn_until(&self, since: Instant) -> Option<Instant> {
        (self.line == Line::First).then(|| since + self.patience / 2)
    }

    fn attempt(&mut self, now: Instant) -> Next {
        self.trying = Some(now);
        // The command's time begins with the command; a start may take its own.
        self.give_up = self.timeout.map(|timeout| now + timeout + self.patience);
        Next::Attempt
    }

    fn wait(&mut self, now: Instant, line_moved: Option<Instant>) -> Next {
        let give_up = line_moved.map_or(self.begun, |moved| moved.max(self.begun)) + self.patience;
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
