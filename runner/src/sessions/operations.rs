//! What makes a repeated request harmless: one id, one operation, one reply.
//!
//! A page that lost a reply sends the request again, perhaps over another socket and while the first is still
//! under way. The second then waits for the first's reply. After that the reply is had from the store, also
//! by another life of the runner; from memory, where the store could not be written. Problems that may go
//! away are not kept, so that trying again tries again.
//!
//! An id stands for its content. The same id with another content is not a repetition but somebody's mistake,
//! such as two pages that number alike: it is refused, and nothing is done.
//!
//! A change of a file is journaled before it is made, with its reply. Where a runner died between the change
//! and its reply, the next one looks at the file and keeps the reply, or takes the entry out of the journal.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared::files::FileChange;
use shared::protocol::{Op, Outcome, Reply};
use shared::{OpId, Problem, ProblemCode, SessionId};
use tokio::sync::watch;

use crate::clock::now;
use crate::files::{Files, JournalEntry};
use crate::store::{JournalRow, Store, StoreError};
use crate::tasks::reused;

/// How long an operation that may be done again waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(1);
/// How many replies are remembered without the store, while it cannot be written.
const UNSAVED: usize = 1_000;

type UnderWay = Arc<Mutex<HashMap<OpId, (Content, watch::Receiver<Option<Outcome>>)>>>;

/// Where the reply of an operation is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// With what it made: a start with its task.
    Elsewhere,
    /// In the store.
    Kept,
    /// In the store, if that answers soon. For what may be done again, and is needed most where a disk hangs:
    /// a stop.
    IfSoon,
}

/// What an operation is, in short: a digest of it and of its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(String);

impl Content {
    /// Of this operation. Fields that say nothing do not count, so that a later version with more of them
    /// finds the same.
    ///
    /// # Panics
    /// Never: operations are plain data with string keys.
    pub fn of(session: SessionId, op: &Op) -> Self {
        let mut value = serde_json::to_value(op).expect("operations are plain data with string keys");
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)));
        }
        Self(hex::encode(Sha256::digest(format!("{session} {value}"))))
    }
}

/// A reply as it is remembered. Those of earlier versions do not say to what.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    content: Option<Content>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// All operations under way. A cheap handle.
#[derive(Clone)]
pub struct Operations {
    under_way: UnderWay,
    /// Replies that the store did not take, the oldest first, at most [`UNSAVED`].
    unsaved: Arc<Mutex<VecDeque<(OpId, String)>>>,
    store: Store,
    files: Files,
}

/// Takes an operation off the list, however it ends.
struct Entry {
    id: OpId,
    under_way: UnderWay,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.id);
    }
}

impl Operations {
    /// With replies kept in this store. Recovers first what an earlier runner journaled.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn open(store: Store, files: Files) -> Result<Self, StoreError> {
        let operations = Self { under_way: Arc::default(), unsaved: Arc::default(), store, files };
        for row in operations.store.journal().await? {
            let op = row.op;
            if let Err(problem) = operations.recover(row).await {
                // Looked at again when it is repeated.
                tracing::warn!(%op, %problem, "an earlier runner may or may not have changed a file");
            }
        }
        Ok(operations)
    }

    /// Writes a change of a file into the journal, before it is made. Blocks.
    pub fn journal(
        &self,
        op: OpId,
        content: Option<Content>,
    ) -> impl FnOnce(&JournalEntry, &FileChange) -> Result<(), Problem> + use<> {
        let store = self.store.clone();
        move |entry, change| {
            let entry = serde_json::to_string(entry)
                .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))?;
            let reply = text(content, Outcome::Ok(Reply::Changed(change.clone())));
            let row = JournalRow { op, entry, reply };
            tokio::runtime::Handle::current().block_on(store.write_journal(row, now()))?;
            Ok(())
        }
    }

    /// Finds out whether what was journaled was done, and then keeps and gives its reply.
    async fn recover(&self, row: JournalRow) -> Result<Option<String>, Problem> {
        let JournalRow { op, entry, reply } = row;
        let made = match serde_json::from_str(&entry) {
            Ok(entry) => self.files.was_made(entry).await?,
            // Only another version could have written it so.
            Err(_) => None,
        };
        match made {
            Some(true) => {
                self.store.save_op_reply(op, reply.clone(), now()).await?;
                Ok(Some(reply))
            }
            Some(false) => {
                self.store.remove_from_journal(op).await?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn unsaved(&self, id: OpId) -> Option<String> {
        let unsaved = self.unsaved.lock();
        unsaved.iter().find(|(op, _)| *op == id).map(|(_, reply)| reply.clone())
    }

    async fn kept(&self, id: OpId) -> Result<Option<String>, Problem> {
        if let Some(unsaved) = self.unsaved(id) {
            return Ok(Some(unsaved));
        }
        if let Some(kept) = self.store.op_reply(id).await? {
            return Ok(Some(kept));
        }
        match self.store.journal_row(id).await? {
            Some(row) => self.recover(row).await,
            None => Ok(None),
        }
    }

    /// Does something once.
    pub async fn once(
        &self,
        id: OpId,
        content: Content,
        memory: Memory,
        run: impl Future<Output = Outcome>,
    ) -> Outcome {
        let (sender, receiver) = watch::channel(None);
        let first = {
            let mut under_way = self.under_way.lock();
            let first = under_way.get(&id).cloned();
            if first.is_none() {
                under_way.insert(id, (content.clone(), receiver));
            }
            first
        };
        if let Some((other, mut first)) = first {
            if other != content {
                return Outcome::Err(reused());
            }
            return match first.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or_else(|| Outcome::Err(broken())),
                Err(_) => Outcome::Err(broken()),
            };
        }
        let entry = Entry { id, under_way: Arc::clone(&self.under_way) };
        let outcome = self.kept_or(id, content, memory, run).await;
        drop(entry);
        sender.send_replace(Some(outcome.clone()));
        outcome
    }

    async fn kept_or(
        &self,
        id: OpId,
        content: Content,
        memory: Memory,
        run: impl Future<Output = Outcome>,
    ) -> Outcome {
        let keep = memory != Memory::Elsewhere;
        let kept = match memory {
            Memory::Elsewhere | Memory::Kept => self.kept(id).await,
            Memory::IfSoon => match tokio::time::timeout(STORE_PATIENCE, self.kept(id)).await {
                Ok(Ok(kept)) => Ok(kept),
                Ok(Err(_)) | Err(_) => Ok(None),
            },
        };
        match kept {
            Ok(Some(kept)) => {
                let Ok(kept) = serde_json::from_str::<Kept>(&kept) else {
                    return Outcome::Err(Problem::new(
                        ProblemCode::Conflict,
                        "This was done already; its reply can no longer be read.",
                    ));
                };
                let same = keep && kept.content.is_none_or(|kept| kept == content);
                return if same { kept.outcome } else { Outcome::Err(reused()) };
            }
            Ok(None) => {}
            Err(problem) => return Outcome::Err(problem),
        }
        let outcome = run.await;
        if !keep {
            return outcome;
        }
        if matches!(&outcome, Outcome::Err(problem) if problem.retryable) {
            if let Err(error) = self.store.remove_from_journal(id).await {
                tracing::error!(
                    "What was journaled and not done could not be taken out of the journal: {error}"
                );
            }
            return outcome;
        }
        let reply = text(Some(content), outcome.clone());
        let saving = self.store.save_op_reply(id, reply.clone(), now());
        let saved = match memory {
            Memory::Elsewhere | Memory::Kept => saving.await.map_err(|error| error.to_string()),
            Memory::IfSoon => match tokio::time::timeout(STORE_PATIENCE, saving).await {
                Ok(saved) => saved.map_err(|error| error.to_string()),
                Err(_) => Err("the store does not answer".to_owned()),
            },
        };
        if let Err(error) = saved {
            // It was done, and that is what the page must hear, now and if it asks again.
            tracing::error!("The reply of a request could not be kept on the disk: {error}");
            let mut unsaved = self.unsaved.lock();
            unsaved.push_back((id, reply));
            if unsaved.len() > UNSAVED {
                unsaved.pop_front();
            }
        }
        outcome
    }
}

fn text(content: Option<Content>, outcome: Outcome) -> String {
    let kept = Kept { content, outcome };
    serde_json::to_string(&kept).expect("replies are plain data with string keys")
}

fn broken() -> Problem {
    Problem::retryable(ProblemCode::Internal, "The first request with this id broke off. Try again.")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use shared::TaskId;
    use shared::task::Party;
    use uuid::Uuid;

    use super::*;
    use crate::state_dir::StateDir;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_does_not_wait_for_a_disk_that_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StateDir::open(&folder.path().join("state")).unwrap()).unwrap();
        let operations = Operations::open(store.clone(), Files::open(folder.path()).unwrap()).await.unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (held, holds) = mpsc::channel();
        let hanging = tokio::spawn(async move {
            let hang = move |_: &_| {
                held.send(()).unwrap();
                let _gone = released.recv();
                Ok(())
            };
            store.read(hang).await
        });
        tokio::task::spawn_blocking(move || holds.recv().unwrap()).await.unwrap();
        let op = Op::Stop { task: TaskId("a1b2c3d4".to_owned()), by: Party::User, now: false };
        let content = Content::of(SessionId(Uuid::nil()), &op);
        let stop = async { Outcome::Ok(Reply::Done) };
        let stopping = operations.once(OpId(Uuid::nil()), content, Memory::IfSoon, stop);
        let outcome = tokio::time::timeout(10 * STORE_PATIENCE, stopping).await.expect("it is passed on");
        assert!(matches!(outcome, Outcome::Ok(Reply::Done)), "{outcome:?}");
        drop(release);
        hanging.await.unwrap().unwrap();
    }
}
