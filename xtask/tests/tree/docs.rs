//! Documents: prose is narrow enough for a diff to be read.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::check;

/// Characters in a line of prose.
const WIDEST: usize = 110;

/// What a document holds, and where.
fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter()
}

/// Code, tables and markup stay as they are, and so does a line that is one link.
fn is_narrow(text: &str) -> Vec<String> {
    let (mut whole, mut links) = (Vec::new(), Vec::new());
    for (event, place) in events(text) {
        if let Event::Start(tag) = event {
            match tag {
                Tag::CodeBlock(_) | Tag::Table(_) | Tag::HtmlBlock => whole.push(place),
                Tag::Link { .. } | Tag::Image { .. } => links.push(place),
                _ => {}
            }
        }
    }
    let mut at = 0;
    let mut complaints = Vec::new();
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let here = at..at + line.len();
        at = here.end;
        let width = line.trim_end().chars().count();
        let exempt = whole.iter().any(|block| block.start < here.end && here.start < block.end)
            || links.iter().any(|link| {
                here.start <= link.start
                    && link.end <= here.end
                    && !(text[here.start..link.start].chars().chain(text[link.end..here.end].chars()))
                        .any(char::is_alphanumeric)
            });
        if width > WIDEST && !exempt {
            complaints.push(format!("line {number} has {width} characters, over {WIDEST}"));
        }
    }
    complaints
}

#[test]
fn prose_is_narrow() {
    check(&["md"], |_, text| is_narrow(text));
}

#[test]
fn the_rules_about_documents_see_what_they_look_for() {
    let long = "ä b ".repeat(WIDEST / 4 + 1);
    let exempt = format!(
        "# T\n\n```\n{long}\n```\n\n| a |\n|---|\n| {long} |\n\n- [{long}](README.md).\n\n![{long}](a.png)\n"
    );
    assert_eq!(is_narrow(&exempt), [""; 0]);
    let wide = format!("# {long}\n\n- a\n  {long}\n\n> {long}\n\n{long}[a](b)\n");
    assert_eq!(is_narrow(&wide).len(), 4, "{:?}", is_narrow(&wide));
}
