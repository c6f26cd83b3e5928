//! What page and runner must agree on: ids, frames, tasks, file operations, problems and tool schemas.
//!
//! These are wire types. They are never the state of either side, and no state type is ever on the wire.
//!
//! # Compatibility
//! [`protocol::PROTOCOL`] names the major version and is part of the WebSocket subprotocol. Within it fields
//! are only added, always with a default, and unknown fields are ignored by both sides; a frame of an unknown
//! type is ignored by the page and answered with a `problem` by the runner. One example of each frame lies in
//! `shared/frames/` and must parse for ever.

// The derives name this crate from outside, here too.
extern crate self as shared;

pub mod by_itself;
mod confined;
pub mod files;
pub mod ids;
pub mod json;
pub mod output;
pub mod problem;
pub mod proof;
pub mod protocol;
mod sandbox;
pub mod shown;
pub mod task;
pub mod tools;
mod welcome;

pub use ids::{ClientId, Epoch, OpId, Seq, SessionId, TaskId, Timestamp};
pub use problem::{Problem, ProblemCode};
