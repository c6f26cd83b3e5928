//! A tool use: its card, the diff and output it shows, and the approval it may wait for.

use agent::event::Command;
use agent::view::{Lane, Severity, ToolCard, ToolState};
use leptos::prelude::*;
use shared::task::Task;
use shared::{TaskId, shown};

use super::approval::Approval;
use super::components::ShowAll;
use super::diff::Diff;
use super::local::use_local;
use super::screen::ScreenView;
use super::{task_card, use_dispatch, use_page};
use crate::format;
use crate::state::PageState;

/// Lines of output that show before one asks for all.
const PREVIEW: usize = 8;
/// The most bytes that show of arguments which are being written.
const INPUT_SHOWN: usize = 4 * 1024;

/// A tool use in the conversation.
#[component]
pub fn ToolRow(card: RwSignal<ToolCard>) -> impl IntoView {
    let asks = move || card.with(|card| matches!(card.state, ToolState::Asks { .. }));
    view! {
        <Show when=asks fallback=move || view! { <Card card/> }>
            <Approval card/>
        </Show>
    }
}

fn state_str(card: &ToolCard) -> &'static str {
    match card.state {
        ToolState::Skipped if card.task.is_some() => "moved",
        ToolState::Writing => "writing",
        ToolState::Waiting => "waiting",
        ToolState::Asks { .. } => "asks",
        ToolState::Running { .. } => "running",
        ToolState::Done => "done",
        ToolState::Failed => "failed",
        ToolState::Skipped => "skipped",
    }
}

/// The task that a tool use has left to itself: what became of it is not in the tool's result.
fn left_alone(card: &ToolCard) -> Option<TaskId> {
    let leaves = match card.state {
        ToolState::Skipped => true,
        ToolState::Done => matches!(card.label.as_str(), "started" | "in the background"),
        ToolState::Writing
        | ToolState::Waiting
        | ToolState::Asks { .. }
        | ToolState::Running { .. }
        | ToolState::Failed => false,
    };
    card.task.clone().filter(|_| leaves)
}

/// How such a task stands.
#[derive(Clone, PartialEq, Eq)]
struct Standing {
    /// As the attribute that styles go by.
    state: &'static str,
    /// How it ended.
    end: Option<String>,
    /// Whether it can be stopped and watched here.
    runs_here: bool,
}

fn standing(page: PageState, id: &TaskId) -> Standing {
    if let Some(handle) = page.task(id) {
        return handle.task.with(|task| Standing {
            state: if task.paused { "paused" } else { task_card::state_name(&task.state) },
            end: task.state.is_end().then(|| task_card::label(&task.state)),
            runs_here: task.is_active(),
        });
    }
    // Where the runner's tasks are not known, in a replay or after they were cleared, the timeline still says
    // how they went.
    let is_its = |lane: &Lane| matches!(lane, Lane::Task { task } if task == id);
    let state = page.spans.with(|spans| {
        let span = spans.values().find(|span| is_its(&span.lane))?;
        span.end.map(|_| match span.severity {
            Severity::Good => "good",
            Severity::Bad => "bad",
            Severity::Plain | Severity::Warn => "ended",
        })
    });
    Standing { state: state.unwrap_or("running"), end: None, runs_here: false }
}

/// What a card shows below its head.
#[derive(Clone, PartialEq, Eq)]
enum Part {
    Diff,
    Output,
    Input,
}

#[component]
fn Card(card: RwSignal<ToolCard>) -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let state = move || card.with(state_str);
    let head = Memo::new(move |_| card.with(|card| (card.name.clone(), card.subject.clone())));
    let task = move || card.with(|card| card.task.clone());
    let to_background = move || {
        card.with(|card| match card.state {
            ToolState::Running { foreground: true } => card.task.clone(),
            ToolState::Running { foreground: false }
            | ToolState::Writing
            | ToolState::Waiting
            | ToolState::Asks { .. }
            | ToolState::Done
            | ToolState::Failed
            | ToolState::Skipped => None,
        })
    };
    let stands = Memo::new(move |_| card.with(left_alone).map(|task| standing(page, &task)));
    let moved = move || state() == "moved";
    let moved_and_runs = Memo::new(move |_| {
        let runs = stands.with(|stands| stands.as_ref().is_some_and(|stands| stands.runs_here));
        card.with(|card| card.task.clone()).filter(|_| runs && moved())
    });
    // A task that was left to itself goes on after its tool is done.
    let spoken = move || {
        stands.with(|stands| match stands.as_ref().map(|stands| stands.state) {
            Some("good") => "done",
            Some("bad") => "failed",
            Some(state) => state,
            None => state(),
        })
    };
    let parts = Memo::new(move |_| card.with(parts));
    let all = RwSignal::new(false);
    let whole = RwSignal::new(false);
    let quiet = card.with_untracked(|card| !matches!(card.name.as_str(), "bash" | "check_background"));
    let hides = move || quiet && state() == "done" && parts.with(|parts| parts.contains(&Part::Output));
    let time = move || {
        card.with(|card| match (card.started, card.ended) {
            (Some(start), Some(end)) if !moved() => Some(format::took(end.since(start))),
            (Some(start), None) => Some(format::elapsed(local.since(start))),
            (Some(_), Some(_)) | (None, _) => None,
        })
    };
    let result = move || {
        let label = card.with(|card| match card.state {
            ToolState::Writing => "writing…".to_owned(),
            ToolState::Waiting => "waits".to_owned(),
            ToolState::Skipped if card.task.is_some() => "moved to the background".to_owned(),
            ToolState::Skipped if card.label.is_empty() => "not run".to_owned(),
            ToolState::Asks { .. }
            | ToolState::Running { .. }
            | ToolState::Done
            | ToolState::Failed
            | ToolState::Skipped => card.label.clone(),
        });
        let end = stands.with(|stands| stands.as_ref().and_then(|stands| stands.end.clone()));
        [Some(label).filter(|label| !label.is_empty()), end.or_else(time)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" · ")
    };
    view! {
        <article class="tool" data-state=state data-task=move || stands.with(|stands| stands.as_ref().map(|stands| stands.state)) aria-label=move || head.with(|(name, subject)| format!("{name} {}", shown::block(subject)))>
            <header>
                <span class="dot" aria-hidden="true"></span>
                <span class="name">{move || head.with(|(name, _)| name.clone())}</span>
                {move || {
                    let text = head.with(|(_, subject)| shown::block(subject));
                    if is_long(&text) {
                        view! {
                            <button
                                type="button"
                                class="subject"
                                aria-expanded=move || whole.get().to_string()
                                on:click=move |_| whole.update(|whole| *whole = !*whole)
                            >
                                <code>{text}</code>
                            </button>
                        }
                        .into_any()
                    } else {
                        view! { <code class="subject">{text}</code> }.into_any()
                    }
                }}
                <span class="sr-only">{spoken}</span>
                <span class="result">{result}</span>
                {move || task().map(|task| view! { <TaskLink task/> })}
                <Show when=hides>
                    <button
                        type="button"
                        class="link"
                        aria-expanded=move || all.get().to_string()
                        on:click=move |_| all.update(|all| *all = !*all)
                    >
                        {move || if all.get() { "hide" } else { "show" }}
                    </button>
                </Show>
                {move || to_background().map(|task| view! {
                    <button
                        type="button"
                        class="small"
                        on:click=move |_| dispatch.agent(Command::Background { task: task.clone() })
                    >
                        "Send to background"
                    </button>
                })}
                {move || moved_and_runs.get().map(|task| view! {
                    <button
                        type="button"
                        class="small"
                        on:click=move |_| dispatch.agent(Command::StopTask { task: task.clone() })
                    >
                        "Stop"
                    </button>
                })}
            </header>
            <Live watched=moved_and_runs/>
            <For each=move || parts.get() key=|part| part.clone() as u64 let(part)>
                {match part {
                    Part::Diff => view! { <Diff diff=Signal::derive(move || card.with(|card| card.diff.clone()))/> }.into_any(),
                    Part::Output => view! { <Output card quiet all/> }.into_any(),
                    Part::Input => view! {
                        <pre class="output" tabindex="0">{move || card.with(|card| input_end(&card.input))}</pre>
                    }
                    .into_any(),
                }}
            </For>
        </article>
    }
}

/// The end of arguments that are being written: it is what moves.
fn input_end(input: &str) -> String {
    let start = format::floor(input, input.len().saturating_sub(INPUT_SHOWN));
    if start == 0 {
        return input.to_owned();
    }
    format!("… {} before …\n{}", format::bytes(start as u64), &input[start..])
}

/// Whether a subject may not fit into a card's head, which shows a line of it: then it is a button that shows
/// all.
fn is_long(subject: &str) -> bool {
    subject.len() > 24 || subject.contains('\n')
}

fn parts(card: &ToolCard) -> Vec<Part> {
    let mut parts = Vec::new();
    if !card.diff.is_empty() {
        parts.push(Part::Diff);
    }
    // What a successful change of a file says is only what its diff shows.
    let has_more = card.diff.is_empty() || card.state == ToolState::Failed;
    // That a command goes on in the background is said by the card itself.
    let moved = card.state == ToolState::Skipped && card.task.is_some();
    if !card.output.is_empty() && has_more && !moved {
        parts.push(Part::Output);
    }
    if card.state == ToolState::Writing && !card.input.is_empty() {
        parts.push(Part::Input);
    }
    parts
}

/// The output of a task that was seen running here. It stays when the task ends.
#[component]
fn Live(watched: Memo<Option<TaskId>>) -> impl IntoView {
    let page = use_page();
    let task =
        Memo::new(move |before: Option<&Option<TaskId>>| before.cloned().flatten().or_else(|| watched.get()));
    move || {
        let handle = task.get().and_then(|task| untrack(|| page.task(&task)))?;
        let (screen, task) = (RwSignal::from(handle.screen), RwSignal::<Task>::from(handle.task));
        Some(view! { <ScreenView id=handle.id serial=handle.serial screen task/> })
    }
}

#[component]
fn TaskLink(task: TaskId) -> impl IntoView {
    let local = use_local();
    let label = format!("task {task} ↗");
    view! {
        <button type="button" class="link" title="Show this task" on:click=move |_| local.show_task(&task)>
            {label}
        </button>
    }
}

/// What the model read. Quiet output shows only when it is asked for by the button in the card's head.
#[component]
fn Output(card: RwSignal<ToolCard>, quiet: bool, all: RwSignal<bool>) -> impl IntoView {
    let total = Memo::new(move |_| card.with(|card| card.output.lines().count()));
    let failed = move || card.with(|card| card.state == ToolState::Failed);
    // The end of a failure says more than its beginning.
    let text = move || {
        card.with(|card| {
            let limit = if all.get() || quiet { usize::MAX } else { PREVIEW };
            let lines: Vec<&str> = if failed() {
                card.output.lines().skip(total.get().saturating_sub(limit)).collect()
            } else {
                card.output.lines().take(limit).collect()
            };
            shown::output(&lines.join("\n")).into_owned()
        })
    };
    view! {
        <Show when=move || all.get() || !quiet || failed()>
            <pre class="output" tabindex="0" aria-label="Output">{text}</pre>
        </Show>
        <Show when=move || !quiet>
            <ShowAll all total preview=PREVIEW/>
        </Show>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_arguments_the_end_shows() {
        assert_eq!(input_end("{}"), "{}");
        let shown = input_end(&("é".repeat(INPUT_SHOWN) + "end"));
        assert!(
            shown.starts_with("… 4") && shown.ends_with("éend") && shown.len() < INPUT_SHOWN + 40,
            "{shown}"
        );
    }
}
