//! The session's line in the list of sessions.

use super::Agent;
use crate::effect::SessionSummary;

impl Agent {
    /// Whether messages go on by themselves once the runner is there.
    fn waits_for_runner(&self) -> bool {
        !self.session.queue.messages().is_empty() && !self.is_refused() && !self.is_full()
    }

    pub(super) fn summary(&self) -> Option<SessionSummary> {
        Some(SessionSummary {
            session: self.session.id?,
            title: self.session.title().to_owned(),
            created: self.session.created,
            updated: self.session.updated,
            workspace: self
                .session
                .preamble
                .as_ref()
                .map(|preamble| preamble.workspace.clone())
                .unwrap_or_default(),
            running: self.own_active(),
            asks: self.asking.is_some(),
            busy: self.is_busy(),
            waits: self.waits_for_runner(),
        })
    }
}
