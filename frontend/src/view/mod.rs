//! What views are made of: real nodes of the document, made at once, and effects that keep them true.
//!
//! `view!` turns markup into calls of this module. A [`View`] is one node; a fragment stands for several, and empties itself into
//! whatever it is put into. Whatever is given as a closure is followed: it runs in a render effect that lives as long as the owner it
//! was made under, and an owner's end takes its listeners and effects with it. Nothing here is generic beyond a thin shell, so that a
//! page of many views stays small: Leptos's reactive graph, owners, contexts and components without a type per element.

mod attribute;
mod element;
mod list;
mod node;
#[cfg(all(test, target_arch = "wasm32"))]
mod tests;

pub(crate) use element::{NodeRef, drawn, element, group};
pub(crate) use list::each;
pub(crate) use node::{Children, Piece, View, growing, show, show_or};
pub(crate) use view_macro::view;

use leptos::prelude::*;

/// Follows a closure until its owner ends. It runs once at once.
fn follow(mut run: Box<dyn FnMut()>) {
    let effect = RenderEffect::new(move |_: Option<()>| run());
    on_cleanup(move || drop(effect));
}

/// What a closure says, worked out again only when something that it read has changed, and told only when it says something else.
pub(crate) fn memo<T: PartialEq + Send + Sync + 'static>(
    says: impl Fn() -> T + Send + Sync + 'static,
) -> Memo<T> {
    boxed_memo(Box::new(says))
}

#[inline(never)]
fn boxed_memo<T: PartialEq + Send + Sync + 'static>(says: Box<dyn Fn() -> T + Send + Sync>) -> Memo<T> {
    Memo::new(move |_| says())
}

/// A closure read like a signal: worked out at each reading. Cheaper than a memo wherever what reads it compares anyway, as words,
/// attributes and lists do.
pub(crate) trait Says<T>: Copy + Fn() -> T {
    /// What it says.
    fn get(self) -> T {
        self()
    }

    /// What it says, without following it.
    fn get_untracked(self) -> T {
        untrack(self)
    }

    /// Looks at what it says, without following it.
    fn with_untracked<R>(self, look: impl FnOnce(&T) -> R) -> R {
        look(&untrack(self))
    }

    /// Looks at what it says.
    fn with<R>(self, look: impl FnOnce(&T) -> R) -> R {
        look(&self())
    }
}

impl<F: Copy + Fn() -> T, T> Says<T> for F {}

/// Does something after the page has been drawn, and again whenever something that it read has changed. What it gave is what it gets.
pub(crate) fn effect<T: 'static>(run: impl FnMut(Option<T>) -> T + 'static) {
    boxed_effect(Box::new(run));
}

#[inline(never)]
fn boxed_effect<T: 'static>(run: Box<dyn FnMut(Option<T>) -> T>) {
    Effect::new(run);
}

/// Puts the page into the document's body, for as long as the document lives.
pub(crate) fn mount(page: impl FnOnce() -> View + 'static) {
    mount_to_body(move || {
        if let Some(body) = document().body() {
            page().append_to(&body);
        }
    });
}
