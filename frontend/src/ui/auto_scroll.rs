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
}

impl AutoScroll {
    /// Whatever makes the content or its window taller or shorter, the end stays in view if it was.
    pub(crate) fn new() -> Self {
        let scroll = Self { window: NodeRef::new(), content: NodeRef::new(), at_end: RwSignal::new(true) };
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
            self.at_end.set(true);
        }
    }

    /// Looks again where it stands. A browser tells of scrolling with the next frame, when the element may be gone.
    pub(crate) fn scrolled(self) {
        if let (Some(Some(window)), Some(at_end)) =
            (self.window.try_get_untracked(), self.at_end.try_get_untracked())
        {
            let near = window.scroll_height() - window.scroll_top() - window.client_height() < NEAR;
            if near != at_end {
                self.at_end.set(near);
            }
        }
    }
}
