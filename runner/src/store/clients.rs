//! Paired clients: pages, known by their public key, and programs, known by the hash of their credential.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use shared::proof::KEY_BYTES;
use shared::{ClientId, Timestamp};

use super::error::StoreError;
use super::handle::Store;

/// A browser or program that was paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name for the runner.
    pub id: ClientId,
    /// Its name for people.
    pub name: String,
    /// When it was paired.
    pub created: Timestamp,
    /// When it last came.
    pub seen: Option<Timestamp>,
    /// When it was revoked. Such a client is refused.
    pub revoked: Option<Timestamp>,
    /// The public key by which it proves itself. A program has none.
    pub key: Option<[u8; KEY_BYTES]>,
    /// The client that made its pairing link.
    pub paired_by: Option<ClientId>,
}

const COLUMNS: &str = "id, name, created, seen, revoked, key, paired_by";

fn client(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: ClientId(row.get(0)?),
        name: row.get(1)?,
        created: Timestamp(row.get(2)?),
        seen: row.get::<_, Option<u64>>(3)?.map(Timestamp),
        revoked: row.get::<_, Option<u64>>(4)?.map(Timestamp),
        key: row.get(5)?,
        paired_by: row.get::<_, Option<uuid::Uuid>>(6)?.map(ClientId),
    })
}

/// All clients with their hashes.
pub(super) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<(Client, [u8; 32])>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS}, hash FROM clients ORDER BY created, id"))?
        .query_map([], |row| Ok((client(row)?, row.get(7)?)))?
        .collect()
}

impl Store {
    /// Remembers a client, with the SHA-256 of its credential, or of something that nobody knows if it has a
    /// key.
    ///
    /// # Errors
    /// The store cannot be written, or the id or hash is known already.
    pub async fn add_client(&self, client: Client, hash: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO clients (id, hash, name, created, key, paired_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    client.id.0,
                    hash,
                    client.name,
                    client.created.0,
                    client.key,
                    client.paired_by.map(|by| by.0)
                ])
                .map(drop)
        })
        .await
    }

    /// The client with this hash, revoked or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find_client(&self, hash: [u8; 32]) -> Result<Option<Client>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM clients WHERE hash = ?1"))?
                .query_row([hash], client)
                .optional()
        })
        .await
    }

    /// All clients with the hashes of their credentials, in the order they were paired: what authentication
    /// holds in memory.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list_clients(&self) -> Result<Vec<(Client, [u8; 32])>, StoreError> {
        self.read(read_all).await
    }

    /// Revokes clients, all or none, and says whether one of them was not revoked yet.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn revoke_clients(&self, ids: Vec<ClientId>, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let mut update = connection
                .prepare_cached("UPDATE clients SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL")?;
            let mut changed = 0;
            for id in &ids {
                changed += update.execute(params![id.0, now.0])?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Notes that a client came.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn touch_client(&self, id: ClientId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE clients SET seen = ?2 WHERE id = ?1")?
                .execute(params![id.0, now.0])
                .map(drop)
        })
        .await
    }
}
