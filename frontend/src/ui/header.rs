//! The top line: the session's title, where commands run, the model, what was spent, and whether the runner
//! is there.

use agent::event::Command;
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::{LinkView, Spent};
use leptos::ev;
use leptos::prelude::*;
use shared::Timestamp;
use shared::protocol::Confined;

use super::components::{Icon, IconButton, IconView, Picking, Popover};
use super::focus::{autoselect, while_shown};
use super::local::{Dialog, Panel, use_local};
use super::mode::AllowsAll;
use super::{PageCommand, dom, use_dispatch, use_page};
use crate::format;
use crate::state::Ownership;

/// The header.
#[component]
pub fn Header() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let workspace = move || page.status.with(|status| status.workspace.clone());
    let shows =
        move |panel: Panel| Signal::derive(move || !local.hidden.with(|hidden| hidden.contains(&panel)));
    let toggle = move |panel: Panel| {
        local.hidden.update(|hidden| {
            if !hidden.remove(&panel) {
                hidden.insert(panel);
            }
        });
    };
    let where_commands_run = move || page.status.with(|status| confinement(status.confined.as_ref()));
    let wide = move || page.status.with(|status| status.wide.clone().unwrap_or_default());
    let allows_all = move || page.status.with(|status| status.mode == Mode::Auto).then_some("");
    view! {
        <header class="top" data-allows-all=allows_all>
            <div class="brand"><IconView icon=Icon::Logo/>"Meanwhile"</div>
            <Title/>
            <span class="grow"></span>
            <AllowsAll/>
            <Show when=move || page.status.with(|status| status.wide.is_some())>
                <Popover id="wide" label=|| "not a project's folder".to_owned() more=wide/>
            </Show>
            <Show when=move || !workspace().is_empty()>
                <span class="workspace" title=where_commands_run><bdi>{workspace}</bdi></span>
                <Show when=move || page.status.with(|status| status.confined.is_some())>
                    <Popover id="confined" label=|| "confined".to_owned() more=where_commands_run/>
                </Show>
            </Show>
            <ModelPicker/>
            <Price/>
            <Link/>
            <div class="tools">
                <span class="wide-only">
                    <IconButton
                        icon=Icon::Sides
                        label="Sessions at the left"
                        pressed=shows(Panel::Sessions)
                        on_press=move || toggle(Panel::Sessions)
                    />
                </span>
                <IconButton icon=Icon::Help label="Keys and help (?)" on_press=move || local.dialog.set(Some(Dialog::Help))/>
                <IconButton icon=Icon::Gear label="Settings" on_press=move || local.dialog.set(Some(Dialog::Settings))/>
            </div>
        </header>
    }
}

/// Where commands run, and what they may write to.
fn confinement(confined: Option<&Confined>) -> String {
    let Some(confined) = confined else { return "Where commands run".to_owned() };
    let mut lines = vec!["Commands run here and may write only to:".to_owned()];
    lines.extend(confined.writable.iter().cloned());
    lines.extend(confined.gaps.iter().map(|gap| format!("Not confined: {gap}")));
    lines.join("\n")
}

/// The session's title. A press makes it a field.
#[component]
fn Title() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let title = move || page.status.with(|status| status.title.clone());
    let shown =
        move || Some(title()).filter(|title| !title.is_empty()).unwrap_or_else(|| "New session".to_owned());
    let edits = RwSignal::new(false);
    let draft = RwSignal::new(String::new());
    let begin = move |_| {
        draft.set(untrack(title));
        edits.set(true);
    };
    let save = move || {
        if edits.try_get_untracked() == Some(true) {
            edits.set(false);
            let title = draft.get_untracked().trim().to_owned();
            dispatch.agent(Command::Rename { title });
        }
    };
    let on_key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        _ if dom::composes(&event) => {}
        "Enter" => save(),
        "Escape" => {
            event.stop_propagation();
            edits.set(false);
        }
        _ => {}
    };
    move || {
        if edits.get() {
            view! {
                <input
                    class="title"
                    type="text"
                    aria-label="The session's title"
                    maxlength="200"
                    use:autoselect
                    bind:value=draft
                    on:keydown=on_key
                    on:blur=while_shown(move |_| save())
                />
            }
            .into_any()
        } else {
            view! {
                <h1 class="title">
                    <button type="button" title="Rename this session" on:click=begin>{shown}</button>
                </h1>
            }
            .into_any()
        }
    }
}

/// A model and the way to it, for people.
pub(crate) fn model_name(choice: &ModelChoice) -> String {
    match choice.provider {
        Provider::Auto => "Automatic".to_owned(),
        Provider::Demo => "Demo".to_owned(),
        Provider::Relay => format!("{} · runner's key", choice.model),
        Provider::Direct if choice.model.is_empty() => "No model named".to_owned(),
        Provider::Direct if !choice.api.is_usual() => format!("{} · own address", choice.model),
        Provider::Direct => format!("{} · own key", choice.model),
    }
}

#[component]
fn ModelPicker() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let resolved = move || page.status.with(|status| status.model.clone());
    let chosen = Memo::new(move |_| page.settings.with(|settings| settings.model.clone()));
    let choices = Memo::new(move |_| {
        let ways = (
            page.status.with(|status| !status.relay.is_empty()),
            page.settings.with(|settings| settings.has_key),
        );
        page.settings.with(|settings| choices(ways.0, ways.1, settings))
    });
    let name = move |choice: &ModelChoice| match choice.provider {
        Provider::Auto => format!("Automatic: {}", model_name(&resolved())),
        Provider::Demo | Provider::Relay | Provider::Direct => model_name(choice),
    };
    let choose = move |to: String, left: bool| {
        let at = to.parse::<usize>().ok();
        let choice = at.and_then(|at| choices.with_untracked(|choices| choices.get(at).cloned()));
        let Some(model) = choice else {
            if !left {
                local.dialog.set(Some(Dialog::Settings));
            }
            // The field still shows "more"; what is chosen is what the settings say.
            page.settings.notify();
            return;
        };
        let mut settings = page.settings.get_untracked();
        let before = std::mem::replace(&mut settings.model, model);
        super::settings::remember(&mut settings.typed, before);
        dispatch.send(PageCommand::SaveSettings(settings));
    };
    let selected = move || {
        page.settings.track();
        choices
            .with(|choices| choices.iter().position(|choice| *choice == chosen.get()))
            .unwrap_or(0)
            .to_string()
    };
    let picking = Picking::new(selected, choose);
    view! {
        <select
            class="picker model"
            aria-label="The model"
            prop:value=selected
            on:keydown=move |event| picking.key(&event)
            on:keyup=move |_| picking.key_up()
            on:change=move |event| picking.change(&event)
            on:blur=while_shown(move |_| picking.left())
        >
            {move || {
                choices
                    .get()
                    .iter()
                    .enumerate()
                    .map(|(at, choice)| {
                        view! {
                            <option value=at.to_string() selected=*choice == chosen.get_untracked()>{name(choice)}</option>
                        }
                    })
                    .collect_view()
            }}
            <option value="more">"More in the settings…"</option>
        </select>
    }
}

/// The models that can be chosen at once: automatic, demo, the known ones by each way there is, those that
/// were typed, and what is chosen now.
fn choices(relay: bool, direct: bool, settings: &Settings) -> Vec<ModelChoice> {
    let mut choices = vec![ModelChoice::default(), ModelChoice::new(Provider::Demo, "")];
    for (way, provider) in [(relay, Provider::Relay), (direct, Provider::Direct)] {
        if way {
            let known = super::settings::known_models();
            choices.extend(known.into_iter().map(|model| ModelChoice::new(provider, model)));
        }
    }
    for choice in settings.typed.iter().chain([&settings.model]) {
        if !choices.contains(choice) {
            choices.push(choice.clone());
        }
    }
    choices
}

#[component]
fn Price() -> impl IntoView {
    let page = use_page();
    let spent = move || page.status.with(|status| (status.spent, status.polls));
    let label = move || {
        let (spent, _) = spent();
        let tokens = format!("{} tokens", format::tokens(spent.input + spent.output));
        match spent.dollars {
            Some(dollars) => format!("{tokens} · {}", format::dollars(dollars)),
            None => tokens,
        }
    };
    let any = move || spent().0.input > 0;
    view! {
        <Show when=any>
            <Popover id="price" label more=move || { let (spent, polls) = spent(); spending(&spent, polls) }/>
        </Show>
    }
}

fn spending(spent: &Spent, polls: u32) -> String {
    let mut text = format!(
        "{} in ({} % cached), {} out; {} in the context now",
        format::grouped(spent.input),
        format::percent(spent.cached, spent.input),
        format::grouped(spent.output),
        format::grouped(spent.context),
    );
    if spent.dollars.is_none() {
        text.push_str("; the price is not known");
    }
    if polls > 0 {
        let times = format::count(polls as usize, "time");
        text.push_str(&format!("; looked at running tasks {times} instead of waiting"));
    }
    text
}

/// Whether the runner is there, always visible.
#[component]
fn Link() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let link = Memo::new(move |_| {
        let unpaired = page.ownership.with(|ownership| matches!(ownership, Ownership::Unpaired { .. }));
        if unpaired { LinkView::Unpaired } else { page.status.with(|status| status.link.clone()) }
    });
    let state = move || {
        link.with(|link| match link {
            LinkView::Live => "live",
            LinkView::Opening => "opening",
            LinkView::Down { .. } => "down",
            LinkView::Stranger { .. } => "stranger",
            LinkView::Unpaired | LinkView::Outdated | LinkView::Taken { .. } => "refused",
        })
    };
    let label = move || match link.get() {
        LinkView::Live => "runner".to_owned(),
        LinkView::Opening => "connecting…".to_owned(),
        LinkView::Down { retry_at, .. } => away(retry_at, local.now.get()),
        LinkView::Stranger { .. } => "not your runner".to_owned(),
        LinkView::Unpaired => "not paired".to_owned(),
        LinkView::Outdated => "another version".to_owned(),
        LinkView::Taken { .. } => "elsewhere".to_owned(),
    };
    let reason = move || match link.get() {
        LinkView::Live => "Connected to the runner".to_owned(),
        LinkView::Opening => "Connecting to the runner".to_owned(),
        LinkView::Down { reason, .. } | LinkView::Taken { reason } | LinkView::Stranger { reason, .. } => {
            reason
        }
        LinkView::Unpaired => "The runner does not know this browser".to_owned(),
        LinkView::Outdated => "The runner was updated: reload the page".to_owned(),
    };
    let is_down = move || link.with(|link| matches!(link, LinkView::Down { .. } | LinkView::Taken { .. }));
    let is_old = move || link.with(|link| matches!(link, LinkView::Outdated));
    view! {
        <span class="link-state" data-state=state>
            <span class="dot" aria-hidden="true"></span>
            // Only the state itself is announced, not each second of its countdown.
            <span class="sr-only" role="status">{move || format!("Runner: {}", state())}</span>
            <Popover id="link-why" label more=reason/>
            <Show when=is_down>
                <button type="button" class="small" on:click=move |_| dispatch.agent(Command::Reconnect)>"now"</button>
            </Show>
            <Show when=is_old>
                <button type="button" class="small" on:click=move |_| drop(window().location().reload())>"Reload"</button>
            </Show>
        </span>
    }
}

/// A lost connection, for people.
fn away(retry_at: Timestamp, now: Timestamp) -> String {
    match retry_at.since(now).div_ceil(1_000) {
        0 => "runner away, trying…".to_owned(),
        left => format!("runner away, again in {left} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_says_when_it_is_tried_again() {
        let now = Timestamp(5_000);
        assert_eq!(away(Timestamp(6_001), now), "runner away, again in 2 s");
        assert_eq!(away(Timestamp(4_000), now), "runner away, trying…");
    }

    #[test]
    fn what_commands_may_write_to_is_said() {
        assert_eq!(confinement(None), "Where commands run");
        let confined = Confined {
            writable: vec!["/home/a/b".into(), "/tmp/c".into()],
            gaps: vec!["This kernel cannot forbid truncation.".into()],
        };
        assert_eq!(
            confinement(Some(&confined)),
            "Commands run here and may write only to:\n/home/a/b\n/tmp/c\nNot confined: This kernel cannot forbid truncation."
        );
    }
}
