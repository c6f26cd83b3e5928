//! What happens to the page as a whole: seen or not, online, left, its address and its storage changed.

use gloo_events::EventListener;
use gloo_utils::{document, window};
use shared::SessionId;
use wasm_bindgen::prelude::*;
use web_sys::{EventTarget, StorageEvent};

use super::local_storage;

/// Something that happened to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageEvent {
    /// It became visible or hidden.
    Visible,
    /// There may be a network again, or the page came back from being frozen.
    Online,
    /// It is left.
    Leaves,
    /// Another tab changed settings or key.
    Settings,
    /// Another tab was paired anew.
    Paired,
    /// Another tab left messages of this session behind.
    MessagesLeft(SessionId),
    /// The fragment of its address changed.
    Address,
}

/// Calls `on` at every such event, for the rest of the page's life.
pub(super) fn listen(on: impl Fn(PageEvent) + Clone + 'static) {
    let window: EventTarget = window().into();
    let document: EventTarget = document().into();
    let simple = [
        (&document, "visibilitychange", PageEvent::Visible),
        (&document, "resume", PageEvent::Online),
        (&window, "online", PageEvent::Online),
        (&window, "pageshow", PageEvent::Visible),
        (&window, "pagehide", PageEvent::Leaves),
        (&window, "hashchange", PageEvent::Address),
    ];
    for (target, event, page_event) in simple {
        let on = on.clone();
        EventListener::new(target, event, move |_| on(page_event)).forget();
    }
    EventListener::new(&window, "storage", move |event| {
        let event: &StorageEvent = event.unchecked_ref();
        match event.key().as_deref() {
            Some(local_storage::SETTINGS) => on(PageEvent::Settings),
            Some(key) if local_storage::is_key(key) => on(PageEvent::Settings),
            Some(local_storage::CLIENT) => on(PageEvent::Paired),
            Some(key) => {
                if let Some(session) = local_storage::session_of_messages(key) {
                    on(PageEvent::MessagesLeft(session));
                }
            }
            None => {
                on(PageEvent::Settings);
                on(PageEvent::Paired);
            }
        }
    })
    .forget();
}
