//! A view, and what can become one.

use std::borrow::Cow;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Node, Text};

use super::follow;

/// A part of the page: a node, or a fragment of several. Nothing is an empty fragment that was never made.
#[derive(Clone, Debug, Default)]
pub struct View(Option<Node>);

/// What stands between a component's tags.
pub(crate) type Children = Box<dyn FnOnce() -> View>;

impl View {
    pub(super) fn new(node: Node) -> Self {
        Self(Some(node))
    }

    pub(super) fn node(self) -> Option<Node> {
        self.0
    }

    /// Puts it at the end of an element.
    pub(crate) fn append_to(self, parent: &Node) {
        if let Some(node) = self.0 {
            attached(&parent.append_child(&node));
        }
    }

    pub(super) fn insert_before(self, place: &Node) {
        if let (Some(node), Some(parent)) = (self.0, place.parent_node()) {
            attached(&parent.insert_before(&node, Some(place)));
        }
    }
}

/// Fails only where a node would hold itself, which a tree of views cannot ask for.
pub(super) fn attached(result: &Result<Node, wasm_bindgen::JsValue>) {
    debug_assert!(result.is_ok(), "{result:?}");
}

/// A place in the document that shows nothing: where something that changes begins or ends.
pub(super) fn mark() -> Node {
    document().create_comment("").unchecked_into()
}

pub(super) fn fragment() -> Node {
    document().create_document_fragment().unchecked_into()
}

/// Takes away everything between two marks.
pub(super) fn clear(start: &Node, end: &Node) {
    while let Some(next) = start.next_sibling().filter(|next| next != end) {
        if let Some(parent) = next.parent_node() {
            attached(&parent.remove_child(&next));
        }
    }
}

/// What can stand between tags.
pub(crate) trait Piece: Sized {
    /// As it is now.
    fn view(self) -> View;

    /// As a closure says, each time it says something else.
    fn followed(mut now: Box<dyn FnMut() -> Self>) -> View
    where
        Self: 'static,
    {
        changing(Box::new(move || now().view()))
    }
}

/// What a closure makes, between two marks. What it made before goes with the effects and listeners it had.
fn changing(mut now: Box<dyn FnMut() -> View>) -> View {
    let (all, start, end) = (fragment(), mark(), mark());
    attached(&all.append_child(&start));
    attached(&all.append_child(&end));
    follow(Box::new(move || {
        let view = now();
        clear(&start, &end);
        view.insert_before(&end);
    }));
    View::new(all)
}

/// What a closure makes, each time more of the same: what is as before stays where it is, so that what is selected in it stays selected.
/// What can be pressed is made anew, for it goes with the run that made it.
pub(crate) fn growing(mut now: impl FnMut() -> View + 'static) -> View {
    let (all, start, end) = (fragment(), mark(), mark());
    attached(&all.append_child(&start));
    attached(&all.append_child(&end));
    follow(Box::new(move || {
        let new = fragment();
        now().append_to(&new);
        if let Some(parent) = start.parent_node() {
            merge(&parent, start.next_sibling(), Some(&end), &new);
        }
    }));
    View::new(all)
}

/// Makes the children from `old` to before `end` the same as the new ones.
fn merge(parent: &Node, mut old: Option<Node>, end: Option<&Node>, new: &Node) {
    while let Some(next) = new.first_child() {
        let Some(there) = old.clone().filter(|old| Some(old) != end) else {
            attached(&parent.insert_before(&next, end));
            continue;
        };
        old = there.next_sibling();
        let done = if grows_to(&there, &next) {
            new.remove_child(&next)
        } else {
            parent.replace_child(&next, &there)
        };
        attached(&done);
    }
    while let Some(there) = old.filter(|old| Some(old) != end) {
        old = there.next_sibling();
        attached(&parent.remove_child(&there));
    }
}

/// Makes a node the same as the new one, if they are of one kind.
fn grows_to(there: &Node, next: &Node) -> bool {
    if let (Some(text), Some(now)) = (there.dyn_ref::<Text>(), next.dyn_ref::<Text>()) {
        let now = now.data();
        say(text, &text.data(), &now);
        return true;
    }
    let (Some(element), Some(_)) = (there.dyn_ref::<Element>(), next.dyn_ref::<Element>()) else {
        return false;
    };
    let (Ok(one), Ok(other)) = (there.clone_node(), next.clone_node()) else { return false };
    let alike = one.is_equal_node(Some(&other)) && matches!(element.query_selector("button"), Ok(None));
    if alike {
        merge(there, there.first_child(), None, next);
    }
    alike
}

/// Lets a text node say something else; what it said before is not touched if it only says more.
fn say(node: &Text, last: &str, words: &str) {
    match words.strip_prefix(last) {
        Some("") => {}
        Some(more) => {
            let added = node.append_data(more);
            debug_assert!(added.is_ok(), "{added:?}");
        }
        None => node.set_data(words),
    }
}

impl Piece for View {
    fn view(self) -> View {
        self
    }
}

impl Piece for () {
    fn view(self) -> View {
        View::default()
    }
}

impl Piece for &str {
    fn view(self) -> View {
        View::new(document().create_text_node(self).unchecked_into())
    }

    fn followed(mut now: Box<dyn FnMut() -> Self>) -> View
    where
        Self: 'static,
    {
        words(Box::new(move || Cow::Owned(now().to_owned())))
    }
}

impl Piece for String {
    fn view(self) -> View {
        self.as_str().view()
    }

    fn followed(mut now: Box<dyn FnMut() -> Self>) -> View {
        words(Box::new(move || Cow::Owned(now())))
    }
}

/// One text node whose words change.
fn words(mut now: Box<dyn FnMut() -> Cow<'static, str>>) -> View {
    let node = document().create_text_node("");
    let text = node.clone();
    let mut last = Cow::Borrowed("");
    follow(Box::new(move || {
        let words = now();
        say(&text, &last, &words);
        last = words;
    }));
    View::new(node.unchecked_into())
}

impl Piece for usize {
    fn view(self) -> View {
        self.to_string().view()
    }
}

impl<T: Piece> Piece for Option<T> {
    fn view(self) -> View {
        self.map(T::view).unwrap_or_default()
    }
}

impl Piece for Vec<View> {
    fn view(self) -> View {
        let all = fragment();
        for view in self {
            view.append_to(&all);
        }
        View::new(all)
    }
}

impl<const N: usize> Piece for [View; N] {
    fn view(self) -> View {
        Vec::from(self).view()
    }
}

impl<F: FnMut() -> T + 'static, T: Piece + 'static> Piece for F {
    fn view(self) -> View {
        T::followed(Box::new(self))
    }
}

/// Shows something while a condition holds.
pub(crate) fn show(
    when: impl Fn() -> bool + Send + Sync + 'static,
    then: impl FnMut() -> View + 'static,
) -> View {
    choose(Memo::new(move |_| when()), Box::new(then), Box::new(View::default))
}

/// Shows one thing or the other.
pub(crate) fn show_or(
    when: impl Fn() -> bool + Send + Sync + 'static,
    then: impl FnMut() -> View + 'static,
    otherwise: impl FnMut() -> View + 'static,
) -> View {
    choose(Memo::new(move |_| when()), Box::new(then), Box::new(otherwise))
}

fn choose(
    when: Memo<bool>,
    mut then: Box<dyn FnMut() -> View>,
    mut otherwise: Box<dyn FnMut() -> View>,
) -> View {
    changing(Box::new(move || if when.get() { untrack(&mut then) } else { untrack(&mut otherwise) }))
}
