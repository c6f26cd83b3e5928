//! What needs an approval: in this session, and in new ones. That everything is allowed is confirmed, and
//! seen while it holds.

use agent::event::Command;
use agent::settings::Mode;
use leptos::ev;
use leptos::prelude::*;

use super::components::{Modal, Picking};
use super::focus::{autofocus, while_shown};
use super::local::{Dialog, use_local};
use super::{PageCommand, use_dispatch, use_page};

const MODES: [(Mode, &str); 3] = [
    (Mode::AskAll, "Asks before everything"),
    (Mode::AskCommands, "Asks before commands"),
    (Mode::Auto, "Asks nothing"),
];

/// The name of a mode.
fn name(mode: Mode) -> &'static str {
    MODES.iter().find(|(this, _)| *this == mode).map_or("", |(_, name)| name)
}

fn named(name: &str) -> Option<Mode> {
    MODES.iter().find(|(_, this)| *this == name).map(|(mode, _)| *mode)
}

fn options(
    shown: &[(Mode, &'static str)],
    chosen: impl Fn() -> Mode + Copy + Send + 'static,
) -> Vec<AnyView> {
    let option = |(mode, name): &(Mode, &'static str)| {
        let (mode, name) = (*mode, *name);
        view! { <option value=name selected=move || chosen() == mode>{name}</option> }.into_any()
    };
    shown.iter().map(option).collect()
}

/// What needs an approval in this session.
#[component]
pub fn ModePicker() -> impl IntoView {
    let page = use_page();
    let local = use_local();
    let dispatch = use_dispatch();
    let mode = move || page.status.with(|status| status.mode);
    let choose = move |to: String, left: bool| match named(&to) {
        Some(Mode::Auto) if !page.status.with_untracked(|status| status.was_auto) => {
            if !left {
                local.dialog.set(Some(Dialog::AllowAll));
            }
            // It is not so yet, and the field says what is.
            page.status.notify();
        }
        Some(mode) => dispatch.agent(Command::SetMode { mode }),
        None => {}
    };
    let picking = Picking::new(move || name(mode()).to_owned(), choose);
    view! {
        <select
            class="picker mode"
            data-mode=move || match mode() {
                Mode::AskAll => "ask_all",
                Mode::AskCommands => "ask_commands",
                Mode::Auto => "auto",
            }
            aria-label="What needs your approval in this session"
            prop:value=move || name(mode())
            on:keydown=move |event| picking.key(&event)
            on:keyup=move |_| picking.key_up()
            on:change=move |event| picking.change(&event)
            on:blur=while_shown(move |_| picking.left())
        >
            {options(&MODES, mode)}
        </select>
    }
}

/// What needs an approval in sessions that were not told otherwise. Everything is allowed in no session
/// unasked.
#[component]
pub fn UsualModePicker() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let mode = move || page.settings.with(|settings| settings.mode);
    let change = move |event: ev::Event| {
        if let Some(mode) = named(&event_target_value(&event)) {
            let mut settings = page.settings.get_untracked();
            settings.mode = mode;
            dispatch.send(PageCommand::SaveSettings(settings));
        }
    };
    view! {
        <select class="picker" aria-label="What needs your approval in new sessions" prop:value=move || name(mode()) on:change=change>
            {options(&MODES[..2], mode)}
        </select>
    }
}

/// Asks whether everything is to be allowed.
#[component]
pub fn AllowAllDialog() -> impl IntoView {
    let local = use_local();
    let dispatch = use_dispatch();
    let close = move || local.dialog.set(None);
    let allow = move |_| {
        dispatch.agent(Command::SetMode { mode: Mode::Auto });
        close();
    };
    view! {
        <Modal title="Allow everything" on_close=close>
            <p>
                "In this session commands run and files change without a question: also what deletes, what needs root, what goes out to \
                 the network, and what runs by itself later. Whatever misleads the model then acts as you."
            </p>
            <p>"It holds in this session alone, until you choose otherwise below your message."</p>
            <p class="row">
                <button type="button" class="deny" on:click=allow>"Allow everything in this session"</button>
                <button type="button" use:autofocus on:click=move |_| close()>"Keep asking"</button>
            </p>
        </Modal>
    }
}

/// Seen while everything is allowed; a press ends it.
#[component]
pub fn AllowsAll() -> impl IntoView {
    let page = use_page();
    let dispatch = use_dispatch();
    let allows = move || page.status.with(|status| status.mode == Mode::Auto);
    view! {
        <Show when=allows>
            <button
                type="button"
                class="allows-all"
                title="Nothing is asked in this session. Press to be asked before commands again."
                on:click=move |_| dispatch.agent(Command::SetMode { mode: Mode::AskCommands })
            >
                "Allows everything"
            </button>
        </Show>
    }
}
