//! The store: one `SQLite` file that remembers tasks, undelivered events, operations and paired clients.
//!
//! One thread owns the writing connection. Jobs come to it over a channel, in order; it runs as many as are
//! waiting in one transaction, so that many small changes share one flush to the disk, and only then tells
//! their senders. A job that *must* happen (the end of a task) is tried again every second while the disk is
//! full or failing; any other fails at once, so that a full disk refuses new work and loses no result. A job
//! that *may wait*, since nobody waits for it and its loss in a crash would be harmless, shares the flush of
//! the next one that may not, if that comes soon. Reads use a second connection.
//!
//! A store that `SQLite` finds corrupt, or with rows that cannot be read, is moved aside under a dated name
//! and a new one, with a new epoch, takes its place; [`Store::warning`] says so.

mod clients;
mod error;
mod handle;
mod open;
mod ops;
pub(crate) mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use clients::Client;
pub use error::StoreError;
pub use handle::Store;
pub(crate) use open::LOGS;
pub use ops::JournalRow;
#[cfg(test)]
pub(crate) use schema::in_memory;
