//! The few lines every service of the browser needs: where the window is, what an exception says, listeners and pauses that
//! end with their handle.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{Document, EventTarget, Window};

/// The window. The page runs nowhere else.
pub(super) fn window() -> Window {
    web_sys::window().expect("the page runs in a window")
}

/// The document.
pub(super) fn document() -> Document {
    window().document().expect("a window shows a document")
}

/// Whether nobody can see the page.
pub(super) fn hidden() -> bool {
    document().hidden()
}

/// Asks the browser not to clear away what this page keeps when room is short. It may say no, and some ask the person.
pub(super) fn ask_to_stay() {
    let Ok(storage) = Reflect::get(&window().navigator(), &"storage".into()) else { return };
    let Ok(persist) = Reflect::get(&storage, &"persist".into()) else { return };
    if let Some(persist) = persist.dyn_ref::<Function>()
        && let Ok(promise) = persist.call0(&storage)
        && let Ok(promise) = promise.dyn_into::<js_sys::Promise>()
    {
        spawn(async move {
            let _either_way = wasm_bindgen_futures::JsFuture::from(promise).await;
        });
    }
}

/// Begins something that goes on by itself.
pub(super) fn spawn(work: impl Future<Output = ()> + 'static) {
    // In a box, so that the machinery around a task is compiled once.
    spawn_boxed(Box::pin(work));
}

#[inline(never)]
fn spawn_boxed(work: Pin<Box<dyn Future<Output = ()>>>) {
    wasm_bindgen_futures::spawn_local(work);
}

/// What an exception says, for people.
pub(super) fn words(exception: &JsValue) -> String {
    let text = |key: &str| Reflect::get(exception, &key.into()).ok().and_then(|value| value.as_string());
    match (text("name"), text("message")) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        _ => exception.as_string().unwrap_or_else(|| "the browser gave no reason".to_owned()),
    }
}

/// The name of an exception, such as `AbortError`.
pub(super) fn name(exception: &JsValue) -> String {
    Reflect::get(exception, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// A listener that ends with this value.
pub(super) struct Listener {
    target: EventTarget,
    event: &'static str,
    closure: Closure<dyn FnMut(web_sys::Event)>,
}

impl Listener {
    /// Calls `on` for every such event from now on.
    pub(super) fn new(
        target: &EventTarget,
        event: &'static str,
        on: impl FnMut(web_sys::Event) + 'static,
    ) -> Self {
        let closure = Closure::new(on);
        let _ = target.add_event_listener_with_callback(event, function(&closure));
        Self { target: target.clone(), event, closure }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.target.remove_event_listener_with_callback(self.event, function(&self.closure));
    }
}

/// A closure as the function it is for the browser.
pub(super) fn function<T: ?Sized>(closure: &Closure<T>) -> &Function {
    closure.as_ref().unchecked_ref()
}

/// A timer that ends with this value.
struct Timer {
    handle: Option<i32>,
    _ring: Closure<dyn FnMut()>,
}

impl Timer {
    fn new(millis: u32, ring: impl FnMut() + 'static) -> Self {
        let ring = Closure::<dyn FnMut()>::new(ring);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        let handle = window().set_timeout_with_callback_and_timeout_and_arguments_0(function(&ring), millis);
        Self { handle: handle.ok(), _ring: ring }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            window().clear_timeout_with_handle(handle);
        }
    }
}

/// Passes after so many milliseconds. Hidden pages count slowly.
pub(super) async fn sleep(millis: u32) {
    let (ring, wait) = bell();
    let _timer = Timer::new(millis, ring);
    let _ = wait.await;
}

/// Passes after so many milliseconds, and at once where nobody sees the page.
pub(super) async fn pause(millis: u32) {
    if millis == 0 || hidden() {
        return;
    }
    let (ring, wait) = bell();
    let hides = ring.clone();
    let _listener = Listener::new(&document(), "visibilitychange", move |_| hides());
    let _timer = Timer::new(millis, ring);
    let _ = wait.await;
}

/// Something to ring, any number of times, and something that waits for it.
fn bell() -> (impl Fn() + Clone + 'static, oneshot::Receiver<()>) {
    let (done, wait) = oneshot::channel();
    let done = Rc::new(Cell::new(Some(done)));
    let ring = move || {
        if let Some(done) = done.take() {
            let _ = done.send(());
        }
    };
    (ring, wait)
}
