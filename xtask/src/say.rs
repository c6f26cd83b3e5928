//! Words to the person at the terminal, on standard error.

use std::fmt::Display;

/// One line as it stands.
#[expect(clippy::print_stderr, reason = "talking to a person is what this module is for")]
pub(crate) fn line(words: impl Display) {
    eprintln!("{words}");
}

/// What is being done now, set off from the output of the tools that do it.
pub(crate) fn step(words: impl Display) {
    line(format_args!("==> {words}"));
}
