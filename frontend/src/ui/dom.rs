//! Small commands to the browser that may fail without harm: focus, clipboard, times in the person's own zone
//! and language.

use js_sys::Intl::DateTimeFormat;
use js_sys::{Array, Date, Object, Reflect};
use leptos::prelude::*;
use shared::Timestamp;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::HtmlElement;

/// Why nothing was copied.
const NO_CLIPBOARD: &str =
    "Not copied: the browser does not let this page use the clipboard. Select the text and copy it by hand.";

/// Puts the focus on the element of this id.
pub(crate) fn focus_id(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        focus(&element);
    }
}

/// Puts the focus on an element.
pub(crate) fn focus(element: &web_sys::Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        // Fails only for elements that are gone.
        let _ = element.focus();
    }
}

/// Puts the focus on an element without bringing it into view.
pub(crate) fn focus_in_place(element: &web_sys::Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let options = web_sys::FocusOptions::new();
        options.set_prevent_scroll(true);
        // Fails only for elements that are gone.
        let _ = element.focus_with_options(&options);
    }
}

/// Whether the person is writing somewhere: what they type must not be taken from them.
pub(crate) fn is_writing() -> bool {
    document().active_element().is_some_and(|active| {
        let tag = active.tag_name();
        tag.eq_ignore_ascii_case("textarea")
            || tag.eq_ignore_ascii_case("select")
            || (tag.eq_ignore_ascii_case("input")
                && !matches!(active.get_attribute("type").as_deref(), Some("checkbox" | "radio")))
    })
}

/// Whether a key is for the input method. Safari tells that a composition has ended before the Enter that
/// ended it; such a key still has the code that stands for "in process".
pub(crate) fn composes(event: &web_sys::KeyboardEvent) -> bool {
    const IN_PROCESS: u32 = 229;
    event.is_composing() || event.key_code() == IN_PROCESS
}

/// Whether the element of this id has the focus.
pub(crate) fn has_focus(id: &str) -> bool {
    document().active_element().is_some_and(|active| active.id() == id)
}

/// Whether there is a pointer that hovers: then a keyboard on the screen is unlikely to come up.
pub(crate) fn can_hover() -> bool {
    window().match_media("(hover: hover)").ok().flatten().is_some_and(|query| query.matches())
}

/// Whether nothing in particular has the focus.
pub(crate) fn is_focus_free() -> bool {
    document().active_element().is_none_or(|active| active.tag_name().eq_ignore_ascii_case("body"))
}

/// Takes the focus from whatever has it.
pub(crate) fn leave() {
    if let Some(active) = document().active_element().and_then(|active| active.dyn_into::<HtmlElement>().ok())
    {
        // Fails only for elements that are gone.
        let _ = active.blur();
    }
}

/// Puts text into the clipboard, beginning at once: some browsers allow it only while they tell of a press.
pub(crate) fn copy(text: &str) -> impl Future<Output = Result<(), String>> + use<> {
    let clipboard = window().navigator().clipboard();
    // There is none where the page comes over plain HTTP from another machine.
    let taken = (!clipboard.is_undefined()).then(|| JsFuture::from(clipboard.write_text(text)));
    async move {
        let taken = match taken {
            Some(taken) => taken.await.is_ok(),
            None => false,
        };
        if taken { Ok(()) } else { Err(NO_CLIPBOARD.to_owned()) }
    }
}

/// The time of day, to the second.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    written(at, &[("timeStyle", "medium")])
}

/// The time on the day of `now`, the weekday within the week before, else the day, with its year if that is
/// another.
pub(crate) fn day_or_time(at: Timestamp, now: Timestamp) -> String {
    let (then, today) = (date(at), date(now));
    let day = [("day", "numeric"), ("month", "short"), ("year", "numeric")];
    if then.to_date_string() == today.to_date_string() {
        written(at, &[("timeStyle", "short")])
    } else if now.since(at) < 6 * 86_400_000 {
        written(at, &[("weekday", "short")])
    } else if then.get_full_year() == today.get_full_year() {
        written(at, &day[..2])
    } else {
        written(at, &day)
    }
}

/// The time on the day of `now`, else with the day before it.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    let (day, time) = (day_or_time(at, now), written(at, &[("timeStyle", "short")]));
    if day == time { day } else { format!("{day} {time}") }
}

/// A moment as the person's own language writes it.
fn written(at: Timestamp, parts: &[(&str, &str)]) -> String {
    let options = Object::new();
    for (part, style) in parts {
        // Fails only for frozen objects.
        let _ = Reflect::set(&options, &(*part).into(), &(*style).into());
    }
    let format = DateTimeFormat::new(&Array::new(), &options).format();
    let written = format.call1(&JsValue::UNDEFINED, &date(at));
    written.ok().and_then(|written| written.as_string()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
fn date(at: Timestamp) -> Date {
    Date::new(&JsValue::from_f64(at.0 as f64))
}
