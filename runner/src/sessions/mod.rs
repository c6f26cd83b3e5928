//! What pages share beyond one connection: who holds which session's lease (`hub`), and that no operation is
//! done twice (`operations`). Nothing here knows how a page is connected.

pub(crate) mod hub;
mod operations;

pub use operations::{Content, Memory, Operations};
