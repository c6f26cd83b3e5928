//! What the agent knows besides its log: a call, a question, a replay and watched output, each while it
//! lasts.

use std::collections::BTreeSet;

use shared::task::Task;
use shared::{OpId, Seq, Timestamp};

use crate::call::CallId;
use crate::model::Stream;
use crate::settings::Rule;

/// A call under way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) call: CallId,
    /// Whether it goes through the runner, and so dies with the socket.
    pub(super) relayed: bool,
    /// Whether anything of the answer was shown.
    pub(super) answering: bool,
    pub(super) stream: Stream,
    pub(super) heard: Timestamp,
}

/// A tool use that waits for an approval, as shown.
#[derive(Debug, PartialEq)]
pub(super) struct Asking {
    pub(super) index: usize,
    pub(super) always: Vec<Rule>,
}

/// A replay under way.
#[derive(Debug)]
pub(super) struct Replay {
    /// Its last event; not known before the welcome.
    pub(super) last: Option<Seq>,
    /// When it is no longer waited for, unless more comes.
    pub(super) until: Timestamp,
    /// The last event that will not come.
    pub(super) missed: Option<Seq>,
    /// Whether events are missing; otherwise the log has them all, and only a completion is owed.
    pub(super) hole: bool,
    /// The session's tasks as they were when it began.
    pub(super) tasks: Vec<Task>,
}

impl Replay {
    /// Whether the runner has sent all of it once it has sent this. A long one settles more than once on its
    /// way.
    pub(super) fn is_sent(&self, through: Seq) -> bool {
        self.last.is_some_and(|last| through >= last)
    }
}

/// A task whose output somebody looks at.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Who looks at it: this tab, and those that follow.
    pub(super) viewers: BTreeSet<u64>,
    /// The next offset wanted.
    pub(super) next: u64,
    /// A gap is being read.
    pub(super) reading: Option<OpId>,
}
