//! What is kept in this browser: the sessions' logs, their lines in the list, drafts, and who may write which
//! log.
//!
//! One database, `meanwhile`. An entry of a log is kept as the JSON text it was written as, beside the key
//! fields `[session, n]`: what a model said goes back to it to the letter, and a record of a later version
//! survives being read by this one. Appending is one transaction, which first looks at the session's claim: a
//! tab that takes a session over puts its own token there while it reads the log, so that nothing the earlier
//! tab still had on its way can land after that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use agent::effect::SessionSummary;
use agent::record::Entry;
use agent::tabs::{AppendError, Claim, ClaimError, Received};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::Serializer;
use shared::json;
use shared::{SessionId, Timestamp};
use uuid::Uuid;
use wasm_bindgen::prelude::*;
use web_sys::{
    IdbCursor, IdbCursorDirection, IdbDatabase, IdbObjectStore, IdbObjectStoreParameters, IdbTransaction,
    IdbTransactionMode,
};

use super::idb::{Database, OpenError, committed, range_of, resolved};
use super::js;

const NAME: &str = "meanwhile";
const VERSION: u32 = 1;
const ENTRIES: &str = "entries";
const SESSIONS: &str = "sessions";
const DRAFTS: &str = "drafts";
const CLAIMS: &str = "claims";

/// Why something was not kept or not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// There is no database.
    #[error("this browser keeps nothing for this page ({0}); sessions last until the tab is closed")]
    Unavailable(String),
    /// Another tab has claimed the session.
    #[error("another tab runs this session")]
    Fenced,
    /// No room.
    #[error("the browser has no room left for this page: delete sessions, or free space on the disk")]
    Full,
    /// An entry of this number is there already, and is another.
    #[error(
        "entry {0} of the saved log was written by somebody else; nothing more is saved here. Export this session to keep it"
    )]
    Conflict(u64),
    /// The log does not continue where it ended.
    #[error(
        "the saved log ends at entry {last}, so entry {next} cannot follow: was the page's data cleared? Export this session to keep it"
    )]
    Gap {
        /// The last entry that is there.
        last: u64,
        /// The first that was to be written.
        next: u64,
    },
    /// An entry cannot be read.
    #[error(
        "entry {n} of the saved log cannot be read ({reason}); export the session, and reload the page if it was just updated"
    )]
    Unreadable {
        /// Which.
        n: u64,
        /// Why.
        reason: String,
    },
    /// Anything else, as the browser says it.
    #[error("the browser could not save or read: {0}")]
    Failed(String),
}

impl From<JsValue> for StoreError {
    fn from(exception: JsValue) -> Self {
        if js::name(&exception) == "QuotaExceededError" {
            Self::Full
        } else {
            Self::Failed(js::describe(&exception))
        }
    }
}

impl From<StoreError> for ClaimError {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(reason),
            StoreError::Failed(_) => Self::Unreadable(format!("{reason}; reload this page to try again")),
            StoreError::Fenced
            | StoreError::Full
            | StoreError::Conflict(_)
            | StoreError::Gap { .. }
            | StoreError::Unreadable { .. } => Self::Unreadable(reason),
        }
    }
}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        if error == StoreError::Fenced { Self::Fenced } else { Self::Failed(error.to_string()) }
    }
}

/// How long the claim of an empty log is kept, in milliseconds.
const UNUSED_MS: u64 = 24 * 60 * 60 * 1_000;

/// An entry of a log.
#[derive(Debug, Serialize, Deserialize)]
struct EntryRow {
    session: SessionId,
    n: u64,
    /// The entry as JSON.
    text: String,
}

/// Which tab may write a log.
#[derive(Debug, Serialize, Deserialize)]
struct ClaimRow {
    session: SessionId,
    token: String,
    /// The claim's number.
    #[serde(default)]
    term: u64,
    /// Whose commands are in the log.
    #[serde(default)]
    heard: Received,
}

/// A draft that was not sent yet.
#[derive(Debug, Serialize, Deserialize)]
struct DraftRow {
    session: SessionId,
    text: String,
}

/// The database, or why there is none.
pub(super) struct Store {
    database: RefCell<Result<Rc<Database>, StoreError>>,
    /// Whether the browser was asked to keep it.
    asked: Cell<bool>,
}

impl Store {
    /// Opens the database. A browser that refuses gets a store that says so at every use.
    pub(super) async fn open() -> Self {
        let database = open().await.map_err(StoreError::Unavailable);
        Self { database: RefCell::new(database), asked: Cell::new(false) }
    }

    /// Why nothing can be kept.
    pub(super) fn problem(&self) -> Option<String> {
        self.database.borrow().as_ref().err().map(ToString::to_string)
    }

    /// Takes a log over, and reads it. An empty one is claimed as well, so that nothing of an earlier leader
    /// can land in it.
    pub(super) async fn claim(
        &self,
        session: SessionId,
        token: Uuid,
        term: u64,
    ) -> Result<Claim, StoreError> {
        let transaction = self.write(&[ENTRIES, CLAIMS]).await?;
        let rows = resolved(&transaction.object_store(ENTRIES)?.get_all_with_key(&range(session)?)?).await?;
        let rows: Vec<EntryRow> = read(rows)?;
        let claims = transaction.object_store(CLAIMS)?;
        let (before, heard) = match claim_of(&claims, session).await? {
            Some(claim) => (claim.term, claim.heard),
            None => (0, Received::default()),
        };
        let claim =
            ClaimRow { session, token: token.to_string(), term: term.max(before.saturating_add(1)), heard };
        claims.put(&value(&claim)?)?;
        committed(&transaction).await?;
        let log = rows.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Claim { term: claim.term, log, heard: claim.heard })
    }

    /// Removes the claims of sessions in which nothing was said, and that nobody opened for a day.
    pub(super) async fn prune_claims(&self, now: Timestamp) -> Result<(), StoreError> {
        let transaction = self.write(&[ENTRIES, CLAIMS]).await?;
        let claims = transaction.object_store(CLAIMS)?;
        let rows: Vec<ClaimRow> = read(resolved(&claims.get_all()?).await?)?;
        for row in rows.iter().filter(|row| now.since(Timestamp(row.term)) > UNUSED_MS) {
            if last_of(&transaction.object_store(ENTRIES)?, row.session).await? == 0 {
                claims.delete(&key(row.session))?;
            }
        }
        Ok(committed(&transaction).await?)
    }

    /// Writes entries that follow those that are there; the first of them may be there already, if they are
    /// the same. They are durable when this has come back well, and with them whose commands they are;
    /// otherwise none of the new ones is there.
    pub(super) async fn append(
        &self,
        session: SessionId,
        token: Uuid,
        term: u64,
        entries: &[Entry],
        heard: &Received,
    ) -> Result<(), StoreError> {
        // What is acknowledged to the runner must outlive a power cut: it forgets it.
        let transaction = self.database().await?.begin_strict(&[ENTRIES, CLAIMS])?;
        let written = write_entries(&transaction, session, token, term, entries, heard).await;
        if written.is_err() {
            let _ = transaction.abort();
        }
        written?;
        committed(&transaction).await?;
        if !self.asked.replace(true) {
            js::ask_to_stay();
        }
        Ok(())
    }

    /// Whether anything is kept of a session: entries, or a draft.
    pub(super) async fn knows(&self, session: SessionId) -> Result<bool, StoreError> {
        let transaction = self.read(ENTRIES).await?;
        let last = last_of(&transaction.object_store(ENTRIES)?, session).await?;
        Ok(last > 0 || !self.draft(session).await?.is_empty())
    }

    /// The log as it is kept: one JSON text an entry.
    pub(super) async fn lines(&self, session: SessionId) -> Result<Vec<(u64, String)>, StoreError> {
        Ok(self.rows(session).await?.into_iter().map(|row| (row.n, row.text)).collect())
    }

    /// The log.
    pub(super) async fn log(&self, session: SessionId) -> Result<Vec<Entry>, StoreError> {
        self.rows(session).await?.iter().map(parse).collect()
    }

    /// All sessions' lines in the list.
    pub(super) async fn summaries(&self) -> Result<Vec<SessionSummary>, StoreError> {
        let transaction = self.read(SESSIONS).await?;
        read(resolved(&transaction.object_store(SESSIONS)?.get_all()?).await?)
    }

    /// Keeps a session's line.
    pub(super) async fn put_summary(&self, summary: &SessionSummary) -> Result<(), StoreError> {
        let transaction = self.write(&[SESSIONS]).await?;
        transaction.object_store(SESSIONS)?.put(&value(summary)?)?;
        Ok(committed(&transaction).await?)
    }

    /// A session's draft; empty for none.
    pub(super) async fn draft(&self, session: SessionId) -> Result<String, StoreError> {
        let transaction = self.read(DRAFTS).await?;
        let row = resolved(&transaction.object_store(DRAFTS)?.get(&key(session))?).await?;
        let row: Option<DraftRow> = if row.is_undefined() { None } else { Some(read(row)?) };
        Ok(row.map(|row| row.text).unwrap_or_default())
    }

    /// Keeps the draft; an empty one is forgotten.
    pub(super) async fn put_draft(&self, session: SessionId, text: &str) -> Result<(), StoreError> {
        let transaction = self.write(&[DRAFTS]).await?;
        let drafts = transaction.object_store(DRAFTS)?;
        if text.is_empty() {
            drafts.delete(&key(session))?;
        } else {
            drafts.put(&value(&DraftRow { session, text: text.to_owned() })?)?;
        }
        Ok(committed(&transaction).await?)
    }

    /// Forgets a session altogether. Whoever still runs it cannot write any more.
    pub(super) async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        let transaction = self.write(&[ENTRIES, SESSIONS, DRAFTS, CLAIMS]).await?;
        transaction.object_store(ENTRIES)?.delete(&range(session)?)?;
        for store in [SESSIONS, DRAFTS, CLAIMS] {
            transaction.object_store(store)?.delete(&key(session))?;
        }
        Ok(committed(&transaction).await?)
    }

    async fn rows(&self, session: SessionId) -> Result<Vec<EntryRow>, StoreError> {
        let transaction = self.read(ENTRIES).await?;
        read(resolved(&transaction.object_store(ENTRIES)?.get_all_with_key(&range(session)?)?).await?)
    }

    async fn read(&self, store: &str) -> Result<IdbTransaction, StoreError> {
        Ok(self.database().await?.begin(&[store], IdbTransactionMode::Readonly)?)
    }

    async fn write(&self, stores: &[&str]) -> Result<IdbTransaction, StoreError> {
        Ok(self.database().await?.begin(stores, IdbTransactionMode::Readwrite)?)
    }

    /// The open database. One that the browser closed is opened anew, now or at a later use.
    async fn database(&self) -> Result<Rc<Database>, StoreError> {
        let database = self.database.borrow().clone()?;
        if !database.is_closed() {
            return Ok(database);
        }
        let anew = open().await.map_err(StoreError::Failed)?;
        drop(self.database.replace(Ok(anew.clone())));
        Ok(anew)
    }
}

/// Opens the database, or says why that does not go.
async fn open() -> Result<Rc<Database>, String> {
    Database::open(NAME, VERSION, upgrade).await.map(Rc::new).map_err(|error| match error {
        OpenError::Refused(exception) => js::describe(&exception),
        OpenError::Blocked => "another tab holds an older version: close it and reload".to_owned(),
        OpenError::Silent => "the browser's storage does not answer: restart the browser".to_owned(),
    })
}

/// Checks that the log is this tab's and that the entries continue it, and puts them into the transaction.
async fn write_entries(
    transaction: &IdbTransaction,
    session: SessionId,
    token: Uuid,
    term: u64,
    entries: &[Entry],
    heard: &Received,
) -> Result<(), StoreError> {
    let Some(first) = entries.first().map(|entry| entry.n) else { return Ok(()) };
    let claims = transaction.object_store(CLAIMS)?;
    let store = transaction.object_store(ENTRIES)?;
    let token = token.to_string();
    match claim_of(&claims, session).await? {
        Some(claim) if claim.token != token => return Err(StoreError::Fenced),
        Some(mut claim) => {
            if !heard.is_empty() {
                claim.heard.merge(heard);
                claims.put(&value(&claim)?)?;
            }
        }
        None => {
            claims.add(&value(&ClaimRow { session, token, term, heard: heard.clone() })?)?;
        }
    }
    let last = last_of(&store, session).await?;
    if last + 1 < first {
        return Err(StoreError::Gap { last, next: first });
    }
    for entry in entries {
        let text = json::to_text(entry);
        if entry.n > last {
            store.add(&value(&EntryRow { session, n: entry.n, text })?)?;
            continue;
        }
        let number = js_sys::Number::from(u32::try_from(entry.n).unwrap_or(u32::MAX));
        let there = resolved(&store.get(&js_sys::Array::of2(&key(session), &number))?).await?;
        if read::<EntryRow>(there)?.text != text {
            return Err(StoreError::Conflict(entry.n));
        }
    }
    Ok(())
}

/// Who may write a session's log.
async fn claim_of(claims: &IdbObjectStore, session: SessionId) -> Result<Option<ClaimRow>, StoreError> {
    let claim = resolved(&claims.get(&key(session))?).await?;
    if claim.is_undefined() { Ok(None) } else { read(claim).map(Some) }
}

/// The number of the last entry that is there; 0 for none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of entries are small whole numbers"
)]
async fn last_of(store: &IdbObjectStore, session: SessionId) -> Result<u64, StoreError> {
    let request =
        store.open_key_cursor_with_range_and_direction(&range(session)?, IdbCursorDirection::Prev)?;
    let cursor = resolved(&request).await?;
    if cursor.is_null() {
        return Ok(0);
    }
    let key: js_sys::Array = cursor.unchecked_into::<IdbCursor>().key()?.unchecked_into();
    Ok(key.get(1).as_f64().unwrap_or_default() as u64)
}

/// Makes the stores. Later versions add their steps below `before < 1`.
fn upgrade(database: &IdbDatabase, before: u32) -> Result<(), JsValue> {
    if before < 1 {
        let keyed = |path: &JsValue| {
            let parameters = IdbObjectStoreParameters::new();
            parameters.set_key_path(path);
            parameters
        };
        let path = js_sys::Array::of2(&"session".into(), &"n".into());
        database.create_object_store_with_optional_parameters(ENTRIES, &keyed(&path))?;
        for store in [SESSIONS, DRAFTS, CLAIMS] {
            database.create_object_store_with_optional_parameters(store, &keyed(&"session".into()))?;
        }
    }
    Ok(())
}

fn parse(row: &EntryRow) -> Result<Entry, StoreError> {
    Entry::parse(&row.text).map_err(|error| StoreError::Unreadable { n: row.n, reason: error.to_string() })
}

fn key(session: SessionId) -> JsValue {
    session.to_string().into()
}

fn range(session: SessionId) -> Result<JsValue, JsValue> {
    range_of(&session.to_string()).map(JsValue::from)
}

fn value(row: &impl Serialize) -> Result<JsValue, StoreError> {
    // As plain objects and numbers, which the key paths of the stores look into.
    json::to_value(row)
        .serialize(&Serializer::json_compatible())
        .map_err(|error| StoreError::Failed(error.to_string()))
}

fn read<T: DeserializeOwned>(row: JsValue) -> Result<T, StoreError> {
    let value = serde_wasm_bindgen::from_value(row).map_err(|error| StoreError::Failed(error.to_string()))?;
    json::read(value).map_err(|error| StoreError::Failed(error.to_string()))
}
