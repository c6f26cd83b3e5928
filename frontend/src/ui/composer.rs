//! Where the person writes: the box, what the agent is doing, what needs an approval, send and stop.

use std::time::Duration;

use agent::event::Command;
use agent::view::TurnView;
use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::*;
use leptos::{ev, html};
use wasm_bindgen::JsCast;

use super::focus::while_shown;
use super::local::use_local;
use super::mode::ModePicker;
use super::{PageCommand, dom, use_dispatch, use_page};
use crate::format;
use crate::state::Ownership;

/// The box's id, to put the focus on.
pub(crate) const ID: &str = "composer";
/// From how many bytes on the box does not grow with its text.
const LONG: usize = 4 * 1024;
/// How long after a key the draft is saved.
const SAVE_AFTER: Duration = Duration::from_millis(300);

/// Whether the agent works on an answer, so that there is a reply to stop.
pub(crate) const fn is_busy(turn: &TurnView) -> bool {
    match turn {
        TurnView::Asking
        | TurnView::Streaming
        | TurnView::Asks
        | TurnView::Tools
        | TurnView::BacksOff { .. } => true,
        TurnView::WaitsForRunner { in_turn } => *in_turn,
        TurnView::Idle | TurnView::Failed => false,
    }
}

/// The text in the box, also what was not taken in yet; nothing where there is no box.
pub(crate) fn written() -> Option<String> {
    let node = document().get_element_by_id(ID)?.dyn_into::<web_sys::HtmlTextAreaElement>().ok()?;
    Some(node.value())
}

/// The composer.
#[component]
pub fn Composer() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    // The text outlives this box, which goes while the session is played again.
    let text = page.draft;
    let node = NodeRef::<html::Textarea>::new();
    let timer = StoredValue::<Option<TimeoutHandle>>::new(None);
    let busy = move || page.status.with(|status| is_busy(&status.turn));
    let may_write = move || {
        page.ownership.with(|ownership| matches!(ownership, Ownership::Driving | Ownership::Starting))
    };
    let invites = move || page.ownership.with(invitation);
    // Long text is taken in when the keys rest, and not with each key: till then it is in the box alone.
    let late = RwSignal::new(false);
    // What is pasted may be very long: measuring it to fit the box takes longer than to show it.
    let is_long = Memo::new(move |_| late.get() || text.with(|text| text.len() > LONG));

    let forget_timer = move || {
        if let Some(handle) = timer.try_update_value(Option::take).flatten() {
            handle.clear();
        }
    };
    let take_in = move || {
        let written = node.try_get_untracked().flatten().map(|node| node.value());
        let is_new = |written: &String| text.try_with_untracked(|text| text != written) == Some(true);
        if let Some(written) = written.filter(is_new) {
            text.set(written);
        }
        let _ = late.try_set(false);
    };
    // Removing a box that has the focus is a blur too, and finds no text any more.
    let save_now = move || {
        forget_timer();
        if late.try_get_untracked() == Some(true) {
            take_in();
        }
        if let Some(text) = text.try_get_untracked() {
            dispatch.send(PageCommand::SaveDraft(text));
        }
    };
    // Text of one session is not saved as another's.
    let session = Memo::new(move |_| page.sessions.with(|sessions| sessions.current));
    Effect::new(move |_| {
        session.track();
        forget_timer();
        late.set(false);
    });
    on_cleanup(forget_timer);
    // Whoever opens the page with a keyboard at hand can write at once.
    Effect::new(move |_| {
        if let Some(node) = node.get()
            && dom::is_focus_free()
            && dom::can_hover()
        {
            dom::focus_in_place(&node);
        }
    });

    // The browser lays out what is pasted before it tells of it.
    let before_input = move |event: ev::InputEvent| {
        if event.data().is_some_and(|more| more.len() > LONG)
            && let Some(node) = node.get_untracked()
        {
            // Fails only for names that are none.
            let _ = node.set_attribute("data-long", "");
        }
    };
    let on_input = move |_| {
        forget_timer();
        if node.get_untracked().is_none_or(|node| node.text_length() as usize <= LONG) {
            take_in();
        } else if !late.get_untracked() {
            late.set(true);
        }
        let save = move || {
            if late.try_get_untracked() == Some(true) {
                take_in();
            }
            if let Some(text) = text.try_get_untracked() {
                dispatch.send(PageCommand::SaveDraft(text));
            }
        };
        timer.set_value(set_timeout_with_handle(save, SAVE_AFTER).ok());
    };
    // What is written from elsewhere. Setting what is there already would move the caret.
    Effect::new(move |_| {
        let written = text.get();
        if let Some(node) = node.get()
            && node.value() != written
        {
            node.set_value(&written);
        }
    });
    let send = move |steer: bool| {
        take_in();
        let message = text.get_untracked();
        if message.trim().is_empty() || !untrack(may_write) {
            return;
        }
        text.set(String::new());
        save_now();
        dispatch.agent(Command::QueueMessage { text: message, steer: steer && untrack(busy) });
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" && !event.shift_key() && !dom::composes(&event) {
            event.prevent_default();
            send(event.ctrl_key() || event.meta_key());
        }
    };
    let is_blank = move || !late.get() && text.with(|text| text.trim().is_empty());
    let rows =
        Memo::new(
            move |_| if is_long.get() { 12 } else { text.with(|text| text.lines().count().clamp(2, 12)) },
        );
    view! {
        <form
            class="composer"
            aria-label="Write to the agent"
            data-off=move || (!may_write()).then_some("")
            on:submit=move |event: ev::SubmitEvent| {
                event.prevent_default();
                send(false);
            }
        >
            <textarea
                id=ID
                node_ref=node
                rows=move || rows.get().to_string()
                data-long=move || is_long.get().then_some("")
                placeholder=invites
                aria-label="Your message"
                disabled=move || !may_write()
                on:beforeinput=before_input
                on:input=on_input
                on:keydown=on_key
                on:blur=while_shown(move |_| save_now())
            ></textarea>
            <div class="bar">
                <ModePicker/>
                <Doing/>
                <span class="grow"></span>
                <span class="hint">
                    {move || if !may_write() { "" } else if busy() { "Enter to queue, Ctrl Enter to steer" } else { "Enter to send, Shift Enter for a new line" }}
                </span>
                <Show when=move || busy()>
                    <button type="button" class="stop" title="Ends the reply; tasks go on (Escape)" on:click=move |_| dispatch.agent(Command::StopReply)>
                        "Stop reply"
                    </button>
                </Show>
                <button type="submit" class="primary" disabled=move || is_blank() || !may_write()>
                    {move || if busy() { "Queue" } else { "Send" }}
                </button>
            </div>
        </form>
    }
}

/// What the empty box says.
const fn invitation(ownership: &Ownership) -> &'static str {
    match ownership {
        Ownership::Driving | Ownership::Starting => "Ask, or say what to do next…",
        Ownership::Following => "Another tab drives this session: take over to write here.",
        Ownership::Unreadable { .. } => "This session cannot be read, so nothing can be said in it.",
        Ownership::Unpaired { .. } => "This browser is not paired with the runner.",
    }
}

/// What the agent is doing, for people.
#[component]
fn Doing() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let turn = move || page.status.with(|status| status.turn.clone());
    let label = move || match turn() {
        TurnView::Idle => String::new(),
        TurnView::WaitsForRunner { .. } => "Waits for the runner".to_owned(),
        TurnView::Asking => "Thinking…".to_owned(),
        TurnView::Streaming => "Writing…".to_owned(),
        TurnView::Asks => "Waits for your approval".to_owned(),
        TurnView::Tools => "Running tools…".to_owned(),
        TurnView::BacksOff { reason, .. } => reason,
        TurnView::Failed => "The last call failed".to_owned(),
    };
    let state = move || {
        page.status.with(|status| match status.turn {
            TurnView::Idle => "idle",
            TurnView::WaitsForRunner { .. } | TurnView::Asks => "waits",
            TurnView::BacksOff { .. } => "retries",
            TurnView::Asking | TurnView::Streaming | TurnView::Tools => "busy",
            TurnView::Failed => "failed",
        })
    };
    let countdown = move || {
        let until = page.status.with(|status| match status.turn {
            TurnView::BacksOff { until, .. } => Some(until),
            TurnView::Idle
            | TurnView::WaitsForRunner { .. }
            | TurnView::Asking
            | TurnView::Streaming
            | TurnView::Asks
            | TurnView::Tools
            | TurnView::Failed => None,
        });
        until.map(|until| format!(" Tries again in {}", format::elapsed(until.since(local.now.get()) + 999)))
    };
    view! {
        <span class="doing" data-state=state>
            <span role="status">{label}</span>
            // Seconds that pass are not announced.
            <span aria-hidden="true">{countdown}</span>
        </span>
    }
}
