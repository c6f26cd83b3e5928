//! What the card of a tool use shows of its arguments and of its result.

use serde_json::Value;
use shared::Timestamp;
use shared::tools::ToolCall;

use super::proposal;
use crate::record::ToolOutcome;
use crate::view::{ToolCard, ToolState};

/// Fills in what a card shows of its arguments.
pub(super) fn describe(card: &mut ToolCard, input: &Value) {
    match ToolCall::parse(&card.name, input) {
        Ok(call) => {
            call.subject().clone_into(&mut card.subject);
            proposal::describe(card, &call);
        }
        Err(_) => card.input = format!("{input:#}"),
    }
}

pub(super) fn finish(card: &mut ToolCard, at: Timestamp, outcome: &ToolOutcome) {
    card.state = match (outcome.skipped, outcome.is_error) {
        (true, _) => ToolState::Skipped,
        (false, true) => ToolState::Failed,
        (false, false) => ToolState::Done,
    };
    card.ended = Some(at);
    card.label.clone_from(&outcome.label);
    card.output.clone_from(&outcome.content);
    card.diff.clone_from(&outcome.diff);
    if outcome.task.is_some() {
        card.task.clone_from(&outcome.task);
    }
}
