//! Whose program is at the other end of a connection from this machine.
//!
//! A pairing code can be seen by others for a moment: whoever opens a browser gives it the link as an
//! argument, and every user may read every process's arguments. A credential, too, may reach another user,
//! who listens on the port while the runner is away. So only programs of the runner's own user (or of the
//! system's) are answered, where the system tells: Linux lists each socket with its owner.

use std::net::SocketAddr;
use std::sync::Arc;

use exec::host::{Owner, owner_of_peer};
use tokio::sync::OnceCell;

/// Looks before an end that is not found is taken for gone.
const LOOKS: usize = 3;

/// Said to the others.
pub(super) const FOREIGN: &str =
    "Another user's program asked. Only programs of the user who runs the runner are answered.";

/// The two addresses of a connection as the runner sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints {
    /// The client's.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) own: SocketAddr,
}

impl Endpoints {
    /// Whether the other end belongs to another user, who is not the system's, or to nobody any more. Where
    /// there is no table, nothing is known.
    fn are_foreign(self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        // One may be missed in a table that changes while it is read.
        for _ in 0..LOOKS {
            match self.owner() {
                Owner::User(owner) => return owner != own && owner != 0,
                Owner::Unknown => return false,
                Owner::Nobody => {}
            }
        }
        true
    }

    fn owner(self) -> Owner {
        owner_of_peer(self.peer, self.own)
    }
}

/// Who is at the other end of a connection. In the extensions of its requests.
#[derive(Clone)]
pub(super) struct Peer {
    endpoints: Endpoints,
    foreign: Arc<OnceCell<bool>>,
}

impl Peer {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints, foreign: Arc::default() }
    }

    /// [`Endpoints::are_foreign`], found out once a connection.
    pub(super) async fn is_foreign(&self) -> bool {
        let endpoints = self.endpoints;
        let look = || async move {
            // The thread that looks may only fail with the runner.
            let foreign =
                tokio::task::spawn_blocking(move || endpoints.are_foreign()).await.unwrap_or_default();
            if foreign {
                tracing::warn!("{FOREIGN}");
            }
            foreign
        };
        *self.foreign.get_or_init(look).await
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection of this program, by this name of the listener's address.
    fn connection(address: &str, name: &str) -> (TcpListener, TcpStream, Endpoints, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((name, port)).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let endpoints = Endpoints { peer, own: accepted.local_addr().unwrap() };
        (listener, client, endpoints, accepted)
    }

    const WAYS: [(&str, &str); 4] = [
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.1:0", "::ffff:127.0.0.1"),
        ("[::1]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
    ];

    #[test]
    fn our_own_connections_are_found_and_ours() {
        for (address, name) in WAYS {
            let (_listener, client, endpoints, _accepted) = connection(address, name);
            let own = rustix::process::geteuid().as_raw();
            assert_eq!(endpoints.owner(), Owner::User(own), "{address} {name}");
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(endpoints.owner(), Owner::User(own), "half closed, {address} {name}");
            assert!(!endpoints.are_foreign());
        }
    }

    #[test]
    fn who_has_let_go_of_a_connection_is_not_answered() {
        for (address, name) in WAYS {
            let (_listener, client, endpoints, _accepted) = connection(address, name);
            drop(client);
            assert!(endpoints.are_foreign(), "{address} {name}");
        }
        // One that ended with a reset is in no table any more; of one from elsewhere nothing is known.
        let (_listener, _client, endpoints, _accepted) = connection("127.0.0.1:0", "127.0.0.1");
        let elsewhere = Endpoints { peer: "192.0.2.1:4000".parse().unwrap(), ..endpoints };
        assert_eq!(elsewhere.owner(), Owner::Unknown);
    }
}
