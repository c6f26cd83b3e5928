//! What makes a repeated request harmless: one id, one operation, one reply.
//!
//! A page that lost a reply sends the request again, perhaps over another socket and while the first is still under way.
//! The second then waits for the first's reply. After that the reply is had from the store, also by another life of
//! the runner. Problems that may go away are not kept, so that trying again tries again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::protocol::Outcome;
use shared::{OpId, Problem, ProblemCode};
use tokio::sync::watch;

use crate::store::Store;

type UnderWay = Arc<Mutex<HashMap<OpId, watch::Receiver<Option<Outcome>>>>>;

/// All operations under way. A cheap handle.
#[derive(Clone)]
pub struct Operations {
    under_way: UnderWay,
    store: Store,
}

/// Takes an operation off the list, however it ends.
struct Entry {
    id: OpId,
    under_way: UnderWay,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Operations {
    /// With replies kept in this store.
    pub fn new(store: Store) -> Self {
        Self { under_way: Arc::default(), store }
    }

    /// Does something once. `keep`: whether its reply is to be kept here (starting a task is remembered with the task).
    pub async fn once(&self, id: OpId, keep: bool, perform: impl Future<Output = Outcome>) -> Outcome {
        let (sender, receiver) = watch::channel(None);
        let first = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let first = under_way.get(&id).cloned();
            if first.is_none() {
                under_way.insert(id, receiver);
            }
            first
        };
        if let Some(mut first) = first {
            return match first.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or_else(|| Outcome::Err(broken())),
                Err(_) => Outcome::Err(broken()),
            };
        }
        let entry = Entry { id, under_way: Arc::clone(&self.under_way) };
        let outcome = if keep { self.kept_or(id, perform).await } else { perform.await };
        drop(entry);
        sender.send_replace(Some(outcome.clone()));
        outcome
    }

    async fn kept_or(&self, id: OpId, perform: impl Future<Output = Outcome>) -> Outcome {
        match self.store.op_reply(id).await {
            Ok(Some(kept)) => {
                if let Ok(outcome) = serde_json::from_str(&kept) {
                    return outcome;
                }
                return Outcome::Err(Problem::new(
                    ProblemCode::Conflict,
                    "This was done already; its reply can no longer be read.",
                ));
            }
            Ok(None) => {}
            Err(error) => return Outcome::Err(error.into()),
        }
        let outcome = perform.await;
        if matches!(&outcome, Outcome::Err(problem) if problem.retryable) {
            return outcome;
        }
        let text = serde_json::to_string(&outcome).expect("replies are plain data with string keys");
        if let Err(error) = self.store.save_op_reply(id, text, crate::server::now()).await {
            // It was done, and that is what the page must hear.
            tracing::error!(
                "A reply could not be kept, so a repetition of its request would be done again: {error}"
            );
        }
        outcome
    }
}

fn broken() -> Problem {
    Problem::retryable(ProblemCode::Internal, "The first request with this id broke off. Try again.")
}
