//! Rules about the tree itself that no compiler checks; `cargo xtask tidy` runs these alone.
//!
//! Each rule is a function from a file's text to complaints, so that the rules themselves can be tested; the
//! tests hold every file of the repository against them.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

mod circles;
mod deny;
mod docs;
mod names;
mod tidy;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder that holds the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files of the repository with one of these endings, as paths relative to its root.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "dist", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| endings.contains(&end.to_str().unwrap())) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Holds all files of these kinds against one rule.
#[track_caller]
fn check(endings: &[&str], rule: impl Fn(&Path, &str) -> Vec<String>) {
    let files = files(endings);
    assert!(!files.is_empty(), "there are no files {endings:?}");
    let complaints: Vec<_> = files
        .iter()
        .flat_map(|path| {
            rule(path, &read(path))
                .into_iter()
                .map(move |complaint| format!("{}: {complaint}", path.display()))
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
