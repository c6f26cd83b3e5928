//! Scrolling that sticks to the end only while it is at the end.

use leptos::html;
use leptos::prelude::*;
use leptos_use::use_resize_observer;

/// Nearer to the end than this many pixels counts as being at it.
const NEAR: i32 = 40;

/// A scrolling element and what grows inside it.
#[derive(Clone, Copy)]
pub(crate) struct AutoScroll {
    /// The element that scrolls. Its `on:scroll` is [`AutoScroll::scrolled`].
    pub(crate) window: NodeRef<html::Div>,
    /// The one element inside it.
    pub(crate) content: NodeRef<html::Div>,
    /// Whether the end is in view.
    pub(crate) at_end: RwSignal<bool>,
    /// Where it was scrolled to.
    top: StoredValue<i32>,
}

impl AutoScroll {
    /// Whatever makes the content or its window taller or shorter, the end stays in view if it was.
    pub(crate) fn new() -> Self {
        let scroll = Self {
            window: NodeRef::new(),
            content: NodeRef::new(),
            at_end: RwSignal::new(true),
            top: StoredValue::new(0),
        };
        let keep = move || {
            if scroll.at_end.try_get_untracked().unwrap_or(false) {
                scroll.to_end();
            }
        };
        use_resize_observer(scroll.content, move |_, _| keep());
        use_resize_observer(scroll.window, move |_, _| keep());
        scroll
    }

    /// Brings the end into view.
    pub(crate) fn to_end(self) {
        if let Some(Some(window)) = self.window.try_get_untracked() {
            window.set_scroll_top(window.scroll_height());
            self.top.set_value(window.scroll_top());
            self.at_end.set(true);
        }
    }

    /// Looks again where it stands. A browser tells of scrolling with the next frame, when the element may be
    /// gone.
    pub(crate) fn scrolled(self) {
        let (Some(Some(window)), Some(at_end)) =
            (self.window.try_get_untracked(), self.at_end.try_get_untracked())
        else {
            return;
        };
        let (top, before) = (window.scroll_top(), self.top.try_get_value().unwrap_or_default());
        self.top.set_value(top);
        let near = window.scroll_height() - top - window.client_height() < NEAR;
        let is_at_end = stays_at_end(at_end, near, top < before);
        if is_at_end != at_end {
            self.at_end.set(is_at_end);
        }
    }
}

/// Whether the end is followed from now on. It is left by scrolling up alone: what comes into view may turn
/// out taller than it was taken for, and the end is further away then without anybody having moved.
const fn stays_at_end(at_end: bool, near: bool, went_up: bool) -> bool {
    near || (at_end && !went_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_left_by_scrolling_up_alone() {
        for (at_end, near, went_up, stays) in [
            (true, true, true, true),
            (true, false, false, true),
            (true, false, true, false),
            (false, false, false, false),
            (false, true, false, true),
        ] {
            assert_eq!(stays_at_end(at_end, near, went_up), stays, "{at_end} {near} {went_up}");
        }
    }
}
