//! Refusals that say what to do.

use std::io;

use shared::{Problem, ProblemCode};

/// Bytes at a file's beginning in which a zero byte means "binary".
const SNIFF: usize = 8 * 1024;

pub(super) fn refuse_binary(path: &str, beginning: &[u8]) -> Result<(), Problem> {
    let message = match beginning {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            "is UTF-16 text, and only UTF-8 is read. Convert it with a command such as iconv."
        }
        _ if beginning.iter().take(SNIFF).any(|byte| *byte == 0) => {
            "is a binary file. Use a command such as file, xxd or strings."
        }
        _ => return Ok(()),
    };
    Err(Problem::new(ProblemCode::NotText, format!("{path} {message}")))
}

pub(super) fn not_utf8(path: &str) -> Problem {
    let message = format!(
        "{path} is not valid UTF-8. Convert it with a command such as iconv, or look at it with xxd."
    );
    Problem::new(ProblemCode::NotText, message)
}

pub(super) fn system(path: &str, error: &io::Error) -> Problem {
    Problem::new(ProblemCode::System, format!("{path}: {error}."))
}

/// Says what is nearly there.
pub(super) fn no_match(path: &str, old: &str, wanted: &str) -> Problem {
    let first = wanted.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let near = old.lines().position(|line| !first.is_empty() && line.trim() == first);
    let hint = near.map_or_else(String::new, |at| {
        format!(" Line {} is like its first line; the rest or the spaces differ.", at + 1)
    });
    let message =
        format!("The text to replace is not in {path}.{hint} Read the file again and give the text exactly.");
    Problem::new(ProblemCode::NoMatch, message)
}
