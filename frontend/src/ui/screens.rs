//! What stands above or instead of the rest: pairing, following, what is not saved, toasts.

use std::time::Duration;

use agent::event::Command;
use agent::view::{LinkView, Severity};
use leptos::ev;
use leptos::prelude::*;

use super::components::{Icon, IconButton, IconView};
use super::focus::autofocus;
use super::notices::severity_str;
use super::{PageCommand, use_dispatch, use_page};
use crate::state::{Ownership, Toast};

/// How long a toast shows; an error stays until it is closed.
const SHOWN_FOR: Duration = Duration::from_secs(7);

/// The screen of a browser that the runner does not know.
#[component]
pub fn Unpaired(reason: String) -> impl IntoView {
    let dispatch = use_dispatch();
    let reason = (!reason.is_empty()).then_some(view! { <p class="reason" role="alert">{reason}</p> });
    let code = RwSignal::new(String::new());
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let code = code.get_untracked().trim().to_owned();
        if !code.is_empty() {
            dispatch.send(PageCommand::SubmitPairing(code));
        }
    };
    view! {
        <main class="unpaired">
            <section>
                <h1><IconView icon=Icon::Logo/>"Meanwhile"</h1>
                <h2>"This browser is not paired with the runner"</h2>
                {reason}
                <p>
                    "The runner executes commands on its machine, so it serves only browsers that were let in once. It prints a link \
                     when it starts; open that link here, or paste it below. A browser that is already paired can make another: \
                     Settings, “Pair another browser”."
                </p>
                <form on:submit=submit>
                    <label for="code">"Link or code"</label>
                    <div class="row">
                        <input
                            id="code"
                            type="text"
                            use:autofocus
                            autocomplete="off"
                            spellcheck="false"
                            placeholder="http://127.0.0.1:8757/#pair=…"
                            bind:value=code
                        />
                        <button type="submit" class="primary" disabled=move || code.with(|code| code.trim().is_empty())>"Pair"</button>
                    </div>
                </form>
                <p class="none">"A link works once and for a short time only. " <code>"meanwhile pair"</code> " on the runner's machine prints a new one."</p>
            </section>
        </main>
    }
}

/// What one must know before one goes on.
#[component]
pub fn Banners() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let follows = move || page.ownership.with(|ownership| *ownership == Ownership::Following);
    let warning = Memo::new(move |_| {
        let unreadable = page.ownership.with(|ownership| match ownership {
            Ownership::Unreadable { reason } => Some(format!("This session cannot be read: {reason}")),
            Ownership::Starting | Ownership::Driving | Ownership::Following | Ownership::Unpaired { .. } => {
                None
            }
        });
        let storage = page.storage_problem.get();
        let unsaved = storage.or_else(|| page.status.with(|status| status.unsaved.clone()));
        unreadable.or_else(|| {
            unsaved.map(|reason| format!("This session is not saved, and a reload would lose it: {reason}"))
        })
    });
    let stranger = Memo::new(move |_| {
        page.status.with(|status| match &status.link {
            LinkView::Stranger { reason, .. } => Some(reason.clone()),
            LinkView::Down { .. }
            | LinkView::Opening
            | LinkView::Live
            | LinkView::Unpaired
            | LinkView::Outdated
            | LinkView::Taken { .. } => None,
        })
    });
    view! {
        <div class="banners">
            {move || stranger.get().map(|reason| view! {
                <div class="banner" data-severity="warn" role="alert">
                    <p>{reason}</p>
                    <button type="button" on:click=move |_| dispatch.agent(Command::Reconnect)>"Try again"</button>
                </div>
            })}
            <Show when=follows>
                <div class="banner" data-severity="plain" role="status">
                    <p>"Another tab drives this session; this one shows the same."</p>
                    <button type="button" on:click=move |_| dispatch.send(PageCommand::TakeOver)>"Take over"</button>
                </div>
            </Show>
            {move || warning.get().map(|text| view! {
                <div class="banner" data-severity="warn" role="alert">
                    <p>{text}</p>
                    <button type="button" on:click=move |_| dispatch.send(PageCommand::Export)>"Export it"</button>
                </div>
            })}
        </div>
    }
}

/// The toasts.
#[component]
pub fn Toasts() -> impl IntoView {
    let page = use_page();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || page.toasts.get() key=|toast| toast.id let(toast)>
                <ToastView toast/>
            </For>
        </div>
    }
}

#[component]
fn ToastView(toast: Toast) -> impl IntoView {
    let page = use_page();
    let close = move || {
        // The page may be gone by the time it fires.
        let _ = page.toasts.try_update(|toasts| toasts.retain(|other| other.id != toast.id));
    };
    if toast.severity != Severity::Bad
        && let Ok(handle) = set_timeout_with_handle(close, SHOWN_FOR)
    {
        on_cleanup(move || handle.clear());
    }
    view! {
        <div class="toast" data-severity=severity_str(toast.severity)>
            <p>{toast.text}</p>
            <IconButton icon=Icon::Close label="Close" on_press=close/>
        </div>
    }
}
