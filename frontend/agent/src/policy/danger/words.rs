//! Words of a command: what a program is called, what options are set to, and what a rule needs of them.

use super::super::shell::is_assignment;
use super::super::split::Word;
use super::table::{self, lists};

/// What a program is called, wherever it lies: without the case, since some file systems have none, the
/// ending of Windows, and the letter before GNU's programs on other systems.
pub(super) fn name(word: &Word) -> String {
    let name = word.text.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    name.strip_prefix('g').filter(|gnu| lists(table::GNU, gnu)).unwrap_or(name).to_owned()
}

/// What an option is set to, or the word itself.
pub(super) fn value(text: &str) -> &str {
    let begins = text.starts_with('-') || is_assignment(text);
    begins.then(|| text.split_once('=')).flatten().map_or(text, |(_, value)| value)
}

/// The name of the file that a word may stand for, on whatever machine and in whatever folder.
pub(super) fn base(word: &Word) -> String {
    let file = value(&word.text).rsplit(['/', ':']).next().unwrap_or_default();
    let file =
        if word.text.contains("://") { file.split(['?', '#']).next().unwrap_or_default() } else { file };
    // `-ofile`
    match file.strip_prefix("-o") {
        Some(glued) if !glued.starts_with(['-', 'o']) => glued.to_owned(),
        _ if file.starts_with('-') || matches!(file, "." | "..") => String::new(),
        _ => file.to_owned(),
    }
}

/// What options are set to: behind `=`, glued to a letter, or as the next word.
pub(super) fn values(texts: &[&str], options: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        for option in options {
            if text == option {
                found.extend(texts.get(at + 1).map(|value| (*value).to_owned()));
            } else if let Some(rest) = text.strip_prefix(option) {
                let glued = option.len() == 2 && !rest.starts_with('=');
                found.extend(rest.strip_prefix('=').or(glued.then_some(rest)).map(str::to_owned));
            }
        }
    }
    found
}

/// Whether arguments hold all that a rule needs: for each of its words, one of those between `|`. Of one that
/// begins with `!` none of them, and with `^` the first is none of them.
pub(super) fn meets(needs: &str, texts: &[&str]) -> bool {
    needs.split_whitespace().all(|need| {
        let (texts, known, wanted) = match need.split_at(1) {
            ("!", known) => (texts, known, false),
            ("^", known) => (texts.get(..1).unwrap_or_default(), known, false),
            _ => (texts, need, true),
        };
        known.split('|').any(|one| texts.iter().any(|text| fits(one, text))) == wanted
    })
}

/// A single letter after `-` may stand among others, a long option may be short for it or have a value, `*`
/// before it means "somewhere in a word" in any case (with `~` for a space), and `*` behind it "so begins a
/// word".
fn fits(need: &str, text: &str) -> bool {
    match need.as_bytes() {
        [b'*', ..] => text.to_ascii_lowercase().contains(&need[1..].replace('~', " ")),
        [.., b'*'] => text.starts_with(&need[..need.len() - 1]),
        [b'-', b'-', ..] => {
            let name = text.split('=').next().unwrap_or_default();
            name == need || name.len() > 4 && need.starts_with(name)
        }
        [b'-', letter] if letter.is_ascii_alphabetic() => {
            text == need
                || text.len() < 6
                    && text.starts_with('-')
                    && !text.starts_with("--")
                    && text.bytes().any(|b| b == *letter)
        }
        _ => text == need,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), ..Word::default() }
    }

    #[test]
    fn a_program_has_one_name() {
        for (text, expected) in [
            ("/bin/sort", "sort"),
            ("SORT", "sort"),
            ("gsort", "sort"),
            ("python.exe", "python"),
            ("git", "git"),
            ("gh", "gh"),
            ("go", "go"),
            ("", ""),
        ] {
            assert_eq!(name(&word(text)), expected, "{text}");
        }
    }

    #[test]
    fn files_are_known_by_their_last_name() {
        for (text, expected) in [
            ("https://x/a.sh?raw=1", "a.sh"),
            ("host:a.sh", "a.sh"),
            ("-oa", "a"),
            ("--output=d/a", "a"),
            ("of=a", "a"),
            ("-s", ""),
            ("--out", ""),
            ("d/..", ""),
        ] {
            assert_eq!(base(&word(text)), expected, "{text}");
        }
    }

    #[test]
    fn needs_are_met() {
        for (needs, words, expected) in [
            ("", "", true),
            ("a|b", "x b", true),
            ("a c", "a b", false),
            ("!a", "x a", false),
            ("!a", "x", true),
            ("^a|b*", "bc x", false),
            ("^a", "x a", true),
            ("-r", "-xrf", true),
            ("--force", "--forc", true),
            ("*a~b", "xA B", false),
            ("*--prefix=", "--PREFIX=x", true),
            ("b*", "ab", false),
        ] {
            let words: Vec<&str> = words.split_whitespace().collect();
            assert_eq!(meets(needs, &words), expected, "{needs}: {words:?}");
        }
        assert!(meets("*a~b", &["x A b"]));
    }
}
