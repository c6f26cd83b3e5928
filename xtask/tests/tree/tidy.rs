//! The shape of files, of styles and of dependency lists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{check, files, read};

/// Characters in a line of comment; the format's own width.
const WIDEST: usize = 110;
/// Lines of a Rust file before its own tests.
const LONGEST: usize = 500;

/// What the pure core may depend on. Anything that could do I/O, read a clock or draw a random number is out.
const AGENT_MAY_USE: &[&str] = &["httpdate", "serde", "serde_json", "shared", "similar", "thiserror", "uuid"];

fn begins_with_its_theory(text: &str) -> Vec<String> {
    if text.starts_with("//!") { vec![] } else { vec![String::from("does not begin with `//!`")] }
}

/// So that a change of one word is a change of one line.
fn comments_are_narrow(text: &str) -> Vec<String> {
    let lines = text.lines().zip(1..).map(|(line, number)| (line, line.chars().count(), number));
    lines
        .filter(|(line, width, _)| line.trim_start().starts_with("//") && *width > WIDEST)
        .map(|(_, width, number)| format!("line {number} has {width} characters, over {WIDEST}"))
        .collect()
}

fn is_not_too_long(path: &Path, text: &str) -> Vec<String> {
    // Tests may be long; what they share is code like any other.
    let name = path.file_stem().unwrap().to_string_lossy();
    let tests =
        path.components().any(|part| part.as_os_str() == "tests") && !path.starts_with("tests/support");
    if tests || name == "tests" || name.ends_with("_tests") {
        return vec![];
    }
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    if lines <= LONGEST { vec![] } else { vec![format!("{lines} lines before its tests, over {LONGEST}")] }
}

/// What only a model's codec may know.
fn knows_no_vendor(path: &Path, text: &str) -> Vec<String> {
    if !path.starts_with("frontend/agent/src") || path.starts_with("frontend/agent/src/model") {
        return vec![];
    }
    let lines = text.lines().zip(1..).map(|(line, number)| (line.to_lowercase(), number));
    lines
        .filter(|(line, _)| {
            ["anthropic", "openai", "tool_use", "x-api-key"].iter().any(|word| line.contains(word))
        })
        .map(|(_, number)| format!("line {number} knows a vendor"))
        .collect()
}

/// Who starts processes: agents and their commands, git and `ps` that are asked, a browser, and the runner
/// once more.
const STARTS: &[&str] = &[
    "runner/exec/src/agent/start.rs",
    "runner/exec/src/local.rs",
    "runner/exec/src/sandbox/enter.rs",
    "runner/exec/src/sandbox/git.rs",
    "runner/exec/src/sandbox/linux.rs",
    "runner/exec/src/sandbox/macos.rs",
    "runner/exec/src/tree/other.rs",
    "runner/src/keys.rs",
    "runner/src/launch.rs",
];

/// A process is started only where somebody looks after it. What is shipped, and not its tests.
fn starts_no_process(path: &Path, text: &str) -> Vec<String> {
    let place = path.to_string_lossy();
    let product = ["runner/src/", "runner/exec/src/", "shared/src/", "frontend/"];
    let ships = product.iter().any(|start| place.starts_with(start)) && !place.contains("/tests/");
    if !ships || place.ends_with("_tests.rs") || place.ends_with("/tests.rs") || STARTS.contains(&&*place) {
        return vec![];
    }
    let tests = ["#[cfg(test)]", "#[cfg(all(test,"];
    let lines = text.lines().take_while(|line| !tests.iter().any(|start| line.starts_with(start))).zip(1..);
    let starts = |line: &str| line.contains("Command::new(") || line.contains("webbrowser::");
    lines
        .filter(|(line, _)| starts(line))
        .map(|(_, number)| format!("line {number} starts a process"))
        .collect()
}

fn leaves_nothing_undone(text: &str) -> Vec<String> {
    // Put together here, so that this file does not hold what it looks for.
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["#[", "ignore"].concat(),
    ];
    // The one good reason: the test is a program that another test starts and kills.
    let process = [marks[4].as_str(), " = \"only as a process of another test\"]"].concat();
    text.lines()
        .zip(1..)
        .filter(|(line, _)| line.trim() != process)
        .flat_map(|(line, number)| {
            marks
                .iter()
                .filter(move |mark| line.contains(*mark))
                .map(move |mark| format!("line {number}: {mark}"))
        })
        .collect()
}

/// The dependencies declared in a `Cargo.toml`: section, line number, name, line, and whether a comment says
/// why.
struct Dependency<'a> {
    section: &'a str,
    number: usize,
    name: &'a str,
    line: &'a str,
    explained: bool,
}

fn dependencies(toml: &str) -> Vec<Dependency<'_>> {
    let mut section = "";
    let mut before = "";
    let mut found = Vec::new();
    let mut lines = toml.lines().zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            // A table of its own for one dependency.
            if let Some((table, name)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                let explained = before.starts_with('#');
                let line = lines.peek().map_or("", |(line, _)| line);
                found.push(Dependency { section: table, number, name, line, explained });
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once('=')
            && !line.starts_with(['#', ' ', '\t'])
        {
            let name = name.trim().trim_end_matches(".workspace");
            let explained = before.starts_with('#') || line.contains(" # ");
            found.push(Dependency { section, number, name, line, explained });
        }
        before = line;
    }
    found
}

fn explains_its_dependencies(toml: &str) -> Vec<String> {
    dependencies(toml)
        .iter()
        .filter(|dependency| {
            let ours = dependency.line.contains("path = ");
            let elsewhere = dependency.line.replace(' ', "").contains("workspace=true");
            !dependency.explained && !elsewhere && !ours
        })
        .map(|dependency| {
            format!("line {}: no comment says why {} was chosen", dependency.number, dependency.name)
        })
        .collect()
}

fn without_comments(css: &str) -> String {
    let mut rest = css;
    let mut text = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text + rest
}

/// The declarations of a style file, as property and value.
fn declarations(css: &str) -> Vec<(String, String)> {
    let text = without_comments(css);
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}', ';']) {
        let part = &rest[..at];
        // What stands before a brace is a selector.
        if !rest[at..].starts_with('{')
            && let Some((property, value)) = part.split_once(':')
        {
            found.push((property.trim().to_owned(), value.trim().to_owned()));
        }
        rest = &rest[at + 1..];
    }
    found
}

/// Colours belong into `tokens.css`, where light and dark are decided together.
fn has_no_colours(css: &str) -> Vec<String> {
    const FUNCTIONS: &[&str] = &[
        "rgb(",
        "rgba(",
        "hsl(",
        "hsla(",
        "hwb(",
        "lab(",
        "lch(",
        "oklab(",
        "oklch(",
        "color(",
        "light-dark(",
    ];
    const NAMES: &[&str] = &[
        "black", "white", "red", "green", "blue", "gray", "grey", "yellow", "orange", "purple", "teal",
        "navy", "silver", "maroon", "lime", "aqua", "cyan", "magenta", "fuchsia", "olive", "pink", "brown",
        "gold",
    ];
    let is_hex = |word: &str| {
        word.strip_prefix('#').is_some_and(|digits| {
            [3, 4, 6, 8].contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    declarations(css)
        .into_iter()
        .filter(|(property, value)| {
            let parts = || value.split(|c: char| !c.is_ascii_alphanumeric() && c != '#' && c != '-');
            !property.starts_with("font")
                && property != "content"
                && (parts().any(|part| is_hex(part) || NAMES.contains(&part))
                    || FUNCTIONS.iter().any(|function| {
                        value.match_indices(function).any(|(at, _)| {
                            !value[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
                        })
                    }))
        })
        .map(|(property, value)| format!("a colour outside tokens.css: {property}: {value}"))
        .collect()
}

/// The custom properties that a style file uses without a fallback.
fn uses(css: &str) -> BTreeSet<String> {
    declarations(css)
        .iter()
        .flat_map(|(_, value)| value.split("var(").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|part| {
            let end = part.find([',', ')'])?;
            part[end..].starts_with(')').then(|| part[..end].trim().to_owned())
        })
        .collect()
}

#[test]
fn only_the_codecs_know_a_vendor() {
    check(&["rs"], knows_no_vendor);
    let elsewhere = Path::new("frontend/agent/src/queue.rs");
    assert_eq!(knows_no_vendor(elsewhere, "a\nlet kind = \"tool_use\";"), ["line 2 knows a vendor"]);
    assert!(knows_no_vendor(Path::new("frontend/agent/src/model/chat.rs"), "// OpenAI").is_empty());
}

#[test]
fn processes_are_started_in_few_places() {
    check(&["rs"], starts_no_process);
    for place in STARTS {
        let text = read(Path::new(place));
        let there = starts_no_process(Path::new("runner/src/elsewhere.rs"), &text);
        assert!(!there.is_empty(), "{place} starts none any more");
    }
}

#[test]
fn no_comment_is_wider_than_the_code() {
    check(&["rs"], |_, text| comments_are_narrow(text));
    let wide = format!("    // {0}\nlet a = 1; // {0}\n", "é".repeat(WIDEST));
    assert_eq!(comments_are_narrow(&wide).len(), 1);
    assert!(comments_are_narrow(&format!("//! {}\n", "é".repeat(WIDEST - 4))).is_empty());
}

#[test]
fn every_rust_file_begins_with_its_theory() {
    check(&["rs"], |_, text| begins_with_its_theory(text));
}

#[test]
fn no_rust_file_is_too_long() {
    check(&["rs"], is_not_too_long);
}

#[test]
fn nothing_is_left_undone() {
    check(&["rs", "css", "html", "js", "toml"], |_, text| leaves_nothing_undone(text));
}

#[test]
fn every_dependency_says_why_it_was_chosen() {
    check(
        &["toml"],
        |path, text| {
            if path.ends_with("Cargo.toml") { explains_its_dependencies(text) } else { vec![] }
        },
    );
}

#[test]
fn the_core_depends_on_nothing_that_could_do_io() {
    let toml = read(Path::new("frontend/agent/Cargo.toml"));
    let all = dependencies(&toml);
    let used: Vec<_> = all
        .iter()
        .filter(|dependency| !dependency.section.ends_with("dev-dependencies"))
        .map(|dependency| dependency.name)
        .collect();
    assert!(used.contains(&"shared"), "the list was not read: {used:?}");
    let strange: Vec<_> = used.iter().filter(|name| !AGENT_MAY_USE.contains(name)).collect();
    assert!(strange.is_empty(), "frontend/agent may not depend on {strange:?}");
}

#[test]
fn colours_are_decided_in_one_place() {
    check(&["css"], |path, text| if path.ends_with("tokens.css") { vec![] } else { has_no_colours(text) });
}

#[test]
fn every_custom_property_is_defined() {
    let rust: String =
        files(&["rs"]).iter().filter(|path| path.starts_with("frontend")).map(|p| read(p)).collect();
    let styles: Vec<_> = files(&["css"]).iter().map(|path| declarations(&read(path))).collect();
    let defined: BTreeSet<_> = styles
        .iter()
        .flatten()
        .map(|(property, _)| property.as_str())
        .filter(|p| p.starts_with("--"))
        .collect();
    check(&["css"], |_, text| {
        uses(text)
            .into_iter()
            // Some are set by the views, element by element.
            .filter(|name| !defined.contains(name.as_str()) && !rust.contains(&format!("{name}\"")))
            .map(|name| format!("{name} is used and never defined"))
            .collect()
    });
}

#[test]
fn every_style_file_is_linked() {
    let html = read(Path::new("index.html"));
    check(&["css"], |path, _| {
        if html.contains(&format!("href=\"{}\"", path.display())) {
            vec![]
        } else {
            vec![String::from("is not linked from index.html")]
        }
    });
}

#[test]
fn the_readme_names_both_commands() {
    check(&["md"], |path, text| {
        let commands = ["cargo xtask run", "cargo xtask test"];
        commands
            .iter()
            .filter(|command| path == Path::new("README.md") && !text.contains(*command))
            .map(|command| format!("does not name `{command}`"))
            .collect()
    });
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert_eq!(begins_with_its_theory("use std;\n").len(), 1);
    let long = "\n".repeat(LONGEST + 1);
    assert_eq!(is_not_too_long(Path::new("a.rs"), &long).len(), 1);
    assert_eq!(is_not_too_long(Path::new("a.rs"), &format!("x\n#[cfg(test)]\n{long}")).len(), 0);
    assert_eq!(is_not_too_long(Path::new("a/tests.rs"), &long).len(), 0);
    assert_eq!(leaves_nothing_undone(&["// TO", "DO: x\nok\n#[", "ignore]"].concat()).len(), 2);

    let toml = "[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\nc = { workspace = true }\nd.workspace = true\ne = \"1\" # Why.\n\
                [features]\nf = []\n[dev-dependencies.g]\nworkspace = true\n[dependencies.h]\nversion = \"1\"\n";
    let complaints = explains_its_dependencies(toml);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].contains("line 4") && complaints[0].contains(" b "));
    assert!(complaints[1].contains(" h "));

    let css = "a:hover { color: var(--ink); border: 1px solid #fff }\n#fade { x: y; /* red */ }\n\
               b { background: color-mix(in oklab, var(--a, red) 10%, transparent); fill: white }\n\
               c { d: oklch(1 2 3); white-space: nowrap; color: currentColor }";
    let colours = has_no_colours(css);
    assert_eq!(colours.len(), 4, "{colours:?}");
    assert_eq!(uses(css), BTreeSet::from([String::from("--ink")]));
}
