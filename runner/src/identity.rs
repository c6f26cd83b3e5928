//! The runner's own key, by which a page knows that it speaks to the runner it was paired with and to nobody
//! else who listens at the same address.
//!
//! It is made at the first start and lies in the state folder, in a file of its own (0600): it outlives a
//! store that had to be moved aside. A new state folder has a new key, and pages must be paired with it
//! again.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, agree_ephemeral};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use shared::proof::KEY_BYTES;
use thiserror::Error;

const NAME: &str = "key";
/// More than any such file has.
const MAX_BYTES: u64 = 4096;

/// Why there is no key.
#[derive(Debug, Error)]
pub(crate) enum IdentityError {
    #[error("The runner's key {0} cannot be used: {1}.")]
    System(PathBuf, io::Error),
    #[error(
        "The runner's key {0} is damaged. Bring it back from a copy, or remove it: then a new one is made, and every browser must \
         be paired again."
    )]
    Damaged(PathBuf),
    #[error("The system's random source failed, so that no key can be made.")]
    Random,
}

/// The runner's key.
pub(crate) struct Identity {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Identity {
    /// Reads the key of a state folder, or makes one.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = state_dir.join(NAME);
        let system = |error| IdentityError::System(path.clone(), error);
        let random = SystemRandom::new();
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| IdentityError::Random)?;
                write(&path, made.as_ref()).map_err(system)?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(system(error)),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random)
            .map_err(|_| IdentityError::Damaged(path))?;
        Ok(Self { pair, random })
    }

    /// What pages keep of it.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs a text.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub(crate) fn sign(&self, text: &str) -> Result<Vec<u8>, IdentityError> {
        let signature = self.pair.sign(&self.random, text.as_bytes()).map_err(|_| IdentityError::Random)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A page's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey(pub(crate) [u8; KEY_BYTES]);

impl PublicKey {
    /// A key as a page sends it; `None` if it has not the form of one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        // Verifying a signature does not say whether the key was wrong or the signature; an agreement fails
        // for a wrong key alone.
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).ok()?;
        agree_ephemeral(own, &agreement::UnparsedPublicKey::new(&ECDH_P256, bytes), |_| ()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Whether this key's owner signed the text.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0.as_slice())
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = private(OpenOptions::new().read(true)).open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whole or not at all, whenever the power goes.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::open(folder.path()).unwrap();
        let again = Identity::open(folder.path()).unwrap();
        assert_eq!(first.public(), again.public());
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::open(other.path()).unwrap().public(), first.public());
    }

    #[test]
    fn a_signature_is_good_for_its_text_and_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::open(folder.path()).unwrap();
        let signature = identity.sign("a text").unwrap();
        assert_eq!(signature.len(), shared::proof::SIGNATURE_BYTES);
        let key = PublicKey::read(identity.public()).unwrap();
        assert!(key.verifies("a text", &signature));
        assert!(!key.verifies("another", &signature));
        assert!(!key.verifies("a text", &signature[1..]));
        assert!(!key.verifies("a text", &[0; 64]));
        let mut nowhere = key;
        nowhere.0[40] ^= 1;
        assert!(!nowhere.verifies("a text", &signature));
        assert_eq!(PublicKey::read(&nowhere.0), None, "it is no point of the curve");
        assert_eq!(PublicKey::read(&[4; KEY_BYTES]), None);
        assert_eq!(PublicKey::read(&identity.public()[1..]), None);
    }

    #[test]
    fn a_damaged_key_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "nonsense").unwrap();
        let message = Identity::open(folder.path()).err().unwrap().to_string();
        assert!(message.contains("key") && message.contains("remove it"), "{message}");
        assert_eq!(fs::read(folder.path().join(NAME)).unwrap(), b"nonsense");
    }
}
