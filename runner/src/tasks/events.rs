//! Events and ends on their way to the disk, and what is said while they cannot get there.
//!
//! An event is given to the store, whose thread publishes what it tells once it is on the disk. While the
//! disk is full the event waits, and the task is shown as ended meanwhile, with its end marked as not saved.
//! What the store refuses for good is told all the same, from memory: better an end that a restart forgets
//! than none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::Seq;
use shared::output::Preview;
use shared::protocol::{BackgroundedBy, TaskEvent};
use shared::task::Task;

use super::context::Context;
use super::end::Ended;
use super::entry::{Phase, TaskEntry};
use super::outbox::Outboxes;
use crate::store::StoreError;
use crate::store::rows::{self, Numbered};

impl Context {
    /// Makes an end durable; then publishes it, and the task.
    pub(super) fn save_end(self: &Arc<Self>, entry: &Arc<TaskEntry>, ended: Ended, preview: Preview) {
        self.save_event(entry, TaskEvent::Ended { task: Box::new(ended.into_task()), preview });
    }

    /// Makes the event durable that a task went on in the background.
    pub(super) fn save_backgrounded(
        self: &Arc<Self>,
        entry: &Arc<TaskEntry>,
        task: Task,
        by: BackgroundedBy,
        preview: Preview,
    ) {
        self.save_event(entry, TaskEvent::Backgrounded { task: Box::new(task), by, preview });
    }

    fn save_event(self: &Arc<Self>, entry: &Arc<TaskEntry>, event: TaskEvent) {
        self.outboxes.await_one(entry.session);
        let event = Arc::new(event);
        let (context, saved, session) = (Arc::clone(self), Arc::clone(&event), entry.session);
        let run = move |connection: &_| {
            // Numbers that were given to what the store refused are not given again.
            rows::save_event(connection, &saved, context.outboxes.newest(session))
        };
        let held = {
            let (context, entry, event) = (Arc::clone(self), Arc::clone(entry), Arc::clone(&event));
            move || {
                if let TaskEvent::Ended { task, .. } = &*event {
                    let task = Task { unsaved: true, ..Task::clone(task) };
                    context.tell_task(entry.publish(task));
                }
            }
        };
        let (context, entry) = (Arc::clone(self), Arc::clone(entry));
        self.store.must_write(run, held, move |saved| {
            let (seq, event, kept) = match saved {
                Ok(Numbered { seq, refused: None }) => (seq, event, true),
                Ok(Numbered { seq, refused: Some(error) }) => {
                    (seq, Arc::new(unsaved(&event, &refused(&entry, error.into()))), false)
                }
                // The runner ends, and its next life says what is lost.
                Err(StoreError::Closed) => {
                    if matches!(*event, TaskEvent::Ended { .. }) {
                        entry.reach(Phase::Ended);
                    }
                    return;
                }
                Err(error) => {
                    // Not even the number.
                    let seq = Seq(context.outboxes.newest(session).0 + 1);
                    (seq, Arc::new(unsaved(&event, &refused(&entry, error))), false)
                }
            };
            if let Some(task) = deliver(&entry, &context.outboxes, seq, event, kept) {
                context.tell_task(task);
            }
        });
    }

    /// Nothing of the task is left: writes its row once more if it changed, behind its end.
    pub(super) fn reaped(self: &Arc<Self>, entry: &Arc<TaskEntry>, row: Option<Task>) {
        let held = {
            let entry = Arc::clone(entry);
            move || {
                entry.over_unsaved.store(true, Ordering::Release);
                // Wakes those who wait, who then look.
                entry.phase.send_modify(|_| {});
            }
        };
        let (context, entry, task) = (Arc::clone(self), Arc::clone(entry), row.clone());
        let done = move |written: Result<(), StoreError>| {
            if let Err(error) = written {
                tracing::error!(task = %entry.id, %error, "a row could not be written");
            }
            if let Some(task) = task {
                let unsaved = entry.task().unsaved;
                context.tell_task(entry.publish(Task { unsaved, ..task }));
            }
            entry.reach(Phase::Reaped);
        };
        match row {
            Some(row) => {
                let run = move |connection: &_| rows::update_task(connection, &row);
                self.store.must_write(run, held, done);
            }
            None => self.store.after_all(held, done),
        }
    }
}

/// Puts an event where its session's page takes it from; `kept`: it is in the store. Gives the task if it has
/// ended.
pub(super) fn deliver(
    entry: &TaskEntry,
    outboxes: &Outboxes,
    seq: Seq,
    event: Arc<TaskEvent>,
    kept: bool,
) -> Option<Arc<Task>> {
    // The task stands as its event says before anybody can hear the event.
    let published = match &*event {
        TaskEvent::Ended { task, .. } => {
            let published = entry.publish(Task::clone(task));
            entry.set_end_seq(seq);
            entry.reach(Phase::Ended);
            Some(published)
        }
        TaskEvent::Backgrounded { .. } => None,
    };
    if kept {
        outboxes.put(entry.session, seq, event);
    } else {
        outboxes.put_unsaved(entry.session, seq, event);
    }
    published
}

fn refused(entry: &TaskEntry, error: StoreError) -> StoreError {
    tracing::error!(task = %entry.id, %error, "an event could not be saved, and is told all the same");
    error
}

/// The event as it is told when the store has refused it for good.
fn unsaved(event: &TaskEvent, error: &StoreError) -> TaskEvent {
    let mut event = event.clone();
    match &mut event {
        TaskEvent::Ended { task, preview } => {
            task.unsaved = true;
            let end = if preview.omitted_chars == 0 { &mut preview.head } else { &mut preview.tail };
            if !end.is_empty() && !end.ends_with('\n') {
                end.push('\n');
            }
            end.push_str(&format!(
                "[The runner could not save this end, and forgets it when it stops: {error}]\n"
            ));
        }
        TaskEvent::Backgrounded { .. } => {}
    }
    event
}
