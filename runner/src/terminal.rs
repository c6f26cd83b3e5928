//! The terminal: what others named, printed or asked for reaches it as signs that can be seen, and that it
//! does not obey.

use std::io::{self, Write};

use shared::shown;
use tracing_subscriber::fmt::MakeWriter;

/// Standard error for the log. Its writer colours lines by escapes of its own, and has made those in a line's
/// text visible before.
pub(crate) struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(seen(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn seen(text: &str) -> String {
    text.split_inclusive('\u{1b}')
        .map(|piece| match piece.strip_suffix('\u{1b}') {
            Some(text) => shown::block(text) + "\u{1b}",
            None => shown::block(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_hides_nothing_and_keeps_its_colours() {
        assert_eq!(
            seen("\u{1b}[32mINFO\u{1b}[0m a\u{202e}b\u{200b}\r\n"),
            "\u{1b}[32mINFO\u{1b}[0m a\\u{202e}b\\u{200b}\\r\n"
        );
    }
}
