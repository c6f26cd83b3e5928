//! Doors for the fuzz targets in `tests/fuzz`: the parsers that are nobody else's affair, as functions of bytes.

use std::path::Path;

use crate::shim::wire::{self, Exited, FromShim, ToShim};
use crate::state_dir::StateDir;
use crate::store::Store;

/// The shim's end of the wire: the bytes in pieces of `step`. How many frames were read, and whether the rest is wrong.
pub fn wire_to_shim(bytes: &[u8], step: usize) -> (usize, bool) {
    frames::<ToShim>(bytes, step)
}

/// The runner's end of the wire.
pub fn wire_from_shim(bytes: &[u8], step: usize) -> (usize, bool) {
    frames::<FromShim>(bytes, step)
}

fn frames<T: for<'de> serde::Deserialize<'de>>(bytes: &[u8], step: usize) -> (usize, bool) {
    let (mut buffer, mut count) = (Vec::new(), 0);
    for piece in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match wire::decode::<T>(&mut buffer) {
                Ok(Some(_)) => count += 1,
                Ok(None) => break,
                Err(_) => return (count, true),
            }
        }
    }
    (count, false)
}

/// A shim's exit record.
pub fn exit_record(bytes: &[u8]) -> bool {
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
