//! The WebSocket of one page: from the upgrade to the farewell.
//!
//! What runs for each socket: a task that reads, decides and fills the queue (`connection`), one that empties
//! the queue (`queue`), and small ones for what takes long: requests, watched output, model calls. All of
//! them end with the socket, but for requests that change something: these are finished, and their replies
//! kept for the next connection. A program's credential was checked before any of this; a page first proves
//! itself (`meet`).

mod calls;
mod connection;
mod handshake;
mod listing;
mod meet;
mod queue;
mod rate_limit;
mod requests;
mod sockets;
mod starts;
mod watches;

pub(crate) use handshake::upgrade;
pub(crate) use sockets::Sockets;
