//! The exact messages of a call as they were sent, the results delivered with it marked.

use agent::conversation::{Block, Role, Turn};
use agent::transcript::SentRequest;
use leptos::html;
use leptos::prelude::*;
use serde_json::Value;

use super::components::{CopyButton, Modal};
use super::use_page;
use crate::state::CallView;

/// How the block of results begins; only a text block of the user's side is looked at.
const INJECTED: &str = "<background-results";

/// The dialog.
#[component]
pub fn CallDialog(view: CallView) -> impl IntoView {
    let page = use_page();
    let title = format!("Call {}", view.call.0);
    let body = match view.request {
        Ok(request) => view! { <Request request/> }.into_any(),
        Err(reason) => view! { <p>{reason}</p> }.into_any(),
    };
    view! {
        <Modal title wide=true on_close=move || page.call_view.set(None)>{body}</Modal>
    }
}

#[component]
fn Request(request: SentRequest) -> impl IntoView {
    let SentRequest { model, system, tools, turns, body } = request;
    let json = pretty(&body);
    let system = (!system.trim().is_empty()).then_some(system);
    let count = turns.len();
    // The last message, the one that was new, is what one came to see.
    let node = NodeRef::<html::Li>::new();
    Effect::new(move |_| {
        if let Some(last) = node.get() {
            request_animation_frame(move || last.scroll_into_view());
        }
    });
    let messages = turns
        .into_iter()
        .enumerate()
        .map(|(at, turn)| {
            let item = view! { <Message turn/> };
            if at + 1 == count {
                view! { <li node_ref=node>{item}</li> }.into_any()
            } else {
                view! { <li>{item}</li> }.into_any()
            }
        })
        .collect_view();
    view! {
        <p class="row">
            <code>{model.model}</code>
            <span class="grow"></span>
            <CopyButton text=move || json.clone() label="Copy as JSON"/>
        </p>
        {system.map(|text| view! { <details class="system"><summary>"System prompt"</summary><pre>{text}</pre></details> })}
        {(tools > 0).then(|| view! { <p class="none">{crate::format::count(tools, "tool")}" offered"</p> })}
        <ol class="messages">{messages}</ol>
    }
}

#[component]
fn Message(turn: Turn) -> impl IntoView {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let blocks = turn.blocks.into_iter().map(|block| part(turn.role, block)).collect_view();
    view! { <section class="message" data-role=role><h3>{role}</h3>{blocks}</section> }
}

fn part(role: Role, block: Block) -> AnyView {
    match block {
        Block::Text { text } if role == Role::User && text.starts_with(INJECTED) => view! {
            <div class="injected">
                <p>"Results delivered to the model"</p>
                <pre>{text}</pre>
            </div>
        }
        .into_any(),
        Block::Text { text } => view! { <pre>{text}</pre> }.into_any(),
        Block::Thinking { text } => view! { <p class="kind">"thinking"</p><pre>{text}</pre> }.into_any(),
        Block::ToolUse { id, name, input } => view! {
            <p class="kind">"tool use "<code>{name}</code>" "<small>{id}</small></p>
            <pre>{pretty(&input)}</pre>
        }
        .into_any(),
        Block::ToolResult { id, text, is_error } => view! {
            <p class="kind">"tool result "<small>{id}</small>{is_error.then_some(" error")}</p>
            <pre>{text}</pre>
        }
        .into_any(),
        Block::Foreign { item } => view! { <pre>{pretty(&item)}</pre> }.into_any(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
