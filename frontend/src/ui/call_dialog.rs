//! The exact messages of a call as they were sent, what the runner put in marked.

use leptos::html;
use leptos::prelude::*;
use serde_json::{Value, json};

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
fn Request(request: Value) -> impl IntoView {
    let json = format!("{request:#}");
    let model = request.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let messages = request.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    let tools = request.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
    let system = request.get("system").map(text_of).filter(|text| !text.is_empty());
    let count = messages.len();
    // The last message, the one that was new, is what one came to see.
    let node = NodeRef::<html::Li>::new();
    Effect::new(move |_| {
        if let Some(last) = node.get() {
            request_animation_frame(move || last.scroll_into_view());
        }
    });
    let messages = messages
        .into_iter()
        .enumerate()
        .map(|(at, message)| {
            let item = view! { <Message message/> };
            if at + 1 == count {
                view! { <li node_ref=node>{item}</li> }.into_any()
            } else {
                view! { <li>{item}</li> }.into_any()
            }
        })
        .collect_view();
    view! {
        <p class="row">
            <code>{model}</code>
            <span class="grow"></span>
            <CopyButton text=move || json.clone() label="Copy as JSON"/>
        </p>
        {system.map(|text| view! { <details class="system"><summary>"System prompt"</summary><pre>{text}</pre></details> })}
        {(tools > 0).then(|| view! { <p class="none">{crate::format::count(tools, "tool")}" offered"</p> })}
        <ol class="messages">{messages}</ol>
    }
}

#[component]
fn Message(message: Value) -> impl IntoView {
    let role = message.get("role").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let blocks = match message.get("content") {
        Some(Value::Array(blocks)) => blocks.clone(),
        Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
        Some(other) => vec![other.clone()],
        None => Vec::new(),
    };
    let heading = role.clone();
    let blocks = blocks.into_iter().map(|block| part(&role, &block)).collect_view();
    view! { <section class="message" data-role=role><h3>{heading}</h3>{blocks}</section> }
}

fn part(role: &str, block: &Value) -> AnyView {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
    let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        "text" => {
            let text = field("text");
            if role == "user" && text.starts_with(INJECTED) {
                view! {
                    <div class="injected">
                        <p>"Put in from the queue"</p>
                        <pre>{text}</pre>
                    </div>
                }
                .into_any()
            } else {
                view! { <pre>{text}</pre> }.into_any()
            }
        }
        "thinking" => view! { <p class="kind">"thinking"</p><pre>{field("thinking")}</pre> }.into_any(),
        "tool_use" => {
            let input = block.get("input").map(pretty).unwrap_or_default();
            view! { <p class="kind">"tool_use "<code>{field("name")}</code>" "<small>{field("id")}</small></p><pre>{input}</pre> }.into_any()
        }
        "tool_result" => {
            let text = block.get("content").map(text_of).unwrap_or_default();
            let error = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            view! {
                <p class="kind">
                    "tool_result "
                    <small>{field("tool_use_id")}</small>
                    {error.then_some(" error")}
                </p>
                <pre>{text}</pre>
            }
            .into_any()
        }
        _ => view! { <pre>{pretty(block)}</pre> }.into_any(),
    }
}

/// The text of a content that is a string or a list of text blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| {
                block.get("text").and_then(Value::as_str).map_or_else(|| pretty(block), str::to_owned)
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => pretty(other),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
