//! What is told of a task, in the order in which it happened.
//!
//! An excerpt of a long output is read from the disk, the last of an output is written to it, and processes
//! and ports are looked for in the system: each may take its time, and whatever is to be told behind it
//! waits. The actor does not: it goes on hearing, and what can be told at once is told at once.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use exec::host::ports_held;
use shared::output::Preview;
use shared::protocol::BackgroundedBy;
use shared::task::{Process, Task};

use super::context::{Context, blocking};
use super::end::Ended;
use super::entry::TaskEntry;
use super::reader::Output;
use super::slots::Slot;

/// How long an end waits for the command lines of remaining processes, and for a look at ports.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something to be told, or done in its place among what is told.
pub(super) enum Tell {
    Publish(Task),
    Backgrounded(Task, BackgroundedBy),
    /// Take what is left in the output's pipe into the log.
    Drain(Output),
    End(Ended),
    Release(Slot),
    Reaped {
        task: Task,
        changed: bool,
    },
}

/// Who tells, one thing after another.
pub(super) struct Teller {
    voice: Option<Voice>,
    telling: Option<Pin<Box<dyn Future<Output = Voice> + Send>>>,
    /// As many as a task has things to tell: of those that may be many only the newest counts.
    queue: VecDeque<Tell>,
}

struct Voice {
    context: Arc<Context>,
    entry: Arc<TaskEntry>,
    /// Characters of an excerpt.
    most: usize,
    /// The length of the output that its end told.
    told: u64,
}

impl Teller {
    pub(super) fn new(context: Arc<Context>, entry: Arc<TaskEntry>, preview_chars: u32) -> Self {
        let voice = Voice { context, entry, most: preview_chars.min(50_000) as usize, told: 0 };
        Self { voice: Some(voice), telling: None, queue: VecDeque::new() }
    }

    /// Tells it at once, or behind what was to be told before.
    pub(super) async fn tell(&mut self, tell: Tell) {
        if let (Tell::Publish(_), Some(Tell::Publish(_))) = (&tell, self.queue.back()) {
            self.queue.pop_back();
        }
        self.queue.push_back(tell);
        let mut all = pin!(self.all());
        poll_fn(|context| {
            let _waits = all.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Whether nothing is left to be told.
    pub(super) fn is_done(&self) -> bool {
        self.telling.is_none() && self.queue.is_empty()
    }

    /// Tells all. May be dropped, and is to be polled for what waits to be told.
    pub(super) async fn all(&mut self) {
        loop {
            if let Some(telling) = &mut self.telling {
                let voice = telling.await;
                self.telling = None;
                self.voice = Some(voice);
            }
            let Some(next) = self.queue.pop_front() else { return };
            self.telling = self.voice.take().map(|voice| Box::pin(voice.say(next)) as _);
        }
    }
}

impl Voice {
    async fn say(mut self, tell: Tell) -> Self {
        match tell {
            Tell::Publish(task) => {
                let task = self.entry.publish(self.figures(task));
                self.context.tell_task(task);
            }
            Tell::Backgrounded(task, by) => {
                let preview = self.preview().await;
                self.context.save_backgrounded(&self.entry, self.figures(task), by, preview);
            }
            Tell::Drain(mut output) => output.drain().await,
            Tell::End(ended) => self.end(ended).await,
            Tell::Release(slot) => drop(slot),
            Tell::Reaped { task, changed } => self.reaped(task, changed).await,
        }
        self
    }

    async fn end(&mut self, ended: Ended) {
        let remaining = ended.remaining_processes().to_vec();
        let ended = if remaining.is_empty() {
            self.entry.publish_ports(Vec::new());
            ended
        } else {
            let named = named_again(remaining).await;
            // A look that hangs tells the others later.
            let _late = tokio::time::timeout(PATIENCE, self.context.look_for_ports()).await;
            ended.with(|task| task.remaining_processes = named)
        };
        let preview = self.preview().await;
        let ended = ended.with(|task| self.entry.fill_in(task));
        self.told = self.entry.log.total();
        self.context.save_end(&self.entry, ended, preview);
    }

    /// Nothing is left. The store's order puts this behind the end.
    async fn reaped(&mut self, task: Task, changed: bool) {
        let seen = self.context.ports.leave(&self.entry.id);
        self.entry.publish_ports(Vec::new());
        let mut task = self.figures(task);
        if !seen.is_empty() {
            let held = tokio::time::timeout(PATIENCE, blocking(move || ports_held(&seen))).await;
            task.ports_held = held.ok().and_then(Result::ok).unwrap_or_default();
        }
        let changed = changed || !task.ports_held.is_empty() || self.told != task.output_bytes;
        let entry = Arc::clone(&self.entry);
        // What was not written by then is said not to be.
        let _failed = blocking(move || entry.log.close()).await;
        self.context.reaped(&self.entry, changed.then_some(task));
    }

    fn figures(&self, mut task: Task) -> Task {
        self.entry.fill_in(&mut task);
        task
    }

    /// The beginning and the end of the output. A long one is read from the disk.
    async fn preview(&self) -> Preview {
        let (entry, most) = (Arc::clone(&self.entry), self.most);
        if entry.log.is_at_hand() {
            entry.log.preview(most)
        } else {
            blocking(move || entry.log.preview(most)).await.unwrap_or_default()
        }
    }
}

/// The processes with their command lines as they are now. A system in which one cannot be read for long
/// keeps the older.
async fn named_again(processes: Vec<Process>) -> Vec<Process> {
    let mut again = processes.clone();
    let looking = blocking(move || {
        exec::host::name_again(&mut again);
        again
    });
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(again)) => again,
        Ok(Err(_)) | Err(_) => processes,
    }
}
