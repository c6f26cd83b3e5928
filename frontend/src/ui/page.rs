//! The whole page: which panels, dialogs and screens there are, and when each is shown.

use leptos::prelude::*;

use super::call_dialog::CallDialog;
use super::conversation::Conversation;
use super::header::Header;
use super::help::HelpDialog;
use super::local::{Dialog, Local, Panel, use_local};
use super::mode::AllowAllDialog;
use super::replay::Replay;
use super::screens::{Banners, Toasts, Unpaired};
use super::sessions::SessionsPanel;
use super::settings::SettingsDialog;
use super::tasks::TasksPanel;
use super::timeline::Timeline;
use super::{keys, use_dispatch, use_page};
use crate::state::Ownership;

/// The whole page.
#[component]
pub fn Page() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let local = Local::new();
    provide_context(local);
    keys::listen(page, dispatch, local);
    let unpaired = Memo::new(move |_| {
        page.ownership.with(|ownership| match ownership {
            Ownership::Unpaired { reason } => Some(reason.clone()),
            Ownership::Starting
            | Ownership::Driving
            | Ownership::Following
            | Ownership::Unreadable { .. } => None,
        })
    });
    view! {
        {move || match unpaired.get() {
            Some(reason) => view! { <Unpaired reason/> }.into_any(),
            None => view! { <Workbench/> }.into_any(),
        }}
        <Toasts/>
        <div class="sr-only" role="status" aria-live="polite">{move || local.announcement.get()}</div>
    }
}

/// All panels.
#[component]
fn Workbench() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let hides = move |panel: Panel| move || local.hidden.with(|hidden| hidden.contains(&panel)).then_some("");
    let dialog = move || {
        local.dialog.get().map(|dialog| match dialog {
            Dialog::Settings => view! { <SettingsDialog/> }.into_any(),
            Dialog::Help => view! { <HelpDialog/> }.into_any(),
            Dialog::AllowAll => view! { <AllowAllDialog/> }.into_any(),
        })
    };
    view! {
        <div
            class="workbench"
            data-hide-sessions=hides(Panel::Sessions)
            data-hide-tasks=hides(Panel::Tasks)
            data-hide-timeline=hides(Panel::Timeline)
        >
            <Header/>
            <Banners/>
            <SessionsPanel/>
            {move || match page.replay.get() {
                Some(log) => view! { <Replay log/> }.into_any(),
                None => view! { <Conversation/><Timeline/> }.into_any(),
            }}
            <TasksPanel/>
            <Tabs/>
        </div>
        {dialog}
        {move || page.call_view.get().map(|view| view! { <CallDialog view/> })}
    }
}

/// On a narrow page: which panel is shown.
#[component]
fn Tabs() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let running = move || {
        page.tasks.with(|tasks| {
            tasks
                .iter()
                .filter(|handle| handle.task.with(|task| task.is_active() && !task.foreground))
                .count()
        })
    };
    let tabs = Panel::ALL.map(|panel| {
        view! {
            <button
                type="button"
                aria-pressed=move || (local.panel.get() == panel).to_string()
                on:click=move |_| local.panel.set(panel)
            >
                {panel.title()}
                {move || (panel == Panel::Tasks && running() > 0).then(|| view! { <small>{running()}</small> })}
            </button>
        }
    });
    view! { <div class="tabs" role="group" aria-label="Panels">{tabs}</div> }
}
