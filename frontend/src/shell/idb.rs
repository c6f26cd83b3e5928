//! `IndexedDB` as futures, as much of it as the store needs.
//!
//! A future over a request is woken in the request's own callback, so its transaction is still active when
//! the code goes on: between two requests of one transaction nothing but the first one's future may be
//! awaited.

use std::cell::Cell;
use std::rc::Rc;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use gloo_events::EventListener;
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{
    Event, IdbDatabase, IdbKeyRange, IdbOpenDbRequest, IdbRequest, IdbTransaction, IdbTransactionMode,
};

use super::js::function;

/// How long the browser may take to open a database, in milliseconds.
const OPEN_TIME: u32 = 15_000;

// web-sys keeps this behind a compiler flag that would bind every user of the workspace.
#[wasm_bindgen]
extern "C" {
    type Durable;

    #[wasm_bindgen(method, catch)]
    fn transaction(
        this: &Durable,
        stores: &Array,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;
}

/// Waits for a request and gives its result, or the exception.
pub(super) async fn resolved(request: &IdbRequest) -> Result<JsValue, JsValue> {
    let (done, wait) = oneshot::channel();
    let done = Cell::new(Some(done));
    let on = Closure::<dyn FnMut(Event)>::new(move |_| {
        if let Some(done) = done.take() {
            let _ = done.send(());
        }
    });
    request.set_onsuccess(Some(function(&on)));
    request.set_onerror(Some(function(&on)));
    let _ = wait.await;
    request.set_onsuccess(None);
    request.set_onerror(None);
    match request.error()? {
        Some(error) => Err(error.into()),
        None => request.result(),
    }
}

/// Waits until a transaction is durable, or has failed as a whole.
pub(super) async fn committed(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let (done, wait) = oneshot::channel();
    let done = Rc::new(Cell::new(Some(done)));
    let report = move |committed: bool| {
        if let Some(done) = done.take() {
            let _ = done.send(committed);
        }
    };
    let complete = EventListener::new(transaction, "complete", {
        let report = report.clone();
        move |_| report(true)
    });
    let abort = EventListener::new(transaction, "abort", move |_| report(false));
    let committed = wait.await.unwrap_or(false);
    drop((complete, abort));
    if committed {
        return Ok(());
    }
    match transaction.error() {
        Some(error) => Err(error.into()),
        None => Err(JsValue::from_str("the transaction was broken off")),
    }
}

/// An open database, and whether it had to be given up.
pub(super) struct Database {
    raw: IdbDatabase,
    lost: Rc<Cell<Option<Lost>>>,
    _listeners: [EventListener; 2],
}

/// Why an open database is none any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The browser closed it, or it was deleted: it can be opened anew.
    Closed,
    /// A newer page has changed its form.
    Newer,
}

/// Why there is no database.
pub(super) enum OpenError {
    /// The browser refused.
    Refused(JsValue),
    /// Tabs with an older page have it open.
    Blocked,
    /// The browser said nothing at all.
    Silent,
}

impl Database {
    /// Opens a database, making or upgrading it first. `upgrade` gets the version that was there; 0 for none.
    pub(super) async fn open(
        name: &str,
        version: u32,
        upgrade: impl Fn(&IdbDatabase, u32) -> Result<(), JsValue> + 'static,
    ) -> Result<Self, OpenError> {
        let factory = gloo_utils::window()
            .indexed_db()
            .map_err(OpenError::Refused)?
            .ok_or_else(|| OpenError::Refused(JsValue::from_str("this browser has no IndexedDB")))?;
        let request = factory.open_with_u32(name, version).map_err(OpenError::Refused)?;
        let raw = opened(&request, upgrade).await?;
        let lost = Rc::new(Cell::new(None));
        let listeners = [
            EventListener::new(&raw, "versionchange", {
                let (raw, lost) = (raw.clone(), lost.clone());
                move |event| {
                    raw.close();
                    let event: &web_sys::IdbVersionChangeEvent = event.unchecked_ref();
                    let is_deleted = event.new_version().is_none();
                    lost.set(Some(if is_deleted { Lost::Closed } else { Lost::Newer }));
                }
            }),
            EventListener::new(&raw, "close", {
                let lost = lost.clone();
                move |_| lost.set(Some(Lost::Closed))
            }),
        ];
        Ok(Self { raw, lost, _listeners: listeners })
    }

    /// Whether it is of no more use, but another could be opened in its place.
    pub(super) fn is_closed(&self) -> bool {
        self.lost.get() == Some(Lost::Closed)
    }

    /// Begins a transaction over these stores.
    pub(super) fn begin(&self, stores: &[&str], mode: IdbTransactionMode) -> Result<IdbTransaction, JsValue> {
        let stores = self.named(stores)?;
        self.raw.transaction_with_str_sequence_and_mode(&stores, mode)
    }

    /// Begins a writing transaction that is on the disk, and not in the system's memory alone, when it is
    /// committed.
    pub(super) fn begin_strict(&self, stores: &[&str]) -> Result<IdbTransaction, JsValue> {
        let stores = self.named(stores)?;
        let options = Object::new();
        Reflect::set(&options, &"durability".into(), &"strict".into())?;
        self.raw.unchecked_ref::<Durable>().transaction(&stores, "readwrite", &options)
    }

    fn named(&self, stores: &[&str]) -> Result<Array, JsValue> {
        match self.lost.get() {
            Some(Lost::Closed) => Err(JsValue::from_str("the browser closed this page's storage")),
            Some(Lost::Newer) => Err(JsValue::from_str(
                "another tab opened a newer version of this page: export this session, then reload",
            )),
            None => Ok(stores.iter().copied().map(JsValue::from_str).collect()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.raw.close();
    }
}

/// Waits for the opening, running the upgrade on the way.
async fn opened(
    request: &IdbOpenDbRequest,
    upgrade: impl Fn(&IdbDatabase, u32) -> Result<(), JsValue> + 'static,
) -> Result<IdbDatabase, OpenError> {
    enum Outcome {
        Finished,
        Blocked,
        Silent,
    }
    let (done, wait) = oneshot::channel();
    let done = Rc::new(Cell::new(Some(done)));
    let report = move |outcome| {
        if let Some(done) = done.take() {
            let _ = done.send(outcome);
        }
    };
    let upgrading = EventListener::new(request, "upgradeneeded", {
        let request = request.clone();
        move |event| {
            let event: &web_sys::IdbVersionChangeEvent = event.unchecked_ref();
            let before = old_version(event);
            let Ok(raw) = request.result().map(JsCast::unchecked_into::<IdbDatabase>) else { return };
            if upgrade(&raw, before).is_err()
                && let Some(transaction) = request.transaction()
            {
                let _ = transaction.abort();
            }
        }
    });
    let success = EventListener::new(request, "success", {
        let report = report.clone();
        move |_| report(Outcome::Finished)
    });
    let error = EventListener::new(request, "error", {
        let report = report.clone();
        move |_| report(Outcome::Finished)
    });
    let blocked = EventListener::new(request, "blocked", move |_| report(Outcome::Blocked));
    let outcome = match select(wait, TimeoutFuture::new(OPEN_TIME)).await {
        Either::Left((outcome, _)) => outcome.unwrap_or(Outcome::Silent),
        Either::Right(_) => Outcome::Silent,
    };
    drop((success, error, blocked));
    match outcome {
        Outcome::Finished => match request.error() {
            Ok(None) => request.result().map(JsCast::unchecked_into).map_err(OpenError::Refused),
            Ok(Some(error)) => Err(OpenError::Refused(error.into())),
            Err(exception) => Err(OpenError::Refused(exception)),
        },
        Outcome::Blocked | Outcome::Silent => {
            // It may still open, and nobody waits for it then; but a new one must not come to be without
            // stores.
            upgrading.forget();
            let late = request.clone();
            let close = Closure::once_into_js(move || {
                if let Ok(raw) = late.result() {
                    raw.unchecked_into::<IdbDatabase>().close();
                }
            });
            request.set_onsuccess(Some(close.unchecked_ref()));
            Err(if matches!(outcome, Outcome::Silent) { OpenError::Silent } else { OpenError::Blocked })
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "our versions are small whole numbers"
)]
fn old_version(event: &web_sys::IdbVersionChangeEvent) -> u32 {
    event.old_version() as u32
}

/// All keys `[session, n]` of one session.
pub(super) fn range_of(session: &str) -> Result<IdbKeyRange, JsValue> {
    let least = Array::of2(&session.into(), &JsValue::from_f64(0.0));
    let most = Array::of2(&session.into(), &JsValue::from_f64(f64::INFINITY));
    IdbKeyRange::bound(&least, &most)
}
