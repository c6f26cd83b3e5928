//! The actor of one task: it hears everything at once, asks the [`Machine`] what follows, and does that.
//!
//! What it hears: what its supervisor says, what the task prints, what people ask for, a slot, a turn, the
//! answer to what takes time, and the next moment at which something is due. It decides nothing, and waits
//! for nothing else: what takes time goes on beside it (`doing`), and what is told goes by its [`Teller`].
//!
//! Order: every change is sent to the store's one thread, which publishes it after it is on the disk. So
//! `backgrounded` cannot follow `ended`.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use exec::frames::{FromAgent, ToAgent};
use exec::local::Agent;
use shared::Problem;
use shared::protocol::{Sandbox, Start};
use shared::task::Task;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::context::{Context, blocking};
use super::entry::{Phase, Request, TaskEntry};
use super::exhaustion::Turn;
use super::launch::{Launched, kill_orphans, launch};
use super::machine::{Attempt, Effect, Input, Machine, Now};
use super::prompt;
use super::reader::Output;
use super::slots::{Slot, Waiting};
use super::teller::{Tell, Teller};
use crate::clock;
use crate::store::rows;

/// How long a stop waits for a look at its ports.
const LOOK_PATIENCE: Duration = Duration::from_millis(200);
/// How long a word to a supervisor may take: there is room for hundreds that it has not read.
const WORD_PATIENCE: Duration = Duration::from_millis(200);

/// By which whoever asked is answered.
type Reply = oneshot::Sender<Result<Task, Problem>>;
/// A try to start the command. Dropping it lets go of the supervisor that is busy with it.
type Trying = Pin<Box<dyn Future<Output = Result<Launched, Attempt>> + Send>>;

pub(super) struct TaskActor {
    context: Arc<Context>,
    entry: Arc<TaskEntry>,
    start: Arc<Start>,
    machine: Machine<Reply>,
    requests: mpsc::Receiver<Request>,
    slot: Option<Slot>,
    /// In the line for one.
    waiting: Option<Waiting>,
    turn: Option<Turn>,
    /// In the line for that.
    turning: Option<AbortOnDropHandle<Turn>>,
    trying: Option<Trying>,
    supervisor: Option<Agent>,
    output: Option<Output>,
    /// What takes time, and is answered.
    doing: JoinSet<Input<Reply>>,
    teller: Teller,
}

impl TaskActor {
    pub(super) fn new(
        context: Arc<Context>,
        entry: Arc<TaskEntry>,
        start: Start,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let machine = Machine::new(now(), Task::clone(&entry.task()), &start, context.limits.clone());
        let teller = Teller::new(Arc::clone(&context), Arc::clone(&entry), start.preview_chars);
        Self {
            context,
            entry,
            start: Arc::new(start),
            machine,
            requests,
            slot: None,
            waiting: None,
            turn: None,
            turning: None,
            trying: None,
            supervisor: None,
            output: None,
            doing: JoinSet::new(),
            teller,
        }
    }

    /// Leads the task to its very end.
    pub(super) async fn run(mut self, slot: Result<Slot, Waiting>) {
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
            let Self { entry, requests, waiting, turning, trying, supervisor, output, doing, teller, .. } =
                &mut self;
            tokio::select! {
                // A stop comes before a slot that it would leave unused, and time before output without end.
                biased;
                (by, grace) = entry.stops.next() => self.feed(Input::Stop { by, grace }).await,
                // The entry lives as long as this future, and so does its sender.
                Some(request) = requests.recv() => self.feed(asked(request)).await,
                slot = served(waiting) => self.feed_slot(slot).await,
                turn = turned(turning) => {
                    self.turning = None;
                    self.turn = Some(turn);
                    self.feed(Input::Turn).await;
                }
                tried = tried(trying) => {
                    let attempt = self.tried(tried);
                    self.feed(Input::Attempted(attempt)).await;
                }
                Some(done) = doing.join_next() => {
                    // It may only fail with the runner.
                    if let Ok(input) = done {
                        self.feed(input).await;
                    }
                }
                input = heard(supervisor.as_mut()) => self.feed(input).await,
                () = &mut timer, if due.is_some() => {
                    let line_moved = self.context.exhaustion.moved();
                    self.feed(Input::Time { line_moved }).await;
                }
                () = teller.all(), if !teller.is_done() => {}
                input = printed(output.as_mut()) => self.feed(input).await,
            }
        }
        self.part().await;
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

    /// Nothing is left of it: tells what is still to be told, and lets its supervisor go once the end is
    /// saved.
    async fn part(self) {
        let Self { context, entry, start, mut teller, supervisor, requests, turn, turning, .. } = self;
        // Whoever waits for any of these waits for nothing more.
        drop((requests, turn, turning));
        teller.all().await;
        if let Some(supervisor) = supervisor {
            let agents = Arc::clone(&context.agents);
            let read_only = start.sandbox == Some(Sandbox::ReadOnly);
            tokio::spawn(async move {
                entry.reached(Phase::Reaped).await;
                agents.done(supervisor, read_only).await;
            });
        }
        if let Err(problem) = context.retain().await {
            tracing::debug!(%problem, "old tasks stay listed");
        }
    }

    /// Does it, or begins to. Gives what it is answered by, if that is known at once.
    async fn run_effect(&mut self, effect: Effect<Reply>) -> Option<Input<Reply>> {
        match effect {
            Effect::Attempt => {
                let (context, entry) = (Arc::clone(&self.context), Arc::clone(&self.entry));
                let start = Arc::clone(&self.start);
                self.trying = Some(Box::pin(async move { launch(&context, &entry, &start).await }));
            }
            Effect::AwaitTurn => {
                let turn = tokio::spawn(self.context.exhaustion.turn());
                self.turning = Some(AbortOnDropHandle::new(turn));
            }
            Effect::GiveTurnBack => self.give_turn_back(),
            Effect::Shrink => self.context.agents.shrink(),
            Effect::Started(task) => self.started(task).await,
            Effect::Publish(task) => self.teller.tell(Tell::Publish(task)).await,
            Effect::Progress => {
                self.context.ports.look_soon();
                self.context.tell_task(self.entry.publish_progress());
            }
            Effect::LookForQuestion => {
                let (tail, total) = self.entry.log.tail_buffer();
                return Some(Input::Quiet { total, asks: prompt::looks_like_a_question(&tail) });
            }
            Effect::Backgrounded(task, by) => {
                // That it is so is told at once, and the event behind what comes before it.
                self.context.tell_task(self.entry.publish(self.figures(task.clone())));
                self.teller.tell(Tell::Backgrounded(task, by)).await;
            }
            Effect::CloseInput => self.entry.close_input().await,
            Effect::LookForPorts => return self.look_for_ports(),
            Effect::Stop { grace } => {
                let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                return self.say(&ToAgent::Stop { grace_ms }).await.or(Some(Input::Stopping { grace }));
            }
            Effect::Freeze(frozen) => return self.say(&ToAgent::Freeze(frozen)).await,
            Effect::KillPast => {
                let tree = self.supervisor.as_ref().map(Agent::tree);
                self.doing.spawn(async move {
                    let kill = move || tree.is_some_and(exec::host::Tree::kill);
                    Input::KilledPast { alone: blocking(kill).await.unwrap_or_default() }
                });
            }
            Effect::LetGo => {
                self.trying = None;
                if let Some(supervisor) = self.supervisor.take() {
                    supervisor.give_up();
                }
            }
            Effect::KillOrphans => {
                let task = self.entry.id.clone();
                self.doing.spawn(async move { Input::Orphans(kill_orphans(&task).await) });
            }
            Effect::Unkillable(text) => self.entry.unkillable(text),
            Effect::DrainOutput => {
                if let Some(output) = self.output.take() {
                    self.teller.tell(Tell::Drain(output)).await;
                }
            }
            Effect::End(ended) => self.teller.tell(Tell::End(ended)).await,
            Effect::ReleaseSlot => {
                if let Some(slot) = self.slot.take() {
                    self.teller.tell(Tell::Release(slot)).await;
                }
            }
            Effect::Reaped { task, changed } => self.teller.tell(Tell::Reaped { task, changed }).await,
            // Whoever asked may have gone.
            Effect::Reply(reply, outcome) => drop(reply.send(outcome.map(|task| self.figures(task)))),
        }
        None
    }

    fn tried(&mut self, tried: Result<Launched, Attempt>) -> Attempt {
        self.trying = None;
        match tried {
            Ok(Launched { supervisor, output, pid }) => {
                self.give_turn_back();
                self.output = Some(Output::new(Arc::clone(&self.entry), output));
                self.supervisor = Some(supervisor);
                Attempt::Started { pid }
            }
            Err(attempt) => attempt,
        }
    }

    fn give_turn_back(&mut self) {
        if self.turn.take().is_some() {
            self.context.exhaustion.moves();
        }
    }

    async fn started(&mut self, task: Task) {
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
        self.teller.tell(Tell::Publish(task)).await;
        self.entry.reach(Phase::Running);
        if let Some(supervisor) = &self.supervisor {
            self.context.ports.enter(&self.entry, supervisor.tree());
        }
    }

    /// The last chance to see what it listens on. A file system that hangs must not hold up a stop.
    fn look_for_ports(&mut self) -> Option<Input<Reply>> {
        // A runner that stops has looked once for all.
        if self.context.stopping.load(Ordering::Acquire) {
            return Some(Input::Looked);
        }
        let context = Arc::clone(&self.context);
        self.doing.spawn(async move {
            let _late = timeout(LOOK_PATIENCE, context.look_for_ports()).await;
            Input::Looked
        });
        None
    }

    async fn say(&mut self, frame: &ToAgent) -> Option<Input<Reply>> {
        let supervisor = self.supervisor.as_mut()?;
        // One that has died is seen by its silence.
        if timeout(WORD_PATIENCE, supervisor.send(frame, &[])).await.is_err() {
            // A part of the word may be out, so no other can follow.
            return Some(Input::SupervisorDied);
        }
        // What it runs may have stopped it, and then it hears nothing.
        supervisor.tree().wake_agent();
        None
    }

    fn figures(&self, mut task: Task) -> Task {
        self.entry.fill_in(&mut task);
        task
    }
}

fn now() -> Now {
    Now { at: Instant::now(), clock: clock::now() }
}

fn asked(request: Request) -> Input<Reply> {
    match request {
        Request::Background { reply } => Input::Background(reply),
        Request::Freeze { frozen, reply } => Input::Freeze { frozen, reply },
        Request::Answered { at, closed } => Input::Answered { at, closed },
    }
}

async fn served(waiting: &mut Option<Waiting>) -> Slot {
    match waiting {
        Some(waiting) => waiting.slot().await,
        None => pending().await,
    }
}

async fn tried(trying: &mut Option<Trying>) -> Result<Launched, Attempt> {
    match trying {
        Some(trying) => trying.await,
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
