//! A task as the runner holds it: what is published of it, its log, and the way to its actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::{Problem, Seq, SessionId, TaskId};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::stops::Stops;

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Its process is not there yet.
    Waiting,
    /// Its main process lives.
    Running,
    /// Its end is on the disk; remaining processes may live.
    Ended,
    /// Nothing of it is left.
    Reaped,
}

/// What its actor is asked for, besides its end.
pub(super) enum Request {
    Background {
        reply: oneshot::Sender<Result<Task, Problem>>,
    },
    /// Freeze all processes where they are, or thaw them.
    Freeze {
        frozen: bool,
        reply: oneshot::Sender<Result<Task, Problem>>,
    },
    /// Input was written when the output had this length; `closed`: and the input was closed.
    Answered {
        at: u64,
        closed: bool,
    },
}

/// A task's standard input.
pub(super) enum Input {
    /// It was started without, or has ended.
    None,
    /// It was closed by a `send_input`.
    Closed,
    Open(pipe::Sender),
}

pub(super) struct TaskEntry {
    pub(super) id: TaskId,
    pub(super) session: SessionId,
    pub(super) log: Log,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) stops: Stops,
    pub(super) input: tokio::sync::Mutex<Input>,
    /// Whoever writes to the input lets go of it then, though others hold the reading end and do not read.
    pub(super) main_process_gone: CancellationToken,
    /// What KILL could not end, as a sentence.
    pub(super) unkillable: Mutex<Option<String>>,
    /// Whether nothing of it is left, though the store cannot write that.
    pub(super) over_unsaved: AtomicBool,
    task: Mutex<Arc<Task>>,
    end_seq: AtomicU64,
}

impl TaskEntry {
    pub(super) fn new(task: Task, log: Log, phase: Phase, requests: mpsc::Sender<Request>) -> Self {
        Self {
            id: task.id.clone(),
            session: task.session,
            log,
            phase: watch::Sender::new(phase),
            requests,
            stops: Stops::default(),
            input: tokio::sync::Mutex::new(Input::None),
            main_process_gone: CancellationToken::new(),
            unkillable: Mutex::default(),
            over_unsaved: AtomicBool::new(false),
            task: Mutex::new(Arc::new(task)),
            end_seq: AtomicU64::new(0),
        }
    }

    fn published(&self) -> MutexGuard<'_, Arc<Task>> {
        self.task.lock()
    }

    /// As it stands.
    pub(super) fn task(&self) -> Arc<Task> {
        Arc::clone(&self.published())
    }

    /// Replaces what is published. An end is never replaced by something earlier.
    pub(super) fn publish(&self, mut task: Task) -> Arc<Task> {
        let mut published = self.published();
        // An input that was closed stays so, whatever the supervisor has not heard of.
        task.stdin &= published.stdin;
        // Looked for elsewhere.
        task.ports.clone_from(&published.ports);
        if !published.state.is_end() || task.state.is_end() {
            *published = Arc::new(task);
        }
        Arc::clone(&published)
    }

    /// Takes the ports that it listens on now; the task if that is new.
    pub(super) fn publish_ports(&self, ports: Vec<u16>) -> Option<Arc<Task>> {
        let mut published = self.published();
        if published.ports == ports {
            return None;
        }
        Arc::make_mut(&mut published).ports = ports;
        Some(Arc::clone(&published))
    }

    /// Brings the figures of the output up to date.
    pub(super) fn publish_progress(&self) -> Arc<Task> {
        let (kept, last_line) = (self.log.kept(), self.log.last_line());
        let mut published = self.published();
        let task = Arc::make_mut(&mut published);
        task.output_bytes = kept.total;
        task.omitted_bytes = kept.omitted();
        if !last_line.is_empty() {
            task.last_line = last_line;
        }
        Arc::clone(&published)
    }

    /// Brings to a task what is known of its output and its ports.
    pub(super) fn fill_in(&self, task: &mut Task) {
        let kept = self.log.kept();
        task.output_bytes = kept.total;
        task.omitted_bytes = kept.omitted();
        task.last_line = self.log.last_line();
        task.ports.clone_from(&self.task().ports);
    }

    /// Says what KILL does not end, or that it has.
    pub(super) fn unkillable(&self, text: Option<String>) {
        if let Some(text) = &text {
            tracing::warn!(%text, "unkillable");
        }
        *self.unkillable.lock() = text;
        // Wakes those who wait, who then look.
        self.phase.send_modify(|_| {});
    }

    /// Closes its input for good.
    pub(super) async fn close_input(&self) {
        self.main_process_gone.cancel();
        *self.input.lock().await = Input::None;
    }

    /// The event of its end; 0 before it has one.
    pub(super) fn end_seq(&self) -> Seq {
        Seq(self.end_seq.load(Ordering::Acquire))
    }

    pub(super) fn set_end_seq(&self, seq: Seq) {
        self.end_seq.store(seq.0, Ordering::Release);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn reach(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        });
    }

    /// Waits until it has come so far.
    pub(super) async fn reached(&self, phase: Phase) {
        let mut receiver = self.phase.subscribe();
        // The sender lives in this entry, so the wait cannot fail.
        let _reached = receiver.wait_for(|now| *now >= phase).await;
    }
}

/// The task inside an event.
pub(crate) fn task_of(event: &TaskEvent) -> &Task {
    match event {
        TaskEvent::Ended { task, .. } | TaskEvent::Backgrounded { task, .. } => task,
    }
}
