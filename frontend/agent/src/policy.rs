//! Placeholder.
use crate::settings::{Mode, Rule};
use shared::tools::ToolCall;
pub enum Verdict {
    Allow,
    Ask { reason: String, always: Vec<Rule> },
}
pub fn decide(_call: &ToolCall, _mode: Mode, _rules: &[Rule], _workspace: &str) -> Verdict {
    Verdict::Allow
}
