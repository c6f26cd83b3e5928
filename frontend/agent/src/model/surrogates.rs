//! Halves of surrogate pairs, which are no characters: some servers cut a text between the two, and send each
//! in a piece of its own.

use serde_json::Value;

/// The halves at the ends of a piece, whose other halves may be in the pieces beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves {
    /// The second half of a character, at the start.
    pub(super) low: Option<u16>,
    /// The first half of a character, at the end.
    pub(super) high: Option<u16>,
}

/// Reads JSON; halves that are alone are replaced.
pub(super) fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&mend(text, None))).ok()
}

/// Reads JSON that holds a piece of a text. Halves at the ends of strings are taken out and given beside it.
pub(super) fn parse_piece(text: &str) -> Option<(Value, Halves)> {
    let mut halves = Halves::default();
    let value =
        serde_json::from_str(text).or_else(|_| serde_json::from_str(&mend(text, Some(&mut halves)))).ok()?;
    Some((value, halves))
}

/// What two halves make: a character, the mark of a half without the other, or nothing if there is neither.
pub(super) fn join(high: Option<u16>, low: Option<u16>) -> Option<char> {
    let mut read = char::decode_utf16(high.into_iter().chain(low));
    Some(read.next()?.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// The text without halves that are alone: those at the ends of strings go into `ends` if there is one, the
/// others are replaced.
fn mend(text: &str, mut ends: Option<&mut Halves>) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::with_capacity(text.len());
    let (mut at, mut inside, mut start) = (0, false, 0);
    while let Some(found) = text[at..].find(['\\', '"']) {
        mended.push_str(&text[at..at + found]);
        at += found;
        if text[at..].starts_with('"') {
            inside = !inside;
            mended.push('"');
            at += 1;
            start = at;
            continue;
        }
        let length = match unit(at) {
            Some(0xD800..=0xDBFF) if unit(at + 6).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low)) => 12,
            Some(half @ 0xD800..=0xDFFF) => {
                let is_low = half >= 0xDC00;
                let at_end = if is_low { at == start } else { text[at + 6..].starts_with('"') };
                match &mut ends {
                    Some(ends) if inside && at_end && is_low => ends.low = Some(half),
                    Some(ends) if inside && at_end => ends.high = Some(half),
                    _ => mended.push_str("\\uFFFD"),
                }
                at += 6;
                continue;
            }
            Some(_) => 6,
            None => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        mended.push_str(&text[at..at + length]);
        at += length;
    }
    mended + &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn halves_that_are_alone_are_replaced() {
        for (written, read) in [
            (r"\ud83d\ude42", "🙂"),
            (r"\ud83d", "\u{fffd}"),
            (r"\ude42x\\ud83d", "\u{fffd}x\\ud83d"),
            (r"\ud83d\ud83d\ude42\n", "\u{fffd}🙂\n"),
            (r"\ud83dé\", "\u{fffd}é"),
        ] {
            let text = format!("\"{}\"", written.trim_end_matches('\\'));
            assert_eq!(parse(&text), Some(Value::from(read)), "{written}");
        }
        assert_eq!(parse(r#""\ud83"#), None);
        assert_eq!(parse("\"\\ud83d\\"), None);
    }

    #[test]
    fn halves_at_the_ends_of_a_piece_are_kept_for_their_neighbours() {
        let (high, low) = (Some(0xD83D), Some(0xDE42));
        for (written, read, halves) in [
            (r"a\ud83d", "a", Halves { low: None, high }),
            (r"\ude42b", "b", Halves { low, high: None }),
            (r"\ude42b\ud83d", "b", Halves { low, high }),
            (r"\ude42", "", Halves { low, high: None }),
            (r#"\"\ude42\ud83d\""#, "\"\u{fffd}\u{fffd}\"", Halves::default()),
            (r"\ud83d\ude42", "🙂", Halves::default()),
        ] {
            let piece = parse_piece(&format!("{{\"text\":\"{written}\"}}"));
            assert_eq!(piece, Some((serde_json::json!({ "text": read }), halves)), "{written}");
        }
        assert_eq!(join(high, low), Some('🙂'));
        for (high, low) in [(high, None), (None, low)] {
            assert_eq!(join(high, low), Some('\u{fffd}'));
        }
        assert_eq!(join(None, None), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r#"(\\|u|d83d|de42|é|"|x){0,12}"#) {
            let _ = parse(&text);
            let _ = parse_piece(&text);
        }
    }
}
