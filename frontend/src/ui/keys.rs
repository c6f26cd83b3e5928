//! Keys that work everywhere on the page. None of them takes a key from someone who writes, but for those
//! with Ctrl or Alt.

use agent::event::Command;
use leptos::ev;
use leptos::prelude::*;

use super::local::{Dialog, Local, Panel};
use super::{Dispatch, PageCommand, PageState, approval, composer, dom};

/// Listens until the owner goes.
pub(crate) fn listen(page: PageState, dispatch: Dispatch, local: Local) {
    let handle = window_event_listener(ev::keydown, move |event| {
        if event.default_prevented() || dom::composes(&event) {
            return;
        }
        let has_dialog =
            local.dialog.with_untracked(Option::is_some) || page.call_view.with_untracked(Option::is_some);
        if !has_dialog && act(&event, page, dispatch, local) {
            event.prevent_default();
        }
    });
    on_cleanup(move || handle.remove());
}

/// Does what a key is for; says whether it was for anything.
fn act(event: &ev::KeyboardEvent, page: PageState, dispatch: Dispatch, local: Local) -> bool {
    let key = event.key();
    let command = event.ctrl_key() || event.meta_key();
    match (command, event.alt_key(), key.as_str()) {
        (true, false, "j" | "J") if !event.shift_key() => {
            // What is being written is saved when its box loses the focus.
            dom::leave();
            local.panel.set(Panel::Conversation);
            dispatch.send(PageCommand::NewSession);
            dom::focus_id(composer::ID);
        }
        (true, false, ".") => dom::focus_id(approval::ID),
        (false, true, _) => {
            // By where the key is: on macOS, Alt makes another character of it.
            let code = event.code();
            let number = code.strip_prefix("Digit").and_then(|digit| digit.parse::<usize>().ok());
            let panel = number.and_then(|number| Panel::ALL.get(number.wrapping_sub(1)));
            let Some(panel) = panel else { return false };
            local.go_to(*panel);
        }
        (false, false, "Escape") => {
            // In any other field it means that field alone.
            let elsewhere = dom::is_writing() && !dom::has_focus(composer::ID)
                // A note that lies over the page goes first.
                || document().query_selector(":popover-open").is_ok_and(|open| open.is_some());
            // Whoever watches a replay changes nothing.
            let replays = page.replay.with_untracked(Option::is_some);
            if elsewhere || replays || !page.status.with_untracked(|status| composer::is_busy(&status.turn)) {
                return false;
            }
            dispatch.agent(Command::StopReply);
        }
        (false, false, "/") if !dom::is_writing() => {
            local.panel.set(Panel::Conversation);
            dom::focus_id(composer::ID);
        }
        (false, false, "?") if !dom::is_writing() => local.dialog.set(Some(Dialog::Help)),
        _ => return false,
    }
    true
}
