//! The binary `meanwhile`.
//!
//! What runs: two hidden subcommands are told apart before anything else, so that each stays one small
//! process: `__agent`, which stands above one task's processes, and `__sandbox`, which becomes a command that
//! only reads. Everything else is the command line: settings, state folder, socket, then
//! `runner::server::run` until Ctrl-C or TERM. A second signal ends the process at once, and so does a panic.

use std::process::ExitCode;

use clap::Parser as _;
use runner::cli::Cli;
use runner::launch;

fn main() -> ExitCode {
    runner::panic::end_on_panic();
    // Who started this may have blocked signals; a mask is inherited by all that is started, and nothing here
    // wants one. It cannot fail for the mask of one's own thread.
    let _unblocked = nix::sys::signal::SigSet::all().thread_unblock();
    let subcommand = std::env::args_os().nth(1);
    if subcommand.as_ref().is_some_and(|argument| argument == exec::local::SUBCOMMAND) {
        return exec::agent::main();
    }
    if subcommand.is_some_and(|argument| argument == exec::sandbox::SUBCOMMAND) {
        return exec::sandbox::main();
    }
    launch::main(Cli::parse())
}
