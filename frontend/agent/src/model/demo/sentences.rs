//! What the demo says of what happened, and nothing that it does not know.

use shared::task::TaskState;

use super::facts::{Facts, Known, Step};
use crate::notice::{self, cut_head};

/// What it is; said first.
pub(super) const INTRODUCTION: &str = "I am the demo: a script, no language model.";
/// How to connect a real model; said once.
pub(super) const ADVICE: &str =
    "For a real model, put a key into the settings, or start the runner with ANTHROPIC_API_KEY set.";
/// The answer to everything that it does not know.
pub(super) const HELP: &str = "I am the demo: a script, no language model, so I cannot answer that. I play three examples with real commands, and you may change what stands between their quotes:

- Run \"sleep 5 && echo done\" in the background, then create a file while it runs
- Start 3 background tasks: \"sleep 2\", \"sleep 4\", \"sleep 6\". Check their status.
- Run pytest in the background and keep working on other things

And I run commands of yours: `$ ls -la` at once, `& sleep 5` in the background.

For a real model, put a key into the settings, or start the runner with ANTHROPIC_API_KEY set.";

const SHOWN_LINES: usize = 12;
const LINE_CHARS: usize = 200;

/// Text as code within a line.
pub(super) fn code(text: &str) -> String {
    let line = cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 160);
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}

fn cut(line: &str, chars: usize) -> String {
    let head = cut_head(line, chars);
    if head.len() < line.len() { head + "…" } else { head }
}

/// `a`, `b` and `c`.
pub(super) fn list(items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| code(item)).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The last lines of an output, as a block of code.
fn block(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let left_out = lines.len().saturating_sub(SHOWN_LINES);
    let shown: Vec<String> = lines[left_out..].iter().map(|line| cut(line, LINE_CHARS)).collect();
    let shown = shown.join("\n");
    let longest = shown.split(|sign| sign != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let more = if left_out > 0 { format!("\n\n({left_out} more lines before)") } else { String::new() };
    format!("\n\n{fence}text\n{shown}\n{fence}{more}")
}

fn printed(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.as_slice() {
        [] => " It printed nothing.".to_owned(),
        [line] if line.len() <= 120 => format!(" It printed {}.", code(line)),
        lines => format!(" Of its output:{}", block(&lines.join("\n"))),
    }
}

/// A task's end in a sentence or two.
pub(super) fn completion(known: &Known) -> String {
    ended(known, usize::MAX)
}

/// The same with so many facts.
fn ended(known: &Known, facts: usize) -> String {
    let name = code(&known.command);
    let Some((task, preview)) = &known.completion else { return format!("{name} still runs.") };
    let facts = notice::facts(task).into_iter().take(facts).collect::<Vec<_>>().join(", ");
    let facts = if facts.is_empty() { facts } else { format!(" ({facts})") };
    let what = match &task.state {
        TaskState::Completed => format!("{name} is done{facts}."),
        TaskState::Failed { .. } => format!("{name} failed{facts}."),
        TaskState::Killed { .. } => format!("{name} was ended by a signal{facts}."),
        TaskState::Timeout => format!("{name} ran into its time limit and was ended{facts}."),
        TaskState::Stopped { .. } => format!("{name} was stopped{facts}."),
        TaskState::Lost { reason } => format!("{name} was lost: {reason}"),
        TaskState::Error { reason } => format!("{name} could not be run: {reason}"),
        TaskState::Queued | TaskState::Running => format!("{name} still runs."),
    };
    what + &printed(&preview.head)
}

/// The same for the workspace's tests.
pub(super) fn tests_completion(known: &Known) -> String {
    let state = known.completion.as_ref().map(|(task, _)| &task.state);
    let verdict = match state {
        Some(TaskState::Completed) => "The tests passed: ",
        Some(TaskState::Failed { code: 5 }) if known.command.contains("pytest") => "pytest found no tests: ",
        Some(TaskState::Failed { code: 126 | 127 }) => {
            "The tests could not be run, since the shell does not find the program: "
        }
        Some(TaskState::Failed { .. }) => "The tests failed: ",
        _ => "How the tests went is not known: ",
    };
    verdict.to_owned() + &completion(known)
}

/// How a task stands, as a line of a list.
pub(super) fn line(known: &Known) -> String {
    let status =
        known.completion.as_ref().map_or_else(|| "running".to_owned(), |(task, _)| notice::status(task));
    format!("- {} (task {}): {status}", code(&known.command), known.id)
}

/// How the tasks of a wish stand together; nothing to say of a single one.
pub(super) fn standing(facts: &Facts) -> Option<String> {
    let own: Vec<&Known> = facts.own().collect();
    let running: Vec<&str> =
        own.iter().filter(|task| task.completion.is_none()).map(|task| task.command.as_str()).collect();
    let well = own
        .iter()
        .all(|known| known.completion.as_ref().is_some_and(|(task, _)| task.state == TaskState::Completed));
    let how = if well { "are done" } else { "have ended" };
    match (running.is_empty(), own.len()) {
        (true, 0 | 1) => None,
        (true, 2) => Some(format!("Both {how}.")),
        (true, 3) => Some(format!("All three {how}.")),
        (true, many) => Some(format!("All {many} {how}.")),
        (false, _) => Some(format!("Still running: {}.", list(&running))),
    }
}

/// Why a step failed.
pub(super) fn failure(step: &Step) -> String {
    let what = code(step.call.subject());
    match step.denied.as_deref().map(str::trim) {
        Some("") => format!("You did not allow {what}, so it was not done."),
        Some(reason) => format!("You did not allow {what} and said: “{reason}”. So it was not done."),
        None => format!("{what} did not go well:{}", block(&step.result)),
    }
}

/// How a command went that was waited for.
pub(super) fn ran(facts: &Facts, step: &Step) -> String {
    match step.task.as_ref().and_then(|id| facts.task(id)) {
        Some(known) if known.completion.is_some() => ended(known, 1),
        Some(known) => format!(
            "{} takes longer, so it goes on in the background as task {}. I will hear when it ends.",
            code(&known.command),
            known.id
        ),
        None if step.failed => failure(step),
        None => format!("{} is done:{}", code(step.call.subject()), block(&step.result)),
    }
}

/// What a README is about, by its headings.
pub(super) fn headings(step: &Step) -> String {
    if step.failed {
        return failure(step);
    }
    let headings = step.result.lines().filter(|line| line.starts_with('#'));
    let headings: Vec<&str> =
        headings.map(|line| line.trim_matches(['#', ' '])).filter(|line| !line.is_empty()).take(6).collect();
    match headings.as_slice() {
        [] => "README.md has no headings.".to_owned(),
        headings => format!("The beginning of README.md has these headings: {}.", list(headings)),
    }
}

/// What was written.
pub(super) fn wrote(step: &Step) -> String {
    if step.failed { failure(step) } else { format!("{} is there.", code(step.call.subject())) }
}
