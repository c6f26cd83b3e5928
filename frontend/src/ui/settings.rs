//! The settings: the model and the way to it, what needs an approval, what is always allowed, other browsers.

use agent::event::Command;
use agent::model::Api;
use agent::model::endpoint::{WAYS, Way};
use agent::settings::{Direct, ModelChoice, Provider, Rule, Settings};
use leptos::ev;
use leptos::prelude::*;
use shared::shown;

use super::components::{CopyButton, Modal};
use super::local::use_local;
use super::mode::UsualModePicker;
use super::{PageCommand, use_dispatch, use_page};
use crate::format;
use crate::state::Notifications;

/// The ids of the models that are known by name, the recommended one first.
pub(crate) fn known_models() -> Vec<&'static str> {
    agent::model::catalog::TABLE.iter().map(|row| row.id).collect()
}

/// How many typed models are remembered.
const TYPED: usize = 8;

/// Keeps a model that was typed by name among the choices, once another is chosen.
pub(crate) fn remember(typed: &mut Vec<ModelChoice>, left: ModelChoice) {
    let by_name = matches!(left.provider, Provider::Relay | Provider::Direct) && !left.model.is_empty();
    let is_known = left.api.is_usual() && known_models().contains(&left.model.as_str());
    if by_name && !is_known && !typed.contains(&left) {
        typed.push(left);
        let excess = typed.len().saturating_sub(TYPED);
        typed.drain(..excess);
    }
}

/// Whether a way is the chosen one. What is spoken matters only where calls go directly.
fn is_chosen(way: &Way, (provider, api): (Provider, Api)) -> bool {
    way.provider == provider && (provider != Provider::Direct || way.api == api)
}

/// The dialog.
#[component]
pub fn SettingsDialog() -> impl IntoView {
    let local = use_local();
    view! {
        <Modal title="Settings" on_close=move || local.dialog.set(None)>
            <ModelSettings/>
            <ApprovalSettings/>
            <WakeSettings/>
            <PairSettings/>
            <p class="about">
                "Meanwhile runs its agent inside this page; commands run on the runner. What you set is kept in this browser."
            </p>
        </Modal>
    }
}

/// Changes the settings through the shell, which keeps them and gives them back.
#[derive(Clone, Copy)]
struct Change(super::PageState, super::Dispatch);

impl Change {
    fn with(self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.0.settings.get_untracked();
        change(&mut settings);
        self.1.send(PageCommand::SaveSettings(settings));
    }
}

fn use_change() -> Change {
    Change(use_page(), use_dispatch())
}

#[component]
fn ModelSettings() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let change = use_change();
    let way =
        Memo::new(move |_| page.settings.with(|settings| (settings.model.provider, settings.model.api)));
    let direct = move || page.settings.with(|settings| settings.direct(settings.model.api));
    let model = move || page.settings.with(|settings| settings.model.model.clone());
    let has_key = move || direct().has_key;
    let relay = move || page.status.with(|status| !status.relay.is_empty());
    let key = RwSignal::new(String::new());
    let choose = move |way: Way| {
        // What was typed for one server is not kept for another.
        key.set(String::new());
        change.with(|settings| {
            let before = settings.model.clone();
            settings.model.provider = way.provider;
            if !matches!(way.provider, Provider::Relay | Provider::Direct) {
                return;
            }
            settings.model.api = way.api;
            if before.api != way.api {
                let last = settings.typed.iter().rfind(|typed| typed.api == way.api);
                settings.model.model = last.map_or_else(|| way.model.to_owned(), |last| last.model.clone());
                remember(&mut settings.typed, before);
            } else if settings.model.model.is_empty() {
                way.model.clone_into(&mut settings.model.model);
            }
        });
    };
    let ways = WAYS.map(|this| {
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="provider"
                    prop:checked=move || is_chosen(&this, way.get())
                    on:change=move |_| choose(this)
                />
                <span>
                    <strong>{this.name}</strong>
                    <small>
                        {this.meaning}
                        {move || (this.provider == Provider::Relay && !relay()).then_some(" This runner has no key.")}
                    </small>
                </span>
            </label>
        }
    });
    let named = move || matches!(way.get().0, Provider::Relay | Provider::Direct);
    let save_key = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let typed = key.get_untracked().trim().to_owned();
        if !typed.is_empty() {
            dispatch.send(PageCommand::SetKey(way.get_untracked().1, typed));
            key.set(String::new());
        }
    };
    let models = agent::model::catalog::TABLE
        .iter()
        .map(|row| view! { <option value=row.id>{row.label}</option> })
        .collect_view();
    view! {
        <fieldset>
            <legend>"Model"</legend>
            {ways}
            <Show when=named>
                <label class="field">
                    <span>"Model"</span>
                    <input
                        type="text"
                        list=move || way.get().1.is_usual().then_some("models")
                        spellcheck="false"
                        autocomplete="off"
                        prop:value=model
                        on:change=move |event| {
                            let model = event_target_value(&event).trim().to_owned();
                            change.with(|settings| settings.model.model = model);
                        }
                    />
                </label>
            </Show>
            <datalist id="models">{models}</datalist>
            <Show when=move || way.get().0 == Provider::Direct>
                <form class="field" on:submit=save_key>
                    <label for="key">"Key"</label>
                    <div class="row">
                        <input
                            id="key"
                            type="password"
                            autocomplete="off"
                            placeholder=move || if has_key() { "A key is kept in this browser" } else { "" }
                            bind:value=key
                        />
                        <button type="submit" disabled=move || key.with(|key| key.trim().is_empty())>"Keep"</button>
                        <Show when=has_key>
                            <button type="button" class="quiet" on:click=move |_| dispatch.send(PageCommand::ForgetKey(way.get_untracked().1))>"Forget it"</button>
                        </Show>
                    </div>
                </form>
                <label class="field">
                    <span>"Address"</span>
                    <input
                        type="url"
                        placeholder=move || way.get().1.codec().wire().base
                        prop:value=move || direct().base_url
                        on:change=move |event| {
                            let url = event_target_value(&event).trim().trim_end_matches('/').to_owned();
                            change.with(|settings| {
                                let api = settings.model.api;
                                settings.set_direct(api, Direct { base_url: url, ..settings.direct(api) });
                            });
                        }
                    />
                </label>
            </Show>
        </fieldset>
    }
}

#[component]
fn ApprovalSettings() -> impl IntoView {
    let page = use_page();
    let change = use_change();
    let rules = Memo::new(move |_| page.settings.with(|settings| settings.rules.clone()));
    view! {
        <fieldset>
            <legend>"Approvals"</legend>
            <label class="field"><span>"New sessions"</span><UsualModePicker/></label>
            <Show
                when=move || !rules.with(Vec::is_empty)
                fallback=|| view! { <p class="none">"Nothing is always allowed yet. An approval offers it."</p> }
            >
                <p>"Always allowed:"</p>
                <ul class="rules">
                    <For each=move || rules.get() key=|rule| format!("{rule:?}") let(rule)>
                        <li>
                            {rule_label(&rule)}
                            <button
                                type="button"
                                class="quiet small"
                                on:click=move |_| change.with(|settings| settings.rules.retain(|other| *other != rule))
                            >
                                "Remove"
                            </button>
                        </li>
                    </For>
                </ul>
            </Show>
        </fieldset>
    }
}

fn rule_label(rule: &Rule) -> impl IntoView + use<> {
    let (label, code, workspace) = match rule {
        Rule::Exact { command, workspace } => ("", Some(shown::line(command)), workspace),
        Rule::Prefix { prefix: words, workspace } => ("", Some(format!("{} …", words.join(" "))), workspace),
        Rule::Edits { workspace } => ("changes of files", None, workspace),
    };
    view! {
        <span>
            {label}
            {code.map(|code| view! { <code>{code}</code> })}
            <small>{format!(" in {workspace}")}</small>
        </span>
    }
}

#[component]
fn WakeSettings() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let change = use_change();
    let wakes = move || page.settings.with(|settings| settings.wake);
    view! {
        <fieldset>
            <legend>"When a task ends"</legend>
            <label class="choice">
                <input
                    type="checkbox"
                    prop:checked=wakes
                    on:change=move |event| {
                        let on = event_target_checked(&event);
                        change.with(|settings| settings.wake = on);
                    }
                />
                <span>
                    <strong>"Wake the agent"</strong>
                    <small>"A result that finds it idle starts a turn. Otherwise, and for what was stopped or lost, it waits for your next message."</small>
                </span>
            </label>
            <p class="row">
                {move || match page.notifications.get() {
                    Notifications::Ask => view! {
                        <button type="button" on:click=move |_| dispatch.send(PageCommand::AllowNotifications)>"Allow notifications"</button>
                        <small>" while this tab is hidden, when the agent is done or asks"</small>
                    }
                    .into_any(),
                    Notifications::Granted => "Notifications are allowed: they come while this tab is hidden.".into_any(),
                    Notifications::Denied => "The browser refuses notifications for this address; its site settings can change that.".into_any(),
                    Notifications::Unsupported => "This browser has no notifications.".into_any(),
                }}
            </p>
        </fieldset>
    }
}

#[component]
fn PairSettings() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    view! {
        <fieldset>
            <legend>"Other browsers"</legend>
            <p class="row">
                <button type="button" on:click=move |_| dispatch.agent(Command::Pair)>"Pair another browser"</button>
                <small>" makes a link that works once"</small>
            </p>
            {move || page.pair_link.get().map(|link| {
                let url = link.url.clone();
                let shown = link.url.clone();
                let select = |event: ev::FocusEvent| event_target::<web_sys::HtmlInputElement>(&event).select();
                let left = move || {
                    let left = link.expires.since(local.now.get());
                    if left == 0 { "It has run out; make another.".to_owned() } else { format!("Good for {}.", format::elapsed(left)) }
                };
                view! {
                    <div class="pair-link">
                        <input type="text" readonly=true aria-label="The link" value=shown on:focus=select/>
                        <CopyButton text=move || url.clone()/>
                        <small>{left}</small>
                    </div>
                }
            })}
        </fieldset>
    }
}
