//! What every test of the real runner stands on, and what measures it.
//!
//! [`runner::Runner`] is the binary with a folder of its own: workspace, state, home and log. [`http`] and
//! [`socket`] are clients that are not ours. [`process`] sees processes from outside. Whatever waits has a
//! bound, in [`wait`], and panics with what it waited for.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

pub mod http;
pub mod process;
pub mod runner;
pub mod socket;
pub mod wait;

/// Says that a test cannot be made here, past the harness that keeps what passing tests print: `cargo xtask
/// test` counts it.
pub fn left_out(why: &str) {
    let _told = std::io::Write::write_all(&mut std::io::stdout(), format!("\nLEFT OUT: {why}\n").as_bytes());
}
