//! Tests of the core. The same ones run natively and on wasm32.

#![expect(clippy::unwrap_used, reason = "what fails in a test's own world ends the test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

mod api;
mod approvals;
mod chat_api;
mod contract;
mod delivery;
mod demo;
mod intake;
mod old_logs;
#[cfg(not(target_arch = "wasm32"))]
mod read_by_model;
mod refused;
mod rig;
mod sim;
mod simulation;
mod tabs;
mod telling;
mod turns;
mod vendors;
