//! The connection to the runner as a machine.
//!
//! `Down` → `Opening` → `Greeting` (hello sent) → `Live` → `Down` …; `Refused`, `Outdated` and `Taken` are
//! left only by the person. `Strange` is a `Down` with long pauses: something else than the runner answers.
//! Each socket has a generation; what an older one says is ignored. Requests are kept until their reply came
//! and sent again on the next socket: their ids make that harmless. What a socket alone carried (watches,
//! alarms, relayed calls) dies with it.

use shared::protocol::{ClientFrame, Hello, Op, PROTOCOL, Welcome, close};
use shared::{OpId, SessionId, Timestamp};
use uuid::Uuid;

use crate::backoff;
use crate::event::Author;
use crate::session::{Session, SessionState};
use crate::uses::{Progress, ToolUse};
use crate::view::LinkView;

/// The close code by which the shell says that the runner does not know this browser.
pub const REFUSED: u16 = 4401;
/// The close code by which the shell says that something else than the runner answers.
pub const STRANGER: u16 = 4403;
/// A socket that has not opened and welcomed by then is given up.
const HANDSHAKE_MS: u64 = 10_000;
/// A connection that lasted so long was a good one.
const STEADY_MS: u64 = 5_000;
const FIRST_DELAY_MS: u64 = 200;
const MOST_DELAY_MS: u64 = 15_000;
/// The same where something else answers: it is there to stay, until somebody does something.
const FIRST_STRANGE_MS: u64 = 5_000;
const MOST_STRANGE_MS: u64 = 60_000;

/// The link of one session.
#[derive(Debug)]
pub struct Link {
    tab: Uuid,
    state: State,
    generation: u64,
    failures: u32,
    /// What is said while something else answers, also during the next tries.
    strange: Option<String>,
    seed: u64,
    next_op: u64,
    welcome: Option<Welcome>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Not begun.
    Off,
    Down {
        retry_at: Timestamp,
        reason: String,
    },
    /// Something else answers.
    Strange {
        retry_at: Timestamp,
    },
    Opening {
        since: Timestamp,
    },
    Greeting {
        since: Timestamp,
    },
    Live {
        since: Timestamp,
        heard: Timestamp,
    },
    Refused,
    Outdated,
    /// Another connection took the session.
    Taken {
        reason: String,
    },
}

/// A request without its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its id.
    pub id: OpId,
    /// What was asked.
    pub op: Op,
    /// What for.
    pub purpose: Purpose,
}

/// What a request was made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Purpose {
    /// A tool use of the current answer.
    Tool,
    /// Something a person asked for; a refusal is shown to them.
    User(Author),
    /// The loop's own: a refusal is no news.
    Own,
}

/// What a deadline or an event makes of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// A socket is to be opened.
    Connect,
    /// The socket is to be closed: it is dead or useless.
    Disconnect,
}

impl Link {
    /// A link of a tab that is not begun. `seed` decides jitter and operation ids.
    #[must_use]
    pub const fn new(tab: Uuid, seed: u64) -> Self {
        Self {
            tab,
            state: State::Off,
            generation: 0,
            failures: 0,
            strange: None,
            seed,
            next_op: 0,
            welcome: None,
            pending: Vec::new(),
        }
    }

    /// The current socket's name.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether frames can be sent.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// What the runner last said of itself.
    #[must_use]
    pub const fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// For the page.
    #[must_use]
    pub fn view(&self) -> LinkView {
        match &self.state {
            State::Off | State::Opening { .. } | State::Greeting { .. } => self.strange(Timestamp(0)),
            State::Strange { retry_at } => self.strange(*retry_at),
            State::Down { retry_at, reason } => {
                LinkView::Down { retry_at: *retry_at, reason: reason.clone() }
            }
            State::Live { .. } => LinkView::Live,
            State::Refused => LinkView::Unpaired,
            State::Outdated => LinkView::Outdated,
            State::Taken { reason } => LinkView::Taken { reason: reason.clone() },
        }
    }

    fn strange(&self, retry_at: Timestamp) -> LinkView {
        self.strange.clone().map_or(LinkView::Opening, |reason| LinkView::Stranger { retry_at, reason })
    }

    /// Begins to connect, whatever the state was.
    pub fn connect(&mut self, now: Timestamp) -> Step {
        self.generation += 1;
        self.state = State::Opening { since: now };
        Step::Connect
    }

    /// The socket opened: this must be sent.
    pub fn opened(
        &mut self,
        now: Timestamp,
        session: SessionId,
        epoch: Option<shared::Epoch>,
        after: shared::Seq,
    ) -> ClientFrame {
        self.state = State::Greeting { since: now };
        ClientFrame::Hello(Hello {
            protocol: PROTOCOL,
            session,
            epoch,
            after,
            lease: true,
            tab: Some(self.tab),
        })
    }

    /// The runner introduced itself.
    pub fn welcomed(&mut self, now: Timestamp, welcome: Welcome) {
        self.strange = None;
        self.state = State::Live { since: now, heard: now };
        self.welcome = Some(welcome);
    }

    /// Any frame: the runner lives.
    pub const fn heard(&mut self, now: Timestamp) {
        if let State::Live { heard, .. } = &mut self.state {
            *heard = now;
        }
    }

    /// The socket is closed.
    pub fn closed(&mut self, now: Timestamp, code: u16, reason: &str) {
        if code == STRANGER && self.strange.is_none() {
            self.failures = 0;
        }
        self.strange = (code == STRANGER).then(|| reason.to_owned());
        self.state = match code {
            STRANGER => State::Strange { retry_at: self.later(now, FIRST_STRANGE_MS, MOST_STRANGE_MS) },
            REFUSED | close::REVOKED => State::Refused,
            close::VERSION => State::Outdated,
            close::FENCED => State::Taken {
                reason: "Another connection drives this session. Reconnect to take it back.".to_owned(),
            },
            close::GOING_AWAY => self.down(now, "The runner stopped."),
            _ if reason.is_empty() => self.down(now, "The runner cannot be reached."),
            _ => self.down(now, reason),
        };
    }

    /// What comes through the socket cannot be used: another is to be tried, after a pause.
    pub fn broken(&mut self, now: Timestamp, reason: &str) -> Step {
        self.state = self.down(now, reason);
        Step::Disconnect
    }

    fn down(&mut self, now: Timestamp, reason: &str) -> State {
        // One that breaks just after its welcome is no better than one that was not made.
        if let State::Live { since, .. } = self.state
            && now.since(since) >= STEADY_MS
        {
            self.failures = 0;
        }
        State::Down { retry_at: self.later(now, FIRST_DELAY_MS, MOST_DELAY_MS), reason: reason.to_owned() }
    }

    /// When the next try is made.
    fn later(&mut self, now: Timestamp, first: u64, most: u64) -> Timestamp {
        let delay = backoff::delay_ms(self.failures, first, most, self.seed ^ self.generation);
        self.failures = self.failures.saturating_add(1);
        now.plus(delay)
    }

    /// Looks at the clock.
    pub fn tick(&mut self, now: Timestamp) -> Step {
        match &self.state {
            State::Down { retry_at, .. } | State::Strange { retry_at } if *retry_at <= now => {
                self.connect(now)
            }
            State::Opening { since } | State::Greeting { since } if now.since(*since) >= HANDSHAKE_MS => {
                self.state = self.down(now, "The runner did not answer in time.");
                Step::Disconnect
            }
            State::Live { heard, .. } if now.since(*heard) >= self.silence_ms() => {
                self.state = self.down(now, "The runner fell silent.");
                Step::Disconnect
            }
            State::Off
            | State::Down { .. }
            | State::Strange { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Live { .. }
            | State::Refused
            | State::Outdated
            | State::Taken { .. } => Step::Nothing,
        }
    }

    /// There may be a network again, or somebody looks: a wait is cut short.
    pub fn hurry(&mut self, now: Timestamp) -> Step {
        match &self.state {
            State::Down { .. } | State::Strange { .. } => self.connect(now),
            State::Off
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Live { .. }
            | State::Refused
            | State::Outdated
            | State::Taken { .. } => self.tick(now),
        }
    }

    /// When to look at the clock next.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Down { retry_at, .. } | State::Strange { retry_at } => Some(*retry_at),
            State::Opening { since } | State::Greeting { since } => Some(since.plus(HANDSHAKE_MS)),
            State::Live { heard, .. } => Some(heard.plus(self.silence_ms())),
            State::Off | State::Refused | State::Outdated | State::Taken { .. } => None,
        }
    }

    fn silence_ms(&self) -> u64 {
        3 * self.welcome.as_ref().map_or(shared::protocol::HEARTBEAT_MS, |welcome| welcome.heartbeat_ms)
    }

    /// A new operation id. Ids of a session's log are made by [`derived_op`] instead, so that a reload makes
    /// the same.
    pub fn fresh_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(Uuid::new_v5(&Uuid::from_u64_pair(self.seed, 0), &self.next_op.to_be_bytes()))
    }

    /// Keeps a request until its reply comes, and gives the frame to send if there is a socket.
    pub fn request(&mut self, id: OpId, op: Op, purpose: Purpose) -> Option<ClientFrame> {
        self.pending.retain(|pending| pending.id != id);
        let frame = self.is_live().then(|| ClientFrame::Request { id, op: op.clone() });
        self.pending.push(Pending { id, op, purpose });
        frame
    }

    /// The request that a reply is for.
    pub fn replied(&mut self, id: OpId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        Some(self.pending.remove(at))
    }

    /// Whether a request of this id has no reply yet.
    #[must_use]
    pub fn is_pending(&self, id: OpId) -> bool {
        self.pending.iter().any(|pending| pending.id == id)
    }

    /// Gives up on a request: its reply will be ignored.
    pub fn forget(&mut self, id: OpId) {
        self.pending.retain(|pending| pending.id != id);
    }

    /// Gives up on every tool use and every start under way: the store it was sent to is gone, and a new one
    /// would carry it out a second time. Gives the people who had asked for one of them.
    #[must_use = "they wait for an answer"]
    pub fn forget_old_store(&mut self) -> Vec<Author> {
        self.give_up(|pending| pending.purpose == Purpose::Tool || matches!(pending.op, Op::Start(_)))
    }

    /// Gives up on what only the old socket could carry. Gives the people who had asked for any of it.
    #[must_use = "they wait for an answer"]
    pub fn forget_old_socket(&mut self) -> Vec<Author> {
        self.give_up(|pending| dies_with_socket(&pending.op))
    }

    fn give_up(&mut self, on: impl Fn(&Pending) -> bool) -> Vec<Author> {
        self.pending
            .extract_if(.., |pending| on(pending))
            .filter_map(|pending| match pending.purpose {
                Purpose::User(author) => Some(author),
                Purpose::Tool | Purpose::Own => None,
            })
            .collect()
    }

    /// Whether what this command asked of the runner has no reply yet.
    #[must_use]
    pub fn owes(&self, author: Author) -> bool {
        self.pending.iter().any(|pending| pending.purpose == Purpose::User(author))
    }

    /// Everything without a reply, to be sent again on a new socket.
    pub fn resend(&self) -> Vec<ClientFrame> {
        self.pending
            .iter()
            .map(|pending| ClientFrame::Request { id: pending.id, op: pending.op.clone() })
            .collect()
    }
}

/// Whether an operation means nothing on another socket.
const fn dies_with_socket(op: &Op) -> bool {
    match op {
        Op::Watch { .. }
        | Op::Unwatch { .. }
        | Op::ReadOutput { .. }
        | Op::ModelCall(_)
        | Op::ModelCancel { .. }
        | Op::Pair => true,
        Op::Start(_)
        | Op::Stop { .. }
        | Op::SendInput { .. }
        | Op::Background { .. }
        | Op::Pause { .. }
        | Op::Resume { .. }
        | Op::Check { .. }
        | Op::Clear { .. }
        | Op::ReadFile { .. }
        | Op::WriteFile { .. }
        | Op::EditFile { .. } => false,
    }
}

/// The operation of a tool use, named by what it is and where it stands: the same after every reload, another
/// for every other, also where two logs of one session number alike.
#[must_use]
pub fn derived_op(session: &Session, index: usize, tool: &ToolUse) -> OpId {
    let SessionState { id, created, call, .. } = &**session;
    let ToolUse { id: tool_id, name, input, progress, .. } = tool;
    // What the runner refused has its answer: with an approval it is another operation.
    let again = if matches!(progress, Progress::Pending { refused: Some(_), .. }) { " again" } else { "" };
    let place = format!("{} {} {index}{again}", created.0, call.0);
    let content = format!("{place} {tool_id:?} {name:?} {input}");
    OpId(Uuid::new_v5(&id.unwrap_or(SessionId(Uuid::nil())).0, content.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_named_without_a_break_and_asked_less_and_less_often() {
        let mut link = Link::new(Uuid::nil(), 7);
        let mut now = Timestamp(1_000);
        link.connect(now);
        for _ in 0..6 {
            link.closed(now, 1006, "");
            now = link.deadline().expect("it is tried again");
            assert_eq!(link.tick(now), Step::Connect);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            link.closed(now, STRANGER, "Something else answers.");
            let retry = link.deadline().expect("it is tried again");
            let LinkView::Stranger { retry_at, reason } = link.view() else { panic!("{:?}", link.view()) };
            assert_eq!((retry_at, reason.as_str()), (retry, "Something else answers."));
            assert_eq!(link.tick(now), Step::Nothing);
            pauses.push(retry.since(now));
            now = retry;
            assert_eq!(link.tick(now), Step::Connect);
            assert!(matches!(link.view(), LinkView::Stranger { .. }), "it is still said during the next try");
        }
        assert!(pauses[0] <= FIRST_STRANGE_MS, "whatever was before: {pauses:?}");
        assert!(pauses.iter().all(|pause| *pause >= FIRST_STRANGE_MS / 2), "{pauses:?}");
        assert!(pauses[6..].iter().all(|pause| *pause >= MOST_STRANGE_MS / 2), "{pauses:?}");
        // Somebody who looks need not wait, and what is over is not said any more.
        link.closed(now, STRANGER, "Something else answers.");
        assert_eq!(link.hurry(now), Step::Connect);
        link.closed(now, 1006, "");
        assert!(matches!(link.view(), LinkView::Down { .. }));
        link.tick(link.deadline().expect("it is tried again"));
        assert_eq!(link.view(), LinkView::Opening);
    }
}
