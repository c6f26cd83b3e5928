//! The agent loop as a pure state machine: [`Agent::handle`] takes an [`Event`] and says by [`Effect`]s what
//! must be done about it.
//!
//! # What runs, what it owns, in what order
//! A [`Pump`] hands one event at a time to the [`Agent`]. The agent decides, writes down what happened as
//! [`record::Entry`]s, folds these into its state, and answers with effects: first `Append` with the entries,
//! then whatever else must be done. The shell runs them in order and keeps every later effect back until the
//! entries are durable. So a reload at any point finds a log that knows of everything that was begun, and
//! folding it again gives the same state.
//!
//! The agent owns the conversation, the queue, the turn, the link's state and the policy. It reads no clock
//! (`now` is an argument), draws no random number (one nonce comes with [`event::Boot`]) and does no I/O:
//! nothing in its `Cargo.toml` could.

pub mod agent;
pub mod backoff;
pub mod call;
pub mod clock;
pub mod conversation;
pub mod effect;
pub mod event;
pub mod link;
pub mod model;
pub mod notice;
pub mod policy;
pub mod projection;
pub mod pump;
pub mod queue;
pub mod read_only_refusal;
pub mod record;
pub mod session;
pub mod settings;
pub mod tabs;
pub mod tools;
pub mod transcript;
pub mod uses;
pub mod view;

pub use agent::Agent;
pub use call::CallId;
pub use effect::Effect;
pub use event::Event;
pub use pump::{Pump, Shell};
