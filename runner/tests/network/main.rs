//! The runner from outside: the real binary, raw sockets for HTTP, and a WebSocket client that is not ours.
//!
//! Each test starts a runner of its own on a free port, with a workspace and a state folder that go with it.

#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "a seed that is printed can be played again")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

mod absence;
mod approvals;
mod cli;
#[cfg(target_os = "linux")]
mod confine;
mod crowd;
mod delivery;
#[cfg(target_os = "linux")]
mod exhaustion;
mod fuzz;
mod gate;
mod keyed;
mod kill;
mod long;
mod pairing;
mod proof;
mod relay;
mod revoked;
mod socket;
mod support;
#[cfg(target_os = "linux")]
mod unseen;

/// So that it does not pass for checked where these modules are left away.
#[cfg(not(target_os = "linux"))]
#[test]
fn what_only_linux_does() {
    testkit::left_out(
        "only on Linux: what confines a command, exhausts the system or looks into other processes",
    );
}
