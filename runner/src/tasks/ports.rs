//! The TCP ports that tasks listen on, looked for when there is a reason to.
//!
//! The kernel lists the sockets that listen, by inode; a process's descriptors name the inodes that it holds.
//! A look reads the list, and only if it names a socket that was not there before, or a task began since, the
//! descriptors of the trees below the agents. So a look at nothing new costs the reading of one list, and
//! there is none while nothing runs or nobody is connected: a task that begins or prints asks for one, then
//! the pauses grow; a `check` and a stop make one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use exec::host::{self, Tree};
use parking_lot::{Mutex, MutexGuard};
use shared::TaskId;
use shared::task::Task;
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
    tree: Tree,
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

    /// A task began, and this is its tree.
    pub(super) fn enter(&self, entry: &Arc<TaskEntry>, tree: Tree) {
        let live = Live { entry: Arc::clone(entry), tree, fresh: true, seen: BTreeSet::new() };
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

    /// Looks, and gives the tasks whose ports changed. Blocks.
    pub(super) fn look(&self) -> Vec<Arc<Task>> {
        // Walking takes long on a large machine, and tasks begin and end meanwhile.
        let _one_at_a_time = self.looking.lock();
        let listening = host::listening();
        let (new, wanted) = {
            let mut state = self.state();
            state.owners.retain(|inode, _| listening.contains_key(inode));
            let known = |inode: &&u64| state.owners.contains_key(*inode);
            let new: HashSet<u64> = listening.keys().filter(|inode| !known(inode)).copied().collect();
            let began = std::mem::take(&mut state.began);
            let look = began || !new.is_empty();
            let live = state.live.iter().filter(|(_, live)| look && (live.fresh || !new.is_empty()));
            let wanted: Vec<_> = live.map(|(task, live)| (task.clone(), live.tree, live.fresh)).collect();
            (new, wanted)
        };
        let found: Vec<(TaskId, bool, Vec<u64>)> =
            wanted.into_iter().map(|(task, tree, fresh)| (task, fresh, tree.sockets())).collect();
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
