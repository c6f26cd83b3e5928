//! One task: how it stands, and opened its output and what one can do with it.

use agent::event::Command;
use agent::view::{LinkView, Severity};
use leptos::ev;
use leptos::prelude::*;
use shared::protocol::Sandbox;
use shared::shown;
use shared::task::{Party, Task, TaskState};

use super::focus::autofocus;
use super::local::use_local;
use super::screen::ScreenView;
use super::{PageCommand, dom, use_dispatch, use_page};
use crate::format;
use crate::state::TaskHandle;
use crate::terminal::Screen;

/// The card.
#[component]
pub fn TaskCard(handle: TaskHandle, own: bool) -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let TaskHandle { id, serial, task, screen } = handle;
    let element = format!("task-{id}");
    let body = format!("task-{id}-body");
    let id = StoredValue::new(id);
    let task = RwSignal::from(task);
    let screen = RwSignal::from(screen);
    let is_open = move || id.with_value(|id| local.open_tasks.with(|open| open.contains(id)));
    let toggle = move |_| {
        local.open_tasks.update(|open| {
            let id = id.get_value();
            if !open.remove(&id) {
                open.insert(id);
            }
        });
    };
    let status = move || {
        task.with(|task| match &task.state {
            TaskState::Running if task.paused => "paused".to_owned(),
            TaskState::Running => format::elapsed(local.since(task.started.unwrap_or(task.created))),
            TaskState::Queued
            | TaskState::Completed
            | TaskState::Failed { .. }
            | TaskState::Killed { .. }
            | TaskState::Timeout
            | TaskState::Stopped { .. }
            | TaskState::Lost { .. }
            | TaskState::Error { .. } => label(&task.state),
        })
    };
    let meta = move || {
        task.with(|task| match task.duration_ms {
            Some(duration) => format::took(duration),
            None if task.is_active() => format::bytes(task.output_bytes),
            None => String::new(),
        })
    };
    let whose = move || {
        (!own).then(|| {
            let session = task.with(|task| task.session);
            page.sessions.with(|sessions| {
                if sessions.deleted.contains(&session) {
                    return "a deleted session".to_owned();
                }
                let title = sessions
                    .list
                    .iter()
                    .find(|other| other.session == session)
                    .map(|other| other.title.clone());
                title
                    .filter(|title| !title.is_empty())
                    .unwrap_or_else(|| "another browser's session".to_owned())
            })
        })
    };
    let command = move || task.with(|task| shown::line(&task.command));
    let last = move || shown::line(&task.with(last_line));
    let state = move || task.with(|task| if task.paused { "paused" } else { state_name(&task.state) });
    let prompt = move || task.with(|task| task.waits_for_input && task.is_active());
    let ports =
        Memo::new(move |_| task.with(|task| if task.is_active() { task.ports.clone() } else { Vec::new() }));
    let held_ports = Memo::new(move |_| task.with(ports_held));
    let facts = Memo::new(move |_| task.with(facts));
    let whose = Memo::new(move |_| whose());
    let controls = body.clone();
    view! {
        <article class="task" id=element data-state=state data-own=own.then_some("") aria-label=command>
            <button
                type="button"
                class="open"
                aria-expanded=move || is_open().to_string()
                aria-controls=controls
                title=command
                on:click=toggle
            >
                <span class="dot" data-state=state aria-hidden="true"></span>
                <code class="command">{command}</code>
                <span class="sr-only">{move || task.with(spoken_state)}</span>
                <span class="status">{status}</span>
                <span class="last">{last}</span>
                <span class="meta">{meta}</span>
            </button>
            {move || whose.get().map(|title| view! { <p class="whose">{title}</p> })}
            <Show when=move || task.with(|task| task.foreground && task.is_active())>
                <p class="whose">"The agent waits for it."</p>
            </Show>
            <Show when=prompt>
                <p class="flag">"It may be waiting for input."</p>
            </Show>
            {move || held_ports.get().map(|text| view! { <p class="flag">{text}</p> })}
            <Show when=move || task.with(|task| task.unsaved)>
                <p class="flag">"The runner cannot save its end: is its disk full? The agent hears of it once it can."</p>
            </Show>
            <Show when=move || !ports.with(Vec::is_empty)>
                <p class="whose">
                    "Listens on "
                    <For each=move || ports.get() key=|port| *port let(port)>
                        <a href=format!("http://127.0.0.1:{port}/") rel="noopener noreferrer" target="_blank">{format!("port {port}")}</a>
                        " "
                    </For>
                </p>
            </Show>
            <div id=body>
                <Show when=is_open>
                    <ScreenView id=id.get_value() serial screen task/>
                    <Actions task screen own/>
                    <dl class="facts">{move || facts.get().into_iter().map(|(name, what)| view! { <dt>{name}</dt><dd>{what}</dd> }).collect_view()}</dl>
                </Show>
            </div>
        </article>
    }
}

#[component]
fn Actions(task: RwSignal<Task>, screen: RwSignal<Screen>, own: bool) -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let local = use_local();
    let id = StoredValue::new(task.with_untracked(|task| task.id.clone()));
    let asked = RwSignal::new(false);
    let input = RwSignal::new(false);
    let is_active = move || task.with(Task::is_active);
    let leftovers = move || task.with(|task| !task.remaining_processes.is_empty());
    let takes_input = move || task.with(|task| task.stdin && task.state == TaskState::Running);
    let foreground = move || own && task.with(|task| task.foreground && task.is_active());
    let stop = move |_| {
        asked.set(true);
        dispatch.agent(Command::StopTask { task: id.get_value() });
    };
    let earlier = Memo::new(move |_| task.with(|task| task.again_of.clone()));
    let may_pause = move || task.with(|task| task.state == TaskState::Running);
    let is_paused = move || task.with(|task| task.paused);
    let pause = move |_| {
        let task = id.get_value();
        let command =
            if untrack(is_paused) { Command::ResumeTask { task } } else { Command::PauseTask { task } };
        dispatch.agent(command);
    };
    let stop_label = move || match (asked.get(), is_active()) {
        (false, true) => "Stop",
        (false, false) => "Stop what is left",
        (true, _) => "Kill now",
    };
    let copy = move |_| {
        let kept_here = task.with_untracked(|task| {
            let whole = |screen: &Screen| screen.dropped() == 0 && screen.seen() >= task.output_bytes;
            task.omitted_bytes == 0 && screen.with_untracked(whole)
        });
        if kept_here {
            let copied = dom::copy(&screen.with_untracked(Screen::text));
            leptos::task::spawn_local(async move {
                let (severity, text) = match copied.await {
                    Ok(()) => (Severity::Good, "copied".to_owned()),
                    Err(reason) => (Severity::Bad, reason),
                };
                page.toast(severity, text);
            });
        } else {
            dispatch.send(PageCommand::CopyLog(id.get_value()));
        }
    };
    view! {
        <div class="actions">
            <Show when=move || is_active() || leftovers()>
                <button type="button" class="quiet small" on:click=stop>{stop_label}</button>
            </Show>
            <Show when=takes_input>
                <button
                    type="button"
                    class="quiet small"
                    aria-expanded=move || input.get().to_string()
                    on:click=move |_| input.update(|input| *input = !*input)
                >
                    "Send input"
                </button>
            </Show>
            <Show when=foreground>
                <button
                    type="button"
                    class="quiet small"
                    on:click=move |_| dispatch.agent(Command::Background { task: id.get_value() })
                >
                    "Send to background"
                </button>
            </Show>
            <Show when=may_pause>
                <button type="button" class="quiet small" on:click=pause>
                    {move || if is_paused() { "Resume" } else { "Pause" }}
                </button>
            </Show>
            <Show when=move || !is_active()>
                <button
                    type="button"
                    class="quiet small"
                    on:click=move |_| dispatch.agent(Command::RunAgain { task: id.get_value() })
                >
                    "Run again"
                </button>
            </Show>
            <button type="button" class="quiet small" on:click=copy>"Copy"</button>
            <span class="grow"></span>
            <button type="button" class="quiet small" on:click=move |_| dispatch.send(PageCommand::SaveLog(id.get_value()))>"Download"</button>
            <button type="button" class="quiet small" on:click=move |_| dispatch.send(PageCommand::WholeLog(id.get_value()))>
                "Whole log ↗"
            </button>
        </div>
        {move || earlier.get().map(|earlier| view! {
            <p class="whose">
                "It runs the command of "
                <button type="button" class="link" on:click=move |_| local.show_task(&earlier)>"an earlier task"</button>
                " again."
            </p>
        })}
        <Show when=move || takes_input() && input.get()>
            <InputBox task/>
        </Show>
    }
}

#[component]
fn InputBox(task: RwSignal<Task>) -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let text = RwSignal::new(String::new());
    let send = move |text: String, eof: bool| {
        let task = task.with_untracked(|task| task.id.clone());
        dispatch.agent(Command::SendInput { task, text, eof });
    };
    view! {
        <form
            class="input"
            on:submit=move |event: ev::SubmitEvent| {
                event.prevent_default();
                send(format!("{}\n", text.get_untracked()), false);
                // Without the runner it is refused, and stays to be sent again.
                if page.status.with_untracked(|status| status.link == LinkView::Live) {
                    text.set(String::new());
                }
            }
        >
            <input type="text" aria-label="A line for its standard input" placeholder="A line of input" autocomplete="off" spellcheck="false" use:autofocus bind:value=text/>
            <button type="submit" class="small">"Send"</button>
            <button type="button" class="quiet small" title="End of input" on:click=move |_| send(String::new(), true)>"Close input"</button>
        </form>
    }
}

/// How a task stands, as the attribute that styles go by.
pub(crate) const fn state_name(state: &TaskState) -> &'static str {
    match state {
        TaskState::Queued => "queued",
        TaskState::Running => "running",
        TaskState::Completed => "good",
        TaskState::Stopped { .. } | TaskState::Lost { .. } => "ended",
        TaskState::Failed { .. }
        | TaskState::Killed { .. }
        | TaskState::Timeout
        | TaskState::Error { .. } => "bad",
    }
}

/// How a task stands, in a short label.
pub(crate) fn label(state: &TaskState) -> String {
    match state {
        TaskState::Completed => "exit 0".to_owned(),
        TaskState::Failed { code } => format!("exit {code}"),
        TaskState::Killed { signal } => signal.clone(),
        TaskState::Error { .. } => "not started".to_owned(),
        TaskState::Queued
        | TaskState::Running
        | TaskState::Timeout
        | TaskState::Stopped { .. }
        | TaskState::Lost { .. } => state.word().to_owned(),
    }
}

/// Process ids that are named in a line.
const PIDS: usize = 8;

/// The line below the command: what it left running, why it could not start, or its last output.
fn last_line(task: &Task) -> String {
    if !task.remaining_processes.is_empty() {
        let named = task.remaining_processes.iter().filter(|process| process.pid != 0).take(PIDS);
        let pids: Vec<_> = named.map(|process| process.pid.to_string()).collect();
        let more = if task.remaining() > pids.len() { ", …" } else { "" };
        let (noun, pid) = if task.remaining() == 1 { ("process", "pid") } else { ("processes", "pids") };
        return format!("left {} {noun} running ({pid} {}{more})", task.remaining(), pids.join(", "));
    }
    match &task.state {
        TaskState::Lost { reason } | TaskState::Error { reason } => reason.clone(),
        TaskState::Queued
        | TaskState::Running
        | TaskState::Completed
        | TaskState::Failed { .. }
        | TaskState::Killed { .. }
        | TaskState::Timeout
        | TaskState::Stopped { .. } => task.last_line.clone(),
    }
}

/// The state's word, where the status shown to the eye does not have it.
fn spoken_state(task: &Task) -> &'static str {
    let word = task.state.word();
    let is_shown = task.paused || (task.state != TaskState::Running && label(&task.state) == word);
    if is_shown { "" } else { word }
}

/// All there is to say of it: what, and how it is called.
fn facts(task: &Task) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Task", task.id.to_string()), ("Folder", task.folder.clone())];
    facts.extend(task.pid.map(|pid| ("Process", pid.to_string())));
    facts.extend(match task.sandbox {
        Some(Sandbox::ReadOnly) => Some(("Held to", "reading, since it was not asked for".to_owned())),
        Some(Sandbox::Workspace) => Some(("Held to", "writing in the workspace".to_owned())),
        Some(Sandbox::Open) | None => None,
    });
    if let TaskState::Stopped { by, signal } = &task.state {
        let who = match by {
            Party::User => "you",
            Party::Agent => "the agent",
            Party::Runner => "the runner",
        };
        let how = signal.as_ref().map(|signal| format!(" with {signal}")).unwrap_or_default();
        facts.push(("Stopped by", format!("{who}{how}")));
    }
    facts.extend(task.timeout_ms.map(|limit| ("Time limit", format::took(limit))));
    facts.push(("Output", format::bytes(task.output_bytes)));
    if task.omitted_bytes > 0 {
        facts.push(("Not kept", format::bytes(task.omitted_bytes)));
    }
    let left = task.remaining_processes.iter();
    facts.extend(left.map(|process| {
        let pid = if process.pid == 0 { String::new() } else { format!("{} ", process.pid) };
        ("Still runs", format!("{pid}{}", shown::line(&process.command)))
    }));
    facts
}

/// Ports that should be free by now, and are not.
fn ports_held(task: &Task) -> Option<String> {
    let held: Vec<_> = task
        .ports_held
        .iter()
        .map(|held| match &held.by {
            Some(process) => {
                let command = shown::line(&process.command);
                format!("port {} by process {} ({command})", held.port, process.pid)
            }
            None => format!("port {}", held.port),
        })
        .collect();
    (!held.is_empty()).then(|| format!("Still held: {}.", held.join(", ")))
}

#[cfg(test)]
mod tests {
    use shared::task::PortHeld;

    use super::*;

    #[test]
    fn states_are_told_truly() {
        let stopped = TaskState::Stopped { by: Party::User, signal: None };
        for (state, text, name) in [
            (TaskState::Queued, "queued", "queued"),
            (TaskState::Completed, "exit 0", "good"),
            (TaskState::Failed { code: 1 }, "exit 1", "bad"),
            (TaskState::Killed { signal: "SIGSEGV".into() }, "SIGSEGV", "bad"),
            (TaskState::Timeout, "timeout", "bad"),
            (stopped, "stopped", "ended"),
            (TaskState::Lost { reason: String::new() }, "lost", "ended"),
            (TaskState::Error { reason: String::new() }, "not started", "bad"),
        ] {
            assert_eq!((label(&state).as_str(), state_name(&state)), (text, name));
        }
    }

    #[test]
    fn ports_that_are_still_held_are_named() {
        let mut task = crate::state::tests::task("b1", 5);
        assert_eq!(ports_held(&task), None);
        let by = Some(shared::task::Process { pid: 12, command: "python3 -m http.server".into() });
        task.ports_held = vec![PortHeld { port: 8_000, by }, PortHeld { port: 9_000, by: None }];
        assert_eq!(
            ports_held(&task).as_deref(),
            Some("Still held: port 8000 by process 12 (python3 -m http.server), port 9000.")
        );
    }
}
