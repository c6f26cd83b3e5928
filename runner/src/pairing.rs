//! One-time codes by which a browser or a program becomes a client.
//!
//! A code lies in the fragment of a link, is good for ten minutes and for one exchange, and lives in memory
//! only: a restarted runner makes a new one. At most [`MAX_CODES`] are open; the oldest goes first. A page
//! does not send its code: it shows that it knows it, and so does the runner in its answer, so that a
//! stranger at the runner's address learns nothing and is not taken for the runner.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use ring::hmac;
use shared::ClientId;

// A code of yesterday evening is not good this morning, though the machine slept.
use crate::clock::since_boot as clock;
use crate::secret::{Secret, SecretHash};

/// How long a code is good.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(600);
/// How many codes may be open at once.
pub(crate) const MAX_CODES: usize = 16;

/// The open codes. A cheap handle.
#[derive(Clone, Default)]
pub(crate) struct Pairing {
    codes: Arc<Mutex<Vec<Open>>>,
}

struct Open {
    code: Secret,
    /// By [`clock`].
    expires: Duration,
    by: Option<ClientId>,
}

/// A code that was used up.
pub(crate) struct Redeemed {
    code: Secret,
    /// The client that had asked for it; `None` if that was a person at the runner.
    pub(crate) by: Option<ClientId>,
}

impl Redeemed {
    /// What shows that the runner knows the code, for this text.
    pub(crate) fn proof(&self, text: &str) -> Vec<u8> {
        hmac::sign(&key(&self.code), text.as_bytes()).as_ref().to_vec()
    }
}

impl Pairing {
    /// Makes a code, for a client or for a person at the runner.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub(crate) fn open_code(&self, by: Option<ClientId>) -> Result<Secret, getrandom::Error> {
        let code = Secret::code()?;
        let now = clock();
        let mut codes = self.open(now);
        if codes.len() >= MAX_CODES {
            codes.remove(0);
        }
        codes.push(Open { code: code.clone(), expires: now + CODE_LIFE, by });
        Ok(code)
    }

    /// Uses a code up that was sent, if it is open.
    pub(crate) fn redeem(&self, code: &str) -> Option<Redeemed> {
        let presented = SecretHash::of(code);
        self.take(clock(), |open| open.hash().matches(&presented))
    }

    /// Uses the code up that this proves, for this text.
    pub(crate) fn redeem_by(&self, text: &str, proof: &[u8]) -> Option<Redeemed> {
        self.take(clock(), |open| hmac::verify(&key(open), text.as_bytes(), proof).is_ok())
    }

    /// Forgets the codes that these clients had asked for.
    pub(crate) fn forget(&self, clients: &[ClientId]) {
        self.open(clock()).retain(|open| open.by.is_none_or(|by| !clients.contains(&by)));
    }

    fn take(&self, now: Duration, fits: impl Fn(&Secret) -> bool) -> Option<Redeemed> {
        let mut codes = self.open(now);
        // All of them, so that the time does not tell which.
        let at = codes
            .iter()
            .enumerate()
            .fold(None, |found, (n, open)| fits(&open.code).then_some(n).or(found))?;
        let Open { code, by, .. } = codes.remove(at);
        Some(Redeemed { code, by })
    }

    fn open(&self, now: Duration) -> MutexGuard<'_, Vec<Open>> {
        let mut codes = self.codes.lock();
        codes.retain(|open| open.expires > now);
        codes
    }
}

fn key(code: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, code.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_code_is_good_once() {
        let pairing = Pairing::default();
        let code = pairing.open_code(None).unwrap();
        assert!(pairing.redeem("something else").is_none());
        assert!(pairing.redeem(code.expose()).is_some());
        assert!(pairing.redeem(code.expose()).is_none());
    }

    #[test]
    fn a_proof_uses_its_code_up_and_no_other() {
        let pairing = Pairing::default();
        let (first, second) = (pairing.open_code(None).unwrap(), pairing.open_code(None).unwrap());
        let proof = |code: &Secret, text: &str| hmac::sign(&key(code), text.as_bytes());
        let right = proof(&first, "a text");
        assert!(pairing.redeem_by("another", right.as_ref()).is_none());
        assert!(pairing.redeem_by("a text", b"").is_none());
        let redeemed = pairing.redeem_by("a text", right.as_ref()).unwrap();
        assert_eq!(redeemed.proof("answer"), proof(&first, "answer").as_ref());
        assert!(pairing.redeem_by("a text", right.as_ref()).is_none());
        assert!(pairing.redeem(first.expose()).is_none());
        assert!(pairing.redeem(second.expose()).is_some());
    }

    #[test]
    fn a_code_ends() {
        let pairing = Pairing::default();
        let code = pairing.open_code(None).unwrap();
        assert!(pairing.take(clock() + CODE_LIFE, |open| open.expose() == code.expose()).is_none());
        assert!(pairing.redeem(code.expose()).is_none());
    }

    #[test]
    fn a_clients_codes_go_with_it() {
        let pairing = Pairing::default();
        let client = ClientId(Uuid::from_u128(1));
        let theirs = pairing.open_code(Some(client)).unwrap();
        let mine = pairing.open_code(None).unwrap();
        pairing.forget(&[client]);
        assert!(pairing.redeem(theirs.expose()).is_none());
        assert_eq!(pairing.redeem(mine.expose()).unwrap().by, None);
    }

    #[test]
    fn the_oldest_gives_way() {
        let pairing = Pairing::default();
        let first = pairing.open_code(None).unwrap();
        let second = pairing.open_code(None).unwrap();
        for _ in 2..=MAX_CODES {
            pairing.open_code(None).unwrap();
        }
        assert!(pairing.redeem(first.expose()).is_none());
        assert!(pairing.redeem(second.expose()).is_some());
    }
}
