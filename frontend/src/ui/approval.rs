//! An approval that is waited for. Nothing but a press here, or a key while the focus is here, answers it.

use agent::event::{Decision, UserEvent};
use agent::settings::Rule;
use agent::view::{ToolCard, ToolState};
use leptos::ev;
use leptos::prelude::*;

use super::tool::Diff;
use super::{dom, use_dispatch};
use crate::view::{NodeRef, Says, View, effect, view};

/// The id of the approval that is asked for, to jump to.
pub(crate) const ID: &str = "approval";

/// The card.
#[component]
pub fn Approval(card: RwSignal<ToolCard>) -> View {
    let dispatch = use_dispatch();
    let node = NodeRef::<web_sys::HtmlElement>::new();
    let words = RwSignal::new(String::new());
    let explains = RwSignal::new(false);
    let decide = move |decision: Decision| {
        let (call, index) = card.with_untracked(|card| (card.call, card.index));
        dispatch.agent(UserEvent::Decide { call, index, decision });
    };
    let deny = move || decide(Decision::Deny { words: words.get_untracked().trim().to_owned() });
    let asks = move || {
        card.with(|card| match &card.state {
            ToolState::Asks { reason, always } => (reason.clone(), always.clone()),
            ToolState::Writing
            | ToolState::Waiting
            | ToolState::Running { .. }
            | ToolState::Done
            | ToolState::Failed
            | ToolState::Skipped => (String::new(), Vec::new()),
        })
    };
    let name = card.with_untracked(|card| card.name.clone());
    let question = match name.as_str() {
        "bash" | "background_run" => "Run this command?",
        "write_file" => "Write this file?",
        "edit_file" => "Change this file?",
        "send_input" => "Send this input?",
        "stop_background" => "Stop this task?",
        _ => "Allow this?",
    };
    // The focus comes here only if it is nowhere: words being written are never cut off, and Enter never allows by accident.
    effect(move |_| {
        if let Some(node) = node.get()
            && dom::is_focus_free()
        {
            dom::focus_in_place(&node);
        }
    });
    let on_key = move |event: ev::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() || dom::is_writing() {
            return;
        }
        match event.key().as_str() {
            "y" | "Y" => decide(Decision::Once),
            "a" | "A" => {
                let rule = asks.with_untracked(|(_, always)| always.last().cloned());
                let Some(rule) = rule else { return };
                decide(Decision::Always { rule });
            }
            "n" | "N" => deny(),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    view! {
        <section class="approval" id=ID tabindex="-1" node_ref=node role="group" aria-labelledby="approval-question" on:keydown=on_key>
            <p id="approval-question" role="alert">
                <strong>{question}</strong>
                " "
                <span class="reason">{move || asks.with(|(reason, _)| reason.clone())}</span>
            </p>
            <div class="what">
                <span class="name">{name}</span>
                <pre tabindex="0"><code>{move || card.with(|card| card.subject.clone())}</code></pre>
            </div>
            <Show when=move || card.with(|card| !card.input.is_empty())>
                <pre class="input" tabindex="0">{move || card.with(|card| card.input.clone())}</pre>
            </Show>
            <Show when=move || card.with(|card| !card.diff.is_empty())>
                <Diff diff=Signal::derive(move || card.with(|card| card.diff.clone()))/>
            </Show>
            <div class="answers">
                <button type="button" class="primary" title="Y" on:click=move |_| decide(Decision::Once)>"Allow once"</button>
                <For each=move || asks.get().1 key=|rule| format!("{rule:?}") let(rule)>
                    <Always rule decide/>
                </For>
                <span class="grow"></span>
                <button
                    type="button"
                    class="quiet"
                    aria-expanded=move || explains.get().to_string()
                    on:click=move |_| explains.update(|explains| *explains = !*explains)
                >
                    "Say why"
                </button>
                <button type="button" class="deny" title="N" on:click=move |_| deny()>"Deny"</button>
            </div>
            <Show when=move || explains.get()>
                <form
                    class="why"
                    on:submit=move |event: ev::SubmitEvent| {
                        event.prevent_default();
                        deny();
                    }
                >
                    <input
                        type="text"
                        aria-label="What the agent should do instead"
                        placeholder="What the agent should do instead"
                        autofocus=true
                        bind:value=words
                    />
                    <button type="submit">"Deny with these words"</button>
                </form>
            </Show>
        </section>
    }
}

#[component]
fn Always(rule: Rule, decide: impl Fn(Decision) + 'static) -> View {
    let words = match &rule {
        Rule::Exact { .. } => view! { "Always allow exactly this" },
        Rule::Prefix { words, .. } => {
            let words = words.join(" ");
            view! { "Always allow " <code>{words}" …"</code> }
        }
        Rule::Edits { .. } => view! { "Always allow changes of files" },
    };
    view! {
        <button type="button" on:click=move |_| decide(Decision::Always { rule: rule.clone() })>{words}</button>
    }
}
