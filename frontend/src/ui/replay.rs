//! Playing a session again: the same views over a page's state of their own, moved by a slider.

use std::time::Duration;

use agent::record::Entry;
use leptos::context::Provider;
use leptos::ev;
use leptos::prelude::*;

use super::components::{Icon, IconButton};
use super::conversation::Transcript;
use super::local::{Local, Panel, use_local};
use super::timeline::Timeline;
use super::{Dispatch, PageCommand, PageState, use_dispatch, use_page};
use crate::format;
use crate::replay;

/// How often the replay moves.
const FRAME: Duration = Duration::from_millis(50);
const FRAME_MS: u64 = 50;
const SPEEDS: [u64; 3] = [1, 4, 16];

/// Stands in the place of the conversation and the timeline.
#[component]
pub fn Replay(log: Vec<Entry>) -> impl IntoView {
    let outer = use_page();
    let commands = use_dispatch();
    let local = use_local();
    let page = PageState::new();
    page.sessions.set(outer.sessions.get_untracked());
    // Whoever watches changes nothing.
    let dispatch = Dispatch::new(move |command| {
        if matches!(command, PageCommand::ShowCall(_) | PageCommand::Export) {
            commands.send(command);
        }
    });
    let replay = StoredValue::new_local(replay::Replay::new(log));
    let length = replay.with_value(replay::Replay::length);
    let position = RwSignal::new(0);
    let plays = RwSignal::new(true);
    let speed = RwSignal::new(SPEEDS[0]);
    let clock = RwSignal::new(replay.with_value(|replay| replay.time(0)));

    Effect::new(move |_| {
        let position = position.get();
        replay.update_value(|replay| page.take_in(replay.seek(position)));
        clock.set(replay.with_value(|replay| replay.time(position)));
    });
    let step = move || {
        if plays.get_untracked() {
            position
                .update(|position| *position = (*position + FRAME_MS * speed.get_untracked()).min(length));
            if position.get_untracked() == length {
                plays.set(false);
            }
        }
    };
    if let Ok(handle) = set_interval_with_handle(step, FRAME) {
        on_cleanup(move || handle.clear());
    }
    let press = move |_| {
        if position.get_untracked() == length {
            position.set(0);
        }
        plays.update(|plays| *plays = !*plays);
    };
    let scrub = move |event: ev::Event| {
        if let Ok(to) = event_target_value(&event).parse() {
            plays.set(false);
            position.set(to);
        }
    };
    let speeds = SPEEDS.map(|this| {
        view! {
            <button
                type="button"
                class="quiet small"
                aria-pressed=move || (speed.get() == this).to_string()
                on:click=move |_| speed.set(this)
            >
                {format!("{this}×")}
            </button>
        }
    });
    view! {
        <Provider value=page>
        <Provider value=dispatch>
        <Provider value=Local { now: clock, ..local }>
            <main
            class="conversation"
            id=Panel::Conversation.as_str()
            tabindex="-1"
            aria-label="Replay"
            data-shown=move || (local.panel.get() == Panel::Conversation).then_some("")
        >
            <Transcript/>
            <div class="foot">
                <div class="replay" role="group" aria-label="Replay">
                    <button type="button" on:click=press>
                        {move || if plays.get() { "Pause" } else { "Play" }}
                    </button>
                    <input
                        type="range"
                        min="0"
                        max=length
                        step=FRAME_MS
                        aria-label="Position"
                        aria-valuetext=move || format::elapsed(position.get())
                        prop:value=move || position.get().to_string()
                        on:input=scrub
                    />
                    <span class="time">
                        {move || format!("{} / {}", format::elapsed(position.get()), format::elapsed(length))}
                    </span>
                    {speeds}
                    <IconButton icon=Icon::Close label="Back to the session" on_press=move || outer.replay.set(None)/>
                </div>
            </div>
        </main>
        <Timeline replays=true/>
        </Provider>
        </Provider>
        </Provider>
    }
}
