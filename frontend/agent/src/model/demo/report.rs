//! Words what results say, and nothing that they do not say.

use std::fmt::Write as _;

use super::commands::in_words;
use super::story::{End, Step, Story, Task};

/// What the demo is; said once.
pub(super) const INTRODUCTION: &str = "I am the demo: a script, no language model.";
/// How to connect a real model; said once.
pub(super) const ADVICE: &str =
    "For a real model, put a key into the settings, or start the runner with ANTHROPIC_API_KEY set.";

const SHOWN_LINES: usize = 12;
const SHOWN_CHARS: usize = 1_200;

/// Text as code within a line.
pub(super) fn code(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = cut(&line, 160);
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}

/// Output as a block of code: its last lines, or its first.
pub(super) fn block(output: &str, tail: bool) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let left_out = lines.len().saturating_sub(SHOWN_LINES);
    let shown = if tail { &lines[left_out..] } else { &lines[..lines.len() - left_out] };
    let shown: Vec<String> = shown.iter().map(|line| cut(line, SHOWN_CHARS / SHOWN_LINES * 2)).collect();
    let shown = shown.join("\n");
    let longest = shown.split(|sign| sign != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let mut text = format!("\n\n{fence}text\n{shown}\n{fence}");
    if left_out > 0 {
        let _ = write!(text, "\n\n({left_out} more lines {})", if tail { "before" } else { "follow" });
    }
    text
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `a`, `b` and `c`.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| code(item.as_ref())).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Commands, those that are the same named once.
pub(super) fn commands(commands: &[String]) -> String {
    match commands {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|command| command == first) => {
            format!("{} {} times", code(first), in_words(commands.len()))
        }
        _ => list(commands),
    }
}

fn named(task: &Task) -> String {
    if task.command.is_empty() { format!("Task {}", task.id) } else { code(&task.command) }
}

/// A task's end in a sentence or two.
pub(super) fn end(task: &Task, end: &End) -> String {
    let name = named(task);
    let facts = if end.facts.is_empty() { String::new() } else { format!(" ({})", end.facts) };
    let what = match end.word.as_str() {
        "completed" => format!("{name} is done{facts}."),
        "failed" => format!("{name} failed{facts}."),
        "killed" => format!("{name} was ended by a signal{facts}."),
        "timeout" => format!("{name} ran into its time limit and was ended{facts}."),
        "stopped" => format!("{name} was stopped{facts}."),
        "lost" => {
            format!("{name} was lost{facts}: the runner ended while it ran, so how it went is not known.")
        }
        "error" => format!("{name} could not be run{facts}."),
        word => format!("{name} ended: {word}{facts}."),
    };
    what + &output(&end.output, end.word != "completed")
}

/// The same for the workspace's tests.
pub(super) fn tests_end(task: &Task, end: &End) -> String {
    let exit = end.facts.split(", ").next().unwrap_or_default();
    let verdict = match (end.word.as_str(), exit) {
        ("completed", _) => "The tests passed: ",
        ("failed", "exit 5") if task.command.contains("pytest") => "pytest found no tests to run: ",
        ("failed", "exit 126" | "exit 127") => {
            "The tests could not be run, since the shell does not find the program: "
        }
        ("failed", _) => "The tests failed: ",
        _ => "How the tests went is not known: ",
    };
    let last: Vec<String> = end.output.iter().rev().take(8).rev().cloned().collect();
    verdict.to_owned() + &self::end(task, &End { output: last, ..end.clone() })
}

fn output(lines: &[String], tail: bool) -> String {
    let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
    match lines.as_slice() {
        [] => " It printed nothing.".to_owned(),
        [line] if line.len() <= 120 => format!(" It printed {}.", code(line)),
        lines => format!(" Of its output:{}", block(&lines.join("\n"), tail)),
    }
}

/// Why a step failed.
pub(super) fn failure(step: &Step) -> String {
    let what =
        ["command", "path", "task_id"].iter().map(|name| step.text(name)).find(|text| !text.is_empty());
    let what = code(what.unwrap_or(&step.name));
    if let Some(rest) = step.result.strip_prefix("The user did not allow this.") {
        return match rest.trim().strip_prefix("They said:") {
            Some(words) => {
                format!("You did not allow {what} and said: “{}”. So it was not done.", words.trim())
            }
            None => format!("You did not allow {what}, so it was not done."),
        };
    }
    format!("{what} did not go well:{}", block(&step.result, true))
}

/// What a `bash` command printed.
pub(super) fn ran(step: &Step) -> String {
    if let Some(id) = step.task_id() {
        return format!(
            "{} takes longer, so it goes on in the background as task {id}. I will hear when it ends.",
            code(step.text("command"))
        );
    }
    if step.failed {
        return failure(step);
    }
    let name = code(step.text("command"));
    match step.result.trim() {
        "" | "(no output)" => format!("{name} is done (exit 0). It printed nothing."),
        output => format!("{name} is done (exit 0):{}", block(output, true)),
    }
}

/// What is left to run of the wishes whose tasks have just ended.
pub(super) fn left(story: &Story) -> Vec<String> {
    let mut told = Vec::new();
    let mut wishes: Vec<usize> =
        story.fresh.iter().map(|place| story.tasks[*place].wish).filter(|wish| *wish > 0).collect();
    wishes.dedup();
    for wish in wishes {
        let tasks: Vec<&Task> = story.tasks.iter().filter(|task| task.wish == wish).collect();
        told.extend(standing(&tasks));
    }
    told
}

/// How several tasks stand together; nothing to say of a single one that has ended.
pub(super) fn standing(tasks: &[&Task]) -> Option<String> {
    let running: Vec<&str> =
        tasks.iter().filter(|task| task.end.is_none()).map(|task| task.command.as_str()).collect();
    let well = tasks.iter().all(|task| task.end.as_ref().is_some_and(|end| end.word == "completed"));
    match (running.as_slice(), tasks.len()) {
        ([], 0 | 1) => None,
        ([], 2) => Some(if well { "Both are done." } else { "Both have ended." }.to_owned()),
        ([], count) => {
            Some(format!("All {} {}.", in_words(count), if well { "are done" } else { "have ended" }))
        }
        (running, _) => Some(format!("Still running: {}.", list(running))),
    }
}

/// What a README is about, by its headings.
pub(super) fn headings(step: &Step) -> String {
    if step.failed {
        return failure(step);
    }
    let headings: Vec<&str> = step
        .result
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_matches(['#', ' ']))
        .filter(|line| !line.is_empty())
        .take(6)
        .collect();
    match headings.as_slice() {
        [] => format!("README.md begins so:{}", block(&step.result, false)),
        headings => format!("The beginning of README.md has these headings: {}.", list(headings)),
    }
}

/// What was written.
pub(super) fn wrote(step: &Step) -> String {
    if step.failed { failure(step) } else { format!("{} is there. {}", code(step.text("path")), step.result) }
}
