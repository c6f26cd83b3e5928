//! What leaves the page for the person: downloads, and texts in tabs of their own.

use gloo_net::http::Request;
use gloo_timers::future::TimeoutFuture;
use gloo_utils::{document, window};
use js_sys::Array;
use shared::TaskId;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::js::describe;
use super::pairing::Pairing;
use super::request::{problem_in, strict};

/// How long a download's address is kept for the browser to begin reading it, in milliseconds.
const KEEP: u32 = 60_000;

/// Plain text.
pub(super) const TEXT: &str = "text/plain;charset=utf-8";

/// Offers a text as a download.
pub(super) async fn download(name: &str, kind: &str, text: &[u8]) -> Result<(), String> {
    let url = address(kind, text).map_err(|exception| describe(&exception))?;
    offer(name, &url).map_err(|exception| describe(&exception))?;
    forget(&url).await;
    Ok(())
}

/// Shows a plain text in a tab of its own, or offers it as a download where the browser opens none.
pub(super) async fn open(name: &str, text: &[u8]) -> Result<(), String> {
    let url = address(TEXT, text).map_err(|exception| describe(&exception))?;
    let opened = window().open_with_url_and_target(&url, "_blank");
    if !opened.is_ok_and(|tab| tab.is_some()) {
        offer(name, &url).map_err(|exception| describe(&exception))?;
    }
    forget(&url).await;
    Ok(())
}

async fn forget(url: &str) {
    TimeoutFuture::new(KEEP).await;
    let _ = Url::revoke_object_url(url);
}

/// All that is kept of a task's output. It is asked for over a socket's token, and the socket is open until
/// all is there.
pub(super) async fn whole_log(pairing: &Pairing, task: &TaskId) -> Result<Vec<u8>, String> {
    let greeted = pairing.visit().await?;
    let response = strict(Request::get(&format!("/api/tasks/{task}/log")))
        .header("authorization", &format!("Bearer {}", greeted.token))
        .send()
        .await
        .map_err(|_| "the runner does not answer; is it still running?".to_owned())?;
    if !response.ok() {
        return Err(problem_in(&response).await);
    }
    let bytes = response.binary().await.map_err(|error| error.to_string());
    drop(greeted.socket);
    bytes
}

fn address(kind: &str, text: &[u8]) -> Result<String, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    let parts = Array::of1(&js_sys::Uint8Array::from(text));
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    Url::create_object_url_with_blob(&blob)
}

fn offer(name: &str, url: &str) -> Result<(), JsValue> {
    let anchor: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    anchor.set_href(url);
    anchor.set_download(name);
    anchor.click();
    Ok(())
}
