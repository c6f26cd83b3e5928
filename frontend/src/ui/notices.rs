//! Notices between the rows: results that went into a call, and what the agent itself says.

use agent::CallId;
use agent::event::Command;
use agent::view::{DrainedLine, Severity, Waiting};
use leptos::prelude::*;

use super::local::use_local;
use super::{PageCommand, composer, dom, use_dispatch, use_page};
use crate::format;
use crate::state::{PageState, RowBody};

/// A severity as the attribute that styles go by.
pub(crate) const fn severity_str(severity: Severity) -> &'static str {
    match severity {
        Severity::Plain => "plain",
        Severity::Good => "good",
        Severity::Warn => "warn",
        Severity::Bad => "bad",
    }
}

/// Results that were delivered to the model with a call.
#[component]
pub fn Completions(call: CallId, lines: RwSignal<Vec<DrainedLine>>) -> impl IntoView {
    let dispatch = use_dispatch();
    let local = use_local();
    let title = move || format!("{} delivered to the model", format::count(lines.with(Vec::len), "result"));
    view! {
        <section class="completions" aria-label=title>
            <header>
                <strong>{title}</strong>
                <button type="button" class="link" on:click=move |_| dispatch.send(PageCommand::ShowCall(call))>
                    "View request"
                </button>
            </header>
            <ul>
                <For each=move || lines.get() key=|line| line.task.clone() let(line)>
                    <li data-severity=severity_str(line.severity)>
                        <button
                            type="button"
                            class="link"
                            title="Show this task"
                            on:click={
                                let task = line.task.clone();
                                move |_| local.show_task(&task)
                            }
                        >
                            {format!("[bg:{}]", line.task)}
                        </button>
                        {format!(" {}", line.status)}
                        {(!line.text.is_empty()).then(|| format!(": {}", line.text))}
                    </li>
                </For>
            </ul>
        </section>
    }
}

/// Something the agent itself says.
#[component]
pub fn Notice(severity: RwSignal<Severity>, text: RwSignal<String>, retry: RwSignal<bool>) -> impl IntoView {
    let dispatch = use_dispatch();
    let page = use_page();
    let refused = move || page.status.with(|status| status.refused);
    let take_back = move |_| {
        dispatch.agent(Command::TakeBack);
        dom::focus_id(composer::ID);
    };
    view! {
        <div
            class="notice"
            data-severity=move || severity_str(severity.get())
            role=move || if severity.get() == Severity::Bad { "alert" } else { "note" }
        >
            <p>{move || text.get()}</p>
            <Show when=move || retry.get()>
                <button type="button" on:click=move |_| dispatch.agent(Command::Retry)>"Try again"</button>
            </Show>
            <Show when=move || retry.get() && refused()>
                <button type="button" on:click=take_back>"Take it back"</button>
            </Show>
        </div>
    }
}

/// The way on where the conversation no longer fits the model.
#[component]
pub fn Full() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let continue_anew = move |_| {
        let text = untrack(|| unsent_messages(page));
        for waiting in page.queue.get_untracked() {
            if let Waiting::Message { id, .. } = waiting {
                dispatch.agent(Command::CancelMessage { id });
            }
        }
        dispatch.send(PageCommand::ContinueInNewSession(text));
        dom::focus_id(composer::ID);
    };
    view! {
        <Show when=move || page.status.with(|status| status.full)>
            <div class="notice full" data-severity="warn" role="status">
                <p>"This conversation no longer fits the model, so nothing more is added to it. A new session starts with your last message, ready to be sent."</p>
                <button type="button" on:click=continue_anew>"Go on in a new session"</button>
            </div>
        </Show>
    }
}

/// The person's last message, and those that wait behind them.
fn unsent_messages(page: PageState) -> String {
    let last = page.rows.with(|rows| {
        rows.iter().rev().find_map(|row| match &row.body {
            RowBody::User(text) => Some(text.get()),
            RowBody::Text(_)
            | RowBody::Thinking(_)
            | RowBody::Tool(_)
            | RowBody::Completions { .. }
            | RowBody::Notice { .. } => None,
        })
    });
    let waiting = page.queue.get().into_iter().filter_map(|waiting| match waiting {
        Waiting::Message { text, .. } => Some(text),
        Waiting::Completion { .. } => None,
    });
    last.into_iter().chain(waiting).collect::<Vec<_>>().join("\n\n")
}
