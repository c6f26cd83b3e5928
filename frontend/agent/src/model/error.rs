//! How calls fail: what a status, a body or an error in the middle of a stream mean, in a text that says what
//! to do, and when to try again.

use serde_json::Value;
use shared::Timestamp;
use std::collections::BTreeMap;

use super::ModelError;

/// The most tries by itself; then the person decides.
pub const MAX_TRIES: u32 = 8;
/// The longest pause that a server may ask for, in milliseconds; if it asks for more, the person decides.
pub const MAX_HINT_MS: u64 = 5 * 60_000;

const FIRST_PAUSE_MS: u64 = 500;
const LONGEST_PAUSE_MS: u64 = 8_000;
const QUOTED_CHARS: usize = 300;
/// How servers say in a 429 that no waiting helps.
const SPENT: [&str; 2] = ["enforced_spend_limit_reached", "insufficient_quota"];

/// How long to wait before the call is made again, in milliseconds; `None` if it is not to be made again by
/// itself. `tries` is how often it was made so far, `seed` any number: it spreads the pauses of those who
/// failed together.
#[must_use]
pub fn backoff_ms(tries: u32, error: &ModelError, seed: u64) -> Option<u64> {
    if !error.retryable || tries >= MAX_TRIES {
        return None;
    }
    if let Some(hint) = error.retry_after_ms {
        return (hint <= MAX_HINT_MS).then_some(hint);
    }
    let pause = (FIRST_PAUSE_MS << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE_MS);
    let spread = scramble(seed.wrapping_add(u64::from(tries))) % (pause / 4 + 1);
    Some(pause - spread)
}

/// One step of `SplitMix64`.
const fn scramble(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// An error of the way to the server.
#[must_use]
pub fn lost(reason: &str) -> ModelError {
    ModelError {
        message: format!(
            "The connection to the model was lost: {}. Check the network, or try again.",
            sentence(reason)
        ),
        status: None,
        request_id: None,
        retryable: true,
        retry_after_ms: None,
    }
}

/// An error that asking again does not mend.
#[must_use]
pub fn refused(reason: &str) -> ModelError {
    ModelError {
        message: reason.trim().to_owned(),
        status: None,
        request_id: None,
        retryable: false,
        retry_after_ms: None,
    }
}

/// An error of the stream itself.
pub(super) fn broken(head: &Head, message: String, retryable: bool) -> ModelError {
    ModelError {
        message,
        status: head.status,
        request_id: head.request_id(),
        retryable,
        retry_after_ms: None,
    }
}

/// The head of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, String>,
    /// When, by the page's clock.
    pub(super) now: Option<Timestamp>,
}

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing of it came yet.
    #[default]
    Unknown,
    /// A stream of events.
    Events,
    /// One JSON value in place of a stream.
    Json,
    /// An error's body, or nothing that is known here.
    Other,
}

impl Head {
    /// Whether an answer follows, and not an error.
    pub(super) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// What the body is, by its first bytes. No line of a stream begins like JSON, whatever the head says.
    pub(super) fn form(&self, bytes: &[u8]) -> Form {
        if !self.is_good() {
            return Form::Other;
        }
        let kind = self.header("content-type").unwrap_or("text/event-stream").to_ascii_lowercase();
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Form::Unknown,
            Some(b'{') => Form::Json,
            Some(_) if kind.contains("event-stream") => Form::Events,
            Some(_) => Form::Other,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn request_id(&self) -> Option<String> {
        self.header("request-id").or_else(|| self.header("x-request-id")).map(str::to_owned)
    }

    fn retry_after_ms(&self) -> Option<u64> {
        if let Some(exact) = self.header("retry-after-ms").and_then(millis) {
            return Some(exact);
        }
        let hint = self.header("retry-after")?;
        let seconds = || Some(millis(hint)?.saturating_mul(1000));
        // The server's own clock, if it says it: the page's may be wrong.
        let now = self.header("date").and_then(date_ms).or_else(|| Some(self.now?.0));
        seconds().or_else(|| Some(date_ms(hint)?.saturating_sub(now?)))
    }

    /// What an answer that is no stream means.
    pub(super) fn error(&self, body: &[u8]) -> ModelError {
        let status = self.status.unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        let json: Option<Value> = serde_json::from_str(&body).ok();
        let reason = json.as_ref().and_then(message).unwrap_or_else(|| quote(&body));
        let spent = status == 429 && SPENT.iter().any(|word| body.contains(word));
        let ours = matches!(status, 408 | 409 | 429 | 500..) && !spent;
        let retryable = match self.header("x-should-retry") {
            Some("true") => true,
            Some("false") => false,
            _ => ours,
        };
        let in_body = || Some(json.as_ref()?.get("request_id")?.as_str()?.to_owned());
        ModelError {
            message: if (200..300).contains(&status) {
                let kind = self.header("content-type").unwrap_or("nothing known");
                format!(
                    "The server answered with {kind} where a stream of events was expected: {reason} Check the base URL in the settings."
                )
            } else {
                advise(status, spent, &reason)
            },
            status: self.status,
            request_id: self.request_id().or_else(in_body),
            retryable,
            retry_after_ms: self.retry_after_ms(),
        }
    }

    /// What an error in the middle of a stream means. Servers name its kind, or give the status that it would
    /// have been sent with.
    pub(super) fn error_in_stream(&self, event: &Value) -> ModelError {
        let given = &event["error"];
        let kind = given["type"].as_str().unwrap_or_default();
        let reason = message(event).unwrap_or_else(|| quote(&event.to_string()));
        let code = || given["code"].as_u64().or_else(|| event["code"].as_u64());
        let in_stream =
            || code().and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
        let status = match kind {
            "overloaded_error" => 529,
            "rate_limit_error" | "rate_limit_exceeded" => 429,
            "timeout_error" => 408,
            "invalid_request_error" => 400,
            "authentication_error" => 401,
            "billing_error" | "insufficient_quota" => 402,
            "permission_error" => 403,
            "not_found_error" => 404,
            "request_too_large" => 413,
            _ => in_stream().unwrap_or(500),
        };
        let spent = status == 429 && SPENT.iter().any(|word| event.to_string().contains(word));
        ModelError {
            message: advise(status, spent, &reason),
            status: Some(status),
            request_id: self.request_id().or_else(|| Some(event["request_id"].as_str()?.to_owned())),
            retryable: matches!(status, 408 | 429 | 500..) && !spent,
            retry_after_ms: self.retry_after_ms(),
        }
    }
}

fn advise(status: u16, spent: bool, reason: &str) -> String {
    let (what, todo) = match status {
        _ if spent => (
            "The spend limit of the account is reached",
            "Raise it in the provider's console, or choose another model.",
        ),
        400 if reason.contains("too long") || reason.contains("exceed context") => (
            "The conversation no longer fits the model",
            "Take the last message back, or go on in a new session.",
        ),
        400 | 422 => (
            "The server did not accept the request",
            "Take the last message back and change it, or try again.",
        ),
        401 => (
            "The key was not accepted",
            "Check the key in the settings, or the one that the runner was started with.",
        ),
        402 => ("The account has no credit", "Top it up in the provider's console, or choose another model."),
        403 => ("The key may not do this", "Check what the key is allowed to use, or choose another model."),
        404 => (
            "The server knows no such model or address",
            "Check the model's name and the base URL in the settings.",
        ),
        408 => ("The server waited too long for the request", "Try again."),
        409 => ("The server is busy with a conflicting request", "Try again."),
        413 => (
            "The request is too large for the server",
            "Take the last message back, or go on in a new session.",
        ),
        429 => ("Too many requests for this key", "Wait a little, or choose another model."),
        529 => ("The model is overloaded", "Wait a little, or choose another model."),
        500.. => ("The server failed", "Try again."),
        _ => ("The server answered in an unexpected way", "Check the base URL in the settings."),
    };
    format!("{what} ({status}): {reason} {todo}")
}

/// What the server says, as a sentence.
fn message(json: &Value) -> Option<String> {
    let error = json.get("error");
    [error.and_then(|error| error.get("message")), error, json.get("message"), json.get("detail")]
        .into_iter()
        .flatten()
        .find_map(Value::as_str)
        .map(quote)
}

fn quote(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "it gave no reason.".to_owned();
    }
    let start = text.get(..15).unwrap_or(text).to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") {
        return "it sent a web page.".to_owned();
    }
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(QUOTED_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    sentence(&line) + "."
}

fn sentence(text: &str) -> String {
    text.trim().trim_end_matches('.').to_owned()
}

/// A date of HTTP in milliseconds since 1970.
fn date_ms(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// A number of seconds or milliseconds that may have a fraction.
fn millis(text: &str) -> Option<u64> {
    text.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_tried_again() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(error(status, &[], "{}").retryable, "{status}");
        }
        for status in [300, 400, 401, 402, 403, 404, 413, 422] {
            assert!(!error(status, &[], "{}").retryable, "{status}");
        }
        assert!(!error(429, &[], r#"{"error":{"type":"enforced_spend_limit_reached"}}"#).retryable);
        assert!(!error(500, &[("x-should-retry", "false")], "").retryable);
        assert!(error(400, &[("x-should-retry", "true")], "").retryable);
    }

    #[test]
    fn errors_say_what_to_do() {
        let body = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}"#;
        let error = error(401, &[], body);
        assert_eq!(
            error.message,
            "The key was not accepted (401): invalid x-api-key. Check the key in the settings, or the one that the runner was started with."
        );
        assert_eq!(error.request_id.as_deref(), Some("req_1"));
        assert_eq!(error.status, Some(401));
    }

    #[test]
    fn bodies_that_are_no_json() {
        assert!(error(502, &[], "<!DOCTYPE html><title>no</title>").message.contains("it sent a web page."));
        assert!(error(503, &[], " busy\n now ").message.contains(": busy now. Try"));
        assert!(error(500, &[], "").message.contains("it gave no reason."));
        assert!(error(500, &[], &"é".repeat(9000)).message.len() < 1000);
        assert!(error(200, &[("content-type", "text/html")], "<html>").message.contains("text/html"));
        assert!(error(400, &[], r#"{"error":"plain"}"#).message.contains("plain."));
    }

    #[test]
    fn the_servers_hint_rules_up_to_a_bound() {
        let hinted = |name, value| backoff_ms(1, &error(429, &[(name, value)], ""), 0);
        assert_eq!(hinted("retry-after", "7"), Some(7_000));
        assert_eq!(hinted("retry-after-ms", "250.5"), Some(250));
        assert_eq!(hinted("retry-after", "3600"), None);
        assert!(hinted("retry-after", "Fri, 20 Nov 2026 10:00:00 GMT").is_some_and(|pause| pause <= 500));
    }

    #[test]
    fn the_servers_hint_may_be_a_date() {
        let hinted = |headers: &[(&str, &str)], now: u64| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let head = Head { status: Some(429), headers: headers.collect(), now: Some(Timestamp(now)) };
            head.error(b"").retry_after_ms
        };
        let at = ("retry-after", "Fri, 20 Nov 2026 10:00:20 GMT");
        let ten = 1_795_168_800_000;
        assert_eq!(hinted(&[at], ten), Some(20_000));
        assert_eq!(hinted(&[at], ten + 60_000), Some(0), "it is over");
        let wrong_clock = [at, ("date", "Fri, 20 Nov 2026 10:00:13 GMT")];
        assert_eq!(hinted(&wrong_clock, 5), Some(7_000), "the server's own clock counts");
        assert_eq!(hinted(&[("retry-after", "Friday")], ten), None);
    }

    #[test]
    fn pauses_double_to_a_bound_and_end() {
        let error = lost("reset");
        for seed in 0..50 {
            for (tries, most) in [(0, 500), (1, 500), (2, 1000), (3, 2000), (4, 4000), (5, 8000), (7, 8000)] {
                let pause = backoff_ms(tries, &error, seed).unwrap();
                assert!((most * 3 / 4..=most).contains(&pause), "{tries}: {pause}");
            }
        }
        assert_eq!(backoff_ms(MAX_TRIES, &error, 0), None);
        assert_eq!(backoff_ms(1, &ModelError { retryable: false, ..error }, 0), None);
    }

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> ModelError {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Head { status: Some(status), headers, now: None }.error(body.as_bytes())
    }
}
