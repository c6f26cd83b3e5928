//! Messages between the tabs of this browser, typed and in order. A tab does not hear itself.

use std::marker::PhantomData;

use gloo_events::EventListener;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::json;
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

/// A channel that is closed when it is dropped.
pub(super) struct Channel<T> {
    raw: Option<BroadcastChannel>,
    _listener: Option<EventListener>,
    message: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Channel<T> {
    /// Joins a channel. A message that cannot be read, such as that of a tab with a newer page, is `None`.
    pub(super) fn join(name: &str, on: impl Fn(Option<T>) + 'static) -> Self {
        let raw = BroadcastChannel::new(name).ok();
        let listener = raw.as_ref().map(|raw| {
            EventListener::new(raw, "message", move |event| {
                let text = event.unchecked_ref::<MessageEvent>().data().as_string().unwrap_or_default();
                on(json::from_text(&text).ok());
            })
        });
        Self { raw, _listener: listener, message: PhantomData }
    }

    /// Sends a message to all other tabs.
    pub(super) fn post(&self, message: &T) {
        if let Some(raw) = &self.raw {
            let _ = raw.post_message(&json::to_text(message).into());
        }
    }
}

impl<T> Drop for Channel<T> {
    fn drop(&mut self) {
        if let Some(raw) = &self.raw {
            raw.close();
        }
    }
}
