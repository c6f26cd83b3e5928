//! Small wishes to the browser that may fail without harm: focus, clipboard, times in the person's own zone.

use js_sys::Date;
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

/// Whether a key is for the input method. Safari tells that a composition has ended before the Enter that ended it; such a key still
/// has the code that stands for "in process".
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

/// `14:02:07`
pub(crate) fn time_of_day(at: Timestamp) -> String {
    let date = date(at);
    format!("{:02}:{:02}:{:02}", date.get_hours(), date.get_minutes(), date.get_seconds())
}

/// `14:02` on the day of `now`, `Tue` within the week before, else `3 Sep` or `3 Sep 2025`.
pub(crate) fn day_or_time(at: Timestamp, now: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (then, today) = (date(at), date(now));
    let same_year = then.get_full_year() == today.get_full_year();
    if same_year && then.get_month() == today.get_month() && then.get_date() == today.get_date() {
        return format!("{:02}:{:02}", then.get_hours(), then.get_minutes());
    }
    if now.since(at) < 6 * 86_400_000 {
        return DAYS.get(then.get_day() as usize).copied().unwrap_or_default().to_owned();
    }
    let month = MONTHS.get(then.get_month() as usize).copied().unwrap_or_default();
    if same_year {
        format!("{} {month}", then.get_date())
    } else {
        format!("{} {month} {}", then.get_date(), then.get_full_year())
    }
}

/// `14:02` on the day of `now`, else with the day before it: `Tue 14:02`.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    let (day, time) = (day_or_time(at, now), time_of_day(at));
    let time = &time[..5];
    if day == time { day } else { format!("{day} {time}") }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
fn date(at: Timestamp) -> Date {
    Date::new(&JsValue::from_f64(at.0 as f64))
}
