//! One-time codes by which a browser becomes a client.
//!
//! A code lies in the fragment of a link, is good for ten minutes and for one exchange, and lives in memory only: a
//! restarted runner makes a new one. At most [`MAX_CODES`] are open; the oldest goes first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::secret::{Secret, SecretHash};

/// How long a code is good.
pub const CODE_LIFE: Duration = Duration::from_secs(600);
/// How many codes may be open at once.
pub const MAX_CODES: usize = 16;

/// The open codes. A cheap handle.
#[derive(Clone, Default)]
pub struct Pairing {
    codes: Arc<Mutex<Vec<(SecretHash, Instant)>>>,
}

impl Pairing {
    /// Makes a code.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub fn open_code(&self) -> Result<Secret, getrandom::Error> {
        let code = Secret::code()?;
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        codes.retain(|(_, expires)| *expires > now);
        if codes.len() >= MAX_CODES {
            codes.remove(0);
        }
        codes.push((code.hash(), now + CODE_LIFE));
        Ok(code)
    }

    /// Uses a code up. Whether it was open.
    pub fn redeem(&self, code: &str) -> bool {
        self.redeem_at(code, Instant::now())
    }

    fn redeem_at(&self, code: &str, now: Instant) -> bool {
        let presented = SecretHash::of(code);
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|(_, expires)| *expires > now);
        let before = codes.len();
        codes.retain(|(hash, _)| !hash.matches(&presented));
        codes.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once() {
        let pairing = Pairing::default();
        let code = pairing.open_code().unwrap();
        assert!(!pairing.redeem("something else"));
        assert!(pairing.redeem(code.expose()));
        assert!(!pairing.redeem(code.expose()));
    }

    #[test]
    fn a_code_ends() {
        let pairing = Pairing::default();
        let code = pairing.open_code().unwrap();
        assert!(!pairing.redeem_at(code.expose(), Instant::now() + CODE_LIFE));
        assert!(!pairing.redeem(code.expose()));
    }

    #[test]
    fn the_oldest_gives_way() {
        let pairing = Pairing::default();
        let first = pairing.open_code().unwrap();
        let second = pairing.open_code().unwrap();
        for _ in 2..=MAX_CODES {
            pairing.open_code().unwrap();
        }
        assert!(!pairing.redeem(first.expose()));
        assert!(pairing.redeem(second.expose()));
    }
}
