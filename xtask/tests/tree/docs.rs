//! Documents: prose is narrow enough for a diff to be read, and what they link to is there.

#![expect(clippy::wildcard_enum_match_arm, reason = "a document has many parts, and a rule looks for two")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{check, files, read, root};

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

/// What `#…` may name in a document: its headings, as GitHub writes them, and what bears an id.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> =
        text.split("<a id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for (event, _) in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(piece) | Event::Code(piece) => heading.iter_mut().for_each(|text| *text += &piece),
            Event::End(TagEnd::Heading(_)) => {
                let slug: String = heading
                    .take()
                    .unwrap_or_default()
                    .to_lowercase()
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect();
                let before = times.entry(slug.clone()).and_modify(|times| *times += 1).or_default();
                found.push(if *before == 0 { slug } else { format!("{slug}-{before}") });
            }
            _ => {}
        }
    }
    found
}

/// The file that a path names, seen from a folder; both and the answer are relative to the repository.
fn resolved(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::CurDir => {}
            // What leads out of the repository is in nobody's clone.
            Component::ParentDir if whole.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    root().join(&whole).exists().then_some(whole)
}

/// Links to other files of the repository, to their headings and to their lines.
fn links_resolve(path: &Path, text: &str) -> Vec<String> {
    let fits = |link: &str| {
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let file = match file {
            "" => path.to_owned(),
            _ => resolved(path.parent().unwrap(), file)?,
        };
        let Some(anchor) = anchor else { return Some(()) };
        let there = if file == path { text.to_owned() } else { read(&file) };
        let known = match anchor.strip_prefix('L').map(|lines| lines.split("-L").map(str::parse::<usize>)) {
            Some(mut lines) => lines.all(|line| line.is_ok_and(|line| line <= there.lines().count())),
            None => anchors(&there).iter().any(|known| known == anchor),
        };
        known.then_some(())
    };
    events(text)
        .filter_map(|(event, _)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
            _ => None,
        })
        .filter(|link| !link.contains("://") && fits(link).is_none())
        .map(|link| format!("{link} leads nowhere"))
        .collect()
}

/// Rust files that are named in passing: the end of a path names one.
fn files_are_there(text: &str) -> Vec<String> {
    let all = files(&["rs"]);
    events(text)
        .filter_map(|(event, _)| match event {
            Event::Code(name) if name.ends_with(".rs") && !name.contains([' ', '*']) => Some(name),
            _ => None,
        })
        .filter(|name| !all.iter().any(|file| file.ends_with(&**name)))
        .map(|name| format!("there is no file {name}"))
        .collect()
}

#[test]
fn prose_is_narrow() {
    check(&["md"], |_, text| is_narrow(text));
}

#[test]
fn links_lead_somewhere() {
    check(&["md"], links_resolve);
}

#[test]
fn files_that_are_named_are_there() {
    // What changed long ago may be gone.
    check(&["md"], |path, text| if path.ends_with("CHANGELOG.md") { vec![] } else { files_are_there(text) });
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

    let here = Path::new("docs/a.md");
    let sound = "# A `b`: c_d!\n# A b c_d\n<a id=\"e\"></a>\n\n[1](#a-b-c_d) [2](#a-b-c_d-1) [3](#e)\n\
                 [4](../README.md) [5](https://a.b/c) [6](../Cargo.toml#L1-L3) [7](../docs) [8]: x\n";
    assert_eq!(links_resolve(here, sound), [""; 0]);
    for broken in ["#b", "b.md", "README.md", "../../README.md", "../README.md#none", "../Cargo.toml#L9999"] {
        assert_eq!(links_resolve(here, &format!("[a]({broken})")).len(), 1, "{broken}");
    }
    assert_eq!(files_are_there("`tree/docs.rs` `ocs.rs` `none.rs` none.rs").len(), 2);
}
