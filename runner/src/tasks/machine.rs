//! The life of one task, from the line for a slot to its last process, as a pure function of what happens to
//! it.
//!
//! [`Machine::step`] takes one [`Input`] and gives the [`Effect`]s that follow, in order; it waits for
//! nothing, reads no clock and touches nothing. [`Machine::due`] says when time alone is an input. The actor
//! drives it with a real process and a real clock, the simulation with neither.
//!
//! A task is queued, then starting, then running. When its main process has ended the last of its output is
//! awaited: until its end, or until it was quiet for a quarter of a second. Then the end is told, once
//! ([`Untold`] is used up by it), and remaining processes are followed until there are none, and only then
//! another task gets its slot. Where the supervisor above the tree dies, or says nothing more, what it
//! watched over is ended from here, and then the end is told if it was not.

mod asked;
mod draining;
mod io;
mod silence;
mod starting;
#[cfg(test)]
mod tests;
mod unending;

use std::collections::VecDeque;
use std::time::Duration;

use exec::frames::Exited;
use exec::signal_name;
use shared::protocol::Start;
use shared::task::{Party, Process, Task, TaskState};
use shared::{Problem, ProblemCode};
use tokio::time::Instant;

pub(super) use self::io::{Attempt, Effect, Input, Now};

use self::draining::Draining;
use self::silence::Silence;
use self::starting::{Next, Starting};
use super::end::Untold;
use super::prompt;
use crate::limits::Limits;

/// How much longer than the grace a supervisor may take.
const OVERDUE: Duration = Duration::from_secs(1);

const KILLED: &str = "Its supervisor was killed from outside; what it ran was ended with it.";

/// How far it has come. The right to tell the end is in the stages before it.
#[derive(Debug)]
enum Stage {
    Queued(Untold),
    Starting(Untold, Starting),
    Running(Untold),
    /// The main process has ended, the output perhaps not.
    Draining(Untold, Draining),
    /// The supervisor has died or was given up; what it watched over is being ended.
    Orphaned(Option<Untold>),
    /// The end is told; remaining processes live.
    Remaining,
    Reaped,
}

/// Why a tree is being ended.
#[derive(Clone, Copy, Debug)]
enum Why {
    Asked(Party),
    Timeout,
}

#[derive(Debug)]
pub(super) struct Machine<R> {
    stage: Stage,
    /// As it stands here; its figures (output, ports) are filled in by whoever tells it.
    task: Task,
    limits: Limits,
    timeout: Option<Duration>,
    why: Option<Why>,
    /// Whether the supervisor was told to end the tree.
    stopping: bool,
    /// Who asked for that.
    stoppers: Vec<Party>,
    /// The grace with which it is told so once the ports were looked at.
    looking: Option<Duration>,
    /// When the command becomes a background task.
    foreground_until: Option<Instant>,
    timeout_at: Option<Instant>,
    /// What is left of the time until then, while the task is frozen.
    timeout_left: Option<Duration>,
    /// When the tree, if it is still there, is killed past its supervisor.
    overdue: Option<Instant>,
    /// Whether that was done: the supervisor may not know then why the main process was killed.
    killed_past: bool,
    silence: Silence,
    /// Who waits for the supervisor's answer, in the order asked, and whether to a freeze.
    freezing: VecDeque<(bool, R)>,
    prompt: prompt::Watch,
    progress_at: Option<Instant>,
    progress_last: Option<Instant>,
    /// Whether all that was read of the output is in the log, and whether its end was read.
    output: (bool, bool),
    effects: Vec<Effect<R>>,
}

impl<R> Machine<R> {
    /// Of a task that was just taken in.
    pub(super) fn new(now: Now, task: Task, start: &Start, limits: Limits) -> Self {
        Self {
            stage: Stage::Queued(Untold::new()),
            task,
            limits,
            timeout: start.timeout_ms.map(Duration::from_millis),
            why: None,
            stopping: false,
            stoppers: Vec::new(),
            looking: None,
            foreground_until: start.foreground_ms.map(|millis| now.at + Duration::from_millis(millis)),
            timeout_at: None,
            timeout_left: None,
            overdue: None,
            killed_past: false,
            silence: Silence::default(),
            freezing: VecDeque::new(),
            prompt: prompt::Watch::default(),
            progress_at: None,
            progress_last: None,
            output: (true, false),
            effects: Vec::new(),
        }
    }

    /// Whether nothing is left of it, and nothing more will be.
    pub(super) const fn is_reaped(&self) -> bool {
        matches!(self.stage, Stage::Reaped)
    }

    /// When [`Input::Time`] is wanted next.
    pub(super) fn due(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Starting(_, starting) => starting.due(),
            Stage::Draining(_, draining) if self.output.0 => Some(draining.due()),
            Stage::Reaped => return None,
            Stage::Queued(_)
            | Stage::Running(_)
            | Stage::Draining(..)
            | Stage::Orphaned(_)
            | Stage::Remaining => None,
        };
        let times = [self.foreground_until, self.timeout_at, self.overdue, self.progress_at, self.prompt.due];
        times.into_iter().chain([stage]).flatten().min()
    }

    /// What follows from this.
    pub(super) fn step(&mut self, now: Now, input: Input<R>) -> Vec<Effect<R>> {
        if input.is_a_word() {
            self.silence.broken();
        }
        if let Some(input) = self.whatever_the_stage(now, input) {
            let stage = std::mem::replace(&mut self.stage, Stage::Reaped);
            self.stage = self.staged(now, stage, input);
        }
        std::mem::take(&mut self.effects)
    }

    fn todo(&mut self, effect: Effect<R>) {
        self.effects.push(effect);
    }

    fn publish(&mut self) {
        self.todo(Effect::Publish(self.task.clone()));
    }

    /// Does what does not depend on the stage, and gives back what (also) does.
    fn whatever_the_stage(&mut self, now: Now, input: Input<R>) -> Option<Input<R>> {
        match input {
            Input::Background(reply) => self.background(Some(reply)),
            Input::Freeze { frozen, reply } => self.freeze(frozen, reply),
            Input::Frozen(frozen) => self.frozen(now, frozen),
            Input::Answered { at, closed } => {
                self.prompt.answered(at);
                self.task.stdin &= !closed;
                self.flag(false);
            }
            Input::Quiet { total, asks } => {
                let asks = self.prompt.asks(total, asks);
                self.flag(asks && self.task.stdin && !self.task.paused && !self.stopping);
            }
            Input::Looked => {
                if let Some(grace) = self.looking.take() {
                    self.todo(Effect::Stop { grace });
                }
            }
            Input::Unkillable(left) => self.stuck(&left),
            Input::Output { grew, written, over } => {
                self.output = (written, over);
                if grew {
                    self.printed(now);
                }
                return Some(input);
            }
            Input::Time { .. } => {
                self.time(now);
                return Some(input);
            }
            Input::Remaining(processes) => {
                self.left(&processes);
                return Some(Input::Remaining(processes));
            }
            Input::Slot { .. }
            | Input::Attempted(_)
            | Input::Turn
            | Input::Exited(_)
            | Input::Empty
            | Input::SupervisorDied
            | Input::Orphans(_)
            | Input::Stop { .. }
            | Input::Stopping { .. }
            | Input::KilledPast { .. } => return Some(input),
        }
        None
    }

    fn staged(&mut self, now: Now, stage: Stage, input: Input<R>) -> Stage {
        match (stage, input) {
            (Stage::Queued(untold), Input::Slot { line_free }) => self.start(now, untold, line_free),
            (Stage::Queued(untold), Input::Stop { by, .. }) => {
                self.never_started(now, untold, TaskState::Stopped { by, signal: None })
            }
            (Stage::Starting(untold, starting), input) => self.starting(now, untold, starting, input),
            (Stage::Running(untold), Input::Exited(exited)) => {
                self.main_process_ended(now, &exited);
                Stage::Draining(untold, Draining::new(now.at, exited.remaining, &self.limits))
            }
            (Stage::Draining(untold, mut draining), Input::Remaining(processes)) => {
                draining.remaining = processes;
                Stage::Draining(untold, draining)
            }
            (Stage::Draining(untold, _), Input::Empty) => {
                // Nobody of this task can write any more; what is in the pipe is all.
                self.todo(Effect::DrainOutput);
                self.tell(untold, Vec::new());
                self.reaped()
            }
            (Stage::Draining(untold, mut draining), Input::Output { grew, .. }) => {
                if grew {
                    draining.heard(now.at);
                }
                self.drained(now, untold, draining)
            }
            (Stage::Draining(untold, draining), Input::Time { .. }) => self.drained(now, untold, draining),
            (Stage::Remaining, Input::Remaining(processes)) => {
                self.task.remaining_processes = processes;
                self.publish();
                Stage::Remaining
            }
            (Stage::Remaining, Input::Empty) => {
                self.todo(Effect::DrainOutput);
                self.reaped()
            }
            (
                stage @ (Stage::Running(_) | Stage::Draining(..) | Stage::Remaining),
                Input::Stop { by, grace },
            ) => {
                self.why.get_or_insert(Why::Asked(by));
                self.stop(Some(by), grace);
                stage
            }
            (
                stage @ (Stage::Running(_) | Stage::Draining(..) | Stage::Remaining),
                Input::Stopping { grace },
            ) => {
                self.overdue = Some(now.at + grace + OVERDUE);
                stage
            }
            (
                stage @ (Stage::Running(_) | Stage::Draining(..) | Stage::Remaining),
                Input::KilledPast { alone },
            ) => self.past(now, stage, alone),
            // One that says that nothing is left before it has said how the main process ended has failed,
            // too.
            (Stage::Running(untold), Input::SupervisorDied | Input::Empty)
            | (Stage::Draining(untold, _), Input::SupervisorDied) => self.orphaned(Some(untold)),
            (Stage::Remaining, Input::SupervisorDied) => self.orphaned(None),
            (Stage::Orphaned(untold), Input::Orphans(left)) => self.orphans_ended(now, untold, &left),
            // A second end, or what comes late.
            (stage, _) => stage,
        }
    }

    fn time(&mut self, now: Now) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now.at).is_some();
        if due(&mut self.foreground_until) {
            self.background(None);
        }
        if due(&mut self.timeout_at) {
            self.why.get_or_insert(Why::Timeout);
            self.stop(None, self.limits.grace);
        }
        if due(&mut self.overdue) {
            self.killed_past = true;
            self.todo(Effect::KillPast);
        }
        if due(&mut self.prompt.due) {
            self.todo(Effect::LookForQuestion);
        }
        if due(&mut self.progress_at) {
            self.progress(now);
        }
    }

    // ---- starting ----

    fn start(&mut self, now: Now, untold: Untold, line_free: bool) -> Stage {
        let patience = self.limits.start_patience;
        let (starting, next) = Starting::new(now.at, patience, self.timeout, line_free);
        self.next(now, untold, starting, next)
    }

    fn starting(&mut self, now: Now, untold: Untold, mut starting: Starting, input: Input<R>) -> Stage {
        let next = match input {
            Input::Attempted(Attempt::Started { pid }) => {
                self.started(now, pid);
                if let Some((by, grace)) = starting.asked() {
                    self.stop(Some(by), grace);
                }
                return Stage::Running(untold);
            }
            Input::Attempted(Attempt::Over(state)) => return self.never_started(now, untold, state),
            Input::Attempted(Attempt::Short { reason, line_moved }) => {
                if let Some((by, _)) = starting.asked() {
                    return self.never_started(now, untold, TaskState::Stopped { by, signal: None });
                }
                self.todo(Effect::Shrink);
                starting.short(now.at, reason, line_moved)
            }
            Input::Stop { by, .. } if !starting.is_trying() => {
                return self.never_started(now, untold, TaskState::Stopped { by, signal: None });
            }
            Input::Stop { by, grace } => {
                self.why.get_or_insert(Why::Asked(by));
                starting.stop(now.at, by, grace)
            }
            Input::Turn => starting.turn(now.at),
            Input::Time { line_moved } => starting.time(now.at, line_moved),
            // Nothing else is meant for it yet.
            Input::Slot { .. }
            | Input::Exited(_)
            | Input::Remaining(_)
            | Input::Empty
            | Input::Unkillable(_)
            | Input::Frozen(_)
            | Input::SupervisorDied
            | Input::Orphans(_)
            | Input::Output { .. }
            | Input::Quiet { .. }
            | Input::Answered { .. }
            | Input::Looked
            | Input::Stopping { .. }
            | Input::KilledPast { .. }
            | Input::Background(_)
            | Input::Freeze { .. } => Next::Wait,
        };
        self.next(now, untold, starting, next)
    }

    fn next(&mut self, now: Now, untold: Untold, starting: Starting, next: Next) -> Stage {
        match next {
            Next::Attempt => self.todo(Effect::Attempt),
            Next::AwaitTurn => self.todo(Effect::AwaitTurn),
            Next::GiveTurnBack => self.todo(Effect::GiveTurnBack),
            Next::Wait => {}
            Next::GiveUp(reason) => return self.never_started(now, untold, TaskState::Error { reason }),
            Next::Abandon => {
                self.why.get_or_insert(Why::Timeout);
                return self.orphaned(Some(untold));
            }
        }
        Stage::Starting(untold, starting)
    }

    fn started(&mut self, now: Now, pid: u32) {
        self.task.state = TaskState::Running;
        self.task.started = Some(now.clock);
        self.task.pid = Some(pid);
        self.timeout_at = self.timeout.map(|timeout| now.at + timeout);
        self.todo(Effect::Started(self.task.clone()));
    }

    // ---- ends ----

    fn never_started(&mut self, now: Now, untold: Untold, state: TaskState) -> Stage {
        self.ended(now, state);
        self.tell(untold, Vec::new());
        self.reaped()
    }

    fn main_process_ended(&mut self, now: Now, exited: &Exited) {
        self.todo(Effect::CloseInput);
        let asked = exited.asked || (self.killed_past && exited.code.is_none());
        let state = match (self.why, asked, exited.code, exited.signal) {
            (Some(Why::Timeout), true, _, _) => TaskState::Timeout,
            (Some(Why::Asked(by)), true, _, signal) => {
                TaskState::Stopped { by, signal: signal.map(signal_name) }
            }
            (_, _, Some(0), _) => TaskState::Completed,
            (_, _, Some(code), _) => TaskState::Failed { code },
            (_, _, None, signal) => TaskState::Killed { signal: signal_name(signal.unwrap_or_default()) },
        };
        self.ended(now, state);
        self.task.duration_ms = Some(exited.ran_us / 1_000);
    }

    /// Nothing of its main process is to be waited for any more.
    fn ended(&mut self, now: Now, state: TaskState) {
        self.task.state = state;
        self.task.ended = Some(now.clock);
        self.task.pid = None;
        self.task.stdin = false;
        self.task.paused = false;
        self.task.waits_for_input = false;
        self.timeout_at = None;
        self.timeout_left = None;
        self.foreground_until = None;
        self.prompt = prompt::Watch::default();
    }

    /// Ends if the last of the output is there.
    fn drained(&mut self, now: Now, untold: Untold, draining: Draining) -> Stage {
        let (written, over) = self.output;
        if !over && (!written || draining.due() > now.at) {
            return Stage::Draining(untold, draining);
        }
        self.tell(untold, draining.remaining);
        Stage::Remaining
    }

    fn tell(&mut self, untold: Untold, remaining: Vec<Process>) {
        self.progress_at = None;
        self.task.remaining_processes = remaining;
        self.todo(Effect::End(untold.tell(self.task.clone())));
    }

    fn orphaned(&mut self, untold: Option<Untold>) -> Stage {
        self.overdue = None;
        self.stuck(&[]);
        self.effects.extend([Effect::LetGo, Effect::KillOrphans, Effect::CloseInput, Effect::DrainOutput]);
        Stage::Orphaned(untold)
    }

    fn orphans_ended(&mut self, now: Now, untold: Option<Untold>, left: &str) -> Stage {
        if let Some(untold) = untold {
            if !self.task.state.is_end() {
                let state = match self.why {
                    Some(Why::Timeout) => TaskState::Timeout,
                    Some(Why::Asked(by)) => TaskState::Stopped { by, signal: None },
                    None => TaskState::Lost { reason: KILLED.to_owned() + left },
                };
                self.ended(now, state);
            }
            self.tell(untold, Vec::new());
        }
        self.reaped()
    }

    fn reaped(&mut self) -> Stage {
        let changed = !self.task.remaining_processes.is_empty();
        self.task.remaining_processes.clear();
        self.todo(Effect::ReleaseSlot);
        self.todo(Effect::Reaped { task: self.task.clone(), changed });
        let message = format!("Task {} has ended.", self.task.id);
        while let Some((_, reply)) = self.freezing.pop_front() {
            self.todo(Effect::Reply(reply, Err(Problem::new(ProblemCode::Conflict, message.clone()))));
        }
        Stage::Reaped
    }
}
