//! The actor of one task: it hears everything at once, asks the [`Machine`] what follows, and does that.
//!
//! What it hears: what its supervisor says, what the task prints, what people ask for, a slot, a turn, and the next moment
//! at which something is due. It decides nothing.
//!
//! Order: every change is sent to the store's one thread, which publishes it after it is on the disk. So the actor never
//! waits for the disk, and `backgrounded` cannot follow `ended`.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exec::frames::{FromAgent, ToAgent};
use exec::host::ports_held;
use exec::local::Agent;
use shared::Problem;
use shared::output::Preview;
use shared::protocol::{Sandbox, Start};
use shared::task::{Process, Task};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::end::Ended;
use super::entry::{Phase, Request, TaskEntry};
use super::exhaustion::Turn;
use super::launch::{Launched, kill_orphans, launch};
use super::machine::{Attempt, Effect, Input, Machine, Now};
use super::prompt;
use super::reader::Output;
use super::slots::Slot;
use crate::clock;
use crate::store::rows;

/// How long an end waits for the command lines of remaining processes.
const NAMES_PATIENCE: Duration = Duration::from_secs(1);
/// How long a stop waits for a look at its ports.
const LOOK_PATIENCE: Duration = Duration::from_millis(200);

/// By which whoever asked is answered.
type Reply = oneshot::Sender<Result<Task, Problem>>;

pub(super) struct TaskActor {
    context: Arc<Context>,
    entry: Arc<TaskEntry>,
    start: Start,
    machine: Machine<Reply>,
    requests: mpsc::Receiver<Request>,
    slot: Option<Slot>,
    /// In the line for one.
    waiting: Option<oneshot::Receiver<Slot>>,
    turn: Option<Turn>,
    /// In the line for that.
    turning: Option<AbortOnDropHandle<Turn>>,
    running: Option<Running>,
    /// The length of the output that its end told.
    told: u64,
}

struct Running {
    supervisor: Agent,
    output: Output,
}

impl TaskActor {
    pub(super) fn new(
        context: Arc<Context>,
        entry: Arc<TaskEntry>,
        start: Start,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let machine = Machine::new(now(), Task::clone(&entry.task()), &start, context.limits.clone());
        Self {
            context,
            entry,
            start,
            machine,
            requests,
            slot: None,
            waiting: None,
            turn: None,
            turning: None,
            running: None,
            told: 0,
        }
    }

    /// Leads the task to its very end.
    pub(super) async fn run(mut self, slot: Result<Slot, oneshot::Receiver<Slot>>) {
        match slot {
            Ok(slot) => self.feed_slot(slot).await,
            Err(waiting) => self.waiting = Some(waiting),
        }
        let mut timer = pin!(sleep(Duration::ZERO));
        while !self.machine.is_reaped() {
            let due = self.machine.due();
            if let Some(due) = due
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            let Self { requests, waiting, turning, running, .. } = &mut self;
            let (supervisor, output) = match running {
                Some(Running { supervisor, output }) => (Some(supervisor), Some(output)),
                None => (None, None),
            };
            tokio::select! {
                // A stop comes before a slot that it would leave unused, and time before output without end.
                biased;
                // The entry lives as long as this future, and so does its sender.
                Some(request) = requests.recv() => self.feed(asked(request)).await,
                slot = served(waiting) => self.feed_slot(slot).await,
                turn = turned(turning) => {
                    self.turning = None;
                    self.turn = Some(turn);
                    self.feed(Input::Turn).await;
                }
                input = heard(supervisor) => self.feed(input).await,
                () = &mut timer, if due.is_some() => {
                    let line_moved = self.context.exhaustion.moved();
                    self.feed(Input::Time { line_moved }).await;
                }
                input = printed(output) => self.feed(input).await,
            }
        }
        self.part();
        if let Err(problem) = self.context.retain().await {
            tracing::debug!(%problem, "old tasks stay listed");
        }
    }

    async fn feed_slot(&mut self, slot: Slot) {
        self.waiting = None;
        self.slot = Some(slot);
        let line_free = self.context.exhaustion.is_over();
        self.feed(Input::Slot { line_free }).await;
    }

    async fn feed(&mut self, input: Input<Reply>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.machine.step(now(), input) {
                inputs.extend(self.run_effect(effect).await);
            }
        }
    }

    /// Lets its supervisor go, once the end is saved.
    fn part(&mut self) {
        let Some(Running { supervisor, .. }) = self.running.take() else { return };
        let (agents, entry) = (Arc::clone(&self.context.agents), Arc::clone(&self.entry));
        let read_only = self.start.sandbox == Some(Sandbox::ReadOnly);
        tokio::spawn(async move {
            entry.reached(Phase::Reaped).await;
            agents.done(supervisor, read_only).await;
        });
    }

    /// Does it, and gives what it is answered by.
    async fn run_effect(&mut self, effect: Effect<Reply>) -> Option<Input<Reply>> {
        match effect {
            Effect::LeaveLine => {
                self.waiting = None;
                self.context.slots.forget_gone();
            }
            Effect::Attempt => return Some(Input::Attempted(self.attempt().await)),
            Effect::AwaitTurn => {
                let turn = tokio::spawn(self.context.exhaustion.turn());
                self.turning = Some(AbortOnDropHandle::new(turn));
            }
            Effect::Shrink => self.context.agents.shrink(),
            Effect::Started(task) => self.started(task),
            Effect::Publish(task) => self.publish(task),
            Effect::Progress => {
                self.context.ports.look_soon();
                self.context.tell_task(self.entry.publish_progress());
            }
            Effect::LookForQuestion => {
                let (tail, total) = self.entry.log.tail_buffer();
                return Some(Input::Quiet { total, asks: prompt::looks_like_a_question(&tail) });
            }
            Effect::Backgrounded(task, by) => {
                let preview = self.preview().await;
                self.context.save_backgrounded(&self.entry, self.figures(task), by, preview);
            }
            Effect::CloseInput => self.entry.close_input().await,
            Effect::Stop { grace, first } => {
                self.stop(grace, first).await;
                return Some(Input::Stopping { grace });
            }
            Effect::Freeze(frozen) => self.send(&ToAgent::Freeze(frozen)).await,
            Effect::KillPast => {
                if let Some(Running { supervisor, .. }) = &self.running {
                    let tree = supervisor.tree();
                    // The thread that kills may only fail with the runner.
                    let _failed = tokio::task::spawn_blocking(move || tree.kill()).await;
                }
                return Some(Input::KilledPast);
            }
            Effect::KillOrphans => return Some(Input::Orphans(kill_orphans(&self.entry.id).await)),
            Effect::Unkillable(text) => self.entry.unkillable(text),
            Effect::DrainOutput => {
                if let Some(Running { output, .. }) = &mut self.running {
                    output.drain().await;
                }
            }
            Effect::End(ended) => self.end(ended).await,
            Effect::ReleaseSlot => self.slot = None,
            Effect::Reaped { task, changed } => self.reaped(task, changed).await,
            // Whoever asked may have gone.
            Effect::Reply(reply, outcome) => drop(reply.send(outcome.map(|task| self.figures(task)))),
        }
        None
    }

    async fn attempt(&mut self) -> Attempt {
        match launch(&self.context, &self.entry, &self.start).await {
            Ok(Launched { supervisor, output, pid }) => {
                if self.turn.take().is_some() {
                    self.context.exhaustion.moves();
                }
                let output = Output::new(Arc::clone(&self.entry), output);
                self.running = Some(Running { supervisor, output });
                Attempt::Started { pid }
            }
            Err(attempt) => attempt,
        }
    }

    fn started(&mut self, task: Task) {
        let row = task.clone();
        // Should the runner die before this is on the disk, the task "may not have run".
        self.context.store.write_soon(
            move |connection| rows::update_task(connection, &row),
            |written| {
                if let Err(error) = written {
                    tracing::warn!(%error, "a start could not be noted; the end will be");
                }
            },
        );
        self.publish(task);
        self.entry.reach(Phase::Running);
        if let Some(Running { supervisor, .. }) = &self.running {
            self.context.ports.enter(&self.entry, supervisor.tree());
        }
    }

    async fn stop(&mut self, grace: Duration, first: bool) {
        // A runner that stops has looked once for all.
        if first && !self.context.stopping.load(Ordering::Acquire) {
            // The last chance to see what it listens on. A file system that hangs must not hold up a stop.
            let _late = tokio::time::timeout(LOOK_PATIENCE, self.context.look_for_ports()).await;
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.send(&ToAgent::Stop { grace_ms }).await;
    }

    async fn send(&mut self, frame: &ToAgent) {
        let Some(Running { supervisor, .. }) = &mut self.running else { return };
        // One that has died is seen by its silence.
        let _died = supervisor.send(frame, &[]).await;
        // What it runs may have stopped it, and then it hears nothing.
        supervisor.tree().wake_agent();
    }

    async fn end(&mut self, ended: Ended) {
        let remaining = ended.remaining_processes().to_vec();
        let ended = if remaining.is_empty() {
            self.entry.publish_ports(Vec::new());
            ended
        } else {
            let named = named_again(remaining).await;
            self.context.look_for_ports().await;
            ended.with(|task| task.remaining_processes = named)
        };
        let ended = ended.with(|task| self.fill_in(task));
        let preview = self.preview().await;
        self.told = self.entry.log.total();
        self.context.save_end(&self.entry, ended, preview);
    }

    /// Nothing is left. The store's order puts this behind the end.
    async fn reaped(&mut self, task: Task, changed: bool) {
        let seen = self.context.ports.leave(&self.entry.id);
        self.entry.publish_ports(Vec::new());
        let mut task = self.figures(task);
        if !seen.is_empty() {
            // The thread that looks may only fail with the runner.
            let held = tokio::task::spawn_blocking(move || ports_held(&seen)).await;
            task.ports_held = held.unwrap_or_default();
        }
        let changed = changed || !task.ports_held.is_empty() || self.told != task.output_bytes;
        self.entry.log.close();
        self.context.reaped(&self.entry, changed.then_some(task));
    }

    fn publish(&self, task: Task) {
        let task = self.entry.publish(self.figures(task));
        self.context.tell_task(task);
    }

    fn figures(&self, mut task: Task) -> Task {
        self.fill_in(&mut task);
        task
    }

    /// What is known of its output and its ports.
    fn fill_in(&self, task: &mut Task) {
        let kept = self.entry.log.kept();
        task.output_bytes = kept.total;
        task.omitted_bytes = kept.omitted();
        task.last_line = self.entry.log.last_line();
        task.ports.clone_from(&self.entry.task().ports);
    }

    /// The beginning and the end of the output. A long one is read from the disk, which may take its time.
    async fn preview(&self) -> Preview {
        let entry = Arc::clone(&self.entry);
        let most = self.start.preview_chars.min(50_000) as usize;
        if entry.log.is_at_hand() {
            entry.log.preview(most)
        } else {
            tokio::task::spawn_blocking(move || entry.log.preview(most)).await.unwrap_or_default()
        }
    }
}

fn now() -> Now {
    Now { at: Instant::now(), clock: clock::now() }
}

fn asked(request: Request) -> Input<Reply> {
    match request {
        Request::Stop { by, grace } => Input::Stop { by, grace },
        Request::Background { reply } => Input::Background(reply),
        Request::Freeze { frozen, reply } => Input::Freeze { frozen, reply },
        Request::Answered { at, closed } => Input::Answered { at, closed },
    }
}

async fn served(waiting: &mut Option<oneshot::Receiver<Slot>>) -> Slot {
    match waiting {
        // The line goes only with the runner.
        Some(waiting) => match waiting.await {
            Ok(slot) => slot,
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

async fn turned(turning: &mut Option<AbortOnDropHandle<Turn>>) -> Turn {
    match turning {
        // It may only fail with the runner.
        Some(turning) => match turning.await {
            Ok(turn) => turn,
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// What the supervisor says.
async fn heard(supervisor: Option<&mut Agent>) -> Input<Reply> {
    let Some(supervisor) = supervisor else { return pending().await };
    loop {
        return match supervisor.receive().await {
            Ok(Some(FromAgent::Exited(exited))) => Input::Exited(exited),
            Ok(Some(FromAgent::Remaining(left))) => Input::Remaining(left),
            Ok(Some(FromAgent::Empty)) => Input::Empty,
            Ok(Some(FromAgent::Unkillable(left))) => Input::Unkillable(left),
            Ok(Some(FromAgent::Frozen(frozen))) => Input::Frozen(frozen),
            // These were for the start, or are for those who speak by frames alone.
            Ok(Some(
                FromAgent::Hello { .. }
                | FromAgent::Started { .. }
                | FromAgent::Failed(_)
                | FromAgent::Output { .. }
                | FromAgent::Credit(_)
                | FromAgent::InputClosed
                | FromAgent::Seen { .. }
                | FromAgent::Holders(_)
                | FromAgent::Swept(_)
                | FromAgent::Pong,
            )) => continue,
            Ok(None) | Err(_) => Input::SupervisorDied,
        };
    }
}

async fn printed(output: Option<&mut Output>) -> Input<Reply> {
    match output {
        Some(output) if !output.is_over() => {
            let grew = output.step().await > 0;
            Input::Output { grew, written: output.is_written(), over: output.is_over() }
        }
        Some(_) | None => pending().await,
    }
}

/// The processes with their command lines as they are now. A system in which one cannot be read for long keeps the older.
async fn named_again(processes: Vec<Process>) -> Vec<Process> {
    let mut again = processes.clone();
    let looking = tokio::task::spawn_blocking(move || {
        exec::host::name_again(&mut again);
        again
    });
    match tokio::time::timeout(NAMES_PATIENCE, looking).await {
        Ok(Ok(again)) => again,
        Ok(Err(_)) | Err(_) => processes,
    }
}
