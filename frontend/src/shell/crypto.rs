//! Signatures and codes, by the browser's own cryptography: ECDSA over P-256 with SHA-256, and HMAC with
//! SHA-256.
//!
//! Browsers have it only where nobody on the way can change the page: on this machine's own addresses and
//! over https.

use gloo_utils::window;
use js_sys::{Array, ArrayBuffer, Object, Reflect, Uint8Array};
use shared::proof::NONCE_BYTES;
use wasm_bindgen::prelude::*;

use super::address::origin;
use super::js::describe;

// As futures, which web-sys' own are not.
#[wasm_bindgen]
extern "C" {
    type Crypto;

    #[wasm_bindgen(method, getter)]
    fn subtle(this: &Crypto) -> Option<Subtle>;

    #[wasm_bindgen(method, catch, js_name = getRandomValues)]
    fn fill(this: &Crypto, bytes: &Uint8Array) -> Result<(), JsValue>;

    type Subtle;

    #[wasm_bindgen(method, catch, js_name = generateKey)]
    async fn generate(
        this: &Subtle,
        algorithm: &Object,
        extractable: bool,
        usages: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = exportKey)]
    async fn export(this: &Subtle, format: &str, key: &CryptoKey) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = importKey)]
    async fn import(
        this: &Subtle,
        format: &str,
        raw: &Uint8Array,
        algorithm: &Object,
        extractable: bool,
        usages: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn sign(
        this: &Subtle,
        algorithm: &Object,
        key: &CryptoKey,
        text: &Uint8Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn verify(
        this: &Subtle,
        algorithm: &Object,
        key: &CryptoKey,
        signature: &Uint8Array,
        text: &Uint8Array,
    ) -> Result<JsValue, JsValue>;

    /// A key that can be used and not read.
    #[derive(Clone)]
    pub(super) type CryptoKey;
}

/// Why this page cannot prove anything, if it cannot.
pub(super) fn problem() -> Option<String> {
    (!window().is_secure_context() || subtle().is_err()).then(|| {
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
    let bytes = Uint8Array::from([0; NONCE_BYTES].as_slice());
    crypto().and_then(|crypto| crypto.fill(&bytes)).map_err(|exception| describe(&exception))?;
    let mut nonce = [0; NONCE_BYTES];
    bytes.copy_to(&mut nonce);
    Ok(nonce)
}

/// A fresh pair of keys: the private one, which no script can read, and the public one as bytes.
pub(super) async fn key_pair() -> Result<(CryptoKey, Vec<u8>), JsValue> {
    let subtle = subtle()?;
    let pair = subtle.generate(&curve()?, false, &list(&["sign", "verify"])).await?;
    let private = Reflect::get(&pair, &"privateKey".into())?.unchecked_into();
    let public: CryptoKey = Reflect::get(&pair, &"publicKey".into())?.unchecked_into();
    Ok((private, bytes(subtle.export("raw", &public).await?)))
}

/// Another's public key.
pub(super) async fn public_key(raw: &[u8]) -> Result<CryptoKey, JsValue> {
    import(raw, &curve()?, &["verify"]).await
}

/// A code as a key.
pub(super) async fn code_key(code: &str) -> Result<CryptoKey, JsValue> {
    import(code.as_bytes(), &Kind::Code.algorithm()?, &["sign", "verify"]).await
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
        let name = match self {
            Self::Own => "ECDSA",
            Self::Code => "HMAC",
        };
        record(&[("name", &name.into()), ("hash", &"SHA-256".into())])
    }
}

/// Signs a text.
pub(super) async fn sign(kind: Kind, key: &CryptoKey, text: &str) -> Result<Vec<u8>, JsValue> {
    let signing = subtle()?;
    signing.sign(&kind.algorithm()?, key, &text.as_bytes().into()).await.map(bytes)
}

/// Whether a signature is right.
pub(super) async fn verify(
    kind: Kind,
    key: &CryptoKey,
    signature: &[u8],
    text: &str,
) -> Result<bool, JsValue> {
    let looking = subtle()?;
    let right = looking.verify(&kind.algorithm()?, key, &signature.into(), &text.as_bytes().into()).await?;
    Ok(right.is_truthy())
}

async fn import(raw: &[u8], algorithm: &Object, usages: &[&str]) -> Result<CryptoKey, JsValue> {
    let subtle = subtle()?;
    subtle.import("raw", &raw.into(), algorithm, false, &list(usages)).await.map(JsCast::unchecked_into)
}

fn crypto() -> Result<Crypto, JsValue> {
    Reflect::get(&window(), &"crypto".into()).map(JsCast::unchecked_into)
}

fn subtle() -> Result<Subtle, JsValue> {
    crypto()?.subtle().ok_or_else(|| JsValue::from_str("this browser has no cryptography for this page"))
}

fn bytes(buffer: JsValue) -> Vec<u8> {
    Uint8Array::new(&buffer.unchecked_into::<ArrayBuffer>()).to_vec()
}

fn list(usages: &[&str]) -> Array {
    usages.iter().copied().map(JsValue::from_str).collect()
}

fn curve() -> Result<Object, JsValue> {
    record(&[("name", &"ECDSA".into()), ("namedCurve", &"P-256".into())])
}

/// An object with these fields.
pub(super) fn record(fields: &[(&str, &JsValue)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), value)?;
    }
    Ok(object)
}
