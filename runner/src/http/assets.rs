//! The page's files as answers: compressed for those who take it, cached for ever if the name holds a hash.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use std::borrow::Cow;

use crate::page;

/// The answer, if the page has such a file.
pub(crate) fn serve(request: &Request) -> Option<Response> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asset = page::lookup(request.uri().path(), text(ACCEPT_ENCODING))?;
    let cache = if asset.immutable {
        "public, max-age=31536000, immutable"
    } else if asset.content_type.starts_with("text/html") {
        "no-store"
    } else {
        "no-cache"
    };
    let known = text(IF_NONE_MATCH).split(',').map(str::trim);
    let known =
        known.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == asset.etag || tag == "*");
    let bytes = match asset.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let length = bytes.len();
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else if *request.method() == Method::HEAD {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    } else {
        Response::new(Body::from(bytes))
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if !known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
        if let Some(encoding) = asset.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    Some(response)
}
