//! What the demo says of what happened, and nothing that it does not know.

use shared::TaskId;
use shared::task::{Task, TaskState};
use shared::tools::ToolCall;

use super::facts::{Facts, Step};
use super::project::LOOK;
use super::text::{code, cut, list};
use crate::notice;

/// What it is; said first.
pub(super) const INTRODUCTION: &str = "I am the demo: a script, no language model.";
/// How to connect a real model; said once.
pub(super) const ADVICE: &str =
    "For a real model, put a key into the settings, or start the runner with ANTHROPIC_API_KEY set.";

/// The answer to everything that it does not know.
pub(super) fn help() -> String {
    let introduction = INTRODUCTION.trim_end_matches('.');
    let examples = super::examples().map(|example| format!("- {}\n", example.wish)).concat();
    format!(
        "{introduction}, so I cannot answer that. I play three examples with real commands, and you may change what stands between their quotes:\n\n{examples}\nAnd I run commands of yours: `$ ls -la` at once, `& sleep 5` in the background.\n\n{ADVICE}"
    )
}

/// What was printed, or the last lines of it.
fn printed(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let left_out = lines.len().saturating_sub(12);
    let shown = lines[left_out..].iter().map(|line| cut(line)).collect::<Vec<_>>().join("\n");
    // Longer than any in it.
    let fence = "`".repeat(shown.split(|sign| sign != '`').map(str::len).max().unwrap_or(0).max(2) + 1);
    match (lines.as_slice(), left_out) {
        ([], _) => "It printed nothing.".to_owned(),
        ([line], _) if line.len() <= 120 => format!("It printed {}.", code(line)),
        (_, 0) => format!("Of its output:\n\n{fence}text\n{shown}\n{fence}"),
        _ => format!("Of its output:\n\n{fence}text\n{shown}\n{fence}\n\n({left_out} more lines before)"),
    }
}

/// How a task ended, with the first so many facts of it, and what it printed.
pub(super) fn end(task: &Task, output: &str, facts: usize) -> String {
    let how = match &task.state {
        TaskState::Completed => "is done",
        TaskState::Failed { .. } => "failed",
        TaskState::Timeout => "ran into its time limit",
        TaskState::Lost { reason } => &format!("was lost: {}", reason.trim_end_matches('.')),
        TaskState::Error { reason } => &format!("could not be run: {}", reason.trim_end_matches('.')),
        TaskState::Killed { .. } | TaskState::Stopped { .. } => "was ended",
        TaskState::Queued | TaskState::Running => "still runs",
    };
    let facts = notice::facts(task).into_iter().take(facts).collect::<Vec<_>>().join(", ");
    let facts = if facts.is_empty() { facts } else { format!(" ({facts})") };
    format!("{} {how}{facts}. {}", code(&task.command), printed(output))
}

/// What this end says of the workspace's tests.
pub(super) fn verdict(task: &Task) -> &'static str {
    match (&task.state, task.command.contains("pytest")) {
        (TaskState::Completed, _) => "The tests passed: ",
        (TaskState::Failed { code: 5 }, true) => "pytest found no tests: ",
        (TaskState::Failed { code: 126 | 127 }, _) => "The tests could not be run: ",
        (TaskState::Failed { .. }, _) => "The tests failed: ",
        _ => "How the tests went is not known: ",
    }
}

/// What came of a step. There is nothing to say of a task that was started, nor of the look for tests.
pub(super) fn step(facts: &Facts, step: &Step) -> Option<String> {
    let (subject, outcome) = (code(step.call.subject()), &step.outcome);
    let ended = outcome.task.as_ref().and_then(|id| facts.ended.get(id));
    if let Some(reason) = step.denied.as_deref().map(str::trim) {
        let so = if reason.is_empty() { ", so".to_owned() } else { format!(" and said: “{reason}”. So") };
        return Some(format!("You did not allow {subject}{so} it was not done."));
    }
    match (&step.call, ended, &outcome.task) {
        (ToolCall::BackgroundRun(_), ..) if !outcome.is_error => None,
        (ToolCall::Bash(bash), ..) if bash.command == LOOK && !outcome.is_error => None,
        (ToolCall::Bash(_), Some((task, output)), _) => Some(end(task, output, 1)),
        (ToolCall::Bash(_), None, Some(id)) => Some(format!(
            "{subject} takes longer, so it goes on in the background as task {id}. I will hear when it ends."
        )),
        _ if outcome.is_error => Some(format!("{subject} did not go well. {}", printed(&outcome.content))),
        (ToolCall::ReadFile(_), ..) => Some(headings(&outcome.content)),
        (ToolCall::CheckBackground(_), ..) => Some(facts.own().map(|own| line(facts, own)).collect()),
        _ => Some(format!("{subject} is there.")),
    }
}

/// What a README is about, by its headings.
fn headings(text: &str) -> String {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_matches(['#', ' ']));
    match list(headings.filter(|line| !line.is_empty()).take(6).map(code)) {
        none if none.is_empty() => "README.md has no headings.".to_owned(),
        headings => format!("The beginning of README.md has these headings: {headings}."),
    }
}

/// How a task stands, as a line of a list.
fn line(facts: &Facts, (id, command): (&TaskId, &str)) -> String {
    let status = facts.ended.get(id).map_or_else(|| "running".to_owned(), |(task, _)| notice::status(task));
    format!("- {} (task {id}): {status}\n", code(command))
}

/// How the tasks stand that were started for the last text; nothing to add of a single one that has ended.
pub(super) fn standing(facts: &Facts) -> Option<String> {
    let (ended, running): (Vec<_>, Vec<_>) = facts.own().partition(|(id, _)| facts.ended.contains_key(*id));
    let name = |id: &TaskId| if facts.woken { String::new() } else { format!(" (task {id})") };
    let still = list(running.iter().map(|(id, command)| code(command) + &name(id)));
    let well = |id: &TaskId| facts.ended.get(id).is_some_and(|(task, _)| task.state == TaskState::Completed);
    let how = if ended.iter().all(|(id, _)| well(id)) { "are done" } else { "have ended" };
    Some(match (running.len(), ended.len()) {
        (0, 0 | 1) => return None,
        (0, 2) => format!("Both {how}."),
        (0, 3) => format!("All three {how}."),
        (0, many) => format!("All {many} {how}."),
        _ if facts.woken => format!("Still running: {still}."),
        (1, _) => {
            format!("{still} still runs. I end my turn here: its result comes by itself, and then I go on.")
        }
        _ => format!("Still running: {still}. I end my turn here: the results come by themselves."),
    })
}
