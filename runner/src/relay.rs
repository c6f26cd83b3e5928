//! Model calls through the runner, so that a key need not enter a page.
//!
//! The upstream's address and key come from the configuration alone. A caller chooses among the paths listed
//! here, and of its headers only harmless ones are passed on; the answer streams back as it comes. There is
//! no time limit on a whole answer, and one on silence ([`IDLE_TIME`]). Whoever drops the answer's body
//! aborts the upstream's request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, USER_AGENT,
};
use reqwest::{Body, Client, Method, Response};
use shared::{Problem, ProblemCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Upstream;

/// The one upstream there is so far.
pub(crate) const ANTHROPIC: &str = "anthropic";
/// The version of the API that is asked for if the caller names none.
pub(crate) const ANTHROPIC_VERSION: &str = "2026-10-21";
/// How long an upstream may be silent, before its answer's head or within its body.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(300);
/// The most calls at once.
pub(crate) const MAX_CALLS: usize = 64;
/// The largest body of a request to an upstream, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

const CONNECT_TIME: Duration = Duration::from_secs(30);
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Of a caller's headers, those that an upstream gets. How long the body is, is not the caller's to say: it
/// may break off.
const REQUEST_HEADERS: [HeaderName; 5] = [ACCEPT, CONTENT_TYPE, USER_AGENT, BETA, VERSION];
/// Of an upstream's headers, those that a caller gets.
const RESPONSE_HEADERS: [HeaderName; 6] = [
    CONTENT_TYPE,
    DATE,
    RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("request-id"),
];
/// What may be asked of a list, and how a version is chosen; nothing else may be in a query.
const QUERY_NAMES: [&str; 4] = ["beta", "limit", "after_id", "before_id"];

/// Calls upstreams. A cheap handle.
#[derive(Clone)]
pub(crate) struct Relay {
    client: Result<Client, String>,
    anthropic: Arc<Upstream>,
    places: Arc<Semaphore>,
}

/// An upstream's answer, with its place among [`MAX_CALLS`].
pub(crate) struct Answer {
    response: Response,
    _place: OwnedSemaphorePermit,
}

impl Relay {
    /// A relay to this upstream.
    pub(crate) fn new(anthropic: Upstream) -> Self {
        // An error means that there is one already, and any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect would carry the key elsewhere.
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIME)
            .read_timeout(IDLE_TIME)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| with_causes(&error));
        if anthropic.key.is_some() && anthropic.base.starts_with("http://") && !is_loopback(&anthropic.base) {
            tracing::warn!(
                "ANTHROPIC_BASE_URL is not https: the key and all conversations cross the network readable."
            );
        }
        Self { client, anthropic: Arc::new(anthropic), places: Arc::new(Semaphore::new(MAX_CALLS)) }
    }

    /// The upstreams that there is a key for.
    pub(crate) fn ready(&self) -> Vec<String> {
        if self.anthropic.key.is_some() { vec![ANTHROPIC.to_owned()] } else { Vec::new() }
    }

    /// Calls an upstream, and returns once the head of its answer is there.
    ///
    /// # Errors
    /// No such upstream or path, no key, too many calls, or the upstream cannot be reached.
    pub(crate) async fn call(
        &self,
        upstream: &str,
        method: Method,
        target: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Answer, Problem> {
        let (key, client) = self.check(upstream, &method, target)?;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(Problem::retryable(
                ProblemCode::TooMany,
                format!(
                    "{MAX_CALLS} model calls are under way, and that is the limit. Try again when one has ended."
                ),
            ));
        };
        let mut sent: HeaderMap = REQUEST_HEADERS
            .iter()
            .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
            .collect();
        sent.entry(VERSION).or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
        sent.insert(API_KEY, key);
        // A compressed stream would come in larger pieces, and so later. One that is compressed all the same
        // is read.
        sent.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let posts = method == Method::POST;
        if posts {
            sent.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        let request = client.request(method, format!("{}{target}", self.anthropic.base)).headers(sent);
        let request = if posts { request.body(body) } else { request };
        // The client's own limit on silence begins only with the body.
        let response = match tokio::time::timeout(IDLE_TIME, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.unreachable(&with_causes(&error))),
            Err(_) => return Err(self.unreachable("it did not answer for five minutes")),
        };
        // What the client has undone it does not name any more.
        let packed = response.headers().get(CONTENT_ENCODING).filter(|name| *name != "identity");
        if let Some(name) = packed {
            return Err(Problem::new(
                ProblemCode::Upstream,
                format!(
                    "The model's server compressed its answer in a way that the runner did not ask for and cannot read: {name:?}. Check ANTHROPIC_BASE_URL."
                ),
            ));
        }
        Ok(Answer { response, _place: place })
    }

    /// Whether a call can be made at all, and with what.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(
        &self,
        upstream: &str,
        method: &Method,
        target: &str,
    ) -> Result<(HeaderValue, &Client), Problem> {
        if upstream != ANTHROPIC {
            return Err(Problem::new(
                ProblemCode::NotFound,
                format!("The relay knows no upstream {upstream:?}. It knows: {ANTHROPIC}."),
            ));
        }
        if method_of(target).as_ref() != Some(method) {
            return Err(Problem::new(
                ProblemCode::NotFound,
                "The relay passes on POST /v1/messages, POST /v1/messages/count_tokens and GET /v1/models, and nothing else.",
            ));
        }
        let Some(key) = &self.anthropic.key else {
            return Err(Problem::new(
                ProblemCode::NotFound,
                "The runner has no key for Anthropic. Stop it, set ANTHROPIC_API_KEY in its environment, and start it again.",
            ));
        };
        let mut key = HeaderValue::from_str(key.expose()).map_err(|_| {
            Problem::new(ProblemCode::Internal, "The key for Anthropic cannot be put into a header.")
        })?;
        key.set_sensitive(true);
        let client = self.client.as_ref().map_err(|error| {
            Problem::new(
                ProblemCode::System,
                format!("No secure connection can be made: {error}. Install the system's certificates (ca-certificates)."),
            )
        })?;
        Ok((key, client))
    }

    fn unreachable(&self, why: &str) -> Problem {
        Problem::retryable(
            ProblemCode::Upstream,
            format!("{} could not be reached: {why}.", self.anthropic.base),
        )
    }
}

impl Answer {
    /// The upstream's status.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Those of the upstream's headers that are passed on.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let headers = self.response.headers();
        RESPONSE_HEADERS.into_iter().filter_map(|name| {
            let value = headers.get(&name)?.clone();
            Some((name, value))
        })
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// If the upstream breaks off or is silent for too long.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        self.response.chunk().await.map_err(|error| {
            let reason =
                if error.is_timeout() { "silent for five minutes".to_owned() } else { with_causes(&error) };
            Problem::retryable(ProblemCode::Upstream, format!("The model's answer broke off: {reason}."))
        })
    }
}

/// The method that a target is called with, if the relay knows it.
pub(crate) fn method_of(target: &str) -> Option<Method> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let fits = query.is_empty()
        || query.split('&').all(|pair| {
            pair.split_once('=').is_some_and(|(name, value)| QUERY_NAMES.contains(&name) && plain(value))
        });
    if !fits {
        return None;
    }
    match path {
        "/v1/messages" | "/v1/messages/count_tokens" => Some(Method::POST),
        "/v1/models" => Some(Method::GET),
        _ => path
            .strip_prefix("/v1/models/")
            .filter(|id| plain(id) && !id.starts_with('.'))
            .map(|_| Method::GET),
    }
}

fn is_loopback(base: &str) -> bool {
    reqwest::Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned)).is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// An error with its causes, and without the address: proxies' may hold a password.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "the connection failed".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !inner_text.is_empty() && !text.contains(&inner_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_ANTHROPIC;

    #[test]
    fn targets() {
        for (target, method) in [
            ("/v1/messages", Some(Method::POST)),
            ("/v1/messages?beta=true", Some(Method::POST)),
            ("/v1/messages/count_tokens", Some(Method::POST)),
            ("/v1/models", Some(Method::GET)),
            ("/v1/models?limit=100&after_id=claude-x", Some(Method::GET)),
            ("/v1/models/claude-opus-5-5", Some(Method::GET)),
            ("/v1/models/", None),
            ("/v1/models/..", None),
            ("/v1/models/../messages", None),
            ("/v1/messages/", None),
            ("/v1/messages?x=y", None),
            ("/v1/messages?beta=true#x", None),
            ("/v1/files", None),
            ("@evil.example/v1/messages", None),
            ("v1/messages", None),
            ("", None),
        ] {
            assert_eq!(method_of(target), method, "{target}");
        }
    }

    #[tokio::test]
    async fn without_a_key_it_says_how_to_set_one() {
        let relay = Relay::new(Upstream { base: DEFAULT_ANTHROPIC.to_owned(), key: None });
        assert!(relay.ready().is_empty());
        let answer =
            relay.call(ANTHROPIC, Method::POST, "/v1/messages", &HeaderMap::new(), Body::from("{}")).await;
        let Err(problem) = answer else { panic!("it was called") };
        assert!(problem.message.contains("ANTHROPIC_API_KEY") && !problem.retryable, "{problem}");
    }

    #[test]
    fn which_addresses_are_here() {
        for here in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:5"] {
            assert!(is_loopback(here), "{here}");
        }
        assert!(!is_loopback("http://10.0.0.1"));
    }
}
