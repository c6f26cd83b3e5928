//! Who is paired, and what happens to those who guess.
//!
//! A client is a page, which proves itself by a key on each socket, or a program, which exchanged a pairing
//! code for a credential. The runner keeps the public key or the credential's hash, in the store and here;
//! every comparison of credentials goes through all clients in constant time. A right one is never slowed
//! down, whatever others do: only after a comparison has failed does the throttle come in.
//!
//! A page that has proved itself holds a [`Pass`] for its HTTP requests, which ends with its socket.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use shared::{ClientId, Problem, ProblemCode, Timestamp, shown};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::identity::PublicKey;
use crate::secret::{Secret, SecretHash};
use crate::store::{self, Store, StoreError};

/// The most clients that may be paired at once.
pub(crate) const MAX_CLIENTS: usize = 100;
/// The longest name of a client, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 80;

/// Between two notes in the store that a client was seen.
const SEEN_EVERY_MS: u64 = 60_000;

/// A client as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// Its id.
    pub(crate) id: ClientId,
    /// What it calls itself.
    pub(crate) name: String,
    /// When it was paired.
    pub(crate) created: Timestamp,
    /// When it was last seen; exact to a minute.
    pub(crate) seen: Timestamp,
    /// The client that made its pairing link.
    #[serde(default)]
    pub(crate) paired_by: Option<ClientId>,
    /// Whether it is a page, which proves itself by a key.
    #[serde(default)]
    pub(crate) is_page: bool,
}

struct Entry {
    client: Client,
    means: Means,
    /// Cancelled once the client is revoked: whatever is under way for it ends.
    revoked: CancellationToken,
}

/// By what a client is known.
enum Means {
    Key(PublicKey),
    Credential(SecretHash),
}

/// All clients. A cheap handle.
#[derive(Clone)]
pub(crate) struct Clients {
    entries: Arc<Mutex<Vec<Entry>>>,
    passes: Arc<Mutex<Passes>>,
    throttle: Arc<Throttle>,
    store: Store,
}

#[derive(Default)]
struct Passes {
    next: u64,
    open: HashMap<u64, (SecretHash, ClientId)>,
}

/// What a page on a socket shows for its HTTP requests. Dropping it ends it.
pub(crate) struct Pass {
    number: u64,
    passes: Arc<Mutex<Passes>>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.passes.lock().open.remove(&self.number);
    }
}

impl Clients {
    /// Those that the store knows and that were not revoked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn open(store: Store) -> Result<Self, StoreError> {
        let known = store.list_clients().await?;
        let revoked =
            known.iter().filter(|(client, _)| client.revoked.is_some()).map(|(client, _)| client.id);
        let all_revoked = with_descendants(
            revoked.collect(),
            &known.iter().map(|(client, _)| (client.id, client.paired_by)),
        );
        let entries = known.into_iter().filter(|(client, _)| !all_revoked.contains(&client.id)).map(
            |(client, hash)| Entry {
                means: client
                    .key
                    .map_or(Means::Credential(SecretHash(hash)), |key| Means::Key(PublicKey(key))),
                client: Client {
                    id: client.id,
                    name: client.name,
                    created: client.created,
                    seen: client.seen.unwrap_or(client.created),
                    paired_by: client.paired_by,
                    is_page: client.key.is_some(),
                },
                revoked: CancellationToken::new(),
            },
        );
        Ok(Self {
            entries: Arc::new(Mutex::new(entries.collect())),
            passes: Arc::default(),
            throttle: Arc::default(),
            store,
        })
    }

    /// Makes a program a client, and its credential.
    ///
    /// # Errors
    /// If there are too many, who paired it was revoked, or the system's random source or the store fails.
    pub(crate) async fn add(
        &self,
        name: &str,
        paired_by: Option<ClientId>,
        now: Timestamp,
    ) -> Result<(ClientId, Secret), Problem> {
        let credential = Secret::credential().map_err(no_chance)?;
        let hash = credential.hash();
        let id = self.insert(name, paired_by, now, None, hash).await?;
        Ok((id, credential))
    }

    /// Makes a page a client, by its key.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub(crate) async fn add_page(
        &self,
        name: &str,
        key: PublicKey,
        paired_by: Option<ClientId>,
        now: Timestamp,
    ) -> Result<ClientId, Problem> {
        // The store wants a hash of each; nobody knows what this is one of.
        let hash = Secret::credential().map_err(no_chance)?.hash();
        self.insert(name, paired_by, now, Some(key), hash).await
    }

    async fn insert(
        &self,
        name: &str,
        paired_by: Option<ClientId>,
        now: Timestamp,
        key: Option<PublicKey>,
        hash: SecretHash,
    ) -> Result<ClientId, Problem> {
        if self.lock().len() >= MAX_CLIENTS {
            return Err(too_many());
        }
        let id = ClientId(Uuid::new_v4());
        let name = sanitized(name);
        let row = store::Client {
            id,
            name: name.clone(),
            created: now,
            seen: None,
            revoked: None,
            key: key.map(|key| key.0),
            paired_by,
        };
        self.store.add_client(row, hash.0).await.map_err(|error| {
            Problem::retryable(ProblemCode::System, format!("The runner's store failed: {error}."))
        })?;
        let client = Client { id, name, created: now, seen: now, paired_by, is_page: key.is_some() };
        let means = key.map_or(Means::Credential(hash), Means::Key);
        {
            let mut entries = self.lock();
            // Whoever paired it may have been revoked while the store wrote.
            if paired_by.is_none_or(|by| entries.iter().any(|entry| entry.client.id == by)) {
                entries.push(Entry { client, means, revoked: CancellationToken::new() });
                return Ok(id);
            }
        }
        if let Err(error) = self.store.revoke_clients(vec![id], now).await {
            tracing::debug!("A client of a revoked one is not marked as revoked: {error}");
        }
        Err(Problem::new(
            ProblemCode::Unauthorized,
            "The client that made this pairing link was revoked. `meanwhile pair` prints a fresh one.",
        ))
    }

    /// After a wrong credential, code or proof: waits as long as it has earned. False if there were too many.
    pub(crate) async fn punish_guess(&self) -> bool {
        match self.throttle.count() {
            Verdict::Slow(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            Verdict::TooMany => false,
        }
    }

    /// Whose credential this is.
    pub(crate) fn find(&self, credential: &str) -> Option<ClientId> {
        let presented = SecretHash::of(credential);
        // All of them, so that the time does not tell which.
        self.lock().iter().fold(None, |found, entry| match &entry.means {
            Means::Credential(hash) if hash.matches(&presented) => Some(entry.client.id),
            Means::Credential(_) | Means::Key(_) => found,
        })
    }

    /// Whose page holds this pass.
    pub(crate) fn find_pass(&self, token: &str) -> Option<ClientId> {
        let presented = SecretHash::of(token);
        let holder =
            self.passes().open.values().fold(None, |found, (hash, client)| {
                if hash.matches(&presented) { Some(*client) } else { found }
            });
        holder.filter(|client| self.knows(*client))
    }

    /// The key by which a page proves itself.
    pub(crate) fn key(&self, id: ClientId) -> Option<PublicKey> {
        let entries = self.lock();
        let entry = entries.iter().find(|entry| entry.client.id == id)?;
        match entry.means {
            Means::Key(key) => Some(key),
            Means::Credential(_) => None,
        }
    }

    /// Gives a page that has proved itself a pass, and its token.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub(crate) fn admit(&self, client: ClientId) -> Result<(Pass, Secret), Problem> {
        let token = Secret::credential().map_err(no_chance)?;
        let mut passes = self.passes();
        passes.next += 1;
        let number = passes.next;
        passes.open.insert(number, (token.hash(), client));
        Ok((Pass { number, passes: Arc::clone(&self.passes) }, token))
    }

    /// Whether a client is paired.
    pub(crate) fn knows(&self, id: ClientId) -> bool {
        self.revocation(id).is_some()
    }

    /// What is cancelled when this client is revoked; `None` if it is not paired.
    pub(crate) fn revocation(&self, id: ClientId) -> Option<CancellationToken> {
        self.lock().iter().find(|entry| entry.client.id == id).map(|entry| entry.revoked.clone())
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<Client> {
        self.lock().iter().map(|entry| entry.client.clone()).collect()
    }

    /// Revokes a client and all that it has paired, and all that these have. It tells `on_revoked` who they
    /// are, and whatever is under way for them ends; they are refused from now on even if the store fails.
    ///
    /// # Errors
    /// If the store cannot be written: then they are good again after a restart.
    pub(crate) async fn revoke(
        &self,
        id: ClientId,
        now: Timestamp,
        on_revoked: impl FnOnce(&[ClientId]),
    ) -> Result<(), StoreError> {
        let fallen = {
            let mut entries = self.lock();
            let fallen = with_descendants(
                vec![id],
                &entries.iter().map(|entry| (entry.client.id, entry.client.paired_by)),
            );
            entries.retain(|entry| {
                let stays = !fallen.contains(&entry.client.id);
                if !stays {
                    entry.revoked.cancel();
                }
                stays
            });
            fallen
        };
        on_revoked(&fallen);
        self.store.revoke_clients(fallen, now).await.map(drop)
    }

    /// Notes that a client was seen.
    pub(crate) async fn saw(&self, id: ClientId, now: Timestamp) {
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
        self.entries.lock()
    }

    fn passes(&self) -> MutexGuard<'_, Passes> {
        self.passes.lock()
    }
}

/// These and all that they have paired.
fn with_descendants(
    mut found: Vec<ClientId>,
    all: &(impl Iterator<Item = (ClientId, Option<ClientId>)> + Clone),
) -> Vec<ClientId> {
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = all.clone().filter(|(_, by)| *by == Some(parent)).map(|(id, _)| id);
        let new: Vec<_> = children.filter(|id| !found.contains(id)).collect();
        found.extend(new);
    }
    found
}

fn no_chance(error: getrandom::Error) -> Problem {
    Problem::new(ProblemCode::System, format!("The system's random source failed: {error}."))
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
fn sanitized(name: &str) -> String {
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
enum Verdict {
    /// Answer after this long.
    Slow(Duration),
    /// Answer 429 at once.
    TooMany,
}

/// Slows guessing down, for all guessers together: on loopback they all have the same address.
#[derive(Default)]
struct Throttle {
    wrong: Mutex<VecDeque<Instant>>,
}

impl Throttle {
    /// How far back wrong tries count.
    const WINDOW: Duration = Duration::from_secs(60);
    /// How many of them are answered at all.
    const LIMIT: usize = 10;

    /// Counts a wrong try.
    fn count(&self) -> Verdict {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Verdict {
        let mut wrong = self.wrong.lock();
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
    fn descendants_are_found_whatever_their_order_and_however_they_are_knotted() {
        let id = |n| ClientId(Uuid::from_u128(n));
        let all =
            [(4, Some(3)), (3, Some(1)), (1, None), (2, None), (5, Some(2)), (6, Some(7)), (7, Some(6))]
                .map(|(child, by)| (id(child), by.map(id)));
        let of = |n| {
            let mut found = with_descendants(vec![id(n)], &all.iter().copied());
            found.sort_unstable_by_key(|id| id.0);
            found
        };
        assert_eq!(of(1), [id(1), id(3), id(4)]);
        assert_eq!(of(5), [id(5)]);
        assert_eq!(of(6), [id(6), id(7)]);
    }

    #[test]
    fn a_name_is_one_harmless_line() {
        assert_eq!(sanitized("  Fire\u{1b}[2Jfox\n "), "Fire[2Jfox");
        assert_eq!(sanitized("\n"), "a browser");
        assert_eq!(sanitized("a\u{202e}xoferiF\u{200b}\u{2028}b"), "axoferiFb");
        assert_eq!(sanitized(&"x".repeat(500)).len(), MAX_NAME_CHARS);
    }
}
