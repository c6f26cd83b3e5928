//! What an earlier runner left: its ended tasks as they are, and the others as lost, once.

use std::sync::Arc;

use shared::protocol::TaskEvent;
use shared::task::{Task, TaskState};
use tokio::sync::mpsc;

use super::inner::Inner;
use super::log::Log;
use super::record::{Phase, Record};
use super::{TasksError, blocking};
use crate::limits::Limits;
use crate::store::{StoreError, rows};

impl Inner {
    /// What an earlier runner left: its ended tasks as they are, the others as lost.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), TasksError> {
        let loaded = self.store.read(rows::load).await?;
        for (session, last, acknowledged) in loaded.sessions {
            self.outboxes.restore(session, last, acknowledged);
        }
        let mut lost = Vec::new();
        {
            let mut state = self.state();
            for (op, task, at) in loaded.forgotten {
                state.forgotten.add(op, task, at);
            }
            for rows::StoredTask { mut task, end_seq } in loaded.tasks {
                let active = task.is_active();
                let Limits { log_head, log_tail, .. } = self.limits;
                let total = (!active).then_some(task.output_bytes);
                let path = self.logs.join(task.id.as_str());
                let log = Log::restored(path, log_head, log_tail, Arc::clone(&self.disk), total);
                let op = task.op;
                task.left_behind.clear();
                let (commands, _gone) = mpsc::channel(1);
                let record = Arc::new(Record::new(task, log, Phase::Gone, commands));
                record.set_end_seq(end_seq.unwrap_or_default());
                if active {
                    lost.push(Arc::clone(&record));
                } else {
                    record.publish_progress();
                }
                state.insert(record, op);
            }
        }
        for record in lost {
            self.lose(&record).await?;
        }
        // What was acknowledged long ago may go; a full disk must not keep the runner from starting.
        if let Err(problem) = self.retain().await {
            tracing::warn!(%problem, "old tasks stay listed");
        }
        Ok(())
    }

    async fn lose(self: &Arc<Self>, record: &Arc<Record>) -> Result<(), StoreError> {
        let mut task = Task::clone(&record.publish_progress());
        let reason = if task.state == TaskState::Queued {
            "The runner ended before this was started, or just as it was. It may not have run at all."
        } else {
            "The runner ended while this ran. What it had started was ended with it; how far it came is unknown."
        };
        task.state = TaskState::Lost { reason: reason.into() };
        task.ended = Some(rows::now());
        task.stdin = false;
        task.pid = None;
        let log = Arc::clone(record);
        let excerpt = blocking(move || log.log.excerpt(4_000)).await.unwrap_or_default();
        let event = Arc::new(TaskEvent::Ended { task: Box::new(task.clone()), excerpt });
        let saved = Arc::clone(&event);
        let seq = self.store.write(move |connection| rows::save_event(connection, &saved)).await?;
        record.set_end_seq(seq);
        record.publish(task);
        self.outboxes.put(record.session, seq, event);
        Ok(())
    }
}
