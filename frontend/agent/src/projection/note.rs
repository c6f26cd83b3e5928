//! How the end of an answer and the errors of a model read to people.

use crate::model::{ModelError, Stop};
use crate::view::Severity;

pub(super) const fn stop_severity(stop: &Stop) -> Severity {
    match stop {
        Stop::End | Stop::Pause => Severity::Good,
        Stop::MaxTokens | Stop::Stopped | Stop::Other { .. } => Severity::Warn,
        Stop::Refusal | Stop::ContextFull | Stop::Cut { .. } => Severity::Bad,
    }
}

/// `over`: a pause that is not gone on with.
pub(super) fn stop_text(stop: &Stop, empty: bool, over: bool) -> Option<(Severity, String)> {
    Some(match stop {
        Stop::Pause if over => (
            Severity::Warn,
            "The model's server paused again and again, or where nothing goes on by itself, so the turn ends here. Say “go on” to continue.".to_owned(),
        ),
        Stop::End if empty => (Severity::Plain, "The model ended its turn without a word.".to_owned()),
        Stop::End | Stop::Pause => return None,
        Stop::MaxTokens => {
            (Severity::Warn, "The answer reached the model's limit of length. Say “go on” to have the rest.".to_owned())
        }
        Stop::Refusal => (Severity::Bad, "The model refused to answer. Its tools were not run. Put it in other words, or begin a new session.".to_owned()),
        Stop::ContextFull => (Severity::Bad, "The conversation no longer fits into the model's context. Go on in a new session, or choose a model with a larger one.".to_owned()),
        Stop::Stopped => (Severity::Plain, "You stopped the reply. Tasks go on.".to_owned()),
        Stop::Cut { reason } => {
            (Severity::Bad, format!("The answer broke off: {reason} What had come is kept. Say “go on” to continue."))
        }
        stop if stop.is_no_tool() => {
            (Severity::Warn, "The model stopped to use a tool, but named none. Say “go on” to continue.".to_owned())
        }
        Stop::Other { word } => (Severity::Warn, format!("The model stopped for a reason this page does not know: {word}. Its tools were not run.")),
    })
}

/// `shown`: some of the answer was read already, and has gone. `waits`: nothing is asked by itself.
pub(super) fn failed_text(error: &ModelError, shown: bool, waits: bool) -> String {
    let error = error_text(error);
    match (shown, waits) {
        (true, true) => format!("{error} What had come of the answer could not be kept."),
        (true, false) => {
            format!("An answer broke off and was taken back; the model is asked for it again. {error}")
        }
        (false, _) => error,
    }
}

/// So many events will not come.
pub(super) fn missed_text(events: u64) -> String {
    let events = if events > 1 { format!("{events} results") } else { "A result".to_owned() };
    format!(
        "{events} of this session did not come here: another browser, or another copy of this log, has taken them in, or they could not be read. What ended is told without its output, which the task's log still holds."
    )
}

/// An error for people.
#[must_use]
pub fn error_text(error: &ModelError) -> String {
    match &error.request_id {
        Some(id) => format!("{} (request {id})", error.message),
        None => error.message.clone(),
    }
}
