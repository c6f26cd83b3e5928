//! Elements: made at once, then dressed call by call.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use leptos::ev::EventDescriptor;
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Event;

use super::attribute::{IntoValue, Value, Words};
use super::follow;
use super::node::{Piece, View, fragment};

/// An element that is being made.
pub(crate) struct Element(web_sys::Element);

/// An element of HTML.
#[inline(never)]
pub(crate) fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    dressed(document().create_element(name), attributes)
}

/// An element of SVG.
pub(crate) fn drawn(name: &str, attributes: &[(&str, &str)]) -> Element {
    dressed(document().create_element_ns(Some("http://www.w3.org/2000/svg"), name), attributes)
}

fn dressed(made: Result<web_sys::Element, JsValue>, attributes: &[(&str, &str)]) -> Element {
    let element = made.expect("the names in the page's markup are names of elements");
    for (name, value) in attributes {
        set(&element, name, Some(value));
    }
    Element(element)
}

/// Several views in a row.
pub(crate) fn group() -> Element {
    Element(fragment().unchecked_into())
}

/// Fails only for names that are none, which the markup does not have.
fn set(element: &web_sys::Element, name: &str, words: Option<&str>) {
    let result = match words {
        Some(words) => element.set_attribute(name, words),
        None => element.remove_attribute(name),
    };
    debug_assert!(result.is_ok(), "{name}: {result:?}");
}

fn set_property(element: &web_sys::Element, name: &str, value: &JsValue) {
    // Fails only for frozen objects.
    let _ = js_sys::Reflect::set(element, &JsValue::from_str(name), value);
}

impl Element {
    /// Makes it a view.
    pub(crate) fn done(self) -> View {
        View::new(self.0.unchecked_into())
    }

    /// Adds words.
    #[inline(never)]
    pub(crate) fn text(self, words: &str) -> Self {
        self.child(words.view())
    }

    /// Adds whatever can be a view.
    pub(crate) fn child(self, child: impl Piece) -> Self {
        child.view().append_to(&self.0);
        self
    }

    /// Sets or follows an attribute.
    pub(crate) fn attribute(self, name: &'static str, value: impl IntoValue) -> Self {
        self.put(name, value.into_value())
    }

    #[inline(never)]
    fn put(self, name: &'static str, value: Value) -> Self {
        match value {
            Value::Fixed(words) => {
                set(&self.0, name, words.as_deref());
                // A browser does so by itself only for the first such element of a document.
                if name == "autofocus" {
                    let element = self.0.clone();
                    super::effect(move |_| crate::ui::dom::focus(&element));
                }
            }
            Value::Followed(mut now) => {
                let element = self.0.clone();
                let mut last: Option<Words> = None;
                follow(Box::new(move || {
                    let words = now();
                    if last.as_ref() != Some(&words) {
                        set(&element, name, words.as_deref());
                        last = Some(words);
                    }
                }));
            }
        }
        self
    }

    /// One line of its own style, through the document's model: the page's policy allows no style attributes.
    pub(crate) fn style(self, name: &'static str, value: Option<String>) -> Self {
        if let (Some(value), Some(element)) = (value, self.0.dyn_ref::<web_sys::HtmlElement>()) {
            // A value that is none leaves the style as it is.
            let _ = element.style().set_property(name, &value);
        }
        self
    }

    /// Follows a property that is not the attribute of its name: `value`, `checked`.
    pub(crate) fn property<T: Into<JsValue>>(
        self,
        name: &'static str,
        mut now: impl FnMut() -> T + 'static,
    ) -> Self {
        self.put_property(name, Box::new(move || now().into()))
    }

    #[inline(never)]
    fn put_property(self, name: &'static str, mut now: Box<dyn FnMut() -> JsValue>) -> Self {
        let element = self.0.clone();
        follow(Box::new(move || set_property(&element, name, &now())));
        self
    }

    /// Keeps a field and a signal the same.
    #[inline(never)]
    pub(crate) fn bind(self, signal: RwSignal<String>) -> Self {
        let element = self.0.clone();
        self.on(&leptos::ev::input, move |event| signal.set(event_target_value(&event))).put_property(
            "value",
            {
                Box::new(move || {
                    let value = JsValue::from_str(&signal.get());
                    // Setting what is there already would move the caret.
                    let shown = js_sys::Reflect::get(&element, &JsValue::from_str("value"));
                    if shown.as_ref() == Ok(&value) { shown.unwrap_or(value) } else { value }
                })
            },
        )
    }

    /// Listens until the owner ends: what is being taken away must not be told that it lost the focus.
    pub(crate) fn on<E: EventDescriptor>(
        self,
        event: &E,
        mut handler: impl FnMut(E::EventType) + 'static,
    ) -> Self
    where
        E::EventType: JsCast,
    {
        self.listen(&event.name(), Box::new(move |event| handler(event.unchecked_into())))
    }

    #[inline(never)]
    fn listen(self, name: &str, mut handler: Box<dyn FnMut(Event)>) -> Self {
        let alive = Rc::new(Cell::new(true));
        let ends = SendWrapper::new(alive.clone());
        on_cleanup(move || ends.set(false));
        let owner = Owner::current();
        let run = move |event: Event| {
            if alive.get() {
                match &owner {
                    Some(owner) => owner.with(|| handler(event)),
                    None => handler(event),
                }
            }
        };
        // The browser frees it with the element.
        let listener = Closure::<dyn FnMut(Event)>::new(run).into_js_value();
        let added = self.0.add_event_listener_with_callback(name, listener.unchecked_ref());
        debug_assert!(added.is_ok(), "{name}: {added:?}");
        self
    }

    /// Lets a reference know this element.
    pub(crate) fn refer<T>(self, reference: NodeRef<T>) -> Self {
        reference.0.set(Some(self.0.clone()));
        self
    }
}

/// An element of the page that code wants to touch: none until it is made.
pub(crate) struct NodeRef<T>(RwSignal<Option<web_sys::Element>, LocalStorage>, PhantomData<fn() -> T>);

impl<T> Clone for NodeRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for NodeRef<T> {}

impl<T: JsCast> NodeRef<T> {
    /// A reference to nothing yet.
    pub(crate) fn new() -> Self {
        Self(RwSignal::new_local(None), PhantomData)
    }

    /// The element, followed.
    pub(crate) fn get(self) -> Option<T> {
        self.0.get().map(JsCast::unchecked_into)
    }

    /// The element as it stands; `None` too when the owner has ended.
    pub(crate) fn get_untracked(self) -> Option<T> {
        self.0.try_get_untracked().flatten().map(JsCast::unchecked_into)
    }
}
