//! Pairing with the runner: a one-time code becomes this browser's credential, which is sent to this page's own origin and
//! nowhere else.

use std::cell::RefCell;

use gloo_net::http::{Request, RequestBuilder, Response};
use shared::Problem;
use shared::json::{self, Deserialize, FromJson};
use web_sys::{ReferrerPolicy, RequestCache, RequestCredentials, RequestRedirect};

use super::address::{code_in, origin};
use super::kept;

/// Whether this browser is paired.
pub(super) struct Pairing {
    /// Why not; `None` while it is, or while nothing speaks against it. Empty if it never was.
    problem: RefCell<Option<String>>,
    changed: Box<dyn Fn()>,
}

/// What the runner says to a credential.
pub(super) enum Health {
    /// It is accepted.
    Fine,
    /// It is not, with a reason.
    Refused(String),
    /// The runner could not be asked.
    Unknown(String),
}

#[derive(Deserialize)]
struct Paired {
    credential: String,
}

impl Pairing {
    /// Nothing is known yet. `changed` is called when that changes.
    pub(super) fn new(changed: impl Fn() + 'static) -> Self {
        Self { problem: RefCell::default(), changed: Box::new(changed) }
    }

    /// Why this browser is not paired.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// The credential to show to the runner.
    pub(super) fn credential(&self) -> Option<String> {
        let credential = kept::credential();
        if credential.is_none() {
            self.settle(Some(self.problem().unwrap_or_default()));
        }
        credential
    }

    /// The start of the page: a code is spent only if there is no credential that the runner accepts.
    pub(super) async fn begin(&self, code: Option<String>) {
        match (kept::credential(), code) {
            (None, None) => self.settle(Some(String::new())),
            (None, Some(code)) => self.spend(&code).await,
            (Some(credential), code) => match (health(&credential).await, code) {
                (Health::Fine | Health::Unknown(_), _) => self.settle(None),
                (Health::Refused(_), Some(code)) => self.spend(&code).await,
                (Health::Refused(reason), None) => self.settle(Some(reason)),
            },
        }
    }

    /// A person pasted a link or a code.
    pub(super) async fn submit(&self, pasted: &str) {
        match code_in(pasted, &origin()) {
            Ok(code) => self.spend(&code).await,
            Err(reason) => self.settle(Some(reason)),
        }
    }

    /// The runner did not accept this credential. False if another one has been kept since.
    pub(super) fn refused(&self, credential: &str, reason: &str) -> bool {
        let current = kept::credential().is_none_or(|kept| kept == credential);
        if current {
            self.settle(Some(reason.to_owned()));
        }
        current
    }

    /// The runner accepted the credential.
    pub(super) fn accepted(&self) {
        self.settle(None);
    }

    /// Another tab was paired, or the credential was cleared.
    pub(super) fn reread(&self) {
        self.settle(kept::credential().is_none().then(String::new));
    }

    async fn spend(&self, code: &str) {
        let outcome = exchange(code).await.and_then(|credential| kept::save_credential(&credential));
        self.settle(outcome.err());
    }

    fn settle(&self, problem: Option<String>) {
        let changed = *self.problem.borrow() != problem;
        self.problem.replace(problem);
        if changed {
            (self.changed)();
        }
    }
}

/// Asks the runner whether it accepts a credential.
pub(super) async fn health(credential: &str) -> Health {
    match own(Request::get("/api/health"), credential).send().await {
        Ok(response) if response.ok() => Health::Fine,
        Ok(response) if response.status() == 401 => Health::Refused(problem_in(&response).await),
        Ok(response) => Health::Unknown(problem_in(&response).await),
        Err(_) => Health::Unknown("the runner does not answer; is it still running?".to_owned()),
    }
}

/// A request to this page's own runner.
pub(super) fn own(request: RequestBuilder, credential: &str) -> RequestBuilder {
    strict(request).header("authorization", &format!("Bearer {credential}"))
}

/// What the runner's answer says is wrong.
pub(super) async fn problem_in(response: &Response) -> String {
    let status = response.status();
    match body::<Problem>(response).await {
        Ok(problem) => problem.message,
        Err(_) => format!("the runner answered with status {status}"),
    }
}

async fn exchange(code: &str) -> Result<String, String> {
    let request = strict(Request::post("/api/pair"))
        .header("content-type", "application/json")
        .body(json::text(&json::object(&[("code", &code), ("name", &client_name())])))
        .map_err(|error| error.to_string())?;
    let response =
        request.send().await.map_err(|_| "the runner does not answer; is it still running?".to_owned())?;
    if !response.ok() {
        return Err(problem_in(&response).await);
    }
    let paired: Paired =
        body(&response).await.map_err(|error| format!("the runner's answer cannot be read: {error}"))?;
    Ok(paired.credential)
}

async fn body<T: FromJson>(response: &Response) -> Result<T, String> {
    let text = response.text().await.map_err(|error| error.to_string())?;
    json::from_text(&text).map_err(|error| error.to_string())
}

fn strict(request: RequestBuilder) -> RequestBuilder {
    request
        .cache(RequestCache::NoStore)
        .credentials(RequestCredentials::Omit)
        .redirect(RequestRedirect::Error)
        .referrer_policy(ReferrerPolicy::NoReferrer)
}

/// What the runner's list of clients shows for this browser.
fn client_name() -> String {
    let agent = super::js::window().navigator().user_agent().unwrap_or_default();
    name_in(&agent)
}

/// Browser and system, as far as a user agent's words tell.
fn name_in(agent: &str) -> String {
    let first = |known: &[(&str, &str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| (*name).to_owned())
    };
    let browser =
        first(&[("Firefox", "Firefox"), ("Edg/", "Edge"), ("Chrome", "Chrome"), ("Safari", "Safari")]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    [browser, system].into_iter().flatten().collect::<Vec<_>>().join(" on ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_by_itself_and_its_system() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0",
                "Firefox on macOS",
            ),
            ("", ""),
        ] {
            assert_eq!(name_in(agent), name);
        }
    }
}
