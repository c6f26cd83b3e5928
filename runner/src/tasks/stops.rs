//! Stops that the actor of a task has not heard of yet. There is always room for one, and nobody waits to ask
//! for it.

use std::time::Duration;

use parking_lot::Mutex;
use shared::task::Party;
use tokio::sync::Notify;

/// Of one party: the first, and the second, which is in a hurry. More say nothing new.
const OF_ONE: usize = 2;

#[derive(Default)]
pub(super) struct Stops {
    asked: Mutex<Vec<(Party, Duration)>>,
    wake: Notify,
}

impl Stops {
    pub(super) fn ask(&self, by: Party, grace: Duration) {
        let mut asked = self.asked.lock();
        let own = asked.iter_mut().filter(|(party, _)| *party == by);
        match own.enumerate().last() {
            Some((last, (_, shortest))) if last + 1 == OF_ONE => *shortest = grace.min(*shortest),
            Some(_) | None => asked.push((by, grace)),
        }
        drop(asked);
        self.wake.notify_one();
    }

    /// The next one. Nothing is lost if this is dropped.
    pub(super) async fn next(&self) -> (Party, Duration) {
        loop {
            let first = {
                let mut asked = self.asked.lock();
                (!asked.is_empty()).then(|| asked.remove(0))
            };
            match first {
                Some(first) => return first,
                None => self.wake.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_many_are_asked_for_none_is_lost_and_few_are_kept() {
        let stops = Stops::default();
        for grace in (0..1_000).rev() {
            for by in [Party::User, Party::Agent, Party::Runner] {
                stops.ask(by, Duration::from_millis(grace));
            }
        }
        let mut heard = Vec::new();
        for _ in 0..6 {
            heard.push(stops.next().await);
        }
        assert_eq!(
            heard[..3].iter().map(|(by, _)| *by).collect::<Vec<_>>(),
            [Party::User, Party::Agent, Party::Runner]
        );
        assert!(heard[3..].iter().all(|(_, grace)| grace.is_zero()), "{heard:?}");
        assert!(stops.asked.lock().is_empty());
    }
}
