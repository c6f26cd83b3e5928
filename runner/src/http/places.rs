//! The places that connections have, and who must leave when all are taken.
//!
//! Whoever has shown a credential is vouched for and stays. The others are guests: if all places are taken, the guest
//! that has been there longest leaves, so that any number of silent or slow connections keeps no good client waiting. A
//! guest that sends its request at once is answered long before its turn to leave comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// All places.
pub(super) struct Places {
    free: Arc<Semaphore>,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    /// In the order they came.
    open: BTreeMap<u64, CancellationToken>,
}

/// A connection's place. In the extensions of its requests; a WebSocket keeps it.
#[derive(Clone)]
pub struct Place(Arc<Held>);

struct Held {
    number: u64,
    places: Arc<Places>,
    leave: CancellationToken,
    /// What ends the client that was vouched for last.
    revoked: watch::Sender<Option<CancellationToken>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), guests: Mutex::default() })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place, that of the oldest guest if need be; waits if all are vouched for.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        if self.free.available_permits() == 0 {
            self.dismiss();
        }
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        let leave = CancellationToken::new();
        let number = {
            let mut guests = self.guests();
            guests.next += 1;
            let number = guests.next;
            guests.open.insert(number, leave.clone());
            number
        };
        let revoked = watch::Sender::new(None);
        Place(Arc::new(Held { number, places: Arc::clone(self), leave, revoked, _permit: permit }))
    }

    /// Tells the oldest guest to leave, and says whether there was one.
    pub(super) fn dismiss(&self) -> bool {
        let oldest = self.guests().open.pop_first();
        oldest.inspect(|(_, leave)| leave.cancel()).is_some()
    }
}

impl Place {
    /// It has shown who it is. With the client's revocation the connection ends, whatever it is at.
    pub fn vouch(&self, revoked: CancellationToken) {
        self.0.places.guests().open.remove(&self.0.number);
        self.0.revoked.send_replace(Some(revoked));
    }

    /// Waits until it must leave.
    pub async fn dismissed(&self) {
        let mut changes = self.0.revoked.subscribe();
        loop {
            let revoked = changes.borrow_and_update().clone();
            let revoked = async {
                match revoked {
                    Some(revoked) => revoked.cancelled_owned().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.leave.cancelled() => return,
                () = revoked => return,
                // Its sender is this place's own.
                _ = changes.changed() => {}
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.guests().open.remove(&self.number);
    }
}
