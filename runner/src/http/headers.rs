//! The headers that every answer carries, refusals too: what the page may do, and what others may do with it.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, SERVER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};

/// How a Meanwhile can be told from other servers, by one that finds its port occupied.
pub(crate) const SERVER_NAME: &str = "meanwhile";

const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), \
                           magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// What the page may connect to beside its own origin.
pub(crate) struct Policy {
    connect: String,
}

impl Policy {
    /// From origins as browsers write them.
    pub(crate) fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Self {
        let mut connect = String::new();
        for origin in origins {
            if !connect.split(' ').any(|known| known == origin) {
                connect.push(' ');
                connect.push_str(origin);
            }
        }
        Self { connect }
    }

    /// Sets the headers. `host` is the request's own, once it has been found right.
    ///
    /// `'self'` covers the WebSocket of the page's own origin by the standard, but not in every browser that
    /// people have; so it is named too. Only the one in use, and never an IPv6 address, which the policy's
    /// grammar does not know.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, host: Option<&str>) {
        let socket = host
            .filter(|host| !host.starts_with('['))
            .map(|host| format!(" ws://{host}"))
            .unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; font-src \
             'self'; connect-src 'self'{socket}{}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
             manifest-src 'self'; worker-src 'self'",
            self.connect
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        for (name, value) in [
            (X_FRAME_OPTIONS, "DENY"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS),
            (SERVER, SERVER_NAME),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}
