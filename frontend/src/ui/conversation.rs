//! The conversation: its rows, the empty session's welcome, and scrolling that sticks only at the bottom.

use agent::event::Command;
use agent::model::demo::{Example, examples};
use agent::settings::Provider;
use agent::view::{TurnView, Waiting};
use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::auto_scroll::AutoScroll;
use super::composer::Composer;
use super::local::{Panel, use_local};
use super::notices::{Completions, Full, Notice};
use super::prose::Prose;
use super::queue::QueuePanel;
use super::tool::ToolRow;
use super::{dom, use_dispatch, use_page};
use crate::format;
use crate::markdown;
use crate::state::{RowBody, RowHandle, Stream};

/// The most bytes of a message that are read out unasked.
const ANNOUNCED: usize = 16 * 1024;

/// The panel in the middle.
#[component]
pub fn Conversation() -> impl IntoView {
    let local = use_local();
    view! {
        <main
            class="conversation"
            id=Panel::Conversation.as_str()
            tabindex="-1"
            aria-label="Conversation"
            data-shown=move || (local.panel.get() == Panel::Conversation).then_some("")
        >
            <Transcript welcomes=true/>
            <div class="foot">
                <Full/>
                <QueuePanel/>
                <Composer/>
            </div>
        </main>
    }
}

/// What was said and done.
#[component]
pub fn Transcript(#[prop(optional)] welcomes: bool) -> impl IntoView {
    let page = use_page();
    let scroll = AutoScroll::new();
    let is_empty = move || page.rows.with(Vec::is_empty);
    let streams = move || page.status.with(|status| status.turn == TurnView::Streaming);
    // One's own message is always brought into view.
    let own_messages = Memo::new(move |_| {
        page.rows.with(|rows| rows.iter().filter(|row| matches!(row.body, RowBody::User(_))).count())
    });
    Effect::new(move |before: Option<usize>| {
        let count = own_messages.get();
        if before.is_some_and(|before| before < count) {
            scroll.to_end();
        }
        count
    });
    view! {
        <div
            class="log"
            role="log"
            aria-live="off"
            aria-label="What was said and done"
            aria-busy=move || streams().to_string()
            data-at-end=move || scroll.at_end.get().then_some("")
            tabindex="0"
            node_ref=scroll.window
            on:scroll=move |_| scroll.scrolled()
        >
            <div class="column" node_ref=scroll.content>
                <Show when=move || welcomes && is_empty()>
                    <Welcome/>
                </Show>
                <For each=move || page.rows.get() key=|row| row.serial let(row)>
                    <Row row/>
                </For>
            </div>
        </div>
        <Show when=move || !scroll.at_end.get()>
            <div class="below">
                <button type="button" on:click=move |_| scroll.to_end()>"New below ↓"</button>
            </div>
        </Show>
    }
}

#[component]
fn Row(row: RowHandle) -> impl IntoView {
    let local = use_local();
    match row.body {
        RowBody::User(text) => view! {
            <div class="me">
                <span class="sr-only">"You, "</span>
                <time>{dom::when(row.at, local.now.get_untracked())}</time>
                <span class="sr-only">": "</span>
                <div class="text">{move || text.get()}</div>
            </div>
        }
        .into_any(),
        RowBody::Text(stream) => view! { <Reply stream/> }.into_any(),
        RowBody::Thinking(stream) => view! { <Thinking stream/> }.into_any(),
        RowBody::Tool(card) => view! { <ToolRow card=card.into()/> }.into_any(),
        RowBody::Completions { call, lines } => view! { <Completions call lines=lines.into()/> }.into_any(),
        RowBody::Notice { severity, text, retry } => {
            view! { <Notice severity=severity.into() text=text.into() retry=retry.into()/> }.into_any()
        }
    }
}

/// The beginning of a long text is enough to be read out unasked; the rest stands in the conversation.
fn announcement(text: &str) -> String {
    let head = &text[..format::floor(text, ANNOUNCED)];
    let mut text_of_head = markdown::plain(&markdown::parse(head));
    if head.len() < text.len() {
        text_of_head.push_str(" … The rest stands in the conversation.");
    }
    text_of_head
}

/// The model's text. A finished reply is announced to screen readers as a whole; a growing one is not.
#[component]
fn Reply(stream: Stream) -> impl IntoView {
    let local = use_local();
    let whole = stream.clone();
    let live = RwSignal::from(stream.live.clone());
    Effect::new(move |was: Option<bool>| {
        let is = live.get();
        if was == Some(true) && !is {
            local.announcement.set(announcement(&untrack(|| whole.text())));
        }
        is
    });
    view! { <Prose stream/> }
}

#[component]
fn Thinking(stream: Stream) -> impl IntoView {
    let live = RwSignal::from(stream.live.clone());
    let open = RwSignal::new(false);
    let toggle = move |event: ev::Event| {
        let details = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        open.set(details.is_some_and(|details| details.has_attribute("open")));
    };
    view! {
        <details class="thinking" on:toggle=toggle>
            <summary>{move || if live.get() { "Thinking…" } else { "Thought" }}</summary>
            <Show when=move || open.get()>
                <Prose stream=stream.clone()/>
            </Show>
        </details>
    }
}

/// What an empty session says: what this is, which model would answer, what one could try.
#[component]
fn Welcome() -> impl IntoView {
    let page = use_page();
    let who = move || {
        page.status.with(|status| match status.model.provider {
            Provider::Demo | Provider::Auto => {
                "The built-in demo answers: a scripted model that runs real commands. No key, no network. \
                 Connect a real one in the settings."
                    .to_owned()
            }
            Provider::Relay => format!("{} answers, with the runner's key.", status.model.model),
            Provider::Direct => format!("{} answers, with the key kept in this browser.", status.model.model),
        })
    };
    let wide = Memo::new(move |_| page.status.with(|status| status.wide.clone()));
    let examples = examples().map(|example| view! { <Try example/> });
    view! {
        <section class="welcome" aria-labelledby="welcome">
            <h2 id="welcome">"The agent keeps thinking while your commands run."</h2>
            <p>
                "Say what should be done. Commands run on your machine, long ones in the background: each one's end is \
                 pushed into a queue here, and the queue goes into the agent's next call."
            </p>
            <p class="who">{who}</p>
            {move || wide.get().map(|reason| view! { <p class="wide">{reason}</p> })}
            <h3>"Try the lesson"</h3>
            <ul>{examples}</ul>
            <Show when=move || page.queue.with(|queue| queue.iter().any(|waiting| matches!(waiting, Waiting::Message { .. })))>
                <p class="who">"Your message waits for the runner."</p>
            </Show>
        </section>
    }
}

#[component]
fn Try(example: Example) -> impl IntoView {
    let dispatch = use_dispatch();
    let send = move |_| {
        dispatch.agent(Command::QueueMessage { text: example.wish.to_owned(), steer: false });
    };
    view! {
        <li>
            <button type="button" on:click=send>
                <small>{example.title}</small>
                {example.wish}
            </button>
        </li>
    }
}
