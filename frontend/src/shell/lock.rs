//! The lock that says which tab drives a session. Holding it also keeps the browser from freezing the tab.
//!
//! The lock goes by itself to the next tab that waits when its holder is closed. A tab that steals it gets it
//! at once, and the robbed one is told. The lock is for people; that no two tabs ever write one log is the
//! store's affair.
//!
//! Where a browser has no locks (a page that was fetched over plain HTTP from another machine) or refuses
//! them (site data is blocked), every tab that asks gets one, waiting never ends, and the store and the
//! runner fence the earlier tab.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use agent::tabs::LockMode;
use futures_channel::oneshot;
use gloo_utils::window;
use js_sys::{Array, Function, Object, Promise, Reflect};
use shared::SessionId;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, AbortSignal};

use super::js::{self, function};

const PREFIX: &str = "meanwhile.session.";

// web-sys keeps these behind a compiler flag that would bind every user of the workspace.
#[wasm_bindgen]
extern "C" {
    type LockManager;

    #[wasm_bindgen(method)]
    fn request(this: &LockManager, name: &str, options: &Object, granted: &Function) -> Promise;

    #[wasm_bindgen(method)]
    fn query(this: &LockManager) -> Promise;
}

/// A held lock; dropping it gives it up.
pub(super) struct LockGuard(Option<Function>);

impl Drop for LockGuard {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            let _ = release.call0(&JsValue::UNDEFINED);
        }
    }
}

/// Ends a waiting request when it is dropped.
pub(super) struct AbortOnDrop(AbortController);

impl AbortOnDrop {
    /// For one request.
    pub(super) fn new() -> Option<Self> {
        AbortController::new().ok().map(Self)
    }

    /// What the request listens to.
    pub(super) fn signal(&self) -> AbortSignal {
        self.0.signal()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for a session's lock. `None`: it is not free, or the waiting was ended. `stolen` is called if another
/// tab takes it later.
pub(super) async fn acquire(
    session: SessionId,
    mode: LockMode,
    signal: Option<AbortSignal>,
    stolen: impl FnOnce() + 'static,
) -> Option<LockGuard> {
    let Some(manager) = manager() else { return without_locks(mode).await };
    let (answer, wait) = oneshot::channel();
    let (fail, failed) = oneshot::channel();
    let granted = Rc::new(Cell::new(false));
    let callback = Closure::once({
        let granted = granted.clone();
        move |lock: JsValue| -> Promise {
            if lock.is_null() {
                let _ = answer.send(None);
                return Promise::resolve(&JsValue::UNDEFINED);
            }
            granted.set(true);
            let mut release = None;
            let held = Promise::new(&mut |resolve, _| release = Some(resolve));
            let _ = answer.send(release);
            held
        }
    });
    let request = manager.request(&format!("{PREFIX}{session}"), &options(mode, signal), function(&callback));
    spawn_local(async move {
        let outcome = JsFuture::from(request).await;
        drop(callback);
        match outcome {
            Ok(_) => {}
            Err(_) if granted.get() => stolen(),
            Err(reason) => drop(fail.send(js::name(&reason) != "AbortError")),
        }
    });
    match wait.await {
        Ok(release) => release.map(|release| LockGuard(Some(release))),
        Err(_) if failed.await == Ok(true) => without_locks(mode).await,
        Err(_) => None,
    }
}

/// What asking for a lock comes to where there are none.
async fn without_locks(mode: LockMode) -> Option<LockGuard> {
    if mode == LockMode::Wait {
        std::future::pending::<()>().await;
    }
    Some(LockGuard(None))
}

/// The sessions that some tab drives, each with the browser's name for that tab. A tab that has just given a
/// lock up may still be named.
pub(super) async fn held() -> BTreeMap<SessionId, String> {
    let Some(manager) = manager() else { return BTreeMap::new() };
    let Ok(snapshot) = JsFuture::from(manager.query()).await else { return BTreeMap::new() };
    let Ok(held) = Reflect::get(&snapshot, &"held".into()) else { return BTreeMap::new() };
    let field = |lock: &JsValue, name: &str| Reflect::get(lock, &name.into()).ok()?.as_string();
    Array::from(&held)
        .iter()
        .filter_map(|lock| {
            let session = field(&lock, "name")?.strip_prefix(PREFIX)?.parse().ok().map(SessionId)?;
            Some((session, field(&lock, "clientId").unwrap_or_default()))
        })
        .collect()
}

fn manager() -> Option<LockManager> {
    let manager = Reflect::get(&window().navigator(), &"locks".into()).ok()?;
    manager.is_object().then(|| manager.unchecked_into())
}

fn options(mode: LockMode, signal: Option<AbortSignal>) -> Object {
    let options = Object::new();
    let set = |key: &str, value: &JsValue| {
        let _ = Reflect::set(&options, &key.into(), value);
    };
    match mode {
        LockMode::IfFree => set("ifAvailable", &JsValue::TRUE),
        LockMode::Steal => set("steal", &JsValue::TRUE),
        LockMode::Wait => {
            if let Some(signal) = signal {
                set("signal", &signal);
            }
        }
    }
    options
}
