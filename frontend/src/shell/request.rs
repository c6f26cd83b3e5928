//! Requests to the page's own origin, and what their answers say.

use gloo_net::http::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use shared::{Problem, json};
use web_sys::{ReferrerPolicy, RequestCache, RequestCredentials, RequestRedirect};

/// A request that goes to this page's own origin, bare.
pub(super) fn strict(request: RequestBuilder) -> RequestBuilder {
    request
        .cache(RequestCache::NoStore)
        .credentials(RequestCredentials::Omit)
        .redirect(RequestRedirect::Error)
        .referrer_policy(ReferrerPolicy::NoReferrer)
}

/// The body of an answer, read from JSON.
pub(super) async fn body<T: DeserializeOwned>(response: &Response) -> Result<T, String> {
    let text = response.text().await.map_err(|error| error.to_string())?;
    json::from_text(&text).map_err(|error| error.to_string())
}

/// What the runner's answer says is wrong.
pub(super) async fn problem_in(response: &Response) -> String {
    let status = response.status();
    match body::<Problem>(response).await {
        Ok(problem) => problem.message,
        Err(_) => format!("the runner answered with status {status}"),
    }
}
