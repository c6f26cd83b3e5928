//! The permits that connections hold, and who is evicted when all are taken.
//!
//! Whoever has shown a credential is admitted and stays. The others are unauthenticated: if all permits are
//! taken, the one that has been there longest is evicted, so that any number of silent or slow connections
//! keeps no good client waiting. One that sends its request at once is answered long before its turn to leave
//! comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// All permits.
pub(crate) struct Permits {
    free: Arc<Semaphore>,
    unauthenticated: Mutex<Unauthenticated>,
}

#[derive(Default)]
struct Unauthenticated {
    next: u64,
    /// In the order they came.
    open: BTreeMap<u64, CancellationToken>,
}

/// A connection's permit. In the extensions of its requests; a WebSocket keeps it.
#[derive(Clone)]
pub(crate) struct ConnectionPermit(Arc<Held>);

struct Held {
    number: u64,
    permits: Arc<Permits>,
    leave: CancellationToken,
    /// What ends the client that was admitted last.
    revoked: watch::Sender<Option<CancellationToken>>,
    _permit: OwnedSemaphorePermit,
}

impl Permits {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), unauthenticated: Mutex::default() })
    }

    fn unauthenticated(&self) -> MutexGuard<'_, Unauthenticated> {
        self.unauthenticated.lock()
    }

    /// Gives a permit, that of the oldest unauthenticated peer if need be; waits if all are admitted.
    pub(crate) async fn take(self: &Arc<Self>) -> ConnectionPermit {
        if self.free.available_permits() == 0 {
            self.evict();
        }
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        let leave = CancellationToken::new();
        let number = {
            let mut waiting = self.unauthenticated();
            waiting.next += 1;
            let number = waiting.next;
            waiting.open.insert(number, leave.clone());
            number
        };
        let revoked = watch::Sender::new(None);
        ConnectionPermit(Arc::new(Held {
            number,
            permits: Arc::clone(self),
            leave,
            revoked,
            _permit: permit,
        }))
    }

    /// Evicts the oldest unauthenticated peer, and says whether there was one.
    pub(crate) fn evict(&self) -> bool {
        let oldest = self.unauthenticated().open.pop_first();
        oldest.inspect(|(_, leave)| leave.cancel()).is_some()
    }
}

impl ConnectionPermit {
    /// It has shown who it is. With the client's revocation the connection ends, whatever it is at.
    pub(crate) fn admit(&self, revoked: CancellationToken) {
        self.0.permits.unauthenticated().open.remove(&self.0.number);
        self.0.revoked.send_replace(Some(revoked));
    }

    /// Waits until it is evicted.
    pub(crate) async fn evicted(&self) {
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
                // Its sender is this permit's own.
                _ = changes.changed() => {}
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.permits.unauthenticated().open.remove(&self.number);
    }
}
