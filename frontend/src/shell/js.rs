//! What several of the browser's services need: what an exception says, whether the page is seen, and pauses.

use futures_channel::oneshot;
use futures_util::future::select;
use gloo_events::EventListener;
use gloo_timers::future::TimeoutFuture;
use gloo_utils::{document, window};
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// Whether nobody can see the page.
pub(super) fn hidden() -> bool {
    document().hidden()
}

/// Asks the browser not to clear away what this page keeps when room is short. It may say no, and some ask
/// the person.
pub(super) fn ask_to_stay() {
    // There is no such thing where the page comes over plain HTTP from another machine.
    if let Ok(promise) = window().navigator().storage().persist() {
        spawn_local(async move {
            let _either_way = JsFuture::from(promise).await;
        });
    }
}

/// What an exception says, for people.
pub(super) fn describe(exception: &JsValue) -> String {
    let text = |key: &str| Reflect::get(exception, &key.into()).ok().and_then(|value| value.as_string());
    match (text("name"), text("message")) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        _ => exception.as_string().unwrap_or_else(|| "the browser gave no reason".to_owned()),
    }
}

/// The name of an exception, such as `AbortError`.
pub(super) fn name(exception: &JsValue) -> String {
    Reflect::get(exception, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// A closure as the function it is for the browser.
pub(super) fn function<T: ?Sized>(closure: &Closure<T>) -> &Function {
    closure.as_ref().unchecked_ref()
}

/// Passes after so many milliseconds, and at once where nobody sees the page.
pub(super) async fn pause(millis: u32) {
    if millis == 0 || hidden() {
        return;
    }
    let (hides, hidden) = oneshot::channel();
    let _listener = EventListener::once(&document(), "visibilitychange", move |_| {
        let _ = hides.send(());
    });
    select(TimeoutFuture::new(millis), hidden).await;
}
