//! What the tests stand on: real parts where they exist, faithful ones of our own where they do not.
//!
//! [`runner::Runner`] is the real binary with a workspace and a state folder of its own.
//! [`fake_anthropic::FakeAnthropic`] is a scripted model server that checks every request against the message
//! rules. [`cable::Cable`] lies between a client and the runner and can be cut. [`native_shell::Session`]
//! runs the agent's loop without a browser, [`browser::Browser`] with one.
//!
//! Every wait is bounded and on a condition: [`wait`] holds the bounds. Pauses are [`gate::Gate`]s that a
//! test opens.

pub mod browser;
pub mod cable;
pub mod delivered;
pub mod fake_anthropic;
pub mod fake_chat;
pub mod gate;
pub mod log;
pub mod native_shell;
pub mod runner;
pub mod stage;
pub mod view;

pub use testkit::{process, wait};
