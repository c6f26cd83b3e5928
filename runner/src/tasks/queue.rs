//! Who may run: a number of places, so many of them for one session, and behind them one line per session, served in turns.
//!
//! A [`Place`] is held while a task runs; dropping it passes it on at once. A session that queues a hundred tasks does
//! not make another session's single task wait for them all, and one that runs all it may leaves places to others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::SessionId;
use tokio::sync::oneshot;

pub(super) struct Queue {
    places: usize,
    /// Of them, for one session.
    own: usize,
    longest: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Places that each session holds; none of 0.
    held: HashMap<SessionId, usize>,
    lines: HashMap<SessionId, VecDeque<oneshot::Sender<Place>>>,
    /// Sessions with a line, in the order in which they are served.
    turns: VecDeque<SessionId>,
}

/// The right to run.
pub(super) struct Place {
    queue: Option<Arc<Queue>>,
    session: SessionId,
}

/// What a task gets on entering.
pub(super) enum Entry {
    Now(Place),
    Later(oneshot::Receiver<Place>),
    Full,
}

impl Queue {
    pub(super) fn new(places: usize, own: usize, longest: usize) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), own: own.max(1), longest, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, session: SessionId) -> Entry {
        let mut state = self.state();
        if state.taken < self.places && state.held(session) < self.own {
            state.take(session);
            return Entry::Now(Place { queue: Some(Arc::clone(self)), session });
        }
        if state.lines.values().map(VecDeque::len).sum::<usize>() >= self.longest {
            return Entry::Full;
        }
        let (sender, receiver) = oneshot::channel();
        let line = state.lines.entry(session).or_default();
        line.push_back(sender);
        if line.len() == 1 {
            state.turns.push_back(session);
        }
        Entry::Later(receiver)
    }

    /// Forgets those who left the line without having been served.
    pub(super) fn forget_gone(&self) {
        let mut state = self.state();
        for line in state.lines.values_mut() {
            line.retain(|sender| !sender.is_closed());
        }
        state.lines.retain(|_, line| !line.is_empty());
        let State { lines, turns, .. } = &mut *state;
        turns.retain(|session| lines.contains_key(session));
    }

    /// Who is next among the sessions that may hold another place; the place is theirs then.
    fn next(&self) -> Option<(SessionId, oneshot::Sender<Place>)> {
        let mut state = self.state();
        if state.taken >= self.places {
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

impl Drop for Place {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        queue.state().give_back(self.session);
        // One that has left gives its place back at once, and the one behind is asked.
        while let Some((session, next)) = queue.next() {
            if let Err(mut refused) = next.send(Self { queue: Some(Arc::clone(&queue)), session }) {
                refused.queue = None;
                queue.state().give_back(session);
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

    fn wait(queue: &Arc<Queue>, number: u128) -> oneshot::Receiver<Place> {
        match queue.enter(session(number)) {
            Entry::Later(receiver) => receiver,
            Entry::Now(_) | Entry::Full => panic!("there is a line"),
        }
    }

    #[test]
    fn sessions_are_served_in_turns() {
        let queue = Queue::new(1, 10, 10);
        let Entry::Now(mut place) = queue.enter(session(0)) else { panic!("it is free") };
        let mut lines: Vec<_> = [1, 1, 1, 2].iter().map(|number| (*number, wait(&queue, *number))).collect();
        let mut order = Vec::new();
        while !lines.is_empty() {
            drop(place);
            let (index, next) = lines
                .iter_mut()
                .enumerate()
                .find_map(|(index, (_, receiver))| receiver.try_recv().ok().map(|place| (index, place)))
                .expect("somebody is next");
            order.push(lines.remove(index).0);
            place = next;
        }
        assert_eq!(order, [1, 2, 1, 1]);
    }

    #[test]
    fn a_session_that_holds_all_it_may_leaves_places_to_others() {
        let queue = Queue::new(3, 2, 10);
        let own = |entry| match entry {
            Entry::Now(place) => place,
            Entry::Later(_) | Entry::Full => panic!("it is free"),
        };
        let first = own(queue.enter(session(1)));
        let _second = own(queue.enter(session(1)));
        let mut third = wait(&queue, 1);
        let other = own(queue.enter(session(2)));
        let mut further = wait(&queue, 2);
        assert!(third.try_recv().is_err() && further.try_recv().is_err());
        drop(other);
        assert!(third.try_recv().is_err(), "it holds all it may");
        let _further = further.try_recv().unwrap();
        drop(first);
        assert!(third.try_recv().is_ok());
    }

    #[test]
    fn a_place_skips_those_who_left() {
        let queue = Queue::new(1, 10, 10);
        let Entry::Now(place) = queue.enter(session(0)) else { panic!("it is free") };
        drop(wait(&queue, 1));
        let mut second = wait(&queue, 2);
        drop(place);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn a_place_that_was_sent_but_not_taken_comes_back() {
        let queue = Queue::new(1, 10, 10);
        let Entry::Now(place) = queue.enter(session(0)) else { panic!("it is free") };
        let receiver = wait(&queue, 1);
        drop(place);
        drop(receiver);
        assert!(matches!(queue.enter(session(2)), Entry::Now(_)));
    }

    #[test]
    fn the_line_has_an_end_and_those_who_leave_make_room() {
        let queue = Queue::new(1, 10, 1);
        let Entry::Now(_place) = queue.enter(session(0)) else { panic!("it is free") };
        let first = wait(&queue, 1);
        assert!(matches!(queue.enter(session(2)), Entry::Full));
        drop(first);
        queue.forget_gone();
        assert!(matches!(queue.enter(session(2)), Entry::Later(_)));
    }
}
