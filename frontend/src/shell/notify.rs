//! Notifications of the browser's, for a page that nobody looks at. Only the tab that drives a session raises
//! its own.

use gloo_utils::window;
use shared::SessionId;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Notification, NotificationOptions, NotificationPermission};

use super::js::hidden;
use crate::state::Notifications;

/// Raises a notification if that is allowed and the page is hidden. A later one of the same session replaces
/// it.
pub(super) fn raise(session: SessionId, title: &str, body: &str) {
    if !hidden() || permission() != Notifications::Granted {
        return;
    }
    let options = NotificationOptions::new();
    options.set_body(body);
    options.set_tag(&session.to_string());
    let Ok(notification) = Notification::new_with_options(title, &options) else { return };
    let shown = notification.clone();
    let click = Closure::once_into_js(move || {
        let _ = window().focus();
        shown.close();
    });
    notification.set_onclick(Some(click.unchecked_ref()));
}

/// Whether notifications may be raised.
pub(super) fn permission() -> Notifications {
    if js_sys::Reflect::get(&window(), &"Notification".into()).is_ok_and(|class| class.is_undefined()) {
        return Notifications::Unsupported;
    }
    let permission = Notification::permission();
    if permission == NotificationPermission::Granted {
        Notifications::Granted
    } else if permission == NotificationPermission::Denied {
        Notifications::Denied
    } else {
        Notifications::Ask
    }
}

/// Asks the person, and says what the answer was.
pub(super) async fn ask() -> Notifications {
    if permission() == Notifications::Ask
        && let Ok(answer) = Notification::request_permission()
    {
        let _ = JsFuture::from(answer).await;
    }
    permission()
}
