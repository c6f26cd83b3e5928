//! What runs meanwhile: all tasks of the runner, this session's first.

use agent::event::Command;
use leptos::prelude::*;
use shared::{SessionId, TaskId};
use std::collections::BTreeSet;

use super::focus::kept;
use super::local::{Panel, use_local};
use super::task_card::TaskCard;
use super::{use_dispatch, use_page};
use crate::state::TaskHandle;

/// The panel at the right.
#[component]
pub fn TasksPanel() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let current = Memo::new(move |_| page.sessions.with(|sessions| sessions.current));
    let order = Memo::new(move |_| {
        local.open_tasks.with(|open| page.tasks.with(|tasks| ordered(&listed(tasks, open), current.get())))
    });
    let handles = move |own: bool| {
        let (mine, theirs) = order.get();
        let serials = if own { mine } else { theirs };
        page.tasks.with_untracked(|tasks| {
            serials
                .iter()
                .filter_map(|serial| tasks.iter().find(|task| task.serial == *serial).cloned())
                .collect::<Vec<_>>()
        })
    };
    let counts = Memo::new(move |_| {
        local.open_tasks.with(|open| page.tasks.with(|tasks| counts(&listed(tasks, open))))
    });
    let own_ended = move || {
        page.tasks.with(|tasks| {
            tasks.iter().any(|handle| {
                handle.task.with(|task| Some(task.session) == current.get() && task.state.is_end())
            })
        })
    };
    // A task that someone asked to see is brought into view once it is drawn.
    Effect::new(move |_| {
        if let Some((task, _)) = local.focus_task.get() {
            request_animation_frame(move || {
                if let Some(card) = document().get_element_by_id(&format!("task-{task}")) {
                    let options = web_sys::ScrollIntoViewOptions::new();
                    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
                    card.scroll_into_view_with_scroll_into_view_options(&options);
                    if let Ok(Some(button)) = card.query_selector("button.open") {
                        super::dom::focus(&button);
                    }
                }
            });
        }
    });
    view! {
        <aside
            class="tasks"
            id=Panel::Tasks.as_str()
            tabindex="-1"
            aria-label="Tasks"
            data-shown=move || (local.panel.get() == Panel::Tasks).then_some("")
        >
            <header>
                <h2>"Meanwhile"</h2>
                <span class="counts" role="status">{move || counts.get()}</span>
                <Show when=own_ended>
                    <button
                        type="button"
                        class="quiet small"
                        title="Forget this session's ended tasks and their output"
                        on:click=move |_| dispatch.agent(Command::ClearTasks)
                    >
                        "Clear ended"
                    </button>
                </Show>
            </header>
            <Show when=move || order.with(|(mine, theirs)| mine.is_empty() && theirs.is_empty())>
                <p class="none">"Nothing runs in the background. Tasks stand here with their output while the agent goes on."</p>
            </Show>
            <For each=kept(move || handles(true)) key=|handle| handle.serial let(handle)>
                <TaskCard handle own=true/>
            </For>
            <Show when=move || order.with(|(_, theirs)| !theirs.is_empty())>
                <h3>"Of other sessions"</h3>
            </Show>
            <For each=kept(move || handles(false)) key=|handle| handle.serial let(handle)>
                <TaskCard handle own=false/>
            </For>
        </aside>
    }
}

/// What stands in the panel: whatever went to the background. A command that the agent waits for, or waited
/// for, is part of the conversation, and stands here only once someone asked to see it, or if it left
/// something running.
fn listed<'a>(tasks: &'a [TaskHandle], open: &BTreeSet<TaskId>) -> Vec<&'a TaskHandle> {
    let is_listed = |handle: &&TaskHandle| {
        handle.task.with(|task| !task.foreground || !task.remaining_processes.is_empty())
            || open.contains(&handle.id)
    };
    tasks.iter().filter(is_listed).collect()
}

/// The handles' numbers, own and others': those that run first, then those that ended last.
fn ordered(tasks: &[&TaskHandle], current: Option<SessionId>) -> (Vec<u64>, Vec<u64>) {
    let mut keys: Vec<_> = tasks
        .iter()
        .map(|handle| {
            handle.task.with(|task| {
                let when = if task.is_active() { task.created } else { task.ended.unwrap_or(task.created) };
                ((!task.is_active(), std::cmp::Reverse(when)), handle.serial, Some(task.session) == current)
            })
        })
        .collect();
    keys.sort_by_key(|key| key.0);
    let (mine, theirs): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(.., own)| *own);
    let serials = |keys: Vec<(_, u64, bool)>| keys.into_iter().map(|(_, serial, _)| serial).collect();
    (serials(mine), serials(theirs))
}

fn counts(tasks: &[&TaskHandle]) -> String {
    let active = tasks.iter().filter(|handle| handle.task.with(shared::task::Task::is_active)).count();
    match (active, tasks.len() - active) {
        (0, 0) => String::new(),
        (active, 0) => format!("{active} running"),
        (0, ended) => format!("{ended} ended"),
        (active, ended) => format!("{active} running · {ended} ended"),
    }
}
