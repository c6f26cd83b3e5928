//! Signatures and codes, by the browser's own cryptography: ECDSA over P-256 with SHA-256, and HMAC with SHA-256.
//!
//! Browsers have it only where nobody on the way can change the page: on this machine's own addresses and over https.

use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use shared::proof::NONCE_BYTES;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, SubtleCrypto};

use super::address::origin;
use super::js::{window, words};

/// Why this page cannot prove anything, if it cannot.
pub(super) fn problem() -> Option<String> {
    let there = subtle().is_ok_and(|subtle| !subtle.is_undefined());
    (!window().is_secure_context() || !there).then(|| {
        format!(
            "The browser gives a page from {} no cryptography, since others on the network could have changed the page. Without it \
             this page can neither know its runner nor show who it is, so it sends nothing. Open it as http://127.0.0.1 with the \
             runner's port: on the runner's machine, or through a tunnel (ssh -L 8757:127.0.0.1:8757 HOST). Or put the runner behind \
             https.",
            origin()
        )
    })
}

/// Bytes that nobody has ever seen.
pub(super) fn nonce() -> Result<[u8; NONCE_BYTES], String> {
    let mut bytes = [0; NONCE_BYTES];
    let crypto = window().crypto().map_err(|exception| words(&exception))?;
    crypto.get_random_values_with_u8_array(&mut bytes).map_err(|exception| words(&exception))?;
    Ok(bytes)
}

/// A fresh pair of keys: the private one, which no script can read, and the public one as bytes.
pub(super) async fn key_pair() -> Result<(CryptoKey, Vec<u8>), JsValue> {
    let subtle = subtle()?;
    let pair = done(subtle.generate_key_with_object(&curve()?, false, &list(&["sign", "verify"]))).await?;
    let private = Reflect::get(&pair, &"privateKey".into())?.unchecked_into();
    let public: CryptoKey = Reflect::get(&pair, &"publicKey".into())?.unchecked_into();
    Ok((private, bytes(done(subtle.export_key("raw", &public)).await?)))
}

/// Another's public key.
pub(super) async fn public_key(raw: &[u8]) -> Result<CryptoKey, JsValue> {
    import(raw, &curve()?, &list(&["verify"])).await
}

/// A code as a key.
pub(super) async fn code_key(code: &str) -> Result<CryptoKey, JsValue> {
    import(code.as_bytes(), &hash("HMAC")?, &list(&["sign", "verify"])).await
}

/// Which kind of key signs.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A private or public key.
    Own,
    /// A code.
    Code,
}

impl Kind {
    fn algorithm(self) -> Result<Object, JsValue> {
        hash(match self {
            Self::Own => "ECDSA",
            Self::Code => "HMAC",
        })
    }
}

/// Signs a text.
pub(super) async fn sign(kind: Kind, key: &CryptoKey, text: &str) -> Result<Vec<u8>, JsValue> {
    let signing = subtle()?.sign_with_object_and_u8_array(&kind.algorithm()?, key, text.as_bytes());
    Ok(bytes(done(signing).await?))
}

/// Whether a signature is right.
pub(super) async fn verify(
    kind: Kind,
    key: &CryptoKey,
    signature: &[u8],
    text: &str,
) -> Result<bool, JsValue> {
    let looking = subtle()?.verify_with_object_and_u8_array_and_u8_array(
        &kind.algorithm()?,
        key,
        signature,
        text.as_bytes(),
    );
    Ok(done(looking).await?.is_truthy())
}

async fn import(raw: &[u8], algorithm: &Object, usages: &JsValue) -> Result<CryptoKey, JsValue> {
    let raw = Uint8Array::from(raw);
    done(subtle()?.import_key_with_object("raw", &raw, algorithm, false, usages))
        .await
        .map(JsCast::unchecked_into)
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    Ok(window().crypto()?.subtle())
}

async fn done(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}

fn bytes(buffer: JsValue) -> Vec<u8> {
    Uint8Array::new(&buffer.unchecked_into::<ArrayBuffer>()).to_vec()
}

fn list(usages: &[&str]) -> JsValue {
    usages.iter().copied().map(JsValue::from_str).collect::<Array>().into()
}

fn curve() -> Result<Object, JsValue> {
    record(&[("name", &"ECDSA".into()), ("namedCurve", &"P-256".into())])
}

fn hash(name: &str) -> Result<Object, JsValue> {
    record(&[("name", &name.into()), ("hash", &"SHA-256".into())])
}

/// An object with these fields.
pub(super) fn record(fields: &[(&str, &JsValue)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), value)?;
    }
    Ok(object)
}
