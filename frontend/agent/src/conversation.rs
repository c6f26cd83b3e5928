//! The conversation in nobody's dialect: what the log, the projection, the queue and every model's codec
//! speak.

pub mod block;

pub use block::{Block, Raw, Role, Turn};
