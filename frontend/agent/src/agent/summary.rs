//! The session's line in the list of sessions.

use super::Agent;
use crate::effect::SessionSummary;
use crate::session::Phase;

impl Agent {
    /// Whether messages go on by themselves once the runner is there.
    fn waits_for_runner(&self) -> bool {
        let waits_for_person = matches!(self.session.phase, Phase::Failed { retry_at: None, .. });
        !self.session.queue.messages().is_empty() && !waits_for_person && !self.is_full()
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
