//! Who is paired, and what happens to those who guess.
//!
//! A client is a browser (or program) that exchanged a pairing code for a credential. The runner keeps the credential's
//! hash, in the store and here; every comparison goes through all clients in constant time. A right credential is
//! never slowed down, whatever others do: only after a comparison has failed does the throttle come in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared::{ClientId, Problem, ProblemCode, Timestamp, shown};
use uuid::Uuid;

use crate::secret::{Secret, SecretHash};
use crate::store::{Store, StoreError};

/// The most clients that may be paired at once.
pub const MAX_CLIENTS: usize = 100;
/// The longest name of a client, in characters.
pub const MAX_NAME_CHARS: usize = 80;

/// Between two notes in the store that a client was seen.
const SEEN_EVERY_MS: u64 = 60_000;

/// A client as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What it calls itself.
    pub name: String,
    /// When it was paired.
    pub created: Timestamp,
    /// When it was last seen; exact to a minute.
    pub seen: Timestamp,
}

struct Entry {
    client: Client,
    hash: SecretHash,
}

/// All clients. A cheap handle.
#[derive(Clone)]
pub struct Clients {
    entries: Arc<Mutex<Vec<Entry>>>,
    store: Store,
}

impl Clients {
    /// Those that the store knows and that were not revoked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let known = store.list_clients().await?.into_iter().filter(|(client, _)| client.revoked.is_none());
        let entries = known.map(|(client, hash)| Entry {
            client: Client {
                id: client.id,
                name: client.name,
                created: client.created,
                seen: client.seen.unwrap_or(client.created),
            },
            hash: SecretHash(hash),
        });
        Ok(Self { entries: Arc::new(Mutex::new(entries.collect())), store })
    }

    /// Makes a client and its credential.
    ///
    /// # Errors
    /// If there are too many, or the system's random source or the store fails.
    pub async fn add(&self, name: &str, now: Timestamp) -> Result<(ClientId, Secret), Problem> {
        if self.lock().len() >= MAX_CLIENTS {
            return Err(too_many());
        }
        let credential = Secret::credential().map_err(|error| {
            Problem::new(ProblemCode::System, format!("The system's random source failed: {error}."))
        })?;
        let id = ClientId(Uuid::new_v4());
        let client = Client { id, name: tidy(name), created: now, seen: now };
        let hash = credential.hash();
        let added = self.store.add_client(id, hash.0, client.name.clone(), now).await;
        added.map_err(|error| {
            Problem::retryable(ProblemCode::System, format!("The runner's store failed: {error}."))
        })?;
        self.lock().push(Entry { client, hash });
        Ok((id, credential))
    }

    /// Whose credential this is.
    pub fn find(&self, credential: &str) -> Option<ClientId> {
        let presented = SecretHash::of(credential);
        // All of them, so that the time does not tell which.
        self.lock().iter().fold(None, |found, entry| {
            if entry.hash.matches(&presented) { Some(entry.client.id) } else { found }
        })
    }

    /// Whether a client is paired.
    pub fn knows(&self, id: ClientId) -> bool {
        self.lock().iter().any(|entry| entry.client.id == id)
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<Client> {
        self.lock().iter().map(|entry| entry.client.clone()).collect()
    }

    /// Takes a client's credential back. Whether there was such a client. It is refused from now on even if the store fails.
    ///
    /// # Errors
    /// If the store cannot be written: then the credential is good again after a restart.
    pub async fn revoke(&self, id: ClientId, now: Timestamp) -> Result<bool, StoreError> {
        let known = {
            let mut entries = self.lock();
            let before = entries.len();
            entries.retain(|entry| entry.client.id != id);
            entries.len() < before
        };
        Ok(self.store.revoke_client(id, now).await? || known)
    }

    /// Notes that a client was seen.
    pub async fn saw(&self, id: ClientId, now: Timestamp) {
        let stale = {
            let mut entries = self.lock();
            let entry = entries.iter_mut().find(|entry| entry.client.id == id);
            entry.is_some_and(|entry| {
                let stale = now.since(entry.client.seen) >= SEEN_EVERY_MS;
                if stale {
                    entry.client.seen = now;
                }
                stale
            })
        };
        if stale && let Err(error) = self.store.touch_client(id, now).await {
            tracing::warn!("The store did not note that a client was seen: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> Problem {
    Problem::new(
        ProblemCode::TooMany,
        format!(
            "{MAX_CLIENTS} clients are paired, and that is the limit. Revoke one: meanwhile clients revoke ID."
        ),
    )
}

/// A name for a list in a terminal: one line, nothing that a terminal would obey.
fn tidy(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control() && !shown::is_hidden(*letter))
        .take(MAX_NAME_CHARS)
        .collect();
    let name = shown::line(&name);
    let name = name.trim();
    if name.is_empty() { "a browser".to_owned() } else { name.to_owned() }
}

/// What to do with a wrong credential or code.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer after this long.
    Slow(Duration),
    /// Answer 429 at once.
    TooMany,
}

/// Slows guessing down, for all guessers together: on loopback they all have the same address.
#[derive(Default)]
pub struct Throttle {
    wrong: Mutex<VecDeque<Instant>>,
}

impl Throttle {
    /// How far back wrong tries count.
    pub const WINDOW: Duration = Duration::from_secs(60);
    /// How many of them are answered at all.
    pub const LIMIT: usize = 10;

    /// Counts a wrong try.
    pub fn count(&self) -> Verdict {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Verdict {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        while wrong.front().is_some_and(|at| now.saturating_duration_since(*at) > Self::WINDOW) {
            wrong.pop_front();
        }
        if wrong.len() >= Self::LIMIT {
            return Verdict::TooMany;
        }
        wrong.push_back(now);
        let doublings = u32::try_from(wrong.len()).unwrap_or(u32::MAX).min(5);
        Verdict::Slow(Duration::from_millis(50) * 2_u32.pow(doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_slows_down_then_stops_then_may_begin_again() {
        let throttle = Throttle::default();
        let begin = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..Throttle::LIMIT {
            let Verdict::Slow(wait) = throttle.count_at(begin) else { panic!("too early") };
            assert!(wait >= last && wait <= Duration::from_secs(2));
            last = wait;
        }
        assert_eq!(throttle.count_at(begin), Verdict::TooMany);
        let later = begin + Throttle::WINDOW + Duration::from_millis(1);
        assert!(matches!(throttle.count_at(later), Verdict::Slow(_)));
    }

    #[test]
    fn a_name_is_one_harmless_line() {
        assert_eq!(tidy("  Fire\u{1b}[2Jfox\n "), "Fire[2Jfox");
        assert_eq!(tidy("\n"), "a browser");
        assert_eq!(tidy("a\u{202e}xoferiF\u{200b}\u{2028}b"), "axoferiFb");
        assert_eq!(tidy(&"x".repeat(500)).len(), MAX_NAME_CHARS);
    }
}
