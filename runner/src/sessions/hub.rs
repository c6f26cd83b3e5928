//! Who is connected, from how many tabs, and who holds which session's lease.
//!
//! A session has at most one lease: the newest connection that asked for it holds it. Registering it fences
//! the one before, at once and for good; everything that takes the lease asks [`Registration::holds_lease`]
//! at the moment that it does it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use shared::{ClientId, SessionId};
use tokio::sync::watch;
use uuid::Uuid;

/// The most connections that may have said hello.
pub(crate) const MAX_CONNECTIONS: usize = 256;

/// What a connection is told by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Live,
    /// A newer connection holds the lease.
    Fenced,
    /// The client's credential was taken back.
    Revoked,
    /// The runner stops.
    Stopping,
}

/// All connections. A cheap handle.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Mutex<Inner>>,
    count: Arc<watch::Sender<u32>>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    stopping: bool,
    connections: HashMap<u64, Entry>,
    leases: HashMap<SessionId, u64>,
}

struct Entry {
    client: ClientId,
    tab: Option<Uuid>,
    order: watch::Sender<Order>,
}

/// A connection among the others. Dropping it takes it out.
pub(crate) struct Registration {
    hub: Hub,
    number: u64,
    session: SessionId,
    /// What others tell this connection.
    pub(crate) orders: watch::Receiver<Order>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { inner: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }
}

impl Hub {
    /// Registers a connection, and gives it the session's lease if it asks for it. `None` if there are too
    /// many.
    pub(crate) fn join(
        &self,
        client: ClientId,
        session: SessionId,
        lease: bool,
        tab: Option<Uuid>,
    ) -> Option<Registration> {
        let mut inner = self.lock();
        if inner.connections.len() >= MAX_CONNECTIONS {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        if lease
            && let Some(older) =
                inner.leases.insert(session, number).and_then(|older| inner.connections.get(&older))
        {
            older.order.send_if_modified(|order| {
                *order == Order::Live && {
                    *order = Order::Fenced;
                    true
                }
            });
        }
        let first = if inner.stopping { Order::Stopping } else { Order::Live };
        let (order, orders) = watch::channel(first);
        inner.connections.insert(number, Entry { client, tab, order });
        self.publish(&inner);
        Some(Registration { hub: self.clone(), number, session, orders })
    }

    /// Closes the connections of these clients.
    pub(crate) fn revoke(&self, clients: &[ClientId]) {
        for entry in self.lock().connections.values().filter(|entry| clients.contains(&entry.client)) {
            entry.order.send_replace(Order::Revoked);
        }
    }

    /// Closes all connections, and those still to come.
    pub(crate) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        for entry in inner.connections.values() {
            entry.order.send_replace(Order::Stopping);
        }
    }

    /// How many tabs are connected. A tab has a connection for each session that it keeps at work.
    pub(crate) fn tabs(&self) -> u32 {
        *self.count.borrow()
    }

    /// Tells when that number changes.
    pub(crate) fn watch_tabs(&self) -> watch::Receiver<u32> {
        self.count.subscribe()
    }

    /// How many of a client's are connected.
    pub(crate) fn tabs_of(&self, client: ClientId) -> usize {
        self.lock().connections.values().filter(|entry| entry.client == client).count()
    }

    fn publish(&self, inner: &Inner) {
        let named: HashSet<Uuid> = inner.connections.values().filter_map(|entry| entry.tab).collect();
        let unnamed = inner.connections.values().filter(|entry| entry.tab.is_none()).count();
        let tabs = u32::try_from(named.len() + unnamed).unwrap_or(u32::MAX);
        self.count.send_if_modified(|count| std::mem::replace(count, tabs) != tabs);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Registration {
    /// Whether this connection holds its session's lease, now.
    pub(crate) fn holds_lease(&self) -> bool {
        self.hub.lock().leases.get(&self.session) == Some(&self.number)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.connections.remove(&self.number);
        if inner.leases.get(&self.session) == Some(&self.number) {
            inner.leases.remove(&self.session);
        }
        self.hub.publish(&inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(Uuid::from_u128(1));
    const CLIENT: ClientId = ClientId(Uuid::from_u128(2));

    #[test]
    fn the_newest_lease_fences_the_older_and_a_watcher_nobody() {
        let hub = Hub::default();
        let first = hub.join(CLIENT, SESSION, true, None).unwrap();
        let watcher = hub.join(CLIENT, SESSION, false, None).unwrap();
        assert!(first.holds_lease() && !watcher.holds_lease());
        let second = hub.join(CLIENT, SESSION, true, None).unwrap();
        assert!(!first.holds_lease() && second.holds_lease());
        assert_eq!(*first.orders.borrow(), Order::Fenced);
        assert_eq!(*watcher.orders.borrow(), Order::Live);
        drop(first);
        assert!(second.holds_lease());
        assert_eq!(hub.tabs(), 2);
    }

    #[test]
    fn the_connections_of_a_tab_are_one_and_those_without_one_are_one_each() {
        let hub = Hub::default();
        let tab = |number| Some(Uuid::from_u128(number));
        let one = hub.join(CLIENT, SESSION, true, tab(8)).unwrap();
        let mut told = hub.watch_tabs();
        told.mark_unchanged();
        let two = hub.join(CLIENT, SessionId(Uuid::from_u128(3)), true, tab(8)).unwrap();
        assert_eq!((hub.tabs(), told.has_changed().unwrap()), (1, false));
        drop(one);
        assert_eq!((hub.tabs(), told.has_changed().unwrap()), (1, false));
        let programs = [(), ()].map(|()| hub.join(CLIENT, SESSION, false, None).unwrap());
        let other = hub.join(CLIENT, SESSION, false, tab(9)).unwrap();
        assert_eq!(hub.tabs(), 4);
        drop((two, programs, other));
        assert_eq!(hub.tabs(), 0);
    }

    #[test]
    fn another_session_is_not_touched() {
        let hub = Hub::default();
        let one = hub.join(CLIENT, SESSION, true, None).unwrap();
        let _other = hub.join(CLIENT, SessionId(Uuid::from_u128(3)), true, None).unwrap();
        assert!(one.holds_lease());
    }

    #[test]
    fn revoking_reaches_one_client_and_stopping_all() {
        let hub = Hub::default();
        let one = hub.join(CLIENT, SESSION, true, None).unwrap();
        let other = hub.join(ClientId(Uuid::from_u128(4)), SESSION, false, None).unwrap();
        hub.revoke(&[CLIENT]);
        assert_eq!((*one.orders.borrow(), *other.orders.borrow()), (Order::Revoked, Order::Live));
        hub.stop();
        assert_eq!(*other.orders.borrow(), Order::Stopping);
        assert_eq!(*hub.join(CLIENT, SESSION, true, None).unwrap().orders.borrow(), Order::Stopping);
    }
}
