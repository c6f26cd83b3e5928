//! Entry points for the fuzz targets in `tests/fuzz`: the parsers that are nobody else's affair, as functions
//! of bytes.

use std::path::Path;

use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use exec::frames::{Exited, FrameBuffer, FromAgent, ToAgent};
use shared::Timestamp;

use crate::auth::Clients;
use crate::http::gate::{self, Gate};
use crate::state_dir::StateDir;
use crate::store::Store;
use crate::{page, relay};

/// The agent's end of the wire: the bytes in pieces of `step`. How many frames were read, and whether the
/// rest is wrong.
pub fn wire_to_agent(bytes: &[u8], step: usize) -> (usize, bool) {
    frames::<ToAgent>(bytes, step)
}

/// The runner's end of the wire.
pub fn wire_from_agent(bytes: &[u8], step: usize) -> (usize, bool) {
    frames::<FromAgent>(bytes, step)
}

fn frames<T: for<'de> serde::Deserialize<'de>>(bytes: &[u8], step: usize) -> (usize, bool) {
    let (mut buffer, mut count) = (FrameBuffer::default(), 0);
    for piece in bytes.chunks(step.max(1)) {
        buffer.space().extend_from_slice(piece);
        loop {
            match buffer.take_frame::<T>() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break,
                Err(_) => return (count, true),
            }
        }
    }
    (count, false)
}

/// An agent's exit file.
pub fn exit_file(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Exited>(bytes).is_ok()
}

/// A state folder with these bytes as its store, and what is wrong with them in the end.
///
/// # Panics
/// If the folder cannot be used at all.
pub fn store(folder: &Path, bytes: &[u8]) -> Option<String> {
    let state = StateDir::open(folder).expect("the folder is the test's own");
    for suffix in ["", "-wal", "-shm"] {
        // What is not there need not go.
        let _absent = std::fs::remove_file(folder.join(format!("meanwhile.db{suffix}")));
    }
    std::fs::write(folder.join("meanwhile.db"), bytes).expect("the folder is the test's own");
    match Store::open(&state) {
        Ok(store) => store.warning().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    }
}

/// Output as text for the model.
pub fn clean(bytes: &[u8]) -> String {
    crate::tasks::clean(bytes)
}

/// The checks before every request, of a runner with one client.
pub struct GateTarget {
    gate: Gate,
    /// What the client shows.
    pub credential: String,
}

impl GateTarget {
    /// Over a store in this folder.
    ///
    /// # Panics
    /// If the folder cannot be used.
    pub async fn open(folder: &Path, port: u16) -> Self {
        let state = StateDir::open(folder).expect("the folder is the test's own");
        let store = Store::open(&state).expect("the store is new");
        let clients = Clients::open(store).await.expect("the store is new");
        let (_, credential) = clients.add("a program", None, Timestamp(1)).await.expect("it is the first");
        let gate = Gate::new([127, 0, 0, 1].into(), port, &[], clients);
        Self { gate, credential: credential.expose().to_owned() }
    }

    /// Whether a request gets in.
    pub async fn admits(&self, request: &mut Request) -> bool {
        self.gate.admit(request).await.is_ok()
    }
}

/// Whether everybody may ask for this.
pub fn is_public(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) && !is_handshake(headers) {
        page::lookup(path, "").is_some()
    } else {
        *method == Method::POST && path == gate::PAIR_PATH
    }
}

/// Whether a request wants to become something else.
pub fn is_handshake(headers: &HeaderMap) -> bool {
    gate::is_handshake(headers)
}

/// The method that the relay calls this with, if it knows it.
pub fn relay_method(target: &str) -> Option<Method> {
    relay::method_of(target)
}
