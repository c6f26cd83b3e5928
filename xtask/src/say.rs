//! Words to the person at the terminal: what is done on standard error, what came of it on standard output.

use std::fmt::Display;

/// One line as it stands, on standard error.
#[expect(clippy::print_stderr, reason = "talking to a person is what this module is for")]
pub(crate) fn line(words: impl Display) {
    eprintln!("{words}");
}

/// What is being done now, set off from the output of the tools that do it.
pub(crate) fn step(words: impl Display) {
    line(format_args!("==> {words}"));
}

/// A size for people.
pub(crate) fn size(bytes: usize) -> String {
    let tenths = (bytes * 10).div_ceil(1024);
    format!("{}.{} KiB", tenths / 10, tenths % 10)
}

/// A line of a result, on standard output.
#[expect(clippy::print_stdout, reason = "a result belongs where scripts can read it")]
pub(crate) fn result(words: impl Display) {
    println!("{words}");
}
