//! The sessions of this browser: new, open, rename, delete, search.

use agent::effect::SessionSummary;
use leptos::ev;
use leptos::prelude::*;
use shared::SessionId;

use super::components::{Icon, IconButton};
use super::focus::{autofocus, autoselect, kept, while_shown};
use super::local::{Panel, use_local};
use super::{PageCommand, dom, use_dispatch, use_page};
use crate::format;
use crate::state::Sessions;

/// From how many sessions on there is a search.
const SEARCH_FROM: usize = 9;
/// A session without news for longer is one of the earlier.
const RECENT_MS: u64 = 24 * 3_600_000;

/// The panel at the left.
#[component]
pub fn SessionsPanel() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let search = RwSignal::new(String::new());
    let many = move || page.sessions.with(|sessions| sessions.list.len() >= SEARCH_FROM);
    let workspace = move || page.status.with(|status| status.workspace.clone());
    let groups = Memo::new(move |_| {
        let query = if many() { search.get() } else { String::new() };
        let now = local.now.get_untracked().0;
        page.sessions.with(|sessions| grouped(sessions, &workspace(), &query, now))
    });
    let here = Signal::derive(move || groups.with(|groups| groups.0.clone()));
    let earlier = Signal::derive(move || groups.with(|groups| groups.1.clone()));
    view! {
        <nav
            class="sessions"
            id=Panel::Sessions.as_str()
            tabindex="-1"
            aria-label="Sessions"
            data-shown=move || (local.panel.get() == Panel::Sessions).then_some("")
        >
            <button
                type="button"
                class="new"
                aria-keyshortcuts="Control+J"
                on:click=move |_| {
                    local.panel.set(Panel::Conversation);
                    dispatch.send(PageCommand::NewSession);
                }
            >
                "New session" <kbd>"Ctrl J"</kbd>
            </button>
            <Show when=many>
                <input type="search" class="search" placeholder="Search" aria-label="Search sessions" bind:value=search/>
            </Show>
            <div class="scroll">
                <Group title="This runner" sessions=here/>
                <Group title="Earlier" sessions=earlier/>
                <Show when=move || groups.with(|(here, earlier)| here.is_empty() && earlier.is_empty()) && many()>
                    <p class="none">"No session has these words in its title."</p>
                </Show>
            </div>
            <Footer/>
        </nav>
    }
}

#[component]
fn Footer() -> impl IntoView {
    let page = use_page();
    let host = window().location().host().unwrap_or_default();
    // One that only follows has no connection of its own and does not count.
    let here = move || page.sessions.with(|sessions| usize::from(sessions.here > 0));
    let first = move || match page.stats.get().map(|stats| (stats.tabs as usize).saturating_sub(here())) {
        Some(others) if others > 0 => format!("{host} · {}", format::count(others, "other connection")),
        Some(_) | None => host.clone(),
    };
    let second = move || {
        page.stats.get().map(|stats| {
            let queued = if stats.queued > 0 { format!("{} queued, ", stats.queued) } else { String::new() };
            let kept = format::bytes(stats.kept_bytes);
            view! { <p>{format!("{} running, {queued}{} ended, {kept} kept", stats.running, stats.ended)}</p> }
        })
    };
    let workspace = move || page.status.with(|status| status.workspace.clone());
    view! { <footer><p class="workspace"><bdi>{workspace}</bdi></p><p>{first}</p>{second}</footer> }
}

#[component]
fn Group(#[prop(into)] title: String, sessions: Signal<Vec<SessionSummary>>) -> impl IntoView {
    view! {
        <Show when=move || !sessions.with(Vec::is_empty)>
            <h2>{title.clone()}</h2>
            <ul>
                <For each=kept(move || sessions.get()) key=|session| session.session let(session)>
                    <Item id=session.session/>
                </For>
            </ul>
        </Show>
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Editing {
    No,
    Title,
    Delete,
}

#[component]
fn Item(id: SessionId) -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let session = Memo::new(move |_| {
        page.sessions.with(|sessions| sessions.list.iter().find(|session| session.session == id).cloned())
    });
    let is_current = move || page.sessions.with(|sessions| sessions.current == Some(id));
    let elsewhere = move || page.sessions.with(|sessions| sessions.elsewhere.contains(&id));
    let title = move || session.with(|session| session.as_ref().map_or_else(String::new, title_of));
    let state = move || {
        session.with(|session| match session {
            Some(session) if session.busy || session.running > 0 => "running",
            _ => "idle",
        })
    };
    let editing = RwSignal::new(Editing::No);
    let draft = RwSignal::new(String::new());
    let rename = move || {
        draft.set(
            session.with_untracked(|session| session.as_ref().map_or_else(String::new, |s| s.title.clone())),
        );
        editing.set(Editing::Title);
    };
    let save = move || {
        if editing.try_get_untracked() == Some(Editing::Title) {
            editing.set(Editing::No);
            dispatch.send(PageCommand::RenameSession(id, draft.get_untracked().trim().to_owned()));
        }
    };
    let open = move |_| {
        local.panel.set(Panel::Conversation);
        if !untrack(is_current) {
            dispatch.send(PageCommand::OpenSession(id));
        }
    };
    let badge = move || {
        session.with(|session| {
            let session = session.as_ref()?;
            // What the eye reads, a label or a number, and what is said with it.
            let (kind, label, spoken) = if session.asks {
                ("asks", "asks".to_owned(), " for your approval")
            } else if session.running > 0 {
                ("count", session.running.to_string(), " running")
            } else {
                ("time", dom::day_or_time(session.updated, local.now.get_untracked()), " last used")
            };
            Some(view! { <small data-kind=kind>{label}<span class="sr-only">{spoken}</span></small> })
        })
    };
    let running = move || session.with(|session| session.as_ref().map_or(0, |session| session.running));
    move || {
        match editing.get() {
        Editing::No => view! {
            <li data-current=move || is_current().then_some("")>
                <button
                    type="button"
                    class="item"
                    title=title
                    aria-current=move || is_current().then_some("true")
                    on:click=open
                    on:dblclick=move |_| rename()
                >
                    <span class="dot" data-state=state aria-hidden="true"></span>
                    <span class="name">{title}</span>
                    <Show when=elsewhere>
                        <small data-kind="tab">"other tab"</small>
                    </Show>
                    {badge}
                </button>
                <span class="edit">
                    <IconButton icon=Icon::Edit label=Signal::derive(move || format!("Rename {}", title())) on_press=rename/>
                    <IconButton
                        icon=Icon::Trash
                        label=Signal::derive(move || format!("Delete {}", title()))
                        on_press=move || editing.set(Editing::Delete)
                    />
                </span>
            </li>
        }
        .into_any(),
        Editing::Title => view! {
            <li class="editing">
                <input
                    type="text"
                    aria-label="The session's title"
                    maxlength="200"
                    use:autoselect
                    bind:value=draft
                    on:blur=while_shown(move |_| save())
                    on:keydown=move |event: ev::KeyboardEvent| match event.key().as_str() {
                        _ if dom::composes(&event) => {}
                        "Enter" => save(),
                        "Escape" => {
                            event.stop_propagation();
                            editing.set(Editing::No);
                        }
                        _ => {}
                    }
                />
            </li>
        }
        .into_any(),
        Editing::Delete => view! {
            <li class="editing" role="alertdialog" aria-label="Delete this session?">
                <p>
                    "Delete “" {title} "” and all it says?"
                    {move || (running() > 0).then(|| format!(" Its {} will go on.", format::count(running() as usize, "running task")))}
                </p>
                <div class="answers">
                    <button type="button" class="danger small" on:click=move |_| dispatch.send(PageCommand::DeleteSession(id))>"Delete"</button>
                    <button type="button" class="small" use:autofocus on:click=move |_| editing.set(Editing::No)>"Keep"</button>
                </div>
            </li>
        }
        .into_any(),
    }
    }
}

fn title_of(session: &SessionSummary) -> String {
    if session.title.is_empty() { "New session".to_owned() } else { session.title.clone() }
}

/// The sessions of this runner that are fresh or at work, and the others; each group the newest first.
fn grouped(
    sessions: &Sessions,
    workspace: &str,
    query: &str,
    now: u64,
) -> (Vec<SessionSummary>, Vec<SessionSummary>) {
    let query = format::lowercase(query.trim());
    let mut list: Vec<SessionSummary> = sessions
        .list
        .iter()
        .filter(|session| query.is_empty() || format::lowercase(&title_of(session)).contains(&query))
        .cloned()
        .collect();
    // New ones stand first and stay where they are while they work: nothing jumps under the pointer.
    list.sort_by_key(|session| std::cmp::Reverse(session.created));
    list.into_iter().partition(|session| {
        let is_here = workspace.is_empty() || session.workspace.is_empty() || session.workspace == workspace;
        let is_alive = session.running > 0 || session.asks || session.busy;
        let is_recent = now.saturating_sub(session.updated.0) < RECENT_MS;
        sessions.current == Some(session.session) || (is_here && (is_alive || is_recent))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::Timestamp;

    const NOW: u64 = 10 * RECENT_MS;

    #[test]
    fn sessions_are_grouped_by_runner_and_age() {
        let sessions = Sessions {
            list: vec![
                session("old", 1, 0, "/w"),
                session("fresh", 2, NOW, "/w"),
                session("elsewhere", 3, NOW, "/other"),
                SessionSummary { running: 1, ..session("old but at work", 4, 0, "/w") },
                session("newest", 5, NOW, ""),
            ],
            ..Sessions::default()
        };
        check(&sessions, "", &["newest", "old but at work", "fresh"], &["elsewhere", "old"]);
        check(&sessions, " OLD ", &["old but at work"], &["old"]);
        check(&sessions, "none", &[], &[]);
    }

    #[test]
    fn the_open_session_is_always_here() {
        let old = session("old", 1, 0, "/other");
        let sessions = Sessions { current: Some(old.session), list: vec![old], ..Sessions::default() };
        check(&sessions, "", &["old"], &[]);
    }

    fn check(sessions: &Sessions, query: &str, here: &[&str], earlier: &[&str]) {
        let titles = |list: Vec<SessionSummary>| list.into_iter().map(|s| s.title).collect::<Vec<_>>();
        let groups = grouped(sessions, "/w", query, NOW);
        assert_eq!((titles(groups.0), titles(groups.1)), (own(here), own(earlier)));
    }

    fn own(titles: &[&str]) -> Vec<String> {
        titles.iter().map(|title| (*title).to_owned()).collect()
    }

    fn session(title: &str, n: u64, updated: u64, workspace: &str) -> SessionSummary {
        SessionSummary {
            session: serde_json::from_value(format!("00000000-0000-4000-8000-{n:012}").into()).unwrap(),
            title: title.to_owned(),
            created: Timestamp(n),
            updated: Timestamp(updated),
            workspace: workspace.to_owned(),
            running: 0,
            asks: false,
            busy: false,
            waits: false,
        }
    }
}
