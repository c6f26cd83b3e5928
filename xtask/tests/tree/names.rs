//! The field's words: names of our own that were given up for them do not come back.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check;

/// Types, functions and files that had these names. In prose they are words like any other.
const GONE: &[&str] = &[
    "Arrived",
    "Calling",
    "Decided",
    "Desk",
    "Excerpt",
    "Film",
    "Glyph",
    "Guest",
    "Heard",
    "Ink",
    "Intended",
    "Intent",
    "Kit",
    "Lack",
    "LeftWords",
    "Moment",
    "Owed",
    "Paced",
    "Passing",
    "Patience",
    "Pen",
    "Place",
    "Resay",
    "Says",
    "Scarcity",
    "Seat",
    "Sheet",
    "Shelf",
    "Slip",
    "Spare",
    "Stick",
    "Supervisor",
    "Tone",
    "Took",
    "Trouble",
    "Twin",
    "Unsay",
    "UserEvent",
    "Want",
    "Whole",
    "announce",
    "bell",
    "credits",
    "cues",
    "desk",
    "dismiss",
    "dressed",
    "excerpt",
    "excerpt_chars",
    "film",
    "glyph",
    "guest",
    "harmless",
    "inert",
    "ink",
    "kit",
    "knock",
    "lack",
    "left_behind",
    "left_words",
    "let_go_on",
    "linger",
    "paced",
    "passing",
    "relist",
    "remarks",
    "resaid",
    "resay",
    "retire",
    "scarcity",
    "seat",
    "settling",
    "sheet",
    "shelf",
    "spare",
    "stick",
    "unsay",
    "vouch",
];

/// Names that were given up in a folder, except where they are the field's own: a shell reads words.
const GONE_THERE: &[(&str, &str, &[&str])] = &[
    (
        "frontend/agent",
        "frontend/agent/src/policy",
        &["Fault", "Told", "Words", "fault", "fixed", "floor", "go_on", "perform", "said", "tone", "words"],
    ),
    ("tests", "", &["Told", "fault", "go_on", "inert", "words"]),
];

/// Classes of styles that had these names.
const GONE_CLASSES: &[&str] =
    &["film", "glyph", "kit", "shelf", "stick", "tone", "trouble", "twin", "unseen"];

/// What stands outside of comments and texts.
fn identifiers(rust: &str) -> impl Iterator<Item = &str> {
    rust.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split('"').step_by(2))
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

fn classes(css: &str) -> impl Iterator<Item = &str> {
    css.split('.').skip(1).map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').next().unwrap_or_default()
    })
}

fn complaints<'a>(names: impl Iterator<Item = &'a str>, gone: &[&str]) -> Vec<String> {
    let found: BTreeSet<&str> = names.filter(|name| gone.contains(name)).collect();
    found.into_iter().map(|name| format!("`{name}` is a name that was given up")).collect()
}

fn of_code(path: &Path, text: &str) -> Vec<String> {
    let parts = path.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs"));
    let module = path.with_extension("");
    let there = GONE_THERE
        .iter()
        .filter(|(folder, but, _)| path.starts_with(folder) && (but.is_empty() || !module.starts_with(but)));
    let gone: Vec<&str> = GONE.iter().chain(there.flat_map(|(_, _, names)| *names)).copied().collect();
    complaints(parts.chain(identifiers(text)), &gone)
}

fn of_styles(text: &str) -> Vec<String> {
    complaints(classes(text), GONE_CLASSES)
}

#[test]
fn names_that_were_given_up_stay_so() {
    check(&["rs"], of_code);
    check(&["css"], |_, text| of_styles(text));
}

#[test]
fn a_name_may_be_gone_in_one_folder_alone() {
    let code = "fn a(words: &str) {}";
    for (file, count) in [
        ("frontend/agent/src/queue.rs", 1),
        ("frontend/agent/src/words.rs", 1),
        ("frontend/agent/src/policy.rs", 0),
        ("frontend/agent/src/policy/split.rs", 0),
        ("frontend/src/ui/queue.rs", 0),
        ("tests/it/queue.rs", 1),
    ] {
        assert_eq!(of_code(Path::new(file), code).len(), count, "{file}");
    }
}

#[test]
fn a_name_that_comes_back_is_seen() {
    let code =
        "//! The desk.\nfn a(seat: &Seat) -> &str {\n    \"a desk\" // Film\n}\nstruct Desks(u8, Film);\n";
    assert_eq!(of_code(Path::new("a/film.rs"), code).len(), 4, "{:?}", of_code(Path::new("a/film.rs"), code));
    assert_eq!(of_styles(".a.shelf > .trouble-b, a.unseen { width: 1.5em; }").len(), 2);
}
