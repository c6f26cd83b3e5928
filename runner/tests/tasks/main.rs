//! Tasks, store and files with real processes and a real disk. One binary, since linking is slow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]
#![expect(clippy::print_stdout, reason = "one test speaks to another over it")]

mod bounds;
mod common;
#[cfg(target_os = "linux")]
mod corpus;
mod delivery;
mod files;
mod hostile;
mod journal;
mod old_stores;
mod pause;
#[cfg(target_os = "linux")]
mod read_only;
mod reuse;
mod silent;
mod stream;
mod supervision;
mod watch;

/// So that it does not pass for checked where these modules are left away.
#[cfg(not(target_os = "linux"))]
#[test]
fn what_only_linux_does() {
    testkit::left_out("only on Linux: what is held to reading, and how");
}
