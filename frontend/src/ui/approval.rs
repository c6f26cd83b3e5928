//! An approval that is waited for. Nothing but a press here, or a key while the focus is here, answers it;
//! what is dangerous is allowed by a press alone, and nothing is allowed before all of it could be read.

use agent::event::{Command, Decision};
use agent::settings::Rule;
use agent::view::{Danger, ToolCard, ToolState};
use leptos::prelude::*;
use leptos::{ev, html};
use leptos_use::use_intersection_observer;
use shared::shown;

use super::diff::Diff;
use super::focus::autofocus;
use super::shown::Shown;
use super::{dom, use_dispatch};

/// The id of the approval that is asked for, to jump to.
pub(crate) const ID: &str = "approval";

/// What is asked.
#[derive(Clone, Default)]
struct Question {
    reason: String,
    always: Vec<Rule>,
    dangers: Vec<Danger>,
}

fn question(card: &ToolCard) -> Question {
    match &card.state {
        ToolState::Asks { reason, always, dangers } => {
            Question { reason: reason.clone(), always: always.clone(), dangers: dangers.clone() }
        }
        ToolState::Writing
        | ToolState::Waiting
        | ToolState::Running { .. }
        | ToolState::Done
        | ToolState::Failed
        | ToolState::Skipped => Question::default(),
    }
}

/// The card.
#[component]
pub fn Approval(card: RwSignal<ToolCard>) -> impl IntoView {
    let dispatch = use_dispatch();
    let node = NodeRef::<html::Section>::new();
    let end = NodeRef::<html::Span>::new();
    let read = once_seen(end);
    let instead = RwSignal::new(String::new());
    let explains = RwSignal::new(false);
    let decide = move |decision: Decision| {
        if !read.get_untracked() && !matches!(decision, Decision::Deny { .. }) {
            return;
        }
        let (call, index) = card.with_untracked(|card| (card.call, card.index));
        dispatch.agent(Command::Decide { call, index, decision });
    };
    let deny = move || decide(Decision::Deny { reason: instead.get_untracked().trim().to_owned() });
    let asks = move || card.with(question);
    let dangers = move || asks().dangers;
    let is_dangerous = move || !dangers().is_empty();
    // What is dangerous is asked for each time.
    let always = move || asks().always.into_iter().filter(|_| !is_dangerous()).collect::<Vec<Rule>>();
    let unread = move || !read.get();
    let name = card.with_untracked(|card| card.name.clone());
    let ask = match name.as_str() {
        "bash" | "background_run" => "Run this command?",
        "write_file" => "Write this file?",
        "edit_file" => "Change this file?",
        "send_input" => "Send this input?",
        "stop_background" => "Stop this task?",
        _ => "Allow this?",
    };
    // The focus comes here only if it is nowhere: a message being written is never cut off, and Enter never
    // allows by accident.
    Effect::new(move |_| {
        if let Some(node) = node.get()
            && dom::is_focus_free()
        {
            dom::focus_in_place(&node);
        }
    });
    let on_key = move |event: ev::KeyboardEvent| {
        // A key that is held down has answered the question before, and not this one.
        if event.repeat() || event.ctrl_key() || event.meta_key() || event.alt_key() || dom::is_writing() {
            return;
        }
        let asks = untrack(asks);
        match event.key().as_str() {
            "n" | "N" => deny(),
            "y" | "Y" if asks.dangers.is_empty() => decide(Decision::Once),
            // The narrowest: a key makes no rule that covers more than what is seen.
            "a" | "A" if asks.dangers.is_empty() => {
                let Some(rule) = asks.always.into_iter().next() else { return };
                decide(Decision::Always { rule });
            }
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    view! {
        <section class="approval" id=ID tabindex="-1" node_ref=node role="group" aria-labelledby="approval-question" data-dangerous=move || is_dangerous().then_some("") on:keydown=on_key>
            <p id="approval-question" role="alert">
                <strong>{ask}</strong>
                " "
                <span class="reason">{move || shown::line(&asks().reason)}</span>
                <Show when=is_dangerous>
                    " "
                    <strong class="grave">"It is dangerous:"</strong>
                </Show>
            </p>
            <Show when=is_dangerous>
                <ul class="dangers">
                    {move || dangers().into_iter().map(|danger| view! { <DangerLine danger/> }).collect_view()}
                </ul>
            </Show>
            <div class="proposal" tabindex="0">
                <div class="what">
                    <span class="name">{name}</span>
                    <pre><code><Shown text=Signal::derive(move || card.with(|card| card.subject.clone()))/></code></pre>
                </div>
                <Show when=move || card.with(|card| !card.input.is_empty())>
                    <pre class="input"><Shown text=Signal::derive(move || card.with(|card| card.input.clone()))/></pre>
                </Show>
                <Show when=move || card.with(|card| !card.diff.is_empty())>
                    <Diff whole=true diff=Signal::derive(move || card.with(|card| card.diff.clone()))/>
                </Show>
                <span class="end" node_ref=end></span>
            </div>
            <Show when=unread>
                <p class="unread">"There is more of it: scroll to its end to allow it."</p>
            </Show>
            <div class="answers">
                <button
                    type="button"
                    class=move || (!is_dangerous()).then_some("primary")
                    title=move || (!is_dangerous()).then_some("Y")
                    disabled=unread
                    on:click=move |_| decide(Decision::Once)
                >
                    "Allow once"
                </button>
                <For each=always key=|rule| format!("{rule:?}") let(rule)>
                    <Always rule unread=Signal::derive(unread) decide/>
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
                        use:autofocus
                        bind:value=instead
                    />
                    <button type="submit">"Deny with these words"</button>
                </form>
            </Show>
        </section>
    }
}

#[component]
fn DangerLine(danger: Danger) -> impl IntoView {
    let what = match danger.what.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    let part = danger.part;
    view! {
        <li>
            {if part.is_empty() { "It".into_any() } else { view! { <code>{part}</code> }.into_any() }}
            " "
            <span>{what}</span>
        </li>
    }
}

#[component]
fn Always(rule: Rule, unread: Signal<bool>, decide: impl Fn(Decision) + 'static) -> impl IntoView {
    let label = match &rule {
        Rule::Exact { .. } => "Always allow exactly this".into_any(),
        Rule::Prefix { prefix, .. } => {
            let start = prefix.join(" ");
            view! { "Always allow " <code>{start}" …"</code> ", whatever follows" }.into_any()
        }
        Rule::Edits { .. } => "Always allow changes of files".into_any(),
    };
    let title = match &rule {
        Rule::Exact { .. } => "A",
        Rule::Prefix { .. } => {
            "Anything may follow these words, but for options that can run another program: those ask again."
        }
        Rule::Edits { .. } => "But for files that run something by themselves later: those ask again.",
    };
    view! {
        <button type="button" title=title disabled=move || unread.get() on:click=move |_| decide(Decision::Always { rule: rule.clone() })>
            {label}
        </button>
    }
}

/// Whether an element was in view once, in all that scrolls around it.
fn once_seen(node: NodeRef<html::Span>) -> RwSignal<bool> {
    let seen = RwSignal::new(false);
    use_intersection_observer(node, move |entries, _| {
        let in_view = entries.iter().any(web_sys::IntersectionObserverEntry::is_intersecting);
        if in_view && seen.try_get_untracked() == Some(false) {
            seen.set(true);
        }
    });
    seen
}
