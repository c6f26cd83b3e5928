//! Understands what is to be written: which file, and what into it.

use super::tokens::{Token, is_one, place_of, trimmed};
use super::wishes::{File, Wish};

/// What is to be written, from the verb `at` on: quotes and words are told apart by the words before them.
pub(super) fn write(text: &str, tokens: &[Token<'_>], at: usize) -> Wish {
    const WITH: &str = "with containing contains saying says content contents text reading reads";
    const NO_NAME: &str = "with that which while in called named and saying containing for of to at on then now please it here \
meanwhile too also about there where";
    let mut file: Option<File> = None;
    let mut words_from = None;
    for (place, token) in tokens.iter().enumerate().skip(at + 1) {
        let before = tokens[place - 1].word.as_str();
        let next = tokens.get(place + 1).map_or("", |next| next.word.as_str());
        let named = matches!(before, "named" | "called");
        let placed = is_one(before, "to into file note as") || place == at + 1;
        if token.quoted {
            let file = file.get_or_insert_default();
            let is_content = is_one(before, WITH) || before == "write" || is_one(next, "to into in as");
            if !is_content && file.name.is_none() {
                file.name = Some(token.text.to_owned());
            } else {
                file.content = Some(token.text.to_owned());
            }
        } else if token.is("file note") {
            file.get_or_insert_default();
        } else if file.as_ref().and_then(|file| file.name.as_ref()).is_none()
            && (named
                || (placed || is_one(before, WITH) || before == "a") && is_file_name(&token.word)
                || before == "file" && !token.is(NO_NAME))
        {
            file.get_or_insert_default().name = Some(trimmed(token.text).to_owned());
        } else if token.is(WITH) && words_from.is_none() {
            words_from = Some(place + 1);
        }
    }
    let Some(mut file) = file.filter(|file| *file != File::default() || mentions_file(tokens)) else {
        return Wish::Unknown(text.to_owned());
    };
    if tokens[at].is("add") && !mentions_file(tokens) {
        // What is added to a file must not take the place of what is in it.
        return Wish::Unknown(text.to_owned());
    }
    let skipped = |place: &usize| {
        tokens.get(*place).is_some_and(|token| token.is("the words word content contents text line"))
    };
    if file.content.is_none()
        && let Some(from) =
            words_from.map(|from| (from..tokens.len()).find(|place| !skipped(place)).unwrap_or(from))
        && let (Some(first), Some(last)) = (tokens.get(from), tokens.last())
        && !file.name.as_ref().is_some_and(|name| first.text.contains(name.as_str()))
    {
        file.content = Some(text[first.start..last.end].trim_end_matches(['.', '!', ',', ';']).to_owned());
    }
    Wish::Write(file)
}

fn mentions_file(tokens: &[Token<'_>]) -> bool {
    place_of(tokens, "file note").is_some()
}

pub(super) fn is_file_name(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && !ending.is_empty()
            && ending.len() <= 10
            && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
