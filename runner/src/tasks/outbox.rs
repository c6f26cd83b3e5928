//! The durable events of each session: numbers in memory, the newest events beside them, the rest in the
//! store.
//!
//! An event is saved first and put here afterwards, on the store's thread; that wakes whoever delivers it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use shared::protocol::TaskEvent;
use shared::{Seq, SessionId};
use tokio::sync::watch;

/// Events of one session that are held in memory while somebody listens to it.
const TAIL: usize = 32;
/// Sessions that are known before those are dropped in which nothing has happened and which nobody listens
/// to.
const SWEEP: usize = 1_024;
/// Events of one session that are nowhere but in memory.
const UNSAVED: usize = 1_000;

#[derive(Default)]
pub(super) struct Outboxes {
    sessions: Mutex<HashMap<SessionId, Outbox>>,
    /// How many there were after the last sweep.
    swept: AtomicUsize,
}

struct Outbox {
    last: watch::Sender<Seq>,
    acknowledged: Seq,
    /// Events that are on their way to the store.
    coming: usize,
    /// Without gaps, ending with `last`.
    tail: VecDeque<(Seq, Arc<TaskEvent>)>,
    /// Those that the store has refused; the oldest of too many are forgotten.
    unsaved: VecDeque<(Seq, Arc<TaskEvent>)>,
}

impl Outbox {
    fn new(last: Seq, acknowledged: Seq) -> Self {
        Self {
            last: watch::Sender::new(last),
            acknowledged,
            coming: 0,
            tail: VecDeque::new(),
            unsaved: VecDeque::new(),
        }
    }

    fn newest(&self) -> Seq {
        *self.last.borrow()
    }

    fn is_heard(&self) -> bool {
        self.last.receiver_count() > 0
    }

    /// Whether nothing has happened in it, and nobody listens for it.
    fn is_unused(&self) -> bool {
        self.newest() == Seq(0) && self.coming == 0 && !self.is_heard()
    }

    fn untaken(&self) -> u64 {
        self.newest().0.saturating_sub(self.acknowledged.0)
    }
}

impl Outboxes {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Outbox>> {
        self.sessions.lock()
    }

    pub(super) fn restore(&self, session: SessionId, last: Seq, acknowledged: Seq) {
        self.sessions().insert(session, Outbox::new(last, acknowledged));
    }

    /// An event of the session was given to the store.
    pub(super) fn await_one(&self, session: SessionId) {
        let mut sessions = self.sessions();
        sessions.entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0))).coming += 1;
    }

    /// Whether no event of the session is on its way, and none is behind this one.
    pub(super) fn ends_with(&self, session: SessionId, seq: Seq) -> bool {
        let sessions = self.sessions();
        sessions.get(&session).is_none_or(|outbox| outbox.coming == 0 && outbox.newest() <= seq)
    }

    pub(super) fn put(&self, session: SessionId, seq: Seq, event: Arc<TaskEvent>) {
        let mut sessions = self.sessions();
        let outbox = sessions.entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0)));
        outbox.coming = outbox.coming.saturating_sub(1);
        if outbox.tail.len() == TAIL {
            outbox.tail.pop_front();
        }
        outbox.tail.push_back((seq, event));
        if !outbox.is_heard() {
            // Whoever comes reads them from the store.
            outbox.tail.clear();
        }
        outbox.last.send_replace(seq);
    }

    /// As [`Self::put`], of an event that is not in the store.
    pub(super) fn put_unsaved(&self, session: SessionId, seq: Seq, event: Arc<TaskEvent>) {
        {
            let mut sessions = self.sessions();
            let outbox = sessions.entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0)));
            if outbox.unsaved.len() == UNSAVED {
                outbox.unsaved.pop_front();
            }
            outbox.unsaved.push_back((seq, Arc::clone(&event)));
        }
        self.put(session, seq, event);
    }

    /// What the store gave, with what it has not.
    pub(super) fn with_unsaved(
        &self,
        session: SessionId,
        after: Seq,
        mut stored: Vec<(Seq, Arc<TaskEvent>)>,
        limit: usize,
    ) -> Vec<(Seq, Arc<TaskEvent>)> {
        let sessions = self.sessions();
        let Some(outbox) = sessions.get(&session).filter(|outbox| !outbox.unsaved.is_empty()) else {
            return stored;
        };
        let unsaved = outbox.unsaved.iter().filter(|(seq, _)| *seq > after);
        stored.extend(unsaved.map(|(seq, event)| (*seq, Arc::clone(event))));
        stored.sort_by_key(|(seq, _)| *seq);
        // The store may have given a part only; behind a gap is what comes later.
        let whole = stored.windows(2).take_while(|two| two[1].0.0 == two[0].0.0 + 1).count() + 1;
        stored.truncate(whole.min(limit));
        stored
    }

    /// The number of the session's last event.
    pub(super) fn newest(&self, session: SessionId) -> Seq {
        self.sessions().get(&session).map_or(Seq(0), |outbox| *outbox.last.borrow())
    }

    pub(super) fn last(&self, session: SessionId) -> watch::Receiver<Seq> {
        let mut sessions = self.sessions();
        // Whoever connects may name any session, and another one each time.
        if sessions.len() >= SWEEP.max(2 * self.swept.load(Ordering::Relaxed)) {
            sessions.retain(|_, outbox| !outbox.is_unused());
            self.swept.store(sessions.len(), Ordering::Relaxed);
        }
        sessions.entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0))).last.subscribe()
    }

    /// How many events wait for the session's page.
    pub(super) fn untaken(&self, session: SessionId) -> u64 {
        self.sessions().get(&session).map_or(0, Outbox::untaken)
    }

    /// Whether the session has numbered events, or may begin to while at most `most` have.
    pub(super) fn has_place(&self, session: SessionId, most: usize) -> bool {
        let sessions = self.sessions();
        let numbered = |outbox: &&Outbox| outbox.newest() > Seq(0);
        let known = sessions.get(&session).as_ref().is_some_and(numbered);
        known || sessions.values().filter(numbered).count() < most
    }

    /// Forgets the sessions of which nothing is left: all is acknowledged, nobody listens, and no task of
    /// theirs is listed. Gives them. One that comes back begins to count anew, and its page is told so.
    pub(super) fn forget(&self, listed: &HashSet<SessionId>) -> Vec<SessionId> {
        let mut sessions = self.sessions();
        let empty = |session: &SessionId, outbox: &Outbox| {
            outbox.untaken() == 0 && outbox.coming == 0 && !outbox.is_heard() && !listed.contains(session)
        };
        let unused: Vec<_> =
            sessions.iter().filter(|(session, outbox)| empty(session, outbox)).map(|(id, _)| *id).collect();
        for session in &unused {
            sessions.remove(session);
        }
        unused
    }

    pub(super) fn acknowledged(&self, session: SessionId) -> Seq {
        self.sessions().get(&session).map_or(Seq(0), |outbox| outbox.acknowledged)
    }

    /// The event after which others are to be sent: what is acknowledged may still be in the store for a
    /// moment.
    pub(super) fn sent_through(&self, session: SessionId, after: Seq) -> Seq {
        after.max(self.acknowledged(session))
    }

    /// The events after `after`, if memory holds all of them.
    pub(super) fn tail(
        &self,
        session: SessionId,
        after: Seq,
        limit: usize,
    ) -> Option<Vec<(Seq, Arc<TaskEvent>)>> {
        let sessions = self.sessions();
        let Some(outbox) = sessions.get(&session) else { return Some(Vec::new()) };
        let after = after.max(outbox.acknowledged);
        if after >= *outbox.last.borrow() {
            return Some(Vec::new());
        }
        let (first, _) = outbox.tail.front()?;
        if first.0 > after.0 + 1 {
            return None;
        }
        let events = outbox.tail.iter().filter(|(seq, _)| *seq > after).take(limit);
        Some(events.map(|(seq, event)| (*seq, Arc::clone(event))).collect())
    }

    pub(super) fn acknowledge(&self, session: SessionId, through: Seq) {
        if let Some(outbox) = self.sessions().get_mut(&session) {
            let through = through.min(*outbox.last.borrow());
            outbox.acknowledged = outbox.acknowledged.max(through);
            outbox.tail.retain(|(seq, _)| *seq > through);
            outbox.unsaved.retain(|(seq, _)| *seq > through);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::output::Preview;
    use shared::task::Task;
    use shared::{OpId, TaskId, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId(Uuid::from_u128(number))
    }

    #[test]
    fn sessions_that_are_only_named_take_no_room() {
        let outboxes = Outboxes::default();
        outboxes.restore(session(0), Seq(7), Seq(7));
        let heard = outboxes.last(session(1));
        for number in 2..100_000 {
            drop(outboxes.last(session(number)));
        }
        assert!(outboxes.sessions().len() <= SWEEP + 1, "{}", outboxes.sessions().len());
        assert_eq!(*outboxes.last(session(0)).borrow(), Seq(7), "what has happened stays");
        assert!(heard.has_changed().is_ok(), "what is listened to stays");
        let many: Vec<_> = (0..5_000).map(|number| outboxes.last(session(number))).collect();
        drop(many);
        for number in 100_000..110_000 {
            drop(outboxes.last(session(number)));
        }
        assert!(outboxes.sessions().len() < 10_003, "{}", outboxes.sessions().len());
    }

    #[test]
    fn what_is_on_its_way_is_waited_for() {
        let outboxes = Outboxes::default();
        let is_last = |seq| outboxes.ends_with(session(1), Seq(seq));
        assert!(is_last(0));
        outboxes.await_one(session(1));
        outboxes.await_one(session(1));
        assert!(!is_last(0));
        for _ in 0..2 * SWEEP {
            drop(outboxes.last(SessionId(Uuid::new_v4())));
        }
        let task = Task::new(
            TaskId("a".into()),
            session(1),
            OpId(Uuid::nil()),
            "true".into(),
            "/".into(),
            Timestamp(0),
        );
        let event = Arc::new(TaskEvent::Ended { task: Box::new(task), preview: Preview::default() });
        outboxes.put(session(1), Seq(1), Arc::clone(&event));
        assert!(!is_last(1));
        outboxes.put_unsaved(session(1), Seq(2), event);
        assert!(!is_last(1) && is_last(2));
    }

    #[test]
    fn a_session_of_which_nothing_is_left_makes_room() {
        let outboxes = Outboxes::default();
        for number in 0..4 {
            outboxes.restore(session(number), Seq(3), Seq(if number == 1 { 2 } else { 3 }));
        }
        let heard = outboxes.last(session(2));
        assert!(outboxes.has_place(session(0), 4) && !outboxes.has_place(session(9), 4));
        assert_eq!(outboxes.untaken(session(1)), 1);
        assert_eq!(outboxes.forget(&HashSet::from([session(3)])), [session(0)]);
        assert!(outboxes.has_place(session(9), 4));
        assert_eq!(*outboxes.last(session(0)).borrow(), Seq(0));
        drop(heard);
        assert_eq!(outboxes.forget(&HashSet::from([session(0), session(3)])), [session(2)]);
    }
}
