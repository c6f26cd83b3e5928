//! Events and ends on their way to the disk, and what is said while they cannot get there.
//!
//! An event is given to the store, whose thread publishes what it tells once it is on the disk. While the disk is full the
//! event waits, and the task is shown as ended meanwhile, with its end marked as not saved. What the store refuses for
//! good is told all the same, from memory: better an end that a restart forgets than none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::Seq;
use shared::protocol::TaskEvent;
use shared::task::Task;

use super::News;
use super::inner::Inner;
use super::record::{self, Phase, Record};
use crate::store::{StoreError, rows};

impl Inner {
    /// Makes an event durable; then publishes it, the task it speaks of, and for an end the phase.
    pub(super) fn save_event(self: &Arc<Self>, record: &Arc<Record>, event: TaskEvent) {
        let ends = matches!(event, TaskEvent::Ended { .. });
        if !ends {
            let task = record.publish(record::task_of(&event).clone());
            self.tell(News::Task(task));
        }
        let event = Arc::new(event);
        let (inner, saved, session) = (Arc::clone(self), Arc::clone(&event), record.session);
        let run = move |connection: &_| {
            // Numbers that were given to what the store refused are not given again.
            rows::save_event(connection, &saved, inner.outboxes.newest(session))
        };
        let held = {
            let (inner, record, event) = (Arc::clone(self), Arc::clone(record), Arc::clone(&event));
            move || {
                if ends {
                    let task = Task { unsaved: true, ..record::task_of(&event).clone() };
                    inner.tell(News::Task(record.publish(task)));
                }
            }
        };
        let (inner, record) = (Arc::clone(self), Arc::clone(record));
        self.store.must_write(run, held, move |saved| {
            let told = match saved {
                Ok(seq) => Some((seq, event, true)),
                // The runner ends, and its next life says what is lost.
                Err(StoreError::Closed) => None,
                Err(error) => {
                    tracing::error!(task = %record.id, %error, "an event could not be saved, and is told all the same");
                    let seq = Seq(inner.outboxes.newest(session).0 + 1);
                    Some((seq, Arc::new(unsaved(&event, &error)), false))
                }
            };
            let Some((seq, event, kept)) = told else {
                if ends {
                    record.reach(Phase::Ended);
                }
                return;
            };
            // The task stands as its event says before anybody can hear the event.
            let published = ends.then(|| record.publish(record::task_of(&event).clone()));
            if ends {
                record.set_end_seq(seq);
                record.reach(Phase::Ended);
            }
            if kept {
                inner.outboxes.put(session, seq, event);
            } else {
                inner.outboxes.put_unsaved(session, seq, event);
            }
            if let Some(task) = published {
                inner.tell(News::Task(task));
            }
        });
    }

    /// Nothing of the task is left: writes its row once more if it changed, behind its end.
    pub(super) fn gone(self: &Arc<Self>, record: &Arc<Record>, row: Option<Task>) {
        let held = {
            let record = Arc::clone(record);
            move || {
                record.over_unsaved.store(true, Ordering::Release);
                // Wakes those who wait, who then look.
                record.phase.send_modify(|_| {});
            }
        };
        let (inner, record, task) = (Arc::clone(self), Arc::clone(record), row.clone());
        let done = move |written: Result<(), StoreError>| {
            if let Err(error) = written {
                tracing::error!(task = %record.id, %error, "a row could not be written");
            }
            if let Some(task) = task {
                let unsaved = record.task().unsaved;
                inner.tell(News::Task(record.publish(Task { unsaved, ..task })));
            }
            record.reach(Phase::Gone);
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

/// The event as it is told when the store has refused it for good.
fn unsaved(event: &TaskEvent, error: &StoreError) -> TaskEvent {
    let mut event = event.clone();
    match &mut event {
        TaskEvent::Ended { task, excerpt } => {
            task.unsaved = true;
            let end = if excerpt.omitted_chars == 0 { &mut excerpt.head } else { &mut excerpt.tail };
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
