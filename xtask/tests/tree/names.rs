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
    "Moment",
    "Owed",
    "Paced",
    "Passing",
    "Patience",
    "Pen",
    "Says",
    "Scarcity",
    "Seat",
    "Sheet",
    "Shelf",
    "Slip",
    "Spare",
    "Stick",
    "Supervisor",
    "Took",
    "Twin",
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
    "ink",
    "kit",
    "knock",
    "lack",
    "left_behind",
    "let_go_on",
    "linger",
    "paced",
    "passing",
    "relist",
    "resaid",
    "retire",
    "scarcity",
    "seat",
    "settling",
    "sheet",
    "shelf",
    "spare",
    "stick",
    "vouch",
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
    complaints(parts.chain(identifiers(text)), GONE)
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
fn a_name_that_comes_back_is_seen() {
    let code =
        "//! The desk.\nfn a(seat: &Seat) -> &str {\n    \"a desk\" // Film\n}\nstruct Desks(u8, Film);\n";
    assert_eq!(of_code(Path::new("a/film.rs"), code).len(), 4, "{:?}", of_code(Path::new("a/film.rs"), code));
    assert_eq!(of_styles(".a.shelf > .trouble-b, a.unseen { width: 1.5em; }").len(), 2);
}
