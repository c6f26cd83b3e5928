//! A link as a QR code for terminals: two modules a character, by half blocks.
//!
//! With colours, dark is black and light is white whatever the terminal's own colours are. Without, the
//! filled half blocks are the light modules, which is right on a dark ground, and which cameras read on a
//! light one too.

use std::fmt::Write as _;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code, with the quiet zone around it and a line end behind each of its lines. `None` if the link is too
/// long.
pub(crate) fn code(link: &str, colours: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    if !colours {
        renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let mut text = String::new();
    for line in renderer.build().lines() {
        // Black on bright white, and the terminal's own behind it.
        let (before, after) = if colours { ("\x1b[30;107m", "\x1b[0m") } else { ("", "") };
        writeln!(text, "{before}{line}{after}").ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "http://127.0.0.1:8757/#pair=BdpEhTYtfDLoRmQ82DtNrw";

    /// What a camera reads where `dark` says so of a character's upper and lower half.
    fn read(text: &str, dark: impl Fn(char) -> (bool, bool)) -> String {
        const MODULE: usize = 4;
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (lines[0].len() * MODULE, lines.len() * 2 * MODULE);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            let (upper, lower) = dark(lines[y / MODULE / 2][x / MODULE]);
            let dark = if (y / MODULE).is_multiple_of(2) { upper } else { lower };
            if dark { 0 } else { 255 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "{text}");
        grids[0].decode().unwrap().1
    }

    fn filled(block: char) -> (bool, bool) {
        match block {
            '█' => (true, true),
            '▀' => (true, false),
            '▄' => (false, true),
            ' ' => (false, false),
            other => panic!("{other:?} is no half block"),
        }
    }

    #[test]
    fn a_camera_reads_the_link() {
        let coloured = code(LINK, true).unwrap().replace("\x1b[30;107m", "").replace("\x1b[0m", "");
        assert_eq!(read(&coloured, filled), LINK);
        let plain = code(LINK, false).unwrap();
        assert!(!plain.contains('\x1b'));
        let empty = |block| {
            let (upper, lower) = filled(block);
            (!upper, !lower)
        };
        assert_eq!(read(&plain, empty), LINK);
    }

    #[test]
    fn it_fits_a_terminal_and_what_is_too_long_is_none() {
        let text = code(LINK, false).unwrap();
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(code(&"x".repeat(10_000), true), None);
    }
}
