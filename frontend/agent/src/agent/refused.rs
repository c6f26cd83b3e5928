//! What the model's server refuses for its content: a conversation must not die of it.
//!
//! What tools read is cut and asked with again, by itself. What is refused all the same, the person takes
//! back: their message comes back to them, and results that must be answered stay as a word that they were
//! left out. Until then nothing is added to what would be refused again.

use super::{Agent, Out};
use crate::model::ModelError;
use crate::record::Record;
use crate::session::Phase;
use crate::view::Flash;

impl Agent {
    /// Whether what was sent last was refused for what it holds, and waits for the person.
    pub(super) fn is_refused(&self) -> bool {
        matches!(&self.session.phase, Phase::Failed { error, retry_at: None } if error.refuses_content())
    }

    /// Whether the conversation no longer fits the model: nothing is added to it, unless another model is
    /// chosen.
    pub(super) fn is_full(&self) -> bool {
        match &self.session.phase {
            Phase::Failed { error, retry_at: None } => error.is_too_large(),
            Phase::Idle => self.session.full && self.session.model == self.resolved_model(),
            Phase::Failed { .. } | Phase::AwaitingModel | Phase::RunningTools(_) | Phase::ReadyToSend(_) => {
                false
            }
        }
    }

    /// Takes back what was refused.
    pub(super) fn take_back(&mut self, out: &mut Out) {
        if !self.is_refused() {
            return;
        }
        let text = self.session.unanswered.join("\n\n");
        self.again = false;
        self.record(out, Record::TakenBack { call: self.session.call });
        if !text.is_empty() {
            out.flash(Flash::Draft { text });
        }
    }

    /// A request that was too large is made again at once if what tools read can be cut; false if there is
    /// nothing to cut.
    pub(super) fn shorten(&mut self, out: &mut Out, error: &ModelError, shown: bool) -> bool {
        let Some(limit) = error.is_too_large().then(|| self.session.transcript.shorter()).flatten() else {
            return false;
        };
        let (call, error) = (self.session.call, error.clone());
        self.record(out, Record::CallFailed { call, error, retry_at: Some(out.now), shown });
        self.record(out, Record::Shortened { call, limit });
        true
    }
}
