//! The address bar: `#s=<session>` names the session of this tab, `#pair=<code>` brings a pairing code, once.
//!
//! Only the fragment is used, which never leaves the browser.

use gloo_utils::window;
use shared::SessionId;
use wasm_bindgen::JsValue;

/// What a fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// A pairing code.
    pub(crate) code: Option<String>,
    /// A session.
    pub(crate) session: Option<SessionId>,
}

impl Fragment {
    fn parse(fragment: &str) -> Self {
        let mut found = Self::default();
        for part in fragment.trim_start_matches('#').split('&') {
            match part.split_once('=') {
                Some(("pair", code)) if is_code(code) => found.code = Some(code.to_owned()),
                Some(("s", session)) => found.session = session.parse().ok().map(SessionId),
                Some(_) | None => {}
            }
        }
        found
    }
}

/// Reads the fragment, and takes a pairing code out of the address.
pub(crate) fn take() -> Fragment {
    let found = Fragment::parse(&window().location().hash().unwrap_or_default());
    if found.code.is_some() {
        show(found.session);
    }
    found
}

/// Makes the address name this session, without a step in the history.
pub(super) fn show(session: Option<SessionId>) {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    let fragment = session.map(|session| format!("#s={session}")).unwrap_or_default();
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("{path}{fragment}")));
    }
}

/// This page's origin.
pub(super) fn origin() -> String {
    window().location().origin().unwrap_or_default()
}

/// The code in what a person pasted: a code, or a whole link to `origin`.
pub(super) fn code_in(pasted: &str, origin: &str) -> Result<String, String> {
    let pasted = pasted.trim();
    if is_code(pasted) {
        return Ok(pasted.to_owned());
    }
    let Some((page, fragment)) = pasted.split_once('#') else {
        return Err(
            "this is neither a pairing code nor a pairing link; the runner prints a link when it starts"
                .to_owned(),
        );
    };
    if page.trim_end_matches('/') != origin {
        return Err(format!(
            "this link is for {page}, but this page comes from {origin}: open the link itself instead"
        ));
    }
    Fragment::parse(fragment).code.ok_or_else(|| "this link holds no pairing code".to_owned())
}

/// Codes are base64url without padding, at least 128 bits of it.
fn is_code(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "dGhpcyBpcyBhIGNvZGUhIQ";
    const SESSION: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

    #[test]
    fn a_fragment_names_code_and_session_in_any_order() {
        let session = SESSION.parse().ok().map(SessionId);
        let code = Some(CODE.to_owned());
        for (fragment, expected) in [
            (String::new(), Fragment::default()),
            (format!("#pair={CODE}"), Fragment { code: code.clone(), session: None }),
            (format!("#s={SESSION}"), Fragment { code: None, session }),
            (format!("#s={SESSION}&pair={CODE}"), Fragment { code: code.clone(), session }),
            (format!("#pair={CODE}&s=nonsense&x"), Fragment { code, session: None }),
            ("#pair=<script>alert(1)</script>".to_owned(), Fragment::default()),
            // Nobody's link leads the page to another runner.
            ("#runner=127.0.0.1:1&origin=http://127.0.0.1:1".to_owned(), Fragment::default()),
        ] {
            assert_eq!(Fragment::parse(&fragment), expected, "{fragment}");
        }
    }

    #[test]
    fn a_pasted_link_counts_only_for_its_own_origin() {
        let origin = "http://127.0.0.1:8757";
        for good in [
            CODE.to_owned(),
            format!(" {CODE}\n"),
            format!("{origin}/#pair={CODE}"),
            format!("{origin}#pair={CODE}"),
        ] {
            assert_eq!(code_in(&good, origin), Ok(CODE.to_owned()), "{good}");
        }
        for bad in [
            "",
            "hello there",
            "http://127.0.0.1:8758/#pair=dGhpcyBpcyBhIGNvZGUhIQ",
            "http://127.0.0.1:8757.evil.example/#pair=dGhpcyBpcyBhIGNvZGUhIQ",
            "http://127.0.0.1:8757@evil.example/#pair=dGhpcyBpcyBhIGNvZGUhIQ",
            "http://127.0.0.1:8757/#s=1",
        ] {
            assert!(code_in(bad, origin).is_err(), "{bad}");
        }
    }
}
