//! Decides before a tool use is carried out whether it needs the person's approval.
//!
//! A verdict comes of the call, the mode, the rules and the workspace alone: nothing that a task prints can
//! change it. Commands are read by [`shell`], a reader that understands little and says so; what it does not
//! understand is asked for. What [`read_only`] knows runs unasked: it changes nothing and reads nothing
//! outside the workspace.

mod danger;
mod prefix;
mod read_only;
mod scripts;
mod shell;
mod split;

use shared::tools::{BackgroundRun, Bash, SendInput, ToolCall};

use crate::settings::{Mode, Rule};
use crate::view::Danger;

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
        /// What "always" can mean here: exactly this, then a safe prefix if there is one. Empty if it can
        /// mean nothing, and for what is dangerous.
        always: Vec<Rule>,
        /// What is dangerous in it, part by part.
        dangers: Vec<Danger>,
    },
}

/// Where tool uses are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace<'a> {
    /// Its path: absolute.
    pub path: &'a str,
    /// What it is instead of a project's folder, as a sentence, if it is so wide that every change of a file
    /// is asked for.
    pub wide: Option<&'a str>,
}

/// Decides on a tool use.
#[must_use]
pub fn decide(call: &ToolCall, mode: Mode, rules: &[Rule], workspace: Workspace<'_>) -> Verdict {
    if mode == Mode::Auto {
        return Verdict::Allow;
    }
    match call {
        ToolCall::ReadFile(_) | ToolCall::CheckBackground(_) | ToolCall::StopBackground(_) => Verdict::Allow,
        ToolCall::WriteFile(_) | ToolCall::EditFile(_) => decide_edit(call.subject(), mode, rules, workspace),
        ToolCall::Bash(Bash { command, .. }) | ToolCall::BackgroundRun(BackgroundRun { command, .. }) => {
            decide_command(command, rules, workspace.path)
        }
        ToolCall::SendInput(SendInput { text, .. }) => Verdict::Ask {
            reason: "It writes to a running program, which may do anything with it.".to_owned(),
            always: Vec::new(),
            dangers: danger::of_input(text, workspace.path),
        },
    }
}

/// The question in place of [`Verdict::ReadOnly`] where the runner's system cannot hold a command to reading.
#[must_use]
pub fn ask_without_sandbox(call: &ToolCall, workspace: &str) -> Verdict {
    let exact = Rule::Exact { command: call.subject().to_owned(), workspace: workspace.to_owned() };
    let reason = "It seems only to read, but this system cannot hold it to that.";
    ask(reason.to_owned(), vec![exact], danger::of(call.subject(), workspace))
}

/// The question in place of [`Verdict::ReadOnly`] for a command that failed when it was held to reading.
#[must_use]
pub fn ask_refused(call: &ToolCall, workspace: &str) -> Verdict {
    let tried = "tried what reading does not need, and was refused".to_owned();
    let tried = Danger { part: String::new(), what: vec![tried] };
    let reason =
        "It seems only to read, but failed when it was held to that. Now it would run without that limit.";
    ask(
        reason.to_owned(),
        Vec::new(),
        [tried].into_iter().chain(danger::of(call.subject(), workspace)).collect(),
    )
}

/// The question after the runner refused what nobody was asked about: a change of a file, since a link may
/// have hidden what it is, or a command that it could not hold to reading any more.
#[must_use]
pub fn ask_first(call: &ToolCall, reason: &str, workspace: &str) -> Verdict {
    let is_command = matches!(call, ToolCall::Bash(_) | ToolCall::BackgroundRun(_));
    let subject = call.subject();
    let dangers = if is_command { danger::of(subject, workspace) } else { vec![by_itself(subject)] };
    ask(reason.to_owned(), Vec::new(), dangers)
}

/// A question; what is dangerous is asked for each time.
fn ask(reason: String, mut always: Vec<Rule>, dangers: Vec<Danger>) -> Verdict {
    if !dangers.is_empty() {
        always.clear();
    }
    Verdict::Ask { reason, always, dangers }
}

fn by_itself(path: &str) -> Danger {
    let what = vec!["may change what runs by itself later".to_owned()];
    Danger { part: shared::shown::line(path), what }
}

fn decide_edit(path: &str, mode: Mode, rules: &[Rule], workspace: Workspace<'_>) -> Verdict {
    if let Some(what) = shared::by_itself::what(path) {
        return Verdict::Ask {
            reason: format!("It changes {what}, which can run commands by itself later."),
            always: Vec::new(),
            dangers: vec![by_itself(path)],
        };
    }
    if let Some(wide) = workspace.wide {
        return Verdict::Ask { reason: wide.to_owned(), always: Vec::new(), dangers: Vec::new() };
    }
    let rule = Rule::Edits { workspace: workspace.path.to_owned() };
    if mode == Mode::AskCommands || rules.contains(&rule) {
        return Verdict::Allow;
    }
    Verdict::Ask { reason: "It changes a file.".to_owned(), always: vec![rule], dangers: Vec::new() }
}

fn decide_command(command: &str, rules: &[Rule], workspace: &str) -> Verdict {
    let exact = Rule::Exact { command: command.to_owned(), workspace: workspace.to_owned() };
    if rules.contains(&exact) {
        return Verdict::Allow;
    }
    let read = shell::read(command);
    let dangers = danger::of(command, workspace);
    let words = read.as_ref().ok().and_then(shell::Script::plain).filter(|_| dangers.is_empty());
    // What was allowed for good is not held to reading as well.
    if words.is_some_and(|words| rules.iter().any(|rule| prefix::covers(rule, words, workspace))) {
        return Verdict::Allow;
    }
    let reason = match &read {
        Ok(script) => match read_only::check(script, workspace) {
            Ok(()) => return Verdict::ReadOnly,
            Err(reason) => reason,
        },
        Err(unreadable) => unreadable.to_string(),
    };
    let offered = words
        .and_then(|words| prefix::offer(words, workspace))
        .map(|prefix| Rule::Prefix { prefix, workspace: workspace.to_owned() });
    ask(reason, [exact].into_iter().chain(offered).collect(), dangers)
}

#[cfg(test)]
mod tests;
