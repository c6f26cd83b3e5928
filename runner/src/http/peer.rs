//! Whose program is at the other end of a connection from this machine.
//!
//! A pairing code can be seen by others for a moment: whoever opens a browser gives it the link as an argument, and every
//! user may read every process's arguments. A credential, too, may reach another user, who listens on the port while the
//! runner is away. So only programs of the runner's own user (or of the system's) are answered, where the system tells:
//! Linux lists each socket with its owner.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::OnceCell;

/// Looks before an end that is not found is taken for gone.
const LOOKS: usize = 3;

/// Said to the others.
pub(super) const FOREIGN: &str =
    "Another user's program asked. Only programs of the user who runs the runner are answered.";

/// The two ends of a connection as the runner sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The client's.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) own: SocketAddr,
}

/// Whose socket is at the client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    User(u32),
    /// It is gone, or its program has let it go: nobody would read an answer, or could be asked who it was.
    Nobody,
    /// The system does not say.
    Unknown,
}

impl Ends {
    /// Whether the other end belongs to another user, who is not the system's, or to nobody any more. Where there is no
    /// table, nothing is known.
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
        let mut ours_is_listed = false;
        for (path, long) in [("/proc/net/tcp", false), ("/proc/net/tcp6", true)] {
            let Ok(table) = std::fs::read_to_string(path) else { continue };
            let (peer, own) = (written(self.peer, long), written(self.own, long));
            if let Some(owner) = owner(&table, &peer, &own) {
                return owner;
            }
            ours_is_listed |= owner(&table, &own, &peer).is_some();
        }
        // Only of this machine's own are both ends in its tables.
        if ours_is_listed && self.peer.ip().to_canonical().is_loopback() {
            Owner::Nobody
        } else {
            Owner::Unknown
        }
    }
}

/// Who is at the other end of a connection. In the extensions of its requests.
#[derive(Clone)]
pub(super) struct Peer {
    ends: Ends,
    foreign: Arc<OnceCell<bool>>,
}

impl Peer {
    pub(super) fn new(ends: Ends) -> Self {
        Self { ends, foreign: Arc::default() }
    }

    /// [`Ends::are_foreign`], found out once a connection.
    pub(super) async fn is_foreign(&self) -> bool {
        let ends = self.ends;
        let look = || async move {
            // The thread that looks may only fail with the runner.
            let foreign = tokio::task::spawn_blocking(move || ends.are_foreign()).await.unwrap_or_default();
            if foreign {
                tracing::warn!("{FOREIGN}");
            }
            foreign
        };
        *self.foreign.get_or_init(look).await
    }
}

/// The owner of the socket between two ends, the first its own, from the system's table of sockets.
fn owner(table: &str, own: &str, other: &str) -> Option<Owner> {
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let fits = words.next()?.eq_ignore_ascii_case(own) && words.next()?.eq_ignore_ascii_case(other);
        if !fits {
            return None;
        }
        let user = words.nth(4)?.parse().ok()?;
        // One that no descriptor holds any more has no inode, and root for its user.
        Some(if words.nth(1)? == "0" { Owner::Nobody } else { Owner::User(user) })
    })
}

/// An address as the tables write it: each four bytes as a number of this machine, then the port. In the table of long
/// addresses stand also the short ones to which a program came by their long form.
fn written(address: SocketAddr, long: bool) -> String {
    let words = |bytes: &[u8]| -> String {
        bytes
            .chunks_exact(4)
            .map(|four| format!("{:08X}", u32::from_ne_bytes([four[0], four[1], four[2], four[3]])))
            .collect::<Vec<_>>()
            .concat()
    };
    let host = match address.ip().to_canonical() {
        IpAddr::V4(ip) if long => words(&ip.to_ipv6_mapped().octets()),
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{host}:{:04X}", address.port())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection of this program, by this name of the listener's address.
    fn connection(address: &str, name: &str) -> (TcpListener, TcpStream, Ends, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((name, port)).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let ends = Ends { peer, own: accepted.local_addr().unwrap() };
        (listener, client, ends, accepted)
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
            let (_listener, client, ends, _accepted) = connection(address, name);
            let own = rustix::process::geteuid().as_raw();
            assert_eq!(ends.owner(), Owner::User(own), "{address} {name}");
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(ends.owner(), Owner::User(own), "half closed, {address} {name}");
            assert!(!ends.are_foreign());
        }
    }

    #[test]
    fn who_has_let_go_of_a_connection_is_not_answered() {
        for (address, name) in WAYS {
            let (_listener, client, ends, _accepted) = connection(address, name);
            drop(client);
            assert!(ends.are_foreign(), "{address} {name}");
        }
        // One that ended with a reset is in no table any more; of one from elsewhere nothing is known.
        let (_listener, _client, ends, _accepted) = connection("127.0.0.1:0", "127.0.0.1");
        let elsewhere = Ends { peer: "192.0.2.1:4000".parse().unwrap(), ..ends };
        assert_eq!(elsewhere.owner(), Owner::Unknown);
    }

    #[test]
    fn a_line_of_the_table_is_read() {
        let (peer, own) = ("127.0.0.1:54321".parse().unwrap(), "127.0.0.1:8757".parse().unwrap());
        let (peer, own) = (written(peer, false), written(own, false));
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let table = |inode: u32| {
            format!(
                "{header}  12: {peer} {own} 01 00000000:00000000 00:00000000 00000000  1001        0 {inode} 2 0\n"
            )
        };
        assert_eq!(owner(&table(7), &peer, &own), Some(Owner::User(1001)));
        assert_eq!(owner(&table(0), &peer, &own), Some(Owner::Nobody));
        assert_eq!(owner(&table(7), &own, &peer), None);
        assert_eq!(owner("nonsense", &peer, &own), None);
    }
}
