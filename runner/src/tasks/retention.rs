//! What is forgotten, and when: on request, by age, by number, and by the size of all logs together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::{Problem, ProblemCode, SessionId, TaskId};

use super::context::{Context, blocking};
use super::entry::{Phase, TaskEntry};
use super::feed::Change;
use super::outbox::Outboxes;
use crate::clock::now;
use crate::limits::Limits;
use crate::store::rows;

/// Whether a task may be forgotten: nothing of it is left, and its page has its end.
pub(super) fn is_done(entry: &TaskEntry, outboxes: &Outboxes) -> bool {
    entry.phase() == Phase::Reaped && entry.end_seq() <= outboxes.acknowledged(entry.session)
}

impl Context {
    /// Whether a task may be forgotten.
    pub(super) fn is_done(&self, entry: &TaskEntry) -> bool {
        is_done(entry, &self.outboxes)
    }

    pub(super) async fn forget(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        if tasks.is_empty() {
            return Ok(tasks);
        }
        let (rows, at) = (tasks.clone(), now());
        self.store.write(move |connection| rows::delete_tasks(connection, &rows, at)).await?;
        let removed: Vec<_> = { self.registry().forget(&tasks, at) };
        blocking(move || removed.iter().for_each(|entry| entry.log.remove())).await?;
        self.tell(Change::Cleared(tasks.clone()));
        Ok(tasks)
    }

    /// Whether a session may begin a task. Where too many have, those of which nothing is left are forgotten.
    pub(super) fn make_room(&self, session: SessionId) -> Result<(), Problem> {
        let Limits { sessions: most, untaken, .. } = self.limits;
        if self.outboxes.untaken(session) >= untaken {
            let message = format!(
                "{untaken} results of this conversation wait for its page to take them, and that is the limit: nothing \
                 more is started for it. Open it in the browser that it belongs to."
            );
            return Err(Problem::retryable(ProblemCode::TooMany, message));
        }
        if self.outboxes.has_place(session, most) {
            return Ok(());
        }
        let listed = self.registry().order.values().map(|entry| entry.session).collect();
        let forgotten = self.outboxes.forget(&listed);
        if !forgotten.is_empty() {
            self.store.write_soon(
                move |connection| rows::forget_sessions(connection, &forgotten),
                |written| {
                    if let Err(error) = written {
                        tracing::warn!(%error, "old sessions are forgotten at the next start at the earliest");
                    }
                },
            );
        }
        if self.outboxes.has_place(session, most) {
            return Ok(());
        }
        let message = format!(
            "{most} conversations have tasks or results here, and that is the limit. Open older ones so that they take \
             their results, and clear their tasks."
        );
        Err(Problem::retryable(ProblemCode::TooMany, message))
    }

    /// [`Self::retain`] in a task of its own, if it is due.
    pub(super) fn retain_soon(self: &Arc<Self>) {
        if !self.retention_is_due(now().0) {
            return;
        }
        let context = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(problem) = context.retain().await {
                tracing::debug!(%problem, "old tasks stay listed");
            }
        });
    }

    fn retention_is_due(&self, now: u64) -> bool {
        let too_long = self.disk.load(Ordering::Relaxed) > self.limits.logs_total;
        let too_many = self.registry().order.len() > self.limits.ended_kept;
        let pause = if too_long || too_many { 1_000 } else { 3_600_000 };
        now.abs_diff(self.retained.load(Ordering::Relaxed)) >= pause
    }

    /// Forgets what is too old or too much, and the oldest logs if all together are too long. Looks at most
    /// once a second, and where nothing is too much once an hour.
    pub(super) async fn retain(&self) -> Result<(), Problem> {
        let now = now().0;
        let limits = &self.limits;
        let last = self.retained.load(Ordering::Relaxed);
        if !self.retention_is_due(now)
            || self.retained.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let oldest = now.saturating_sub(u64::try_from(limits.ended_age.as_millis()).unwrap_or(u64::MAX));
        let reaped: Vec<_> = {
            let registry = self.registry();
            registry.order.values().filter(|entry| entry.phase() == Phase::Reaped).cloned().collect()
        };
        let (done, open): (Vec<_>, Vec<_>) = reaped.iter().cloned().partition(|entry| self.is_done(entry));
        let too_many = done.len().saturating_sub(limits.ended_kept);
        let is_old = |entry: &TaskEntry| entry.task().ended.is_some_and(|ended| ended.0 < oldest);
        let surplus = done.iter().enumerate().filter(|(index, entry)| *index < too_many || is_old(entry));
        let mut surplus: Vec<_> = surplus.map(|(_, entry)| entry.id.clone()).collect();
        let abandoned = reaped.len().saturating_sub(surplus.len()).saturating_sub(limits.ended_most);
        surplus.extend(open.iter().take(abandoned).map(|entry| entry.id.clone()));
        // A store that cannot be written, as on a full disk, must not keep the logs from making room.
        let forgotten = self.forget(surplus).await;
        let (disk, most) = (Arc::clone(&self.disk), limits.logs_total);
        let shortened = blocking(move || {
            let mut shortened = Vec::new();
            for entry in done.iter().chain(&open) {
                if disk.load(Ordering::Relaxed) <= most {
                    break;
                }
                if entry.log.on_disk() > 0 {
                    entry.log.remove();
                    shortened.push(entry.publish_progress());
                }
            }
            shortened
        });
        for task in shortened.await? {
            self.tell_task(task);
        }
        forgotten.map(drop)
    }
}
