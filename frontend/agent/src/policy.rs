//! Decides before a tool use is carried out whether it needs the person's approval.
//!
//! A verdict comes of the call, the mode, the rules and the workspace alone: nothing that a task prints can change it. Commands are read by
//! [`shell`], a reader that understands little and says so; what it does not understand is asked for. What [`harmless`] knows runs unasked:
//! it changes nothing and reads nothing outside the workspace.

mod harmless;
mod prefix;
mod shell;

use shared::tools::{BackgroundRun, Bash, ToolCall};

use crate::settings::{Mode, Rule};

/// Whether a tool use may be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may, held to reading by the kernel: its words say that it only reads, and words can be wrong.
    ReadOnly,
    /// The person decides.
    Ask {
        /// Why, in a short sentence.
        reason: String,
        /// What "always" can mean here: exactly this, then a safe prefix if there is one. Empty if it can mean nothing.
        always: Vec<Rule>,
    },
}

/// Decides on a tool use.
#[must_use]
pub fn decide(call: &ToolCall, mode: Mode, rules: &[Rule], workspace: &str) -> Verdict {
    if mode == Mode::Auto {
        return Verdict::Allow;
    }
    match call {
        ToolCall::ReadFile(_) | ToolCall::CheckBackground(_) | ToolCall::StopBackground(_) => Verdict::Allow,
        ToolCall::WriteFile(_) | ToolCall::EditFile(_) => decide_edit(call.subject(), mode, rules, workspace),
        ToolCall::Bash(Bash { command, .. }) | ToolCall::BackgroundRun(BackgroundRun { command, .. }) => {
            decide_command(command, rules, workspace)
        }
        ToolCall::SendInput(_) => Verdict::Ask {
            reason: "It writes to a running program, which may do anything with it.".to_owned(),
            always: Vec::new(),
        },
    }
}

/// The question in place of [`Verdict::ReadOnly`] where the runner's system cannot hold a command to reading.
#[must_use]
pub fn ask_unheld(call: &ToolCall, workspace: &str) -> Verdict {
    let exact = Rule::Exact { command: call.subject().to_owned(), workspace: workspace.to_owned() };
    Verdict::Ask {
        reason: "It seems only to read, but this system cannot hold it to that.".to_owned(),
        always: vec![exact],
    }
}

/// The question in place of [`Verdict::ReadOnly`] for a command that failed when it was held to reading.
#[must_use]
pub fn ask_refused(call: &ToolCall, workspace: &str) -> Verdict {
    let exact = Rule::Exact { command: call.subject().to_owned(), workspace: workspace.to_owned() };
    Verdict::Ask {
        reason:
            "It seems only to read, but failed when it was held to that. Now it would run without that limit."
                .to_owned(),
        always: vec![exact],
    }
}

fn decide_edit(path: &str, mode: Mode, rules: &[Rule], workspace: &str) -> Verdict {
    // Git runs programs that its configuration names.
    if path.split(['/', '\\']).any(|part| part.eq_ignore_ascii_case(".git")) {
        return Verdict::Ask {
            reason: "It changes a file of git's own, which can make git run commands.".to_owned(),
            always: Vec::new(),
        };
    }
    let rule = Rule::Edits { workspace: workspace.to_owned() };
    if mode == Mode::AskCommands || rules.contains(&rule) {
        return Verdict::Allow;
    }
    Verdict::Ask { reason: "It changes a file.".to_owned(), always: vec![rule] }
}

fn decide_command(command: &str, rules: &[Rule], workspace: &str) -> Verdict {
    let exact = Rule::Exact { command: command.to_owned(), workspace: workspace.to_owned() };
    if rules.contains(&exact) {
        return Verdict::Allow;
    }
    let script = match shell::read(command) {
        Ok(script) => script,
        Err(trouble) => return Verdict::Ask { reason: trouble.to_string(), always: vec![exact] },
    };
    let Err(reason) = harmless::check(&script, workspace) else {
        return Verdict::ReadOnly;
    };
    let Some(words) = script.plain() else {
        return Verdict::Ask { reason, always: vec![exact] };
    };
    if rules.iter().any(|rule| prefix::covers(rule, words, workspace)) {
        return Verdict::Allow;
    }
    let offered = prefix::offer(words).map(|words| Rule::Prefix { words, workspace: workspace.to_owned() });
    Verdict::Ask { reason, always: [exact].into_iter().chain(offered).collect() }
}

#[cfg(test)]
mod tests;
