//! The durable events of each session: numbers in memory, the newest events beside them, the rest in the store.
//!
//! An event is saved first and put here afterwards, on the store's thread; that wakes whoever delivers it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::protocol::TaskEvent;
use shared::{Seq, SessionId};
use tokio::sync::watch;

/// Events of one session that are held in memory.
const RECENT: usize = 32;
/// Events of one session that are nowhere but in memory.
const UNSAVED: usize = 1_000;

#[derive(Default)]
pub(super) struct Outboxes {
    sessions: Mutex<HashMap<SessionId, Outbox>>,
}

struct Outbox {
    last: watch::Sender<Seq>,
    acknowledged: Seq,
    /// Without gaps, ending with `last`.
    recent: VecDeque<(Seq, Arc<TaskEvent>)>,
    /// Those that the store has refused; the oldest of too many are forgotten.
    unsaved: VecDeque<(Seq, Arc<TaskEvent>)>,
}

impl Outbox {
    fn new(last: Seq, acknowledged: Seq) -> Self {
        Self {
            last: watch::Sender::new(last),
            acknowledged,
            recent: VecDeque::new(),
            unsaved: VecDeque::new(),
        }
    }
}

impl Outboxes {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Outbox>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn restore(&self, session: SessionId, last: Seq, acknowledged: Seq) {
        self.sessions().insert(session, Outbox::new(last, acknowledged));
    }

    pub(super) fn put(&self, session: SessionId, seq: Seq, event: Arc<TaskEvent>) {
        let mut sessions = self.sessions();
        let outbox = sessions.entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0)));
        if outbox.recent.len() == RECENT {
            outbox.recent.pop_front();
        }
        outbox.recent.push_back((seq, event));
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
        self.sessions().entry(session).or_insert_with(|| Outbox::new(Seq(0), Seq(0))).last.subscribe()
    }

    pub(super) fn acknowledged(&self, session: SessionId) -> Seq {
        self.sessions().get(&session).map_or(Seq(0), |outbox| outbox.acknowledged)
    }

    /// The event after which others are to be sent: what is acknowledged may still be in the store for a moment.
    pub(super) fn sent_through(&self, session: SessionId, after: Seq) -> Seq {
        after.max(self.acknowledged(session))
    }

    /// The events after `after`, if memory holds all of them.
    pub(super) fn recent(
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
        let (first, _) = outbox.recent.front()?;
        if first.0 > after.0 + 1 {
            return None;
        }
        let events = outbox.recent.iter().filter(|(seq, _)| *seq > after).take(limit);
        Some(events.map(|(seq, event)| (*seq, Arc::clone(event))).collect())
    }

    pub(super) fn acknowledge(&self, session: SessionId, through: Seq) {
        if let Some(outbox) = self.sessions().get_mut(&session) {
            let through = through.min(*outbox.last.borrow());
            outbox.acknowledged = outbox.acknowledged.max(through);
            outbox.recent.retain(|(seq, _)| *seq > through);
            outbox.unsaved.retain(|(seq, _)| *seq > through);
        }
    }
}
