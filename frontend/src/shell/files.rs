//! What leaves the page for the person: downloads, and text for the clipboard.

use gloo_net::http::Request;
use js_sys::Array;
use shared::TaskId;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::js::{document, sleep, window, words};
use super::{kept, pairing};

/// How long a download's address is kept for the browser to begin reading it, in milliseconds.
const KEEP: u32 = 60_000;

/// Offers a text as a download.
pub(super) async fn download(name: &str, kind: &str, text: &[u8]) -> Result<(), String> {
    let url = offer(name, kind, text).map_err(|exception| words(&exception))?;
    sleep(KEEP).await;
    let _ = Url::revoke_object_url(&url);
    Ok(())
}

/// Puts a text into the clipboard.
pub(super) async fn copy(text: &str) -> Result<(), String> {
    let navigator = window().navigator();
    if js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_undefined()) {
        return Err("this browser lets this page not use the clipboard; use the download instead".to_owned());
    }
    JsFuture::from(navigator.clipboard().write_text(text))
        .await
        .map(drop)
        .map_err(|exception| words(&exception))
}

/// All that is kept of a task's output.
pub(super) async fn whole_log(task: &TaskId) -> Result<Vec<u8>, String> {
    let credential =
        kept::credential().ok_or_else(|| "this browser is not paired with the runner".to_owned())?;
    let response = pairing::own(Request::get(&format!("/api/tasks/{task}/log")), &credential)
        .send()
        .await
        .map_err(|_| "the runner does not answer; is it still running?".to_owned())?;
    if !response.ok() {
        return Err(pairing::problem_in(&response).await);
    }
    response.binary().await.map_err(|error| error.to_string())
}

fn offer(name: &str, kind: &str, text: &[u8]) -> Result<String, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    let parts = Array::of1(&js_sys::Uint8Array::from(text));
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let anchor: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    Ok(url)
}

/// Output as plain text: no escape sequences, and of lines that were drawn over only what was seen last.
pub(super) fn plain(output: &[u8]) -> String {
    let mut page = Plain::default();
    vte::Parser::new().advance(&mut page, output);
    page.text + &page.line
}

#[derive(Default)]
struct Plain {
    text: String,
    line: String,
    returned: bool,
}

impl vte::Perform for Plain {
    fn print(&mut self, letter: char) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
        }
        self.line.push(letter);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.text.push_str(&self.line);
                self.text.push('\n');
                self.line.clear();
                self.returned = false;
            }
            b'\r' => self.returned = true,
            b'\t' => self.print('\t'),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_sequences_and_no_overdrawn_lines() {
        for (output, text) in [
            (&b"a\r\nb\n"[..], "a\nb\n"),
            (b"\x1b[31mred\x1b[0m\tx", "red\tx"),
            (b"10%\r50%\r100%\ndone", "100%\ndone"),
            (b"\x1b]0;title\x07shown\x07", "shown"),
            ("gr\u{fc}n \u{2713}".as_bytes(), "grün ✓"),
        ] {
            assert_eq!(plain(output), text);
        }
    }
}
