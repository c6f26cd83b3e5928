//! The life of one task: one future, from the queue to the last process.
//!
//! It waits for a place, takes a shim, hands it the command with one end of a pipe, and then listens to everything at
//! once: what the shim says, what the task prints, what people ask for, and the next moment at which something is due.
//! It alone decides the task's state. When the leader has ended it drains the pipe until its end, or until it was quiet
//! for a quarter of a second, then writes the end and goes on with what was left behind until nothing is.
//!
//! Order: every change is sent to the store's one thread, which publishes it after it is on the disk. So the future
//! never waits for the disk, and `backgrounded` cannot follow `ended`.

mod begin;
mod hold;
pub(super) mod stop;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use shared::output::Excerpt;
use shared::protocol::{BackgroundedBy, Sandbox, Start, TaskEvent};
use shared::task::{Party, Process, Task, TaskState};
use shared::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use self::begin::Running;
use super::News;
use super::inner::Inner;
use super::ports;
use super::prompt;
use super::queue::Place;
use super::reader::{Drain, Output};
use super::record::{Command, Phase, Record};
use super::text::signal_name;
use crate::shim::wire::{Exited, FromShim};
use crate::store::rows;

/// How long an end waits for the command lines of what was left behind.
const NAMES_PATIENCE: Duration = Duration::from_secs(1);

/// Why a tree is being ended.
#[derive(Clone, Copy)]
enum Why {
    Asked(Party),
    Timeout,
}

pub(super) struct Supervisor {
    inner: Arc<Inner>,
    record: Arc<Record>,
    start: Start,
    /// As this future knows it; the published one follows.
    task: Task,
    commands: mpsc::Receiver<Command>,
    why: Option<Why>,
    /// Whether the shim was told to end the tree.
    stopping: bool,
    /// Who asked for that.
    stoppers: Vec<Party>,
    /// Whether its end is on its way to the store: it is told once, whatever happens until it is there.
    end_written: bool,
    /// When the command becomes a background task.
    foreground_until: Option<Instant>,
    timeout_at: Option<Instant>,
    /// When the tree, if it is still there, is killed past its shim.
    overdue: Option<Instant>,
    /// Whether that was done: the shim may not know then why its leader was killed.
    killed_past: bool,
    /// What is left of the time until then, while the task is paused.
    timeout_left: Option<Duration>,
    /// Who waits for the shim's answer, in the order asked.
    holding: VecDeque<oneshot::Sender<Result<Task, Problem>>>,
    prompt: prompt::Watch,
    progress_at: Option<Instant>,
    progress_last: Option<Instant>,
}

impl Supervisor {
    pub(super) fn new(
        inner: Arc<Inner>,
        record: Arc<Record>,
        start: Start,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let task = Task::clone(&record.task());
        let foreground_until =
            start.foreground_ms.map(|millis| Instant::now() + Duration::from_millis(millis));
        Self {
            inner,
            record,
            start,
            task,
            commands,
            why: None,
            stopping: false,
            stoppers: Vec::new(),
            end_written: false,
            foreground_until,
            timeout_at: None,
            overdue: None,
            killed_past: false,
            timeout_left: None,
            holding: VecDeque::new(),
            prompt: prompt::Watch::default(),
            progress_at: None,
            progress_last: None,
        }
    }

    /// Runs the task to its very end.
    pub(super) async fn run(mut self, place: Result<Place, oneshot::Receiver<Place>>) {
        let place = match place {
            Ok(place) => Some(place),
            Err(waiting) => self.queue(waiting).await,
        };
        match place {
            Some(place) => match self.launch().await {
                Ok(running) => self.supervise(running, place).await,
                Err(state) => self.never_started(state).await,
            },
            None => self.never_started(TaskState::Stopped { by: self.party(), signal: None }).await,
        }
        if let Err(problem) = self.inner.retain().await {
            tracing::debug!(%problem, "old tasks stay listed");
        }
    }

    fn party(&self) -> Party {
        match self.why {
            Some(Why::Asked(by)) => by,
            Some(Why::Timeout) | None => Party::Runner,
        }
    }

    async fn supervise(&mut self, running: Running, place: Place) {
        let Running { mut shim, output, pid } = running;
        let mut output = Output::new(Arc::clone(&self.record), output);
        let began = Instant::now();
        self.task.state = TaskState::Running;
        self.task.started = Some(rows::now());
        self.task.pid = Some(pid);
        self.timeout_at = self.start.timeout_ms.map(|millis| began + Duration::from_millis(millis));
        let row = self.task.clone();
        // Should the runner die before this is on the disk, the task "may not have run".
        self.inner.store.write_soon(
            move |connection| rows::update_task(connection, &row),
            |written| {
                if let Err(error) = written {
                    tracing::warn!(%error, "a start could not be noted; the end will be");
                }
            },
        );
        self.publish();
        self.record.reach(Phase::Running);

        self.inner.ports.enter(&self.record, shim.pid);

        let mut place = Some(place);
        let mut exited: Option<Exited> = None;
        let mut drain: Option<Drain> = None;
        let mut empty = false;
        let mut timer = pin!(sleep(Duration::ZERO));
        loop {
            if let (Some(end), Some(draining)) = (&exited, &drain)
                && (output.is_over() || (output.is_written() && draining.due() <= Instant::now()))
            {
                self.end(end).await;
                // What it left behind takes a place as it did.
                if end.left.is_empty() {
                    drop(place.take());
                }
                exited = None;
                drain = None;
            }
            if empty && exited.is_none() {
                break;
            }
            let due = [
                self.foreground_until,
                self.timeout_at,
                self.overdue,
                self.progress_at,
                self.prompt.due,
                drain.as_ref().filter(|_| output.is_written()).map(Drain::due),
            ]
            .into_iter()
            .flatten()
            .min();
            if let Some(due) = due
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                frame = shim.receive(), if !empty => match frame {
                    // It ends once: a process left behind may have got its number since.
                    Ok(Some(FromShim::Exited(_))) if exited.is_some() || self.end_written => {}
                    Ok(Some(FromShim::Exited(end))) => {
                        self.leader_ended(&end).await;
                        drain = Some(Drain::new(&self.inner.limits));
                        exited = Some(end);
                    }
                    Ok(Some(FromShim::Left(left))) => {
                        if let Some(end) = &mut exited {
                            end.left = left;
                        } else if self.end_written {
                            self.left(left);
                        }
                    }
                    Ok(Some(FromShim::Empty)) => {
                        empty = true;
                        if let Some(end) = &mut exited {
                            end.left.clear();
                        }
                    }
                    Ok(Some(FromShim::Stuck(left))) => self.stuck(&left),
                    Ok(Some(FromShim::Held(held))) => self.held(held),
                    Ok(Some(FromShim::Started { .. } | FromShim::Failed(_))) => {}
                    Ok(None) | Err(_) => {
                        self.shim_died(exited.is_some(), &mut output).await;
                        return;
                    }
                },
                written = output.step(), if !output.is_over() => {
                    if written > 0 {
                        if let Some(drain) = &mut drain {
                            drain.heard();
                        }
                        self.heard();
                        self.progress();
                    }
                }
                command = self.commands.recv() => match command {
                    Some(Command::Stop { by, grace }) => {
                        if self.why.is_none() {
                            self.why = Some(Why::Asked(by));
                        }
                        self.stop(&mut shim, Some(by), grace).await;
                    }
                    Some(Command::Background { reply }) => self.background(Some(reply)).await,
                    Some(Command::Hold { hold, reply }) => self.hold(&mut shim, hold, reply).await,
                    Some(Command::Answered { at, closed }) => self.answered(at, closed),
                    // The record lives as long as this future, and so does its sender.
                    None => {}
                },
                () = &mut timer, if due.is_some() => {
                    let now = Instant::now();
                    if self.foreground_until.is_some_and(|at| at <= now) {
                        self.background(None).await;
                    }
                    if self.timeout_at.is_some_and(|at| at <= now) {
                        self.timeout_at = None;
                        if self.why.is_none() {
                            self.why = Some(Why::Timeout);
                        }
                        self.stop(&mut shim, None, self.inner.limits.grace).await;
                    }
                    if self.overdue.is_some_and(|at| at <= now) {
                        self.kill_past(&shim).await;
                    }
                    if self.prompt.due.is_some_and(|at| at <= now) {
                        self.look_for_a_question();
                    }
                    if self.progress_at.is_some_and(|at| at <= now) {
                        self.progress_now();
                    }
                }
            }
        }
        // Nobody of this task can write any more; what is in the pipe is all.
        output.rest().await;
        self.gone().await;
        let (shims, record) = (Arc::clone(&self.inner.shims), Arc::clone(&self.record));
        let held = self.start.sandbox == Some(Sandbox::ReadOnly);
        tokio::spawn(async move {
            record.reached(Phase::Gone).await;
            shims.done(shim, held).await;
        });
    }

    async fn leader_ended(&mut self, end: &Exited) {
        self.timeout_at = None;
        self.timeout_left = None;
        self.prompt = prompt::Watch::default();
        self.task.paused = false;
        self.task.waits_for_input = false;
        self.foreground_until = None;
        self.record.close_input().await;
        let asked = end.asked || (self.killed_past && end.code.is_none());
        self.task.state = match (self.why, asked, end.code, end.signal) {
            (Some(Why::Timeout), true, _, _) => TaskState::Timeout,
            (Some(Why::Asked(by)), true, _, signal) => {
                TaskState::Stopped { by, signal: signal.map(signal_name) }
            }
            (_, _, Some(0), _) => TaskState::Completed,
            (_, _, Some(code), _) => TaskState::Failed { code },
            (_, _, None, signal) => TaskState::Killed { signal: signal_name(signal.unwrap_or_default()) },
        };
        self.task.ended = Some(rows::now());
        self.task.duration_ms = Some(end.ran_us / 1_000);
        self.task.pid = None;
        self.task.stdin = false;
    }

    /// The leader has ended and its output is drained.
    async fn end(&mut self, end: &Exited) {
        self.progress_at = None;
        self.task.left_behind = named_again(end.left.clone()).await;
        if end.left.is_empty() {
            self.record.publish_ports(Vec::new());
        } else {
            self.inner.look_for_ports().await;
        }
        self.write_end().await;
    }

    /// The beginning and the end of the output. A long one is read from the disk, which may take its time.
    async fn excerpt(&self) -> Excerpt {
        let record = Arc::clone(&self.record);
        let most = self.start.excerpt_chars.min(50_000) as usize;
        if record.log.is_at_hand() {
            record.log.excerpt(most)
        } else {
            tokio::task::spawn_blocking(move || record.log.excerpt(most)).await.unwrap_or_default()
        }
    }

    async fn write_end(&mut self) {
        self.end_written = true;
        self.figures();
        let excerpt = self.excerpt().await;
        self.inner.save_event(&self.record, TaskEvent::Ended { task: Box::new(self.task.clone()), excerpt });
    }

    async fn never_started(&mut self, state: TaskState) {
        self.task.state = state;
        self.task.ended = Some(rows::now());
        self.task.stdin = false;
        let event = TaskEvent::Ended { task: Box::new(self.task.clone()), excerpt: Excerpt::default() };
        self.inner.save_event(&self.record, event);
        self.gone().await;
    }

    fn figures(&mut self) {
        let kept = self.record.log.kept();
        self.task.output_bytes = kept.total;
        self.task.omitted_bytes = kept.omitted();
        self.task.last_line = self.record.log.last_line();
        self.task.ports.clone_from(&self.record.task().ports);
    }

    /// Makes it a background task, once, and answers whoever asked.
    async fn background(&mut self, reply: Option<oneshot::Sender<Result<Task, Problem>>>) {
        let outcome = if self.task.state.is_end() {
            Err(Problem::new(ProblemCode::Conflict, format!("Task {} has ended.", self.record.id)))
        } else {
            if self.task.foreground {
                let by = if reply.is_some() { BackgroundedBy::Request } else { BackgroundedBy::Time };
                self.task.foreground = false;
                self.figures();
                let excerpt = self.excerpt().await;
                let event = TaskEvent::Backgrounded { task: Box::new(self.task.clone()), by, excerpt };
                self.inner.save_event(&self.record, event);
            }
            Ok(self.task.clone())
        };
        self.foreground_until = None;
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _gone = reply.send(outcome);
        }
    }

    fn left(&mut self, left: Vec<Process>) {
        self.task.left_behind = left;
        self.figures();
        self.publish();
    }

    /// Nothing is left. The store's order puts this behind the end.
    async fn gone(&mut self) {
        let seen = self.inner.ports.leave(&self.record.id);
        self.record.publish_ports(Vec::new());
        if !seen.is_empty() {
            // The thread that looks may only fail with the runner.
            let held = tokio::task::spawn_blocking(move || ports::held(&seen)).await;
            self.task.ports_held = held.unwrap_or_default();
        }
        let changed = !self.task.left_behind.is_empty()
            || !self.task.ports.is_empty()
            || !self.task.ports_held.is_empty()
            || self.task.output_bytes != self.record.log.total();
        self.task.left_behind.clear();
        self.figures();
        self.record.log.rest();
        self.inner.gone(&self.record, changed.then(|| self.task.clone()));
    }

    /// It printed.
    fn heard(&mut self) {
        if self.task.stdin {
            self.prompt.heard(self.inner.limits.prompt_quiet);
            self.flag(false);
        }
    }

    /// Somebody wrote to its input.
    fn answered(&mut self, at: u64, closed: bool) {
        self.prompt.answered(at);
        self.task.stdin &= !closed;
        self.flag(false);
    }

    /// It has been quiet for a while.
    fn look_for_a_question(&mut self) {
        let (recent, total) = self.record.log.recent();
        let asks = self.prompt.asks(total, &recent);
        self.flag(asks && self.task.stdin && !self.task.paused && !self.stopping);
    }

    fn flag(&mut self, waits: bool) {
        if self.task.waits_for_input != waits {
            self.task.waits_for_input = waits;
            self.figures();
            self.publish();
        }
    }

    fn progress(&mut self) {
        if self.progress_at.is_some() {
            return;
        }
        let now = Instant::now();
        match self.progress_last {
            Some(last) if last + self.inner.limits.progress > now => {
                self.progress_at = Some(last + self.inner.limits.progress);
            }
            Some(_) | None => self.progress_now(),
        }
    }

    fn progress_now(&mut self) {
        self.progress_at = None;
        self.progress_last = Some(Instant::now());
        self.inner.ports.look_soon();
        let task = self.record.publish_progress();
        self.inner.tell(News::Task(task));
    }

    fn publish(&self) {
        let task = self.record.publish(self.task.clone());
        self.inner.tell(News::Task(task));
    }
}

/// The processes with their command lines as they are now. A system in which one cannot be read for long keeps the older.
async fn named_again(processes: Vec<Process>) -> Vec<Process> {
    if processes.is_empty() {
        return processes;
    }
    let mut again = processes.clone();
    let looking = tokio::task::spawn_blocking(move || {
        crate::shim::name_again(&mut again);
        again
    });
    match tokio::time::timeout(NAMES_PATIENCE, looking).await {
        Ok(Ok(again)) => again,
        Ok(Err(_)) | Err(_) => processes,
    }
}
