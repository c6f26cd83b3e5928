//! Who this browser is to the runner, and who the runner is to it: kept as the browser's own key objects,
//! which can be used and not read, in a database of its own that all tabs of this origin share.

use js_sys::Reflect;
use shared::ClientId;
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbTransactionMode};

use super::crypto::{CryptoKey, record};
use super::idb::{Database, OpenError, committed, resolved};
use super::js::describe;

const NAME: &str = "meanwhile.runner";
const VERSION: u32 = 1;
const STORE: &str = "pairing";
const KEY: &str = "current";

/// A pairing.
#[derive(Clone)]
pub(super) struct Identity {
    /// The runner's name for this browser.
    pub(super) client: ClientId,
    /// This browser's private key.
    pub(super) key: CryptoKey,
    /// The runner's public key.
    pub(super) runner: CryptoKey,
}

/// The pairing that is kept.
pub(super) async fn load() -> Result<Option<Identity>, String> {
    read().await.map_err(|exception| describe(&exception))
}

/// Keeps a pairing in place of the one before.
pub(super) async fn save(identity: &Identity) -> Result<(), String> {
    write(identity).await.map_err(|exception| {
        format!(
            "The browser cannot keep this page's key ({}), so this tab is paired until it is closed or loaded again.",
            describe(&exception)
        )
    })
}

async fn read() -> Result<Option<Identity>, JsValue> {
    let database = open().await?;
    let transaction = database.begin(&[STORE], IdbTransactionMode::Readonly)?;
    let row = resolved(&transaction.object_store(STORE)?.get(&KEY.into())?).await?;
    if row.is_undefined() {
        return Ok(None);
    }
    let field = |name: &str| Reflect::get(&row, &name.into());
    let client = field("client")?.as_string().and_then(|text| text.parse().ok());
    let (key, runner) = (field("key")?.dyn_into::<CryptoKey>(), field("runner")?.dyn_into::<CryptoKey>());
    Ok(match (client, key, runner) {
        (Some(client), Ok(key), Ok(runner)) => Some(Identity { client: ClientId(client), key, runner }),
        _ => None,
    })
}

async fn write(identity: &Identity) -> Result<(), JsValue> {
    let database = open().await?;
    let transaction = database.begin(&[STORE], IdbTransactionMode::Readwrite)?;
    let row = record(&[
        ("client", &identity.client.to_string().into()),
        ("key", &identity.key),
        ("runner", &identity.runner),
    ])?;
    transaction.object_store(STORE)?.put_with_key(&row, &KEY.into())?;
    committed(&transaction).await
}

async fn open() -> Result<Database, JsValue> {
    let upgrade = |database: &IdbDatabase, _before: u32| database.create_object_store(STORE).map(drop);
    Database::open(NAME, VERSION, upgrade).await.map_err(|error| match error {
        OpenError::Refused(exception) => exception,
        OpenError::Blocked => JsValue::from_str("another tab holds it"),
        OpenError::Silent => JsValue::from_str("the browser's storage does not answer"),
    })
}
