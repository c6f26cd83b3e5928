//! The system's tables of TCP sockets: who listens where, and whose the other end of a connection is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

use shared::task::{PortHeld, Process};

use crate::tree::{Member, name_again};

/// The tables, and whether the addresses in them are long.
const TABLES: [(&str, bool); 2] = [("/proc/net/tcp", false), ("/proc/net/tcp6", true)];
/// Ports that are told.
const MOST: usize = 32;
/// The state `LISTEN` as they write it.
const LISTEN: &str = "0A";

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    User(u32),
    /// It was let go of.
    Nobody,
    /// The system does not say.
    Unknown,
}

/// The owner of the other end of a connection to this process.
#[must_use]
pub fn owner_of_peer(peer: SocketAddr, own: SocketAddr) -> Owner {
    let mut ours_is_listed = false;
    for (path, long) in TABLES {
        let Ok(table) = fs::read_to_string(path) else { continue };
        let (peer, own) = (written(peer, long), written(own, long));
        if let Some(owner) = owner(&table, &peer, &own) {
            return owner;
        }
        ours_is_listed |= owner(&table, &own, &peer).is_some();
    }
    // Only of this machine's own are both ends in its tables.
    if ours_is_listed && peer.ip().to_canonical().is_loopback() { Owner::Nobody } else { Owner::Unknown }
}

/// The owner of the socket between two ends, the first its own, from the system's table of sockets.
fn owner(table: &str, own: &str, other: &str) -> Option<Owner> {
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let fits = fields.next()?.eq_ignore_ascii_case(own) && fields.next()?.eq_ignore_ascii_case(other);
        if !fits {
            return None;
        }
        let user = fields.nth(4)?.parse().ok()?;
        // One that no descriptor holds any more has no inode, and root for its user.
        Some(if fields.nth(1)? == "0" { Owner::Nobody } else { Owner::User(user) })
    })
}

/// An address as the tables write it: each four bytes as a number of this machine, then the port. In the
/// table of long addresses stand also the short ones to which a program came by their long form.
fn written(address: SocketAddr, long: bool) -> String {
    let numbers = |bytes: &[u8]| -> String {
        bytes
            .chunks_exact(4)
            .map(|four| format!("{:08X}", u32::from_ne_bytes([four[0], four[1], four[2], four[3]])))
            .collect::<Vec<_>>()
            .concat()
    };
    let host = match address.ip().to_canonical() {
        IpAddr::V4(ip) if long => numbers(&ip.to_ipv6_mapped().octets()),
        IpAddr::V4(ip) => numbers(&ip.octets()),
        IpAddr::V6(ip) => numbers(&ip.octets()),
    };
    format!("{host}:{:04X}", address.port())
}

/// Inode and port of each socket that listens. Empty where the system does not say.
#[must_use]
pub fn listening() -> HashMap<u64, u16> {
    let tables = TABLES.iter().filter_map(|(path, _)| fs::read_to_string(path).ok());
    tables.flat_map(|table| table.lines().skip(1).filter_map(entry).collect::<Vec<_>>()).collect()
}

/// See `proc_pid_net(5)`: number, local and remote address, state, queues, timers, retransmits, user,
/// timeout, inode.
fn entry(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let listens = fields.nth(1)? == LISTEN;
    let inode = fields.nth(5)?.parse().ok()?;
    listens.then_some((inode, port))
}

/// The ports that these processes listen on.
pub(crate) fn ports_of(members: &[Member]) -> Vec<u16> {
    let listening = listening();
    let held = members.iter().flat_map(|member| held_by(member.number()));
    let ports: BTreeSet<u16> = held.filter_map(|inode| listening.get(&inode).copied()).collect();
    ports.into_iter().take(MOST).collect()
}

/// Those of the ports that somebody listens on, and who.
#[must_use]
pub fn ports_held(ports: &BTreeSet<u16>) -> Vec<PortHeld> {
    let listening = listening();
    let held: BTreeMap<u16, u64> = listening
        .into_iter()
        .filter(|(_, port)| ports.contains(port))
        .map(|(inode, port)| (port, inode))
        .collect();
    if held.is_empty() {
        return Vec::new();
    }
    let holders = holders(&held.values().copied().collect());
    let named = |inode| {
        let mut holder = [Process { pid: *holders.get(inode)?, command: String::new() }];
        name_again(&mut holder);
        let [holder] = holder;
        Some(holder)
    };
    held.iter().take(MOST).map(|(port, inode)| PortHeld { port: *port, by: named(inode) }).collect()
}

/// The sockets that a process holds, by inode.
pub(crate) fn held_by(pid: u32) -> Vec<u64> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let inode = |entry: io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    descriptors.filter_map(inode).collect()
}

/// A process that holds each of these sockets, as far as the system says.
fn holders(wanted: &BTreeSet<u64>) -> HashMap<u64, u32> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        found.extend(
            held_by(pid).into_iter().filter(|inode| wanted.contains(inode)).map(|inode| (inode, pid)),
        );
        if found.len() == wanted.len() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_listens_is_taken_with_its_port_and_inode() {
        let four = "   0: 0100007F:2235 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0000000000000000 100 0 0 10 0";
        let six = "   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0";
        let connected = "   2: 0100007F:2235 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 123457 1 0";
        assert_eq!(entry(four), Some((123_456, 8757)));
        assert_eq!(entry(six), Some((99, 443)));
        assert_eq!(entry(connected), None);
        assert_eq!(entry("nonsense"), None);
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
