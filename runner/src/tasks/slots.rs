//! Who may run: a number of slots, so many of them for one session, and behind them one line a session,
//! served round robin.
//!
//! A [`Slot`] is held while a task runs; dropping it passes it on at once. A session that queues a hundred
//! tasks does not make another session's single task wait for them all, and one that runs all it may leaves
//! slots to others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use shared::SessionId;
use tokio::sync::oneshot;

pub(super) struct Slots {
    most: usize,
    /// Of them, for one session.
    own: usize,
    longest: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Slots that each session holds; none of 0.
    held: HashMap<SessionId, usize>,
    lines: HashMap<SessionId, VecDeque<oneshot::Sender<Slot>>>,
    /// Sessions with a line, in the order in which they are served.
    turns: VecDeque<SessionId>,
}

/// The right to run.
pub(super) struct Slot {
    slots: Option<Arc<Slots>>,
    session: SessionId,
}

/// What a task gets on entering.
pub(super) enum Admission {
    Now(Slot),
    Later(Waiting),
    Full,
}

/// A place in a line. Dropping it leaves the line.
pub(super) struct Waiting {
    slots: Arc<Slots>,
    slot: oneshot::Receiver<Slot>,
}

impl Waiting {
    /// Waits for the slot.
    pub(super) async fn slot(&mut self) -> Slot {
        match (&mut self.slot).await {
            Ok(slot) => slot,
            // The line goes only with the runner.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.slot.close();
        self.slots.forget_gone();
    }
}

impl Slots {
    pub(super) fn new(most: usize, own: usize, longest: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), own: own.max(1), longest, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn enter(self: &Arc<Self>, session: SessionId) -> Admission {
        let mut state = self.state();
        if state.taken < self.most && state.held(session) < self.own {
            state.take(session);
            return Admission::Now(Slot { slots: Some(Arc::clone(self)), session });
        }
        if state.lines.values().map(VecDeque::len).sum::<usize>() >= self.longest {
            return Admission::Full;
        }
        let (sender, receiver) = oneshot::channel();
        let line = state.lines.entry(session).or_default();
        line.push_back(sender);
        if line.len() == 1 {
            state.turns.push_back(session);
        }
        Admission::Later(Waiting { slots: Arc::clone(self), slot: receiver })
    }

    /// Whether nothing of the session runs or waits.
    pub(super) fn is_idle(&self, session: SessionId) -> bool {
        let state = self.state();
        state.held(session) == 0 && !state.lines.contains_key(&session)
    }

    /// Forgets those who left the line without having been served.
    fn forget_gone(&self) {
        let mut state = self.state();
        for line in state.lines.values_mut() {
            line.retain(|sender| !sender.is_closed());
        }
        state.lines.retain(|_, line| !line.is_empty());
        let State { lines, turns, .. } = &mut *state;
        turns.retain(|session| lines.contains_key(session));
    }

    /// Who is next among the sessions that may hold another slot; the slot is theirs then.
    fn next(&self) -> Option<(SessionId, oneshot::Sender<Slot>)> {
        let mut state = self.state();
        if state.taken >= self.most {
            return None;
        }
        let turn = state.turns.iter().position(|session| state.held(*session) < self.own)?;
        let session = state.turns.remove(turn)?;
        let line = state.lines.get_mut(&session)?;
        let next = line.pop_front();
        if line.is_empty() {
            state.lines.remove(&session);
        } else {
            state.turns.push_back(session);
        }
        state.take(session);
        Some((session, next?))
    }
}

impl State {
    fn held(&self, session: SessionId) -> usize {
        self.held.get(&session).copied().unwrap_or_default()
    }

    fn take(&mut self, session: SessionId) {
        self.taken += 1;
        *self.held.entry(session).or_default() += 1;
    }

    fn give_back(&mut self, session: SessionId) {
        self.taken -= 1;
        if let Some(held) = self.held.get_mut(&session) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&session);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else { return };
        slots.state().give_back(self.session);
        // One that has left gives its slot back at once, and the one behind is asked.
        while let Some((session, next)) = slots.next() {
            if let Err(mut refused) = next.send(Self { slots: Some(Arc::clone(&slots)), session }) {
                refused.slots = None;
                slots.state().give_back(session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId(Uuid::from_u128(number))
    }

    fn wait(slots: &Arc<Slots>, number: u128) -> Waiting {
        match slots.enter(session(number)) {
            Admission::Later(waiting) => waiting,
            Admission::Now(_) | Admission::Full => panic!("there is a line"),
        }
    }

    #[test]
    fn sessions_are_served_in_turns() {
        let slots = Slots::new(1, 10, 10);
        let Admission::Now(mut slot) = slots.enter(session(0)) else { panic!("it is free") };
        let mut lines: Vec<_> = [1, 1, 1, 2].iter().map(|number| (*number, wait(&slots, *number))).collect();
        let mut order = Vec::new();
        while !lines.is_empty() {
            drop(slot);
            let (index, next) = lines
                .iter_mut()
                .enumerate()
                .find_map(|(index, (_, receiver))| receiver.slot.try_recv().ok().map(|slot| (index, slot)))
                .expect("somebody is next");
            order.push(lines.remove(index).0);
            slot = next;
        }
        assert_eq!(order, [1, 2, 1, 1]);
    }

    #[test]
    fn a_session_that_holds_all_it_may_leaves_slots_to_others() {
        let slots = Slots::new(3, 2, 10);
        let own = |entry| match entry {
            Admission::Now(slot) => slot,
            Admission::Later(_) | Admission::Full => panic!("it is free"),
        };
        let first = own(slots.enter(session(1)));
        let _second = own(slots.enter(session(1)));
        let mut third = wait(&slots, 1);
        let other = own(slots.enter(session(2)));
        let mut further = wait(&slots, 2);
        assert!(third.slot.try_recv().is_err() && further.slot.try_recv().is_err());
        drop(other);
        assert!(third.slot.try_recv().is_err(), "it holds all it may");
        let _further = further.slot.try_recv().unwrap();
        drop(first);
        assert!(third.slot.try_recv().is_ok());
    }

    #[test]
    fn a_slot_skips_those_who_left() {
        let slots = Slots::new(1, 10, 10);
        let Admission::Now(slot) = slots.enter(session(0)) else { panic!("it is free") };
        drop(wait(&slots, 1));
        let mut second = wait(&slots, 2);
        drop(slot);
        assert!(second.slot.try_recv().is_ok());
    }

    #[test]
    fn a_slot_that_was_sent_but_not_taken_comes_back() {
        let slots = Slots::new(1, 10, 10);
        let Admission::Now(slot) = slots.enter(session(0)) else { panic!("it is free") };
        let receiver = wait(&slots, 1);
        drop(slot);
        drop(receiver);
        assert!(matches!(slots.enter(session(2)), Admission::Now(_)));
    }

    #[test]
    fn the_line_has_an_end_and_those_who_leave_make_room() {
        let slots = Slots::new(1, 10, 1);
        let Admission::Now(_slot) = slots.enter(session(0)) else { panic!("it is free") };
        let first = wait(&slots, 1);
        assert!(matches!(slots.enter(session(2)), Admission::Full));
        drop(first);
        assert!(matches!(slots.enter(session(2)), Admission::Later(_)));
    }
}
