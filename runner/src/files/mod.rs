//! The file tools: reading, writing and editing text inside the workspace, and nowhere else.
//!
//! Everything goes through one directory handle (a capability: neither absolute paths nor `..` nor symbolic
//! links lead out of it; a hard link cannot be told apart). A change is written beside its target, flushed,
//! given the target's mode, journaled with what tells later whether it was made ([`JournalEntry`]), and
//! renamed over the target, so that no reader ever sees half a file; changes are made one at a time. The work
//! runs on threads that may block.

mod approval;
mod change;
mod diff;
mod handle;
mod journal;
mod lines;
mod problem;
mod request;
mod workspace;

pub(crate) use approval::wide;
pub use handle::Files;
pub use journal::JournalEntry;
pub use request::ChangeRequest;
