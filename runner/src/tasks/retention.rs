//! What is forgotten, and when: on request, by age, by number, and by the size of all logs together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared::{OpId, Problem, ProblemCode, SessionId, TaskId, Timestamp};

use super::inner::Inner;
use super::record::{Phase, Record};
use super::{News, blocking};
use crate::limits::Limits;
use crate::store::rows;

impl Inner {
    /// Whether a task may be forgotten.
    pub(super) fn is_done(&self, record: &Record) -> bool {
        record.phase() == Phase::Gone && record.end_seq() <= self.outboxes.acknowledged(record.session)
    }

    pub(super) async fn forget(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Problem> {
        if tasks.is_empty() {
            return Ok(tasks);
        }
        let (rows, now) = (tasks.clone(), rows::now());
        self.store.write(move |connection| rows::delete_tasks(connection, &rows, now)).await?;
        let removed: Vec<_> = {
            let mut state = self.state();
            let removed: Vec<_> = tasks.iter().filter_map(|task| state.remove(task)).collect();
            for record in &removed {
                state.forgotten.add(record.task().op, record.id.clone(), now);
            }
            removed
        };
        blocking(move || removed.iter().for_each(|record| record.log.remove())).await?;
        self.tell(News::Cleared(tasks.clone()));
        Ok(tasks)
    }

    /// Whether a session may begin a task. Where too many have, those of which nothing is left are forgotten.
    pub(super) fn make_room(&self, session: SessionId) -> Result<(), Problem> {
        let Limits { sessions: most, untaken, .. } = self.limits;
        if self.outboxes.untaken(session) >= untaken {
            let words = format!(
                "{untaken} results of this conversation wait for its page to take them, and that is the limit: nothing \
                 more is started for it. Open it in the browser that it belongs to."
            );
            return Err(Problem::retryable(ProblemCode::TooMany, words));
        }
        if self.outboxes.has_place(session, most) {
            return Ok(());
        }
        let listed = self.state().order.values().map(|record| record.session).collect();
        let gone = self.outboxes.forget(&listed);
        if !gone.is_empty() {
            self.store.write_soon(
                move |connection| rows::forget_sessions(connection, &gone),
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
        let words = format!(
            "{most} conversations have tasks or results here, and that is the limit. Open older ones so that they take \
             their results, and clear their tasks."
        );
        Err(Problem::retryable(ProblemCode::TooMany, words))
    }

    /// [`Self::retain`] in a task of its own, if it is due.
    pub(super) fn retain_soon(self: &Arc<Self>) {
        if !self.retention_is_due(rows::now().0) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(problem) = inner.retain().await {
                tracing::debug!(%problem, "old tasks stay listed");
            }
        });
    }

    fn retention_is_due(&self, now: u64) -> bool {
        let too_long = self.disk.load(Ordering::Relaxed) > self.limits.logs_total;
        let too_many = self.state().order.len() > self.limits.ended_kept;
        let pause = if too_long || too_many { 1_000 } else { 3_600_000 };
        now.abs_diff(self.retained.load(Ordering::Relaxed)) >= pause
    }

    /// Forgets what is too old or too much, and the oldest logs if all together are too long. Looks at most once a
    /// second, and where nothing is too much once an hour.
    pub(super) async fn retain(&self) -> Result<(), Problem> {
        let now = rows::now().0;
        let limits = &self.limits;
        let last = self.retained.load(Ordering::Relaxed);
        if !self.retention_is_due(now)
            || self.retained.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let oldest = now.saturating_sub(u64::try_from(limits.ended_age.as_millis()).unwrap_or(u64::MAX));
        let gone: Vec<_> = {
            let state = self.state();
            state.order.values().filter(|record| record.phase() == Phase::Gone).cloned().collect()
        };
        let (done, open): (Vec<_>, Vec<_>) = gone.iter().cloned().partition(|record| self.is_done(record));
        let too_many = done.len().saturating_sub(limits.ended_kept);
        let is_old = |record: &Record| record.task().ended.is_some_and(|ended| ended.0 < oldest);
        let surplus = done.iter().enumerate().filter(|(index, record)| *index < too_many || is_old(record));
        let mut surplus: Vec<_> = surplus.map(|(_, record)| record.id.clone()).collect();
        let abandoned = gone.len().saturating_sub(surplus.len()).saturating_sub(limits.ended_most);
        surplus.extend(open.iter().take(abandoned).map(|record| record.id.clone()));
        self.forget(surplus).await?;
        let (disk, most) = (Arc::clone(&self.disk), limits.logs_total);
        let shortened = blocking(move || {
            let mut shortened = Vec::new();
            for record in done.iter().chain(&open) {
                if disk.load(Ordering::Relaxed) <= most {
                    break;
                }
                if record.log.on_disk() > 0 {
                    record.log.remove();
                    shortened.push(record.publish_progress());
                }
            }
            shortened
        });
        for task in shortened.await? {
            self.tell(News::Task(task));
        }
        Ok(())
    }
}

/// What started tasks that are no longer known: for a day, and at most a hundred thousand of them.
#[derive(Default)]
pub(super) struct Forgotten {
    tasks: HashMap<OpId, TaskId>,
    order: VecDeque<(Timestamp, OpId)>,
}

impl Forgotten {
    pub(super) fn add(&mut self, op: OpId, task: TaskId, now: Timestamp) {
        self.tasks.insert(op, task);
        self.order.push_back((now, op));
        while let Some((at, op)) = self.order.front().copied()
            && (self.order.len() > rows::FORGOTTEN_MOST || now.since(at) > rows::FORGOTTEN_MS)
        {
            self.order.pop_front();
            self.tasks.remove(&op);
        }
    }

    /// The task that the operation had started.
    pub(super) fn get(&self, op: OpId) -> Option<&TaskId> {
        self.tasks.get(&op)
    }
}
