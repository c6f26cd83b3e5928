//! The agent loop as a pure state machine: [`Agent::handle`] takes an [`Event`] and says by [`Effect`]s what must be done about it.
//!
//! # What runs, what it owns, in what order
//! A [`Pump`] hands one event at a time to the [`Agent`]. The agent decides, writes down what happened as [`record::Entry`]s, folds
//! these into its state, and answers with effects: first `Append` with the entries, then whatever else must be done. The shell
//! performs them in order and keeps every later effect back until the entries are durable. So a reload at any point
//! finds a log that knows of everything that was begun, and folding it again gives the same state.
//!
//! The agent owns the conversation, the queue, the turn, the link's state and the policy. It reads no clock (`now` is an argument),
//! draws no random number (one nonce comes with [`event::Boot`]) and does no I/O: nothing in its `Cargo.toml` could.

pub mod effect;
pub mod event;
pub mod model;
pub mod prices;
pub mod pump;
pub mod record;
pub mod settings;
pub mod view;

pub use effect::{CallId, Effect};
pub use event::Event;
pub use pump::{Pump, Shell};

use shared::Timestamp;

/// The agent of one session.
#[derive(Debug, Default)]
pub struct Agent {}

impl Agent {
    /// An agent that has seen nothing yet. Its first event must be [`Event::Opened`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event and says what must be done about it.
    #[must_use = "effects that are not performed are lost"]
    pub fn handle(&mut self, _now: Timestamp, _event: Event) -> Vec<Effect> {
        Vec::new()
    }
}
