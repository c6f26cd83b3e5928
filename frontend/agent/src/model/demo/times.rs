//! What a part of a wish says of when it is done: while something runs, or once it has ended; and where a loop of the shell says neither.

use super::commands::begins_command;
use super::tokens::{Token, place_of, tokens};

const RUNS: &str = "runs running run works working going goes on happens sleeps sleeping waits executes \
building builds";
const THOSE: &str = "it it's that that's this they they're these those is are still the task tasks command \
commands first other one both all of them job jobs process in background busy you wait waiting we does its";

fn is_of(word: &Token<'_>, list: &str) -> bool {
    !word.quoted && list.split(' ').any(|listed| listed == word.word)
}

/// Loops and conditions of the shell, as places of their first and last words.
pub(super) fn shell_blocks(words: &[Token<'_>]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let (inner, end) = match word.text {
            "for" | "while" | "until" | "select" => ("do", "done"),
            "if" => ("then", "fi"),
            "case" => ("in", "esac"),
            _ => continue,
        };
        let behind = || words.iter().enumerate().skip(place + 1).filter(|(_, word)| !word.quoted);
        let opened = behind().any(|(_, word)| word.text == inner);
        let closed = behind().rfind(|(_, word)| word.text.trim_end_matches([';', ',', '.', ')']) == end);
        if let (true, Some((last, _))) = (opened, closed) {
            blocks.push((place, last));
        }
    }
    blocks
}

/// Where `while it runs` ends that begins here, if that is all it says.
pub(super) fn idle_while(words: &[Token<'_>], place: usize) -> Option<usize> {
    if !words.get(place)?.is("while whilst") {
        return None;
    }
    let said = words[place + 1..].iter().take_while(|word| is_of(word, RUNS) || is_of(word, THOSE));
    let mut end = place + 1;
    for word in said {
        end += 1;
        if word.text.ends_with([',', ';', '.', '!', '?']) {
            break;
        }
    }
    (end > place + 1).then_some(end)
}

/// A text without its `while it runs`, and whether there was one.
pub(super) fn without_while(text: &str) -> (String, bool) {
    let words = tokens(text);
    let blocks = shell_blocks(&words);
    let found = (0..words.len()).find_map(|place| {
        let end = idle_while(&words, place)
            .filter(|_| !blocks.iter().any(|(from, to)| (*from..=*to).contains(&place)))?;
        Some((place, end))
    });
    remove(text, &words, found)
}

/// What a command is run for, and what is done meanwhile: `list the files while "sleep 3" runs`.
pub(super) fn while_command(text: &str) -> Option<(String, String)> {
    let words = tokens(text);
    if !shell_blocks(&words).is_empty() {
        return None;
    }
    let at = place_of(&words, "while whilst")?;
    let end = words[at + 1..]
        .iter()
        .position(|word| !word.quoted && word.text.ends_with(','))
        .map_or(words.len(), |place| at + place + 2);
    let runs = |word: &Token<'_>| is_of(word, RUNS) || is_of(word, THOSE) || word.is("executing i");
    let inner = &words[at + 1..end];
    let from = inner.iter().position(|word| !runs(word))?;
    let until = inner.iter().rposition(|word| !runs(word))?;
    let ([first, .., last] | [first @ last]) = &inner[from..=until] else { return None };
    if !first.quoted && !begins_command(first.text) {
        return None;
    }
    let command = text[first.start..last.end].trim_end_matches(',').to_owned();
    let (rest, _) = remove(text, &words, Some((at, end)));
    Some((command, rest))
}

/// A text without its `when it is done`, and whether there was one.
pub(super) fn without_after(text: &str) -> (String, bool) {
    let words = tokens(text);
    let found = (0..words.len()).find_map(|place| Some((place, after_phrase(&words, place)?)));
    remove(text, &words, found)
}

/// Where `when it is done` ends that begins here.
pub(super) fn after_phrase(words: &[Token<'_>], place: usize) -> Option<usize> {
    const IT: &str = "it it's that that's this they they're those these both all everything of them is are was has have been the task tasks \
command commands job jobs process processes sleep build background test tests run one first last soon as you to";
    const DONE: &str = "done finished finishes finish finishing ended ends end completes completed complete ready over through exits exited \
stopped stops";
    if !words.get(place)?.is("when once after as until till") {
        return None;
    }
    let rest = &words[place + 1..];
    let said = rest.iter().take_while(|word| is_of(word, IT)).count();
    let ends = rest.get(said).is_some_and(|word| is_of(word, DONE));
    (ends && said > 0).then_some(place + 2 + said)
}

fn remove(text: &str, words: &[Token<'_>], found: Option<(usize, usize)>) -> (String, bool) {
    let Some((from, to)) = found else { return (text.to_owned(), false) };
    let head = text[..words[from].start].trim_end();
    let tail = words.get(to).map_or("", |word| &text[word.start..]);
    (format!("{head} {tail}").trim().trim_end_matches(',').to_owned(), true)
}
