//! What must never be seen in a log, an error or a list of processes.
//!
//! A [`Secret`] has no `Debug` and no `Display`; its text is had by [`Secret::expose`] alone, so every place
//! that reads one can be found by that word. Credentials and pairing codes are random bytes as base64url; of
//! both only the SHA-256 is kept, which is enough for values that cannot be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Begins every credential, so that one in a wrong place (a query, a log, a commit) can be recognised.
pub(crate) const CREDENTIAL_PREFIX: &str = "mw_";

/// A text that is not to be shown.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a text that was read from the configuration or from a client.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A fresh credential: 256 random bits.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub(crate) fn credential() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{CREDENTIAL_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// A fresh pairing code: 128 random bits.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub(crate) fn code() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash(pub(crate) [u8; 32]);

impl SecretHash {
    /// Hashes what a client presented.
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// As lower-case hexadecimal digits, for the store.
    pub(crate) fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_secrets_have_their_length_and_differ() {
        let credential = Secret::credential().unwrap();
        assert_eq!(credential.expose().len(), CREDENTIAL_PREFIX.len() + 43);
        assert_eq!(Secret::code().unwrap().expose().len(), 22);
        assert!(!credential.hash().matches(&Secret::credential().unwrap().hash()));
        assert!(credential.hash().matches(&SecretHash::of(credential.expose())));
    }

    #[test]
    fn a_hash_is_the_known_one() {
        assert_eq!(
            SecretHash::of("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
