//! Tool uses on their way to the runner and back: which operation carries a call out, and what the model
//! reads of its reply.

use shared::output::Preview;
use shared::protocol::{BackgroundedBy, Checked, Op, Reply, Sandbox, Start};
use shared::task::{Party, Task, TaskState};
use shared::tools::{
    BASH_TIMEOUT_S, BackgroundRun, Bash, CheckBackground, EditFile, MAX_TIMEOUT_S, ReadFile, SendInput,
    StopBackground, ToolCall, WriteFile,
};
use shared::{Problem, TaskId};

use crate::record::ToolOutcome;
use crate::{notice, read_only_refusal};

/// How many characters of output a `bash` result holds.
const BASH_CHARS: u32 = 30_000;
/// How many characters of output a completion brings along; a notice shows 500 of them.
pub const NOTICE_CHARS: u32 = 4_000;
/// How many characters `check_background` shows of a task, and about as many of all together.
const CHECK_CHARS: u32 = 20_000;
/// How many characters it shows of each task of a list.
const LIST_CHARS: u32 = 2_000;
/// How many characters such an entry may have in all.
const LISTED_CHARS: usize = 4_000;
/// How many tasks it lists.
const LISTED: usize = 40;

/// How `check_background` says that a task has not ended.
pub const STILL_RUNNING: &str = "(still running; once it has ended, its result comes before your next call)";

/// The outcome of a command that was held to reading, with the way out if that may be why it failed.
#[must_use]
pub fn read_only(mut outcome: ToolOutcome) -> ToolOutcome {
    outcome.refused = read_only_refusal::is_refused(outcome.is_error, &outcome.content);
    if outcome.refused {
        outcome.content.push_str(&format!("\n[{}]", read_only_refusal::REFUSED));
    }
    outcome
}

/// The operation that carries a call out; a command of it is held to this. `approved`: the person allowed it.
#[must_use]
pub fn operation(call: &ToolCall, sandbox: Option<Sandbox>, approved: bool) -> Op {
    let limit = |seconds: u64| seconds.clamp(1, MAX_TIMEOUT_S) * 1000;
    match call.clone() {
        ToolCall::Bash(Bash { command, timeout }) => Op::Start(Start {
            command,
            folder: None,
            timeout_ms: None,
            foreground_ms: Some(limit(timeout.unwrap_or(BASH_TIMEOUT_S))),
            stdin: false,
            preview_chars: BASH_CHARS,
            again_of: None,
            sandbox,
        }),
        ToolCall::BackgroundRun(BackgroundRun { command, timeout, stdin }) => Op::Start(Start {
            command,
            folder: None,
            timeout_ms: timeout.map(limit),
            foreground_ms: None,
            stdin: stdin.unwrap_or(false),
            preview_chars: NOTICE_CHARS,
            again_of: None,
            sandbox,
        }),
        ToolCall::ReadFile(ReadFile { path, offset, limit }) => Op::ReadFile { path, offset, limit },
        ToolCall::WriteFile(WriteFile { path, content }) => Op::WriteFile { path, content, approved },
        ToolCall::EditFile(EditFile { path, old_text, new_text }) => {
            Op::EditFile { path, old_text, new_text, approved }
        }
        ToolCall::CheckBackground(CheckBackground { task_id, tail, grep }) => {
            let max_chars = if task_id.is_some() { CHECK_CHARS } else { LIST_CHARS };
            Op::Check { task: task_id.map(TaskId), tail, grep, max_chars }
        }
        ToolCall::StopBackground(StopBackground { task_id }) => {
            Op::Stop { task: TaskId(task_id), by: Party::Agent, now: false }
        }
        ToolCall::SendInput(SendInput { task_id, text }) => {
            Op::SendInput { task: TaskId(task_id), text, eof: false }
        }
    }
}

/// A result, and the tasks whose completion it shows.
pub type ToolResult = (ToolOutcome, Vec<TaskId>);

/// What the model reads of a reply. `None`: a `bash` command began, and how it goes on is the result.
#[must_use]
pub fn result<'a>(
    call: &ToolCall,
    reply: Reply,
    known: impl Iterator<Item = &'a Task>,
) -> Option<ToolResult> {
    match (call, reply) {
        (ToolCall::Bash(_), Reply::Started { .. }) => None,
        (_, Reply::Started { task }) => Some((started(&task, known), Vec::new())),
        (_, Reply::Stopped { task }) => {
            let content =
                format!("Task {} is {}. Nothing of it is left running.", task.id, notice::status(&task));
            let label = notice::label(&task);
            Some((
                ToolOutcome { content, label, task: Some(task.id.clone()), ..ToolOutcome::default() },
                vec![task.id],
            ))
        }
        (_, Reply::Checked { tasks }) => Some(checked(call, &tasks)),
        (_, Reply::File(file)) => {
            let lines = file.text.lines().count() as u64;
            let mut content = file.text;
            if file.more {
                let next = file.first_line + lines;
                content.push_str(&format!("\n({} lines in all; go on with offset {next})", file.total_lines));
            }
            let label = notice::count(lines, "line", "lines");
            Some((ToolOutcome { content, label, ..ToolOutcome::default() }, Vec::new()))
        }
        (_, Reply::Changed(change)) => {
            let verb = if change.created { "Created" } else { "Changed" };
            let mut content = format!(
                "{verb} {}: {} added, {} removed.",
                change.path,
                notice::count(change.added, "line", "lines"),
                change.removed
            );
            if let Some(note) = &change.note {
                content.push_str(&format!(" {note}"));
            }
            let label = match (change.added, change.removed) {
                (added, 0) => format!("+{added}"),
                (0, removed) => format!("−{removed}"),
                (added, removed) => format!("+{added} −{removed}"),
            };
            Some((ToolOutcome { content, label, diff: change.diff, ..ToolOutcome::default() }, Vec::new()))
        }
        (ToolCall::SendInput(send), Reply::Done) => {
            let content = format!(
                "Sent {} to task {}.",
                notice::count(send.text.len() as u64, "byte", "bytes"),
                send.task_id
            );
            let task = Some(TaskId(send.task_id.clone()));
            Some((
                ToolOutcome { content, label: "sent".to_owned(), task, ..ToolOutcome::default() },
                Vec::new(),
            ))
        }
        (_, Reply::Task { .. } | Reply::Output { .. } | Reply::PairedWith { .. } | Reply::Done) => {
            Some((ToolOutcome { content: "Done.".to_owned(), ..ToolOutcome::default() }, Vec::new()))
        }
    }
}

/// The result of `background_run`.
fn started<'a>(task: &Task, mut known: impl Iterator<Item = &'a Task>) -> ToolOutcome {
    if let TaskState::Error { reason } = &task.state {
        return failed(&format!("The command could not be started: {reason}"));
    }
    let mut content = format!("Background task {} started: {}\n", task.id, task.command);
    if task.state == TaskState::Queued {
        content.push_str("It waits for a place: as many tasks as may run at once are running.\n");
    }
    let duplicate = known.find(|other| {
        other.id != task.id
            && other.is_active()
            && other.command == task.command
            && other.folder == task.folder
    });
    if let Some(duplicate) = duplicate {
        content.push_str(&format!(
            "Note: the same command already runs in the same folder, as task {}.\n",
            duplicate.id
        ));
    }
    content.push_str(
        "Once it has ended, its result comes before your next call. Do not poll: go on with what does not depend on it, or end your turn.",
    );
    ToolOutcome {
        content,
        label: "started".to_owned(),
        task: Some(task.id.clone()),
        ..ToolOutcome::default()
    }
}

fn checked(call: &ToolCall, tasks: &[Checked]) -> ToolResult {
    let one = matches!(call, ToolCall::CheckBackground(CheckBackground { task_id: Some(_), .. }));
    // A `bash` command that was waited for to its end has had its result, and never was a background task.
    let all: Vec<&Checked> = tasks.iter().filter(|checked| one || !checked.task.foreground).collect();
    let shown = if one { all.iter().map(|checked| (*checked, look(checked))).collect() } else { list(&all) };
    let ended = shown.iter().filter(|(checked, _)| checked.task.state.is_end());
    let ended = ended.map(|(checked, _)| checked.task.id.clone()).collect();
    let mut lines: Vec<String> = shown.iter().map(|(_, text)| text.clone()).collect();
    if all.is_empty() {
        lines.push("There are no background tasks in this session.".to_owned());
    }
    if shown.len() < all.len() {
        let more = notice::count((all.len() - shown.len()) as u64, "older task is", "older tasks are");
        lines.push(format!("({more} not listed; task_id looks at one)"));
    }
    if shown.iter().any(|(checked, _)| notice::may_hide_codes(&checked.task)) {
        lines.push(format!("({})", notice::HIDDEN_CODES));
    }
    let running = all.iter().filter(|checked| checked.task.is_active()).count();
    let label = match &all[..] {
        [checked] if one => notice::label(&checked.task),
        all => format!("{running} running, {} ended", all.len() - running),
    };
    let task = if one { all.first().map(|checked| checked.task.id.clone()) } else { None };
    (ToolOutcome { content: lines.join("\n"), label, task, ..ToolOutcome::default() }, ended)
}

/// Those that run and the newest of those that ended, as many as may be shown, in the order they were
/// created.
fn list<'a>(all: &[&'a Checked]) -> Vec<(&'a Checked, String)> {
    let (mut running, mut ended): (Vec<_>, Vec<_>) =
        all.iter().enumerate().rev().partition(|(_, checked)| checked.task.is_active());
    running.append(&mut ended);
    let mut left = CHECK_CHARS as usize;
    let mut shown = Vec::new();
    for (place, checked) in running.into_iter().take(LISTED) {
        let mut checked_text = look(checked);
        if checked_text.chars().count() > LISTED_CHARS {
            checked_text = format!("{} …", notice::cut_head(&checked_text, LISTED_CHARS));
        }
        let Some(rest) = left.checked_sub(checked_text.chars().count()) else { break };
        left = rest;
        shown.push((place, *checked, checked_text));
    }
    shown.sort_by_key(|shown| shown.0);
    shown.into_iter().map(|(_, checked, text)| (checked, text)).collect()
}

fn look(checked: &Checked) -> String {
    let task = &checked.task;
    let mut text = format!("[bg:{}] {}: {}", task.id, notice::status(task), task.command.replace('\n', " "));
    for caveat in notice::caveats(task) {
        text.push_str(&format!("\n({caveat})"));
    }
    if let Some(matches) = checked.matches {
        text.push_str(&format!("\n({})", notice::count(matches, "line matches", "lines match")));
    }
    let output = whole(&checked.text);
    if !output.is_empty() {
        text.push('\n');
        text.push_str(&output);
    } else if !task.last_line.is_empty() && checked.matches.is_none() {
        text.push_str(&format!("\nlast line: {}", task.last_line));
    }
    if task.is_active() {
        text.push('\n');
        text.push_str(STILL_RUNNING);
    }
    text
}

/// The result of a `bash` command that ended.
#[must_use]
pub fn ended(task: &Task, preview: &Preview) -> ToolOutcome {
    let mut content = whole(preview);
    let good = task.state == TaskState::Completed;
    let mut facts = notice::caveats(task);
    if notice::may_hide_codes(task) {
        facts.insert(0, notice::HIDDEN_CODES.to_owned());
    }
    if let TaskState::Error { reason } | TaskState::Lost { reason } = &task.state {
        facts.insert(0, reason.clone());
    }
    if !good {
        facts.insert(0, notice::status(task));
    } else if !task.remaining_processes.is_empty() {
        facts.insert(0, "exit 0".to_owned());
    } else {
        facts.clear();
    }
    for fact in facts {
        if !content.is_empty() {
            content.push('\n');
        }
        content.push_str(&format!("[{fact}]"));
    }
    let label =
        notice::label(task).split(" · ").nth(1).map_or_else(|| task.state.word().to_owned(), str::to_owned);
    ToolOutcome { content, is_error: !good, label, task: Some(task.id.clone()), ..ToolOutcome::default() }
}

/// The result of a `bash` command whose end did not come here, as far as the list of tasks knows it.
#[must_use]
pub fn ended_unheard(task: &Task) -> ToolOutcome {
    let outcome = ended(task, &notice::unknown_output(task));
    let content = format!(
        "Task {} is {}. Its output did not come with this; check_background with its id shows it.\n{}",
        task.id,
        notice::status(task),
        outcome.content
    );
    ToolOutcome { content: content.trim_end().to_owned(), ..outcome }
}

/// The result of a `bash` command that goes on in the background.
#[must_use]
pub fn backgrounded(task: &Task, by: BackgroundedBy, preview: &Preview) -> ToolOutcome {
    let why = match by {
        BackgroundedBy::Time => "It ran longer than its timeout",
        BackgroundedBy::Request => "The user sent it to the background",
    };
    let mut content = format!(
        "{why}: it was not killed, and goes on as background task {}. Once it has ended, its result comes before your next call. Do not poll: go on with what does not depend on it, or end your turn.",
        task.id
    );
    let output = whole(preview);
    if !output.is_empty() {
        content.push_str("\nIts output so far:\n");
        content.push_str(&output);
    }
    ToolOutcome {
        content,
        label: "in the background".to_owned(),
        task: Some(task.id.clone()),
        ..ToolOutcome::default()
    }
}

/// The result of a tool use that the runner refused.
#[must_use]
pub fn refused(problem: &Problem) -> ToolOutcome {
    failed(&problem.message)
}

/// The result of a tool use that went wrong.
#[must_use]
pub fn failed(text: &str) -> ToolOutcome {
    ToolOutcome {
        content: text.to_owned(),
        is_error: true,
        label: "failed".to_owned(),
        ..ToolOutcome::default()
    }
}

/// The result of a tool use that the person did not allow.
#[must_use]
pub fn denied(reason: &str) -> ToolOutcome {
    let mut content = "The user did not allow this.".to_owned();
    if reason.trim().is_empty() {
        content.push_str(" Do not try it in another way; ask what to do instead.");
    } else {
        content.push_str(" They said: ");
        content.push_str(reason.trim());
    }
    ToolOutcome {
        content,
        is_error: true,
        label: "denied".to_owned(),
        skipped: true,
        ..ToolOutcome::default()
    }
}

fn whole(preview: &Preview) -> String {
    let head = preview.head.trim_end();
    if preview.omitted_chars == 0 {
        return head.to_owned();
    }
    let tail = preview.tail.trim_end();
    format!("{head}\n… {} characters omitted; check_background reads them …\n{tail}", preview.omitted_chars)
}
