//! Whose program is at the other end of a connection from this machine.
//!
//! A pairing code can be seen by others for a moment: whoever opens a browser gives it the link as an argument, and every
//! user may read every process's arguments. So a code is good only for programs of the runner's own user (or of the
//! system's), where the system tells: Linux lists each socket with its owner.

use std::net::SocketAddr;

/// The two ends of a connection as the runner sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The client's.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) own: SocketAddr,
}

impl Ends {
    /// Whether the other end is known to belong to another user, who is not the system's. Where there is no table, nothing is known.
    pub(super) fn are_foreign(self) -> bool {
        let path = if self.peer.ip().to_canonical().is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
        let own = rustix::process::geteuid().as_raw();
        std::fs::read_to_string(path)
            .ok()
            .and_then(|table| owner(&table, self))
            .is_some_and(|owner| owner != own && owner != 0)
    }
}

/// The owner of the socket at the client's end, from the system's table of sockets.
fn owner(table: &str, ends: Ends) -> Option<u32> {
    let (peer, own) = (written(ends.peer), written(ends.own));
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let fits = words.next()?.eq_ignore_ascii_case(&peer) && words.next()?.eq_ignore_ascii_case(&own);
        if fits { words.nth(4)?.parse().ok() } else { None }
    })
}

/// An address as the table writes it: each four bytes as a number of this machine, then the port.
fn written(address: SocketAddr) -> String {
    let words = |bytes: &[u8]| -> String {
        bytes
            .chunks_exact(4)
            .map(|four| format!("{:08X}", u32::from_ne_bytes([four[0], four[1], four[2], four[3]])))
            .collect::<Vec<_>>()
            .concat()
    };
    let host = match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => words(&ip.octets()),
        std::net::IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{host}:{:04X}", address.port())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn our_own_connections_are_found_and_ours() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            let ends = Ends { peer, own: accepted.local_addr().unwrap() };
            let path = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
            let table = std::fs::read_to_string(path).unwrap();
            assert_eq!(owner(&table, ends), Some(rustix::process::geteuid().as_raw()), "{address}");
            assert!(!ends.are_foreign());
            drop(client);
        }
    }

    #[test]
    fn a_line_of_the_table_is_read() {
        let ends = Ends { peer: "127.0.0.1:54321".parse().unwrap(), own: "127.0.0.1:8757".parse().unwrap() };
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = format!(
            "  12: {} {} 01 00000000:00000000 00:00000000 00000000  1001        0 1 2 0\n",
            written(ends.peer),
            written(ends.own)
        );
        let turned = Ends { peer: ends.own, own: ends.peer };
        assert_eq!(owner(&format!("{header}{line}"), ends), Some(1001));
        assert_eq!(owner(&format!("{header}{line}"), turned), None);
        assert_eq!(owner("nonsense", ends), None);
    }
}
