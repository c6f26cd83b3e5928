//! The queue panel: what has arrived and will be in the next call, and messages that wait their turn.

use agent::event::Command;
use agent::view::{Severity, Waiting};
use leptos::ev;
use leptos::prelude::*;
use shared::TaskId;

use super::components::{Icon, IconButton};
use super::focus::{autofocus, kept};
use super::local::use_local;
use super::notices::severity_str;
use super::{dom, use_dispatch, use_page};

/// The panel; nothing while nothing waits.
#[component]
pub fn QueuePanel() -> impl IntoView {
    let page = use_page();
    let completions = Memo::new(move |_| {
        page.queue.with(|queue| {
            queue
                .iter()
                .filter_map(|waiting| match waiting {
                    Waiting::Completion { task, command, label, severity } => {
                        Some((task.clone(), command.clone(), label.clone(), *severity))
                    }
                    Waiting::Message { .. } => None,
                })
                .collect::<Vec<_>>()
        })
    });
    let messages = Memo::new(move |_| {
        page.queue.with(|queue| {
            queue
                .iter()
                .filter_map(|waiting| match waiting {
                    Waiting::Message { id, .. } => Some(*id),
                    Waiting::Completion { .. } => None,
                })
                .collect::<Vec<_>>()
        })
    });
    let is_empty = move || completions.with(Vec::is_empty) && messages.with(Vec::is_empty);
    view! {
        <Show when=move || !is_empty()>
            <section class="queue" aria-label="Waiting for the next call">
                <Show when=move || !completions.with(Vec::is_empty)>
                    <ul class="results">
                        <For each=move || completions.get() key=|row| (row.0.clone(), row.2.clone()) let((task, command, label, severity))>
                            <Completion task command label severity/>
                        </For>
                        <li class="note">
                            {move || if completions.with(Vec::len) == 1 { "waiting, goes into the next call" } else { "waiting, go into the next call" }}
                        </li>
                    </ul>
                </Show>
                <ol class="messages" aria-label="Queued messages">
                    <For each=kept(move || messages.get()) key=|id| *id let(id)>
                        <Message id/>
                    </For>
                </ol>
            </section>
        </Show>
    }
}

#[component]
fn Completion(task: TaskId, command: String, label: String, severity: Severity) -> impl IntoView {
    let local = use_local();
    let text = format!("bg:{task} {label}");
    view! {
        <li>
            <button
                type="button"
                class="chip"
                data-severity=severity_str(severity)
                title=command
                on:click=move |_| local.show_task(&task)
            >
                {text}
            </button>
        </li>
    }
}

#[component]
fn Message(id: u64) -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let now = Memo::new(move |_| {
        page.queue.with(|queue| {
            queue.iter().find_map(|waiting| match waiting {
                Waiting::Message { id: this, text, steer } if *this == id => Some((text.clone(), *steer)),
                Waiting::Message { .. } | Waiting::Completion { .. } => None,
            })
        })
    });
    // Among the waiting messages: whether there is one before, and one after.
    let neighbours = Memo::new(move |_| {
        page.queue.with(|queue| {
            let mut ids = queue.iter().filter_map(|waiting| match waiting {
                Waiting::Message { id, .. } => Some(*id),
                Waiting::Completion { .. } => None,
            });
            let before = ids.position(|this| this == id).unwrap_or(0);
            (before > 0, ids.next().is_some())
        })
    });
    let text = move || now.with(|now| now.as_ref().map(|(text, _)| text.clone()).unwrap_or_default());
    let steers = move || now.with(|now| now.as_ref().is_some_and(|(_, steer)| *steer));
    let edits = RwSignal::new(false);
    let draft = RwSignal::new(String::new());
    let edit = move || {
        draft.set(untrack(text));
        edits.set(true);
    };
    let save = move || {
        edits.set(false);
        let text = draft.get_untracked();
        if text.trim().is_empty() {
            dispatch.agent(Command::CancelMessage { id });
        } else {
            dispatch.agent(Command::EditMessage { id, text });
        }
    };
    let on_key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        _ if dom::composes(&event) => {}
        "Enter" if !event.shift_key() => {
            event.prevent_default();
            save();
        }
        "Escape" => {
            event.stop_propagation();
            event.prevent_default();
            edits.set(false);
        }
        _ => {}
    };
    view! {
        <li>
            <Show
                when=move || edits.get()
                fallback=move || view! {
                    <span class="text">{text}</span>
                    <span class="note">{move || if steers() { "next call" } else { "next turn" }}</span>
                    <Show when=move || !steers()>
                        <button
                            type="button"
                            class="quiet small"
                            title="Into the next call instead of the next turn"
                            on:click=move |_| dispatch.agent(Command::Steer { id })
                        >
                            "Steer"
                        </button>
                    </Show>
                    <IconButton
                        icon=Icon::Up
                        label="Move up"
                        disabled=Signal::derive(move || !neighbours.get().0)
                        on_press=move || dispatch.agent(Command::Shift { id, earlier: true })
                    />
                    <IconButton
                        icon=Icon::Down
                        label="Move down"
                        disabled=Signal::derive(move || !neighbours.get().1)
                        on_press=move || dispatch.agent(Command::Shift { id, earlier: false })
                    />
                    <IconButton icon=Icon::Edit label="Edit" on_press=edit/>
                    <IconButton
                        icon=Icon::Trash
                        label="Take back"
                        on_press=move || dispatch.agent(Command::CancelMessage { id })
                    />
                }
            >
                <textarea aria-label="Queued message" rows="2" use:autofocus bind:value=draft on:keydown=on_key></textarea>
                <button type="button" class="small" on:click=move |_| save()>"Keep"</button>
            </Show>
        </li>
    }
}
