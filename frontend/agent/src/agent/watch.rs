//! The output of watched tasks: bytes at offsets, and what was dropped on the way read again.

use shared::output::OutputSlice;
use shared::protocol::Op;
use shared::{OpId, TaskId};

use super::state::Watched;
use super::{Agent, Out};
use crate::link::Purpose;
use crate::view::Patch;

/// How much of a gap in watched output is read at once.
const READ_BYTES: u32 = 256 * 1024;

/// How many are remembered who look at one output; tabs that went without a word are among them.
const MOST_VIEWERS: usize = 64;

impl Agent {
    /// Somebody looks, and knows nothing yet: so all that is kept comes again, and whoever knows it passes
    /// over it.
    pub(super) fn watch(&mut self, out: &mut Out, task: TaskId, viewer: u64) {
        let mut viewers = self.watched.remove(&task).map(|watched| watched.viewers).unwrap_or_default();
        if viewers.len() < MOST_VIEWERS {
            viewers.insert(viewer);
        }
        self.watched.insert(task.clone(), Watched { viewers, ..Watched::default() });
        self.request(out, Op::Watch { task, from: 0 }, Purpose::Own);
    }

    /// Somebody looks no longer. The output comes as long as anybody else does.
    pub(super) fn unwatch(&mut self, out: &mut Out, task: TaskId, viewer: u64) {
        let Some(watched) = self.watched.get_mut(&task) else { return };
        if watched.viewers.remove(&viewer) && watched.viewers.is_empty() {
            self.watched.remove(&task);
            self.request(out, Op::Unwatch { task }, Purpose::Own);
        }
    }

    /// On a new socket.
    pub(super) fn watch_on(&mut self, out: &mut Out) {
        let watched: Vec<(TaskId, u64)> =
            self.watched.iter().map(|(task, watched)| (task.clone(), watched.next)).collect();
        for (task, from) in watched {
            self.request(out, Op::Watch { task, from }, Purpose::Own);
        }
    }

    pub(super) fn output(&mut self, out: &mut Out, task: &TaskId, slice: OutputSlice) {
        let Some(watched) = self.watched.get(task) else { return };
        if watched.reading.is_some() {
            return;
        }
        let dropped = slice.from > watched.next
            && !(slice.omitted_from <= watched.next && slice.from <= slice.omitted_to);
        if dropped {
            self.read_gap(out, task);
        } else {
            self.show_output(out, task, slice);
        }
    }

    /// What was read of a gap.
    pub(super) fn gap_read(&mut self, out: &mut Out, id: OpId, task: &TaskId, slice: OutputSlice) {
        if let Some(watched) = self.watched.get_mut(task)
            && watched.reading == Some(id)
        {
            watched.reading = None;
            let behind = slice.from + (slice.data.0.len() as u64) < slice.total;
            self.show_output(out, task, slice);
            if behind {
                self.read_gap(out, task);
            }
        }
    }

    fn read_gap(&mut self, out: &mut Out, task: &TaskId) {
        let id = self.link.fresh_op();
        let Some(watched) = self.watched.get_mut(task) else { return };
        watched.reading = Some(id);
        let op = Op::ReadOutput { task: task.clone(), from: watched.next, max: READ_BYTES };
        if let Some(frame) = self.link.request(id, op, Purpose::Own) {
            self.send(out, frame);
        }
    }

    /// Shows what is new of a piece.
    fn show_output(&mut self, out: &mut Out, task: &TaskId, mut slice: OutputSlice) {
        let Some(watched) = self.watched.get_mut(task) else { return };
        let end = slice.from + slice.data.0.len() as u64;
        if end <= watched.next && watched.next > 0 {
            return;
        }
        if slice.from < watched.next {
            let known =
                usize::try_from(watched.next - slice.from).unwrap_or(usize::MAX).min(slice.data.0.len());
            slice.data.0.drain(..known);
            slice.from = watched.next;
        }
        watched.next = end;
        out.patches.push(Patch::Output { task: task.clone(), slice });
    }
}
