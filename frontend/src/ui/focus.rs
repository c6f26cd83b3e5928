//! What Leptos leaves to the page: the focus stays with an item of a list that moves, a field that comes late
//! takes it, and what is being taken away is not told that it lost it.

use leptos::leptos_dom::helpers::queue_microtask;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::HtmlInputElement;

use super::dom;

/// Gives the focus to an element once it is shown. Browsers obey the attribute of this name only while a
/// document is new.
pub(crate) fn autofocus(element: web_sys::Element) {
    Effect::new(move |_| dom::focus(&element));
}

/// The same, with all that is in the field selected. Leptos sets a value by a microtask of its own.
pub(crate) fn autoselect(element: web_sys::Element) {
    Effect::new(move |_| {
        let element = element.clone();
        queue_microtask(move || {
            dom::focus(&element);
            if let Some(field) = element.dyn_ref::<HtmlInputElement>() {
                field.select();
            }
        });
    });
}

/// The items of a list. Moving one takes it out of the document for a moment; if it had the focus, it gets it
/// back.
pub(crate) fn kept<T>(items: impl Fn() -> Vec<T>) -> impl Fn() -> Vec<T> {
    move || {
        if let Some(active) = document().active_element().filter(|_| !dom::is_focus_free()) {
            queue_microtask(move || {
                if active.is_connected() && dom::is_focus_free() {
                    dom::focus_in_place(&active);
                }
            });
        }
        items()
    }
}

/// A handler until its owner ends. An element that has the focus loses it by being removed, when its signals
/// are gone.
pub(crate) fn while_shown<E>(mut handler: impl FnMut(E) + 'static) -> impl FnMut(E) + 'static {
    let here = StoredValue::new(());
    move |event| {
        if !here.is_disposed() {
            handler(event);
        }
    }
}
