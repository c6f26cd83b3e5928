//! Pairing with the runner: under a one-time code, which is not sent, each side gets to know the other's key.

use std::cell::RefCell;

use agent::link::{REFUSED, STRANGER};
use gloo_net::http::Request;
use shared::json;
use shared::proof::{Introduction, PagePaired, PairRequest};
use wasm_bindgen::JsValue;

use super::address::{code_in, origin};
use super::crypto::{self, Kind};
use super::greet::{Greeted, greet};
use super::identity::{self, Identity};
use super::js::describe;
use super::local_storage;
use super::request::{body, strict};

/// Whether this browser is paired.
pub(super) struct Pairing {
    identity: RefCell<Option<Identity>>,
    /// Why it is not paired; `None` while it is, or while nothing speaks against it. Empty if it never was.
    problem: RefCell<Option<String>>,
    /// Why the pairing ends with this tab, once.
    unkept: RefCell<Option<String>>,
    changed: Box<dyn Fn()>,
}

impl Pairing {
    /// Nothing is known yet. `changed` is called when that changes.
    pub(super) fn new(changed: impl Fn() + 'static) -> Self {
        Self {
            identity: RefCell::default(),
            problem: RefCell::default(),
            unkept: RefCell::default(),
            changed: Box::new(changed),
        }
    }

    /// Why this browser is not paired.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Who this browser is to the runner.
    pub(super) fn identity(&self) -> Option<Identity> {
        let identity = self.identity.borrow().clone();
        if identity.is_none() {
            self.set_problem(Some(self.problem().unwrap_or_default()));
        }
        identity
    }

    /// The start of the page: a code is used up only if this browser is not paired with what answers.
    pub(super) async fn begin(&self, code: Option<String>) {
        if let Some(problem) = crypto::problem() {
            return self.set_problem(Some(problem));
        }
        self.load().await;
        let identity = self.identity.borrow().clone();
        match (identity, code) {
            (None, None) => self.set_problem(Some(self.problem().unwrap_or_default())),
            (None, Some(code)) => self.spend(&code).await,
            (Some(_), None) => self.set_problem(None),
            (Some(identity), Some(code)) => match greet(&identity).await {
                Err((REFUSED | STRANGER, _)) => self.spend(&code).await,
                Ok(_) | Err(_) => self.set_problem(None),
            },
        }
    }

    /// A person pasted a link or a code.
    pub(super) async fn submit(&self, pasted: &str) {
        if let Some(problem) = crypto::problem() {
            return self.set_problem(Some(problem));
        }
        match code_in(pasted, &origin()) {
            Ok(code) => self.spend(&code).await,
            Err(reason) => self.set_problem(Some(reason)),
        }
    }

    /// The runner does not know this browser any more. False if it has been paired anew since.
    pub(super) async fn refused(&self, identity: &Identity, reason: &str) -> bool {
        let current = identity::load().await.ok().flatten().is_none_or(|kept| kept.client == identity.client);
        if current {
            self.set_problem(Some(reason.to_owned()));
        } else {
            self.load().await;
        }
        current
    }

    /// The runner knows this browser.
    pub(super) fn accepted(&self) {
        self.set_problem(None);
    }

    /// Another tab was paired, or everything that is kept was cleared.
    pub(super) async fn reread(&self) {
        self.load().await;
        let none = self.identity.borrow().is_none();
        self.set_problem(none.then(String::new));
    }

    /// What is to be said of a pairing that could not be kept.
    pub(super) fn take_unkept(&self) -> Option<String> {
        self.unkept.take()
    }

    /// A socket of one's own, for a request that needs its token.
    pub(super) async fn visit(&self) -> Result<Greeted, String> {
        let identity =
            self.identity().ok_or_else(|| "this browser is not paired with the runner".to_owned())?;
        greet(&identity).await.map_err(|(_, reason)| reason)
    }

    async fn load(&self) {
        match identity::load().await {
            Ok(Some(identity)) => drop(self.identity.replace(Some(identity))),
            Ok(None) => {
                self.identity.replace(None);
                if local_storage::forget_credential() {
                    self.problem.replace(Some(
                        "This browser was paired by an earlier version, with a credential that whoever answers at this address could \
                         have asked it for. Now each proves itself to the other, so please pair it once more."
                            .to_owned(),
                    ));
                }
            }
            Err(reason) => {
                self.problem.replace(Some(format!("This browser's key cannot be read: {reason}.")));
            }
        }
    }

    async fn spend(&self, code: &str) {
        let outcome = introduce(code).await;
        if let Ok(identity) = &outcome {
            match identity::save(identity).await {
                Ok(()) => local_storage::note_client(&identity.client.to_string()),
                Err(reason) => drop(self.unkept.replace(Some(reason))),
            }
            self.identity.replace(Some(identity.clone()));
        }
        self.set_problem(outcome.err());
    }

    fn set_problem(&self, problem: Option<String>) {
        let changed = *self.problem.borrow() != problem;
        self.problem.replace(problem);
        if changed {
            (self.changed)();
        }
    }
}

/// Makes a key, and has the runner know it. Whoever does not know the code learns nothing by this, and is not
/// believed.
async fn introduce(code: &str) -> Result<Identity, String> {
    let failed = |exception: JsValue| describe(&exception);
    let (key, public) = crypto::key_pair().await.map_err(failed)?;
    let code = crypto::code_key(code).await.map_err(failed)?;
    let (origin, name) = (origin(), client_name());
    let introduction = Introduction { origin: &origin, key: &public, name: &name };
    let proof = crypto::sign(Kind::Code, &code, &introduction.request()).await.map_err(failed)?;
    let wish = PairRequest {
        code: None,
        key: Some(public.clone().into()),
        proof: Some(proof.into()),
        name: name.clone(),
    };
    let request = strict(Request::post("/api/pair"))
        .header("content-type", "application/json")
        .body(json::to_text(&wish))
        .map_err(|error| error.to_string())?;
    let response =
        request.send().await.map_err(|_| "the runner does not answer; is it still running?".to_owned())?;
    // Nothing says yet that it is the runner who answers, so its message is not shown.
    if !response.ok() {
        return Err(refusal(response.status()));
    }
    let stranger = || {
        format!(
            "What answers at {origin} does not know the code of this link, so it is not the runner that made it. Look whether that one \
             runs, and whether it is at this address; `meanwhile pair` prints a fresh link."
        )
    };
    let paired: PagePaired = body(&response).await.map_err(|_| stranger())?;
    let answer = introduction.answer(paired.client, &paired.key.0);
    let right = crypto::verify(Kind::Code, &code, &paired.proof.0, &answer).await.map_err(failed)?;
    if !right {
        return Err(stranger());
    }
    let runner = crypto::public_key(&paired.key.0).await.map_err(failed)?;
    Ok(Identity { client: paired.client, key, runner })
}

/// What a status says of a pairing.
fn refusal(status: u16) -> String {
    match status {
        401 => "the code is wrong, too old or already used; `meanwhile pair` prints a fresh link".to_owned(),
        429 => "there were too many wrong codes within a minute, or there are too many clients: wait a minute, or revoke one \
                (`meanwhile clients`)"
            .to_owned(),
        _ => format!("the pairing was refused with status {status}; the runner's log says more"),
    }
}

/// What the runner's list of clients shows for this browser.
fn client_name() -> String {
    let agent = gloo_utils::window().navigator().user_agent().unwrap_or_default();
    name_in(&agent)
}

/// Browser and system, as far as a user agent tells.
fn name_in(agent: &str) -> String {
    let first = |known: &[(&str, &str)]| {
        known.iter().find(|(token, _)| agent.contains(token)).map(|(_, name)| (*name).to_owned())
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
