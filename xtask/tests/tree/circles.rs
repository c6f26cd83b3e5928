//! No circle of imports: what a file uses never leads back to it.
//!
//! A file is a module; `use` leads from it to the longest path of modules that the import begins with. What a
//! module takes from one below it only to offer it on (`pub use`) is no import, and neither are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::root;

/// The sources of each crate.
const SOURCES: [&str; 6] =
    ["shared/src", "frontend/agent/src", "frontend/src", "runner/exec/src", "runner/src", "xtask/src"];

type Modules = BTreeMap<Vec<String>, String>;

/// All modules of a crate by their paths, with their text before its tests.
fn modules(folder: &Path) -> Modules {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), Vec::new())];
    while let Some((folder, path)) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let mut inner: Vec<String> = path.clone();
            if file.is_dir() {
                inner.push(name);
                open.push((file, inner));
            } else if file.extension().is_some_and(|end| end == "rs") {
                if !["mod", "lib", "main"].contains(&name.as_str()) {
                    inner.push(name);
                }
                let text = fs::read_to_string(&file).unwrap();
                let code = text.split("\nmod tests {").next().unwrap_or_default();
                *found.entry(inner).or_insert_with(String::new) += code;
            }
        }
    }
    found
}

/// The paths that a text imports, one for each name.
fn imports(text: &str) -> Vec<Vec<String>> {
    let statements = text.split('\n').map(str::trim_start).collect::<Vec<_>>().join("\n");
    let uses = statements.split("\nuse ").skip(1).filter_map(|rest| rest.split_once(';'));
    let mut paths = Vec::new();
    for (statement, _) in uses {
        spread(&statement.split_whitespace().collect::<Vec<_>>().join(" "), &[], &mut paths);
    }
    paths
}

/// Takes `a::{b, c::{d}}` apart.
fn spread(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let Some((start, inner)) = tree.split_once('{') else {
        let whole =
            tree.split("::").map(|part| part.split(" as ").next().unwrap_or_default().trim().to_owned());
        return paths.push(before.iter().cloned().chain(whole).collect());
    };
    let start =
        start.trim().trim_end_matches("::").split("::").map(str::to_owned).filter(|part| !part.is_empty());
    let before: Vec<String> = before.iter().cloned().chain(start).collect();
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut from) = (0, 0);
    for (at, sign) in inner.char_indices().chain([(inner.len(), ',')]) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner.get(from..at).unwrap_or_default().trim();
                if !part.is_empty() {
                    spread(part, &before, paths);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// The module that an import of `here` leads to, if it is one of the crate's.
fn target(here: &[String], import: &[String], modules: &Modules) -> Option<Vec<String>> {
    let (first, rest) = import.split_first()?;
    let mut path: Vec<String> = match first.as_str() {
        "crate" => Vec::new(),
        "self" => here.to_vec(),
        "super" => here.split_last()?.1.to_vec(),
        _ => [here, std::slice::from_ref(first)].concat(),
    };
    if !["crate", "self", "super"].contains(&first.as_str()) && !modules.contains_key(&path) {
        return None;
    }
    for part in rest {
        if part == "super" {
            path.pop();
            continue;
        }
        path.push(part.clone());
        if !modules.contains_key(&path) {
            path.pop();
            break;
        }
    }
    (path != here && modules.contains_key(&path)).then_some(path)
}

/// The modules that lead back to themselves.
fn circles(modules: &Modules) -> Vec<String> {
    let edges: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules
        .iter()
        .map(|(here, text)| {
            (here, imports(text).iter().filter_map(|import| target(here, import, modules)).collect())
        })
        .collect();
    let reaches = |from: &Vec<String>| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&Vec<String>> = edges[from].iter().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(&edges[next]);
            }
        }
        reached.contains(from)
    };
    modules.keys().filter(|module| reaches(module)).map(|module| module.join("::")).collect()
}

#[test]
fn no_import_leads_back() {
    for sources in SOURCES {
        let modules = modules(&root().join(sources));
        assert!(modules.len() > 5, "{sources}");
        let circles = circles(&modules);
        assert!(circles.is_empty(), "{sources}: these modules import each other in a circle: {circles:#?}");
    }
}

#[test]
fn a_circle_is_seen() {
    let modules = |files: &[(&str, &str)]| {
        let path = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        files.iter().map(|(name, text)| (path(name), format!("\n{text}"))).collect::<Modules>()
    };
    let sound =
        [("", "pub use a::X;"), ("a", "use crate::b::{Y, c::Z};"), ("b", ""), ("b::c", "use super::Y;")];
    assert!(circles(&modules(&sound)).is_empty());
    let far = [
        ("", ""),
        ("a", "use std::io;\nuse crate::{\n    b::c::{self, Z},\n};"),
        ("b", ""),
        ("b::c", "use crate::a::X;"),
    ];
    assert_eq!(circles(&modules(&far)), ["a", "b::c"]);
    let near = [("", ""), ("b", "use c::Z;"), ("b::c", "use super::Y;")];
    assert_eq!(circles(&modules(&near)), ["b", "b::c"]);
}
