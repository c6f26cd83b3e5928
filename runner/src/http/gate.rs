//! What every request must pass before the router sees it, in this order: Host, target, size, Origin,
//! credential, form.
//!
//! Every web page that the user visits can send requests here, and a name of its owner's choosing can be made
//! to point here. Host stops the second (a rebound name is not one of ours), Origin the first, and the
//! credential everything else; each is checked whatever the route. What passes is either one of the page's
//! files, a pairing, a page's wish for a socket on which it will prove itself (a [`Meeting`], which is noted
//! in the request), or comes from a paired client, which is noted too. Credentials are taken out of the
//! request, so nothing inside can log one.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use shared::proof::{Meeting, OFFER_PREFIX};
use shared::protocol::{BEARER_PREFIX, SUBPROTOCOL};
use shared::{ClientId, ProblemCode};

use super::body::MAX_BODY_BYTES;
use crate::auth::Clients;
use crate::clock::now;
use crate::page;
use crate::refusal::Refusal;
use crate::relay;
use crate::secret::CREDENTIAL_PREFIX;

/// Where pairing codes are exchanged.
pub(crate) const PAIR_PATH: &str = "/api/pair";
/// Where sockets are opened.
pub(crate) const SOCKET_PATH: &str = "/ws";
/// Below this path lies the relay.
pub(crate) const RELAY_PATH: &str = "/relay/";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What browsers say of a request and no page can change: from where it comes …
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// … whether it goes to another page …
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// … and what for: a tab, a frame, a picture.
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Names of query parameters in which people try to put credentials.
const CREDENTIAL_NAMES: [&str; 10] = [
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "credential",
    "key",
    "token",
    "x-api-key",
];

/// The checks.
pub(crate) struct Gate {
    names: Names,
    clients: Clients,
}

/// What this runner is called.
struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Those of the origins that are not the runner's own.
    dev_origins: Vec<String>,
}

impl Names {
    fn new(address: IpAddr, port: u16, dev_origins: &[String]) -> Self {
        let own = match address {
            IpAddr::V4(address) if !address.is_unspecified() => Some(address.to_string()),
            IpAddr::V6(address) if !address.is_unspecified() => Some(format!("[{address}]")),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let mut hosts = Vec::new();
        for name in ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned).into_iter().chain(own) {
            hosts.push(format!("{name}:{port}"));
            if port == 80 {
                hosts.push(name);
            }
        }
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
        origins.extend(dev_origins.iter().cloned());
        hosts.extend(dev_origins.iter().filter_map(|origin| Some(origin.split_once("://")?.1.to_owned())));
        Self { hosts, origins, dev_origins: dev_origins.to_vec() }
    }

    fn host(&self, headers: &HeaderMap) -> Option<&str> {
        let host = only(headers, &HOST)?.to_ascii_lowercase();
        let host = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => {
                format!("{}:{port}", name.strip_suffix('.').unwrap_or(name))
            }
            _ => host.strip_suffix('.').unwrap_or(&host).to_owned(),
        };
        self.hosts.iter().find(|known| **known == host).map(String::as_str)
    }

    fn is_origin(&self, text: &str) -> bool {
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(text))
    }

    fn is_dev_origin(&self, headers: &HeaderMap) -> bool {
        let origin = only(headers, &ORIGIN);
        origin.is_some_and(|text| self.dev_origins.iter().any(|known| known.eq_ignore_ascii_case(text)))
    }
}

impl Gate {
    /// For a runner that listens on `address` and `port`.
    pub(crate) fn new(address: IpAddr, port: u16, dev_origins: &[String], clients: Clients) -> Self {
        Self { names: Names::new(address, port, dev_origins), clients }
    }

    /// The request's host, if it has exactly one, and that one of ours.
    pub(crate) fn host(&self, headers: &HeaderMap) -> Option<&str> {
        self.names.host(headers)
    }

    /// Lets a request in, or not. Who it comes from is in its extensions then, as a [`ClientId`].
    ///
    /// # Errors
    /// The answer to send instead.
    pub(crate) async fn admit(&self, request: &mut Request) -> Result<(), Refusal> {
        if self.host(request.headers()).is_none() {
            return Err(Refusal::new(
                ProblemCode::Forbidden,
                "The Host header is not one of this runner's own addresses. Use http://127.0.0.1 with the runner's port.",
            )
            .with_status(StatusCode::MISDIRECTED_REQUEST));
        }
        let uri = request.uri();
        if uri.scheme().is_some() || uri.authority().is_some() || !uri.path().starts_with('/') {
            return Err(Refusal::new(ProblemCode::Malformed, "Only targets that are a path are served."));
        }
        check_size(request)?;
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let handshake = is_handshake(request.headers());
        self.check_origin(request, reading && !handshake)?;
        if comes_from_another_site(request.headers()) && !self.names.is_dev_origin(request.headers()) {
            return Err(Refusal::new(
                ProblemCode::Forbidden,
                "Another site's page asks for this. Only a link that opens this page may lead here.",
            ));
        }
        if request.uri().query().is_some_and(holds_credential) {
            return Err(Refusal::new(
                ProblemCode::Unauthorized,
                "A credential in an address is never accepted, since addresses are logged and kept. Send it as Authorization: \
                 Bearer.",
            ));
        }
        let public = if reading && !handshake {
            page::lookup(request.uri().path(), "").is_some()
        } else {
            *request.method() == Method::POST && request.uri().path() == PAIR_PATH
        };
        if !public {
            let presented = presented(request, handshake);
            if let Some(meeting) = meeting(request, handshake).filter(|_| presented.is_empty()) {
                request.extensions_mut().insert(meeting);
            } else {
                let client = self.identify(presented, handshake).await?;
                request.extensions_mut().insert(client);
            }
        }
        conceal(request.headers_mut());
        if *request.method() == Method::POST && !is_json(request.headers()) {
            return Err(Refusal::new(ProblemCode::Malformed, "The Content-Type must be application/json.")
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        Ok(())
    }

    fn check_origin(&self, request: &Request, exempt: bool) -> Result<(), Refusal> {
        if exempt {
            return Ok(());
        }
        let mut values = request.headers().get_all(ORIGIN).iter();
        let right = match (values.next(), values.next()) {
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| self.names.is_origin(origin)),
            // Programs other than browsers send none, and browsers always send one with a POST. Programs are
            // what the relay over HTTP is for, and its credential is in a header that a browser could only
            // add with our consent.
            (None, None) => request.uri().path().starts_with(RELAY_PATH) && !is_handshake(request.headers()),
            _ => false,
        };
        if right {
            return Ok(());
        }
        Err(Refusal::new(
            ProblemCode::Forbidden,
            "The Origin header is missing or foreign. Only this runner's own page may do this.",
        ))
    }

    async fn identify(&self, presented: Vec<String>, handshake: bool) -> Result<ClientId, Refusal> {
        if presented.is_empty() {
            return Err(Refusal::new(
                ProblemCode::Unauthorized,
                "This needs the credential of a paired client. `meanwhile pair` prints a link that pairs a browser.",
            ));
        }
        // Two may be there: SDKs send every key that they find in their environment.
        // A page's pass is for its requests; for a further socket it proves itself again.
        let find = |shown: &String| {
            self.clients.find(shown).or_else(|| self.clients.find_pass(shown).filter(|_| !handshake))
        };
        match presented.iter().find_map(find) {
            Some(client) => {
                self.clients.saw(client, now()).await;
                Ok(client)
            }
            None => Err(refuse_guess(
                &self.clients,
                "The credential is wrong or was revoked. `meanwhile pair` prints a link that pairs again.",
            )
            .await),
        }
    }
}

/// The answer to a wrong credential or code, after the wait that it earned.
pub(crate) async fn refuse_guess(clients: &Clients, message: &str) -> Refusal {
    if clients.punish_guess().await {
        return Refusal::new(ProblemCode::Unauthorized, message);
    }
    Refusal::new(
        ProblemCode::TooMany,
        format!("{message} There were too many wrong tries; a further wrong one is refused for a minute."),
    )
}

/// Before the body: what says itself that it is too large is not waited for.
fn check_size(request: &Request) -> Result<(), Refusal> {
    let most =
        if request.uri().path().starts_with(RELAY_PATH) { relay::MAX_BODY_BYTES } else { MAX_BODY_BYTES };
    let declared = only(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(Refusal::new(ProblemCode::TooLarge, format!("The body is larger than {most} bytes.")));
    }
    Ok(())
}

/// Whether a browser says that another site's page made this request, and not for a tab to show what comes.
fn comes_from_another_site(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, value: &str| {
        only(headers, &name).is_some_and(|text| text.eq_ignore_ascii_case(value))
    };
    let foreign = headers
        .get_all(&FETCH_SITE)
        .iter()
        .any(|site| site.as_bytes().trim_ascii().eq_ignore_ascii_case(b"cross-site"));
    let opens =
        is(FETCH_MODE, "navigate") && (!headers.contains_key(&FETCH_DEST) || is(FETCH_DEST, "document"));
    foreign && !opens
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

/// Whether a request wants to become a WebSocket (or anything else).
pub(crate) fn is_handshake(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let value = value.to_str().unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn holds_credential(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Encoded letters in a name or prefix cannot hide one: both consist of letters that need no encoding,
        // so an encoded one is decoded here before it is compared.
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
        let (name, value) = (decoded(name), decoded(value));
        CREDENTIAL_NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name))
            || name.contains(CREDENTIAL_PREFIX)
            || value.contains(CREDENTIAL_PREFIX)
    })
}

fn presented(request: &Request, handshake: bool) -> Vec<String> {
    let headers = request.headers();
    let mut found = Vec::new();
    for value in headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok()) {
        if let Some((scheme, credential)) = value.split_once(' ')
            && scheme.eq_ignore_ascii_case("bearer")
        {
            found.push(credential.trim().to_owned());
        }
    }
    if request.uri().path().starts_with(RELAY_PATH) {
        found.extend(
            headers.get_all(API_KEY).iter().filter_map(|value| Some(value.to_str().ok()?.to_owned())),
        );
    }
    if handshake {
        found.extend(
            subprotocols(headers).filter_map(|offer| Some(offer.strip_prefix(BEARER_PREFIX)?.to_owned())),
        );
    }
    found.truncate(4);
    found
}

/// The page that wants to prove itself on a socket.
fn meeting(request: &Request, handshake: bool) -> Option<Meeting> {
    if !handshake || *request.method() != Method::GET || request.uri().path() != SOCKET_PATH {
        return None;
    }
    let headers = request.headers();
    let mut offers = subprotocols(headers).filter(|offer| offer.starts_with(OFFER_PREFIX));
    let (Some(offer), None) = (offers.next(), offers.next()) else { return None };
    Meeting::read(offer, only(headers, &HOST)?, only(headers, &ORIGIN)?)
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn conceal(headers: &mut HeaderMap) {
    let offered = subprotocols(headers).any(|offer| offer == SUBPROTOCOL);
    headers.remove(AUTHORIZATION);
    headers.remove(API_KEY);
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if offered {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> bool {
        let names = Names::new([127, 0, 0, 1].into(), 8757, &["http://127.0.0.1:8080".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(value).unwrap());
        names.host(&headers).is_some()
    }

    #[test]
    fn hosts() {
        for right in [
            "127.0.0.1:8757",
            "localhost:8757",
            "[::1]:8757",
            "LocalHost:8757",
            "localhost.:8757",
            "127.0.0.1:8080",
        ] {
            assert!(host(right), "{right}");
        }
        for wrong in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:8758",
            "127.0.0.1:08757",
            "localhost..:8757",
            "evil.example:8757",
            "127.0.0.1.evil.example:8757",
            "user@localhost:8757",
            "localhost:8757:8757",
            "localhost:8757.",
            "::1:8757",
            "[::1]",
            "[::1].:8757x",
            "127.1:8757",
            "2130706433:8757",
            "0.0.0.0:8757",
            " localhost:8757",
        ] {
            assert!(!host(wrong), "{wrong}");
        }
    }

    #[test]
    fn queries_that_hold_credentials() {
        for query in [
            "token=x",
            "a=b&Access_Token=",
            "%74oken=x",
            "x=mw_abc",
            "x=%6dw_abc",
            "key",
            "mw_abc",
            "a&%6dw_abc=",
            "mw_abc=x",
        ] {
            assert!(holds_credential(query), "{query}");
        }
        for query in ["beta=true", "limit=100&after_id=b", "", "x=%", "x=%zz", "tokens=1"] {
            assert!(!holds_credential(query), "{query}");
        }
    }
}
