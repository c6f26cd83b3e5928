//! What is left of a page that panicked: what happened goes to the console, and the page says so and offers
//! to reload, instead of standing there dead.

use gloo_events::EventListener;
use gloo_utils::window;
use wasm_bindgen::prelude::*;

/// From now on a panic is told.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let _ = show();
    }));
}

fn show() -> Result<(), JsValue> {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else { return Ok(()) };
    if document.get_element_by_id("page-error").is_some() {
        return Ok(());
    }
    let notice = document.create_element("div")?;
    notice.set_id("page-error");
    notice.set_class_name("page-error");
    notice.set_attribute("role", "alert")?;
    let text = document.create_element("p")?;
    text.set_text_content(Some(
        "The page hit a fault of its own and has stopped. Nothing is lost: the session is saved, and tasks go on in the \
         runner. The browser's console says more.",
    ));
    let reload = document.create_element("button")?;
    reload.set_text_content(Some("Reload the page"));
    EventListener::new(&reload, "click", |_| {
        let _ = window().location().reload();
    })
    .forget();
    notice.append_with_node_2(&text, &reload)?;
    if let Some(body) = document.body() {
        body.prepend_with_node_1(&notice)?;
    }
    Ok(())
}
