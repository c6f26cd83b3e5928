//! The TCP ports that tasks listen on, looked for when there is a reason to.
//!
//! The kernel lists the sockets that listen, by inode; a process's descriptors name the inodes that it holds. A look reads
//! the list, and only if it names a socket that was not there before, or a task began since, the descriptors of the trees
//! below the shims. So a look at nothing new costs the reading of one list, and there is none while nothing runs or
//! nobody is connected: a task that begins or prints asks for one, then the pauses grow; a `check` and a stop make one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use shared::TaskId;
use shared::task::{PortHeld, Task};
use tokio::sync::Notify;

use super::entry::TaskEntry;

/// Ports of one task that are told.
const MOST: usize = 32;

#[derive(Default)]
pub(super) struct Ports {
    looking: Mutex<()>,
    state: Mutex<State>,
    pub(super) wanted: Notify,
}

#[derive(Default)]
struct State {
    live: HashMap<TaskId, Live>,
    /// Whose each listening socket is; `None` if it is no task's.
    owners: HashMap<u64, Option<TaskId>>,
    /// Whether a task began since the last look.
    began: bool,
}

struct Live {
    entry: Arc<TaskEntry>,
    /// The process above the task's tree.
    shim: u32,
    /// Not looked at yet: a socket that was there before may be its.
    fresh: bool,
    seen: BTreeSet<u16>,
}

impl Ports {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether no task is there to be looked at, and whether one began since the last look.
    pub(super) fn idle_and_began(&self) -> (bool, bool) {
        let state = self.state();
        (state.live.is_empty(), state.began)
    }

    /// A task began below this process.
    pub(super) fn enter(&self, entry: &Arc<TaskEntry>, shim: u32) {
        let live = Live { entry: Arc::clone(entry), shim, fresh: true, seen: BTreeSet::new() };
        let mut state = self.state();
        state.live.insert(entry.id.clone(), live);
        state.began = true;
        drop(state);
        self.wanted.notify_one();
    }

    /// Nothing of the task is left. Gives the ports that it ever listened on.
    pub(super) fn leave(&self, task: &TaskId) -> BTreeSet<u16> {
        self.state().live.remove(task).map(|live| live.seen).unwrap_or_default()
    }

    /// There may be something new.
    pub(super) fn look_soon(&self) {
        self.wanted.notify_one();
    }

    /// Looks, and gives the tasks whose ports changed. Blocks on `/proc`.
    pub(super) fn look(&self) -> Vec<Arc<Task>> {
        // Walking takes long on a large machine, and tasks begin and end meanwhile.
        let _one_at_a_time = self.looking.lock();
        let listening = system::listening();
        let (new, wanted) = {
            let mut state = self.state();
            state.owners.retain(|inode, _| listening.contains_key(inode));
            let known = |inode: &&u64| state.owners.contains_key(*inode);
            let new: HashSet<u64> = listening.keys().filter(|inode| !known(inode)).copied().collect();
            let began = std::mem::take(&mut state.began);
            let look = began || !new.is_empty();
            let live = state.live.iter().filter(|(_, live)| look && (live.fresh || !new.is_empty()));
            let wanted: Vec<_> = live.map(|(task, live)| (task.clone(), live.shim, live.fresh)).collect();
            (new, wanted)
        };
        let sockets = |shim| crate::shim::below(shim).into_iter().flat_map(system::sockets).collect();
        let found: Vec<(TaskId, bool, Vec<u64>)> =
            wanted.into_iter().map(|(task, shim, fresh)| (task, fresh, sockets(shim))).collect();
        let mut state = self.state();
        let State { live, owners, .. } = &mut *state;
        for (task, fresh, sockets) in found {
            if let Some(live) = live.get_mut(&task) {
                live.fresh = false;
            }
            for inode in sockets {
                let free = fresh && matches!(owners.get(&inode), Some(None));
                if free || new.contains(&inode) {
                    owners.insert(inode, Some(task.clone()));
                }
            }
        }
        // One of a task that has just begun is found to be its when that is looked at.
        for inode in new {
            owners.entry(inode).or_insert(None);
        }
        let mut ports: BTreeMap<&TaskId, BTreeSet<u16>> = BTreeMap::new();
        for (inode, owner) in &*owners {
            if let (Some(task), Some(port)) = (owner, listening.get(inode)) {
                ports.entry(task).or_default().insert(*port);
            }
        }
        let mut changed = Vec::new();
        for (task, live) in live {
            let now: Vec<u16> = ports.remove(task).into_iter().flatten().take(MOST).collect();
            live.seen.extend(&now);
            changed.extend(live.entry.publish_ports(now));
        }
        changed
    }
}

/// Those of the ports that somebody listens on. Blocks on `/proc`.
pub(super) fn held(ports: &BTreeSet<u16>) -> Vec<PortHeld> {
    let listening = system::listening();
    let held: BTreeMap<u16, u64> = listening
        .into_iter()
        .filter(|(_, port)| ports.contains(port))
        .map(|(inode, port)| (port, inode))
        .collect();
    if held.is_empty() {
        return Vec::new();
    }
    let owners = system::owners(&held.values().copied().collect());
    let named =
        |inode: &u64| owners.get(inode).and_then(|pid| crate::shim::described(&[*pid]).into_iter().next());
    held.iter().take(MOST).map(|(port, inode)| PortHeld { port: *port, by: named(inode) }).collect()
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    /// The state `LISTEN` as `/proc/net/tcp` writes it.
    const LISTEN: &str = "0A";

    /// Inode and port of each socket that listens.
    pub(super) fn listening() -> HashMap<u64, u16> {
        ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .flat_map(|table| table.lines().skip(1).filter_map(entry).collect::<Vec<_>>())
            .collect()
    }

    /// See `proc_pid_net(5)`: number, local and remote address, state, queues, timers, retransmits, user, timeout, inode.
    pub(super) fn entry(line: &str) -> Option<(u64, u16)> {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let listens = fields.nth(1)? == LISTEN;
        let inode = fields.nth(5)?.parse().ok()?;
        listens.then_some((inode, port))
    }

    /// The sockets that a process holds.
    pub(super) fn sockets(pid: u32) -> Vec<u64> {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
        let inode = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        descriptors.flatten().filter_map(inode).collect()
    }

    /// A process that holds each of these sockets, as far as the system says.
    pub(super) fn owners(wanted: &HashSet<u64>) -> HashMap<u64, u32> {
        let mut found = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            found.extend(
                sockets(pid).into_iter().filter(|inode| wanted.contains(inode)).map(|inode| (inode, pid)),
            );
            if found.len() == wanted.len() {
                break;
            }
        }
        found
    }
}

/// Other systems do not say without a program of their own.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::{HashMap, HashSet};

    pub(super) fn listening() -> HashMap<u64, u16> {
        HashMap::new()
    }

    pub(super) fn sockets(_pid: u32) -> Vec<u64> {
        Vec::new()
    }

    pub(super) fn owners(_wanted: &HashSet<u64>) -> HashMap<u64, u32> {
        HashMap::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::entry;

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
}
