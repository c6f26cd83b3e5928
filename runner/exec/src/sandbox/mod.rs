//! `read_only`: what runs without a question, held by the system to reading.
//!
//! The agent starts `meanwhile __sandbox SHELL -c COMMAND`, one process that gives up its rights for good and
//! then becomes the shell. On Linux, in this order: limits (no file may grow, no core, processor time,
//! processes), Landlock (reads the paths of a [`spec::Spec`], runs programs from some of them, writes
//! `/dev/null`; no TCP, no abstract socket, no signal to anybody outside), and last a list of the system
//! calls that reading takes (`calls`); whatever is not on it does not exist. On macOS limits, and then
//! `sandbox-exec` with a profile. If one of them fails, the command does not run. The runner tries the same
//! once at its start, on a thread or in a process that ends at once, and offers `read_only` only where that
//! went well.

#[cfg(target_os = "linux")]
mod calls;
mod enter;
mod git;
mod limit;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(any(not(target_os = "linux"), test))]
mod profile;
mod spec;

pub(crate) use enter::command;
pub use enter::{SUBCOMMAND, main};
#[cfg(target_os = "linux")]
pub use linux::tried;
#[cfg(not(target_os = "linux"))]
pub use macos::tried;
pub use spec::Ground;
