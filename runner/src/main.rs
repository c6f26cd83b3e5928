//! The binary `meanwhile`.
//!
//! What runs: the hidden subcommand `__shim`, which is one task's supervisor, is told apart before anything else, so that
//! it stays one small process of one thread. Everything else is the command line: settings, state folder, socket, then
//! [`runner::server::run`] until Ctrl-C or TERM. A second signal ends the process at once.

use std::process::ExitCode;

use clap::Parser as _;
use runner::cli::Cli;
use runner::launch;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "__shim") {
        return runner::shim::main();
    }
    launch::main(Cli::parse())
}
