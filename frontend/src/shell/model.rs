//! Model calls that the page makes itself: to a server by `fetch`, or to the demo, which is played here with
//! its pauses.
//!
//! A call lives as long as its entry in [`Calls`]. Cancelling takes the entry out and aborts the fetch; bytes
//! that still come find no entry and go nowhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use agent::effect::{ModelCall, Target};
use agent::event::ModelInput;
use agent::model::Api;
use agent::model::demo::Chunk;
use agent::{CallId, Event, Pump};
use gloo_net::http::{Request, Response};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortController, ReadableStreamDefaultReader, ReferrerPolicy, RequestCredentials, RequestRedirect,
};

use super::js::{describe, pause};

/// The calls under way.
#[derive(Clone, Default)]
pub(super) struct Calls(Rc<RefCell<BTreeMap<CallId, AbortController>>>);

impl Calls {
    /// Makes a call. `key` is what this browser keeps for direct calls by an API.
    pub(super) fn begin(&self, call: ModelCall, key: fn(Api) -> Option<String>, pump: &Pump) {
        let abort = match AbortController::new() {
            Ok(abort) => abort,
            Err(exception) => {
                pump.send(Event::Model {
                    call: call.call,
                    input: ModelInput::Lost { reason: describe(&exception) },
                });
                return;
            }
        };
        self.0.borrow_mut().insert(call.call, abort.clone());
        let report = Report { calls: self.clone(), call: call.call, abort, pump: pump.clone() };
        spawn_local(async move {
            let end = match call.target {
                Target::Demo(answer) => {
                    play(answer, &report).await;
                    Ok(())
                }
                Target::Http { url, mut headers, api, key: header } => {
                    if let Some(key) = key(api) {
                        headers.insert(header.name.to_owned(), format!("{}{key}", header.prefix));
                    }
                    fetch(&url, &headers, call.body, &report).await
                }
            };
            report.send(end.map_or_else(|reason| ModelInput::Lost { reason }, |()| ModelInput::End));
            if report.live() {
                report.calls.0.borrow_mut().remove(&report.call);
            }
        });
    }

    /// Breaks a call off.
    pub(super) fn cancel(&self, call: CallId) {
        let abort = self.0.borrow_mut().remove(&call);
        if let Some(abort) = abort {
            abort.abort();
        }
    }

    /// Breaks all calls off.
    pub(super) fn cancel_all(&self) {
        for abort in std::mem::take(&mut *self.0.borrow_mut()).into_values() {
            abort.abort();
        }
    }
}

/// The way of one call's events to the agent.
struct Report {
    calls: Calls,
    call: CallId,
    abort: AbortController,
    pump: Pump,
}

impl Report {
    fn live(&self) -> bool {
        self.calls.0.borrow().get(&self.call) == Some(&self.abort)
    }

    fn send(&self, input: ModelInput) {
        if self.live() {
            self.pump.send(Event::Model { call: self.call, input });
        }
    }
}

/// Plays the demo's answer: with its pauses where someone looks, without where nobody does.
async fn play(answer: Vec<Chunk>, report: &Report) {
    let headers = BTreeMap::from([("content-type".to_owned(), "text/event-stream".to_owned())]);
    report.send(ModelInput::Head { status: 200, headers });
    for chunk in answer {
        pause(chunk.delay_ms).await;
        if !report.live() {
            break;
        }
        report.send(ModelInput::Data(chunk.bytes));
    }
}

/// Posts the request and passes the answer on as it comes. Redirects are refused: they would carry the key
/// elsewhere.
async fn fetch(
    url: &str,
    headers: &BTreeMap<String, String>,
    body: String,
    report: &Report,
) -> Result<(), String> {
    let mut request = Request::post(url)
        .credentials(RequestCredentials::Omit)
        .referrer_policy(ReferrerPolicy::NoReferrer)
        .redirect(RequestRedirect::Error)
        .abort_signal(Some(&report.abort.signal()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body).map_err(|error| error.to_string())?;
    let response = request.send().await.map_err(|error| {
        format!(
            "the model's server could not be reached: {error} (is the address right, was the runner started with it, and does it \
             allow calls from a page?)"
        )
    })?;
    report.send(ModelInput::Head { status: response.status(), headers: readable(&response) });
    let Some(stream) = response.body() else { return Ok(()) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    loop {
        let piece = JsFuture::from(reader.read())
            .await
            .map_err(|exception| format!("the model's answer broke off: {}", describe(&exception)))?;
        let field = |key: &str| Reflect::get(&piece, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if field("done").is_truthy() {
            return Ok(());
        }
        if let Ok(bytes) = field("value").dyn_into::<Uint8Array>() {
            report.send(ModelInput::Data(bytes.to_vec()));
        }
    }
}

fn readable(response: &Response) -> BTreeMap<String, String> {
    response.headers().entries().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}
