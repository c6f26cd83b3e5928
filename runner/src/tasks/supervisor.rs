//! The life of one task: one future, from the queue to the last process.
//!
//! It waits for a place, takes a shim, hands it the command with one end of a pipe, and then listens to everything at
//! once: what the shim says, what the task prints, what people ask for, and the next moment at which something is due.
//! It alone decides the task's state. When the leader has ended it drains the pipe until its end, or until it was quiet
//! for a quarter of a second, then writes the end and goes on with what was left behind until nothing is.
//!
//! Order: every change is sent to the store's one thread, which publishes it after it is on the disk. So the future
//! never waits for the disk, and `backgrounded` cannot follow `ended`.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use shared::protocol::{BackgroundedBy, Start, TaskEvent};
use shared::task::{Party, Process, Task, TaskState};
use shared::{Problem, ProblemCode};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::News;
use super::environment::MARK;
use super::inner::Inner;
use super::queue::Place;
use super::reader::{CHUNK, Drain, read, read_ready};
use super::record::{Command, Input, Phase, Record};
use super::shims::{Shim, is_passing};
use super::text::signal_name;
use crate::shim::wire::{Exited, FromShim, Run, ToShim};
use crate::store::rows;

/// First wait after a lack of descriptors, processes or memory.
const PATIENCE: Duration = Duration::from_millis(25);

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
    /// When the command becomes a background task.
    foreground_until: Option<Instant>,
    timeout_at: Option<Instant>,
    /// What is left of the time until then, while the task is paused.
    timeout_left: Option<Duration>,
    /// Who waits for the shim's answer, in the order asked.
    holding: VecDeque<oneshot::Sender<Result<Task, Problem>>>,
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
            foreground_until,
            timeout_at: None,
            timeout_left: None,
            holding: VecDeque::new(),
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
                Err(state) => self.never_started(state),
            },
            None => self.never_started(TaskState::Stopped { by: self.party(), signal: None }),
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

    /// Waits for a place; `None` if the task was stopped first.
    async fn queue(&mut self, mut waiting: oneshot::Receiver<Place>) -> Option<Place> {
        loop {
            let foreground_until = self.foreground_until;
            tokio::select! {
                // A stop comes before a place that it would leave unused.
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Stop { by, .. }) => {
                        self.why = Some(Why::Asked(by));
                        drop(waiting);
                        self.inner.queue.forget_gone();
                        return None;
                    }
                    Some(Command::Background { reply }) => self.background(Some(reply)),
                    Some(Command::Hold { reply, .. }) => self.not_yet(reply),
                    None => return None,
                },
                place = &mut waiting => return place.ok(),
                () = at(foreground_until) => self.background(None),
            }
        }
    }

    /// Takes a shim and has it start the command. Waits out what may pass.
    async fn launch(&mut self) -> Result<Running, TaskState> {
        let give_up = Instant::now() + self.inner.limits.start_patience;
        let mut wait = PATIENCE;
        loop {
            let (words, passing) = match self.try_launch().await {
                Ok(Ok(running)) => return Ok(running),
                Ok(Err(failure)) => failure,
                Err(error) => (format!("The supervisor could not be started: {error}."), is_passing(&error)),
            };
            if !passing || Instant::now() + wait > give_up {
                return Err(TaskState::Error { reason: words });
            }
            tracing::debug!(task = %self.record.id, %words, "waits to start");
            let again = Instant::now() + wait;
            wait *= 2;
            loop {
                tokio::select! {
                    () = sleep_until(again) => break,
                    command = self.commands.recv() => match command {
                        Some(Command::Stop { by, .. }) => {
                            return Err(TaskState::Stopped { by, signal: None });
                        }
                        Some(Command::Background { reply }) => self.background(Some(reply)),
                        Some(Command::Hold { reply, .. }) => self.not_yet(reply),
                        None => return Err(TaskState::Stopped { by: Party::Runner, signal: None }),
                    },
                }
            }
        }
    }

    async fn try_launch(&mut self) -> io::Result<Result<Running, (String, bool)>> {
        let (output, theirs) = io::pipe()?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let theirs = OwnedFd::from(theirs);
        let (input, their_input) = if self.start.stdin {
            let (their_input, input) = io::pipe()?;
            (
                Input::Open(pipe::Sender::from_owned_fd(OwnedFd::from(input))?),
                Some(OwnedFd::from(their_input)),
            )
        } else {
            (Input::None, None)
        };
        let run = ToShim::Run(Run {
            shell: self.inner.shell.clone(),
            command: self.start.command.clone(),
            folder: self.task.folder.clone(),
            env: vec![(MARK.into(), self.record.id.0.clone())],
            stdin: their_input.is_some(),
        });
        let mut descriptors = vec![theirs.as_fd()];
        descriptors.extend(their_input.iter().map(OwnedFd::as_fd));
        let mut shim = self.inner.shims.take()?;
        if shim.send(&run, &descriptors).await.is_err() {
            // It died while it was idle; a fresh one did not.
            shim = self.inner.shims.spawn()?;
            shim.send(&run, &descriptors).await?;
        }
        drop((theirs, their_input));
        loop {
            match shim.receive().await? {
                Some(FromShim::Started { pid }) => {
                    *self.record.input.lock().await = input;
                    return Ok(Ok(Running { shim, output: Some(output), pid }));
                }
                Some(FromShim::Failed(failure)) => {
                    self.inner.shims.give_back(shim);
                    return Ok(Err((failure.words, failure.passing)));
                }
                Some(_) => {}
                None => return Ok(Err(("The supervisor died before the command began.".into(), true))),
            }
        }
    }

    async fn supervise(&mut self, running: Running, place: Place) {
        let Running { mut shim, mut output, pid } = running;
        let began = Instant::now();
        self.task.state = TaskState::Running;
        self.task.started = Some(rows::now());
        self.task.pid = Some(pid);
        self.timeout_at = self.start.timeout_ms.map(|millis| began + Duration::from_millis(millis));
        let row = self.task.clone();
        self.inner.store.must_write(move |connection| rows::update_task(connection, &row), |_| {});
        self.publish();
        self.record.reach(Phase::Running);

        let mut place = Some(place);
        let mut exited: Option<Exited> = None;
        let mut drain: Option<Drain> = None;
        let mut empty = false;
        let mut timer = pin!(sleep(Duration::ZERO));
        loop {
            if let (Some(end), Some(draining)) = (&exited, &drain)
                && (output.is_none() || draining.due() <= Instant::now())
            {
                self.end(end).await;
                exited = None;
                drain = None;
                place = None;
            }
            if empty && exited.is_none() {
                break;
            }
            let due =
                [self.foreground_until, self.timeout_at, self.progress_at, drain.as_ref().map(Drain::due)]
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
                    Ok(Some(FromShim::Exited(end))) => {
                        self.leader_ended(&end).await;
                        drain = Some(Drain::new(&self.inner.limits));
                        exited = Some(end);
                    }
                    Ok(Some(FromShim::Left(left))) => {
                        if let Some(end) = &mut exited {
                            end.left = left;
                        } else if place.is_none() {
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
                        self.shim_died(place.is_some() && exited.is_none()).await;
                        return;
                    }
                },
                read = read(&mut output, &self.record), if output.is_some() => {
                    if read > 0 {
                        if let Some(drain) = &mut drain {
                            drain.heard();
                        }
                        self.progress();
                    }
                }
                command = self.commands.recv() => match command {
                    Some(Command::Stop { by, grace }) => {
                        if self.why.is_none() {
                            self.why = Some(Why::Asked(by));
                        }
                        self.stop(&mut shim, grace).await;
                    }
                    Some(Command::Background { reply }) => self.background(Some(reply)),
                    Some(Command::Hold { hold, reply }) => self.hold(&mut shim, hold, reply).await,
                    // The record lives as long as this future, and so does its sender.
                    None => {}
                },
                () = &mut timer, if due.is_some() => {
                    let now = Instant::now();
                    if self.foreground_until.is_some_and(|at| at <= now) {
                        self.background(None);
                    }
                    if self.timeout_at.is_some_and(|at| at <= now) {
                        self.timeout_at = None;
                        if self.why.is_none() {
                            self.why = Some(Why::Timeout);
                        }
                        self.stop(&mut shim, self.inner.limits.grace).await;
                    }
                    if self.progress_at.is_some_and(|at| at <= now) {
                        self.progress_now();
                    }
                }
            }
        }
        // Nobody of this task can write any more; what is in the pipe is all.
        while output.is_some() && read_ready(&mut output, &self.record) > 0 {}
        self.inner.shims.give_back(shim);
        self.gone();
    }

    /// Tells the shim to end the tree; the second time at once.
    async fn stop(&mut self, shim: &mut Shim, grace: Duration) {
        let grace = if self.stopping { Duration::ZERO } else { grace };
        self.stopping = true;
        if self.task.paused {
            // The shim lets it go on, so that it can hear.
            self.task.paused = false;
            self.publish();
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // A shim that has died is seen by its silence.
        let _died = shim.send(&ToShim::Stop { grace_ms }, &[]).await;
    }

    /// Tells the shim to hold the tree or to let it go on.
    async fn hold(&mut self, shim: &mut Shim, hold: bool, reply: oneshot::Sender<Result<Task, Problem>>) {
        let refuse = if self.task.state.is_end() {
            Some("has ended")
        } else if self.stopping {
            Some("is being stopped")
        } else {
            None
        };
        if let Some(why) = refuse {
            let words = format!("Task {} {why}.", self.record.id);
            // Whoever asked may have gone.
            let _gone = reply.send(Err(Problem::new(ProblemCode::Conflict, words)));
            return;
        }
        self.holding.push_back(reply);
        // A shim that has died is seen by its silence.
        let _died = shim.send(&ToShim::Hold(hold), &[]).await;
    }

    /// The shim has done so.
    fn held(&mut self, held: bool) {
        let changes = held != self.task.paused && !self.stopping && !self.task.state.is_end();
        if changes {
            self.task.paused = held;
            let now = Instant::now();
            if held {
                self.timeout_left = self.timeout_at.take().map(|at| at.saturating_duration_since(now));
            } else {
                self.timeout_at = self.timeout_left.take().map(|left| now + left);
            }
            self.figures();
            self.publish();
        }
        if let Some(reply) = self.holding.pop_front() {
            // Whoever asked may have gone.
            let _gone = reply.send(Ok(self.task.clone()));
        }
    }

    fn not_yet(&self, reply: oneshot::Sender<Result<Task, Problem>>) {
        let words =
            format!("Task {} has not started yet, so it cannot be paused or resumed.", self.record.id);
        // Whoever asked may have gone.
        let _gone = reply.send(Err(Problem::new(ProblemCode::Conflict, words)));
    }

    async fn leader_ended(&mut self, end: &Exited) {
        self.timeout_at = None;
        self.timeout_left = None;
        self.task.paused = false;
        self.foreground_until = None;
        *self.record.input.lock().await = Input::None;
        self.task.state = match (self.why, end.asked, end.code, end.signal) {
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
        self.task.left_behind.clone_from(&end.left);
        crate::shim::name_again(&mut self.task.left_behind);
        self.write_end().await;
    }

    async fn write_end(&mut self) {
        self.figures();
        let record = Arc::clone(&self.record);
        let most = self.start.excerpt_chars.min(50_000) as usize;
        let excerpt = if self.task.output_bytes <= CHUNK as u64 {
            record.log.excerpt(most)
        } else {
            tokio::task::spawn_blocking(move || record.log.excerpt(most)).await.unwrap_or_default()
        };
        self.inner.save_event(&self.record, TaskEvent::Ended { task: Box::new(self.task.clone()), excerpt });
    }

    fn never_started(&mut self, state: TaskState) {
        self.task.state = state;
        self.task.ended = Some(rows::now());
        self.task.stdin = false;
        let event = TaskEvent::Ended {
            task: Box::new(self.task.clone()),
            excerpt: shared::output::Excerpt::default(),
        };
        self.inner.save_event(&self.record, event);
        self.gone();
    }

    fn figures(&mut self) {
        let kept = self.record.log.kept();
        self.task.output_bytes = kept.total;
        self.task.omitted_bytes = kept.omitted();
        self.task.last_line = self.record.log.last_line();
    }

    /// Makes it a background task, once, and answers whoever asked.
    fn background(&mut self, reply: Option<oneshot::Sender<Result<Task, Problem>>>) {
        let outcome = if self.task.state.is_end() {
            Err(Problem::new(ProblemCode::Conflict, format!("Task {} has ended.", self.record.id)))
        } else {
            if self.task.foreground {
                let by = if reply.is_some() { BackgroundedBy::Request } else { BackgroundedBy::Time };
                self.task.foreground = false;
                self.figures();
                let excerpt = self.record.log.excerpt(self.start.excerpt_chars.min(50_000) as usize);
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

    fn stuck(&mut self, left: &[Process]) {
        let names: Vec<_> =
            left.iter().map(|process| format!("{} ({})", process.pid, process.command)).collect();
        let words = format!(
            "The system does not end these processes of task {}: {}.",
            self.record.id,
            names.join(", ")
        );
        tracing::warn!(%words, "stuck");
        *self.record.stuck.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(words);
        // Wakes those who wait, who then look.
        self.record.phase.send_modify(|_| {});
    }

    /// Somebody killed the shim: what it watched over is found by its mark and killed.
    async fn shim_died(&mut self, was_running: bool) {
        let mark = format!("{MARK}={}", self.record.id);
        // The thread that looks may only fail with the runner.
        let _failed = tokio::task::spawn_blocking(move || crate::shim::kill_marked(&mark)).await;
        if was_running {
            self.task.ended = Some(rows::now());
            self.task.pid = None;
            self.task.stdin = false;
            self.task.paused = false;
            self.task.state = TaskState::Lost {
                reason: "Its supervisor was killed from outside; what it ran was ended with it.".into(),
            };
        }
        if !matches!(self.record.phase(), Phase::Ended | Phase::Gone) {
            self.write_end().await;
        }
        self.gone();
    }

    /// Nothing is left. The store's order puts this behind the end.
    fn gone(&mut self) {
        let changed = !self.task.left_behind.is_empty() || self.task.output_bytes != self.record.log.total();
        self.task.left_behind.clear();
        self.figures();
        self.record.log.rest();
        self.inner.gone(&self.record, changed.then(|| self.task.clone()));
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
        let task = self.record.publish_progress();
        self.inner.tell(News::Task(task));
    }

    fn publish(&self) {
        let task = self.record.publish(self.task.clone());
        self.inner.tell(News::Task(task));
    }
}

/// A command that has begun.
struct Running {
    shim: Shim,
    /// `None` after its end.
    output: Option<pipe::Receiver>,
    pid: u32,
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
