//! Which tests a workspace has, and which command runs them.

use super::text::{code, list};

/// Looks for what tells it; changes nothing, and runs unasked.
pub(super) const LOOK: &str = "ls -d .git README.md Cargo.toml go.mod package.json pyproject.toml pytest.ini conftest.py Makefile test_*.py *_test.py tests/test_*.py tests/*_test.py test/test_*.py 2>/dev/null; grep -Hs '\"test\" *:' package.json; grep -Hs '^test *:' Makefile; grep -Hs pytest pyproject.toml setup.cfg tox.ini; command -v pytest python3 cargo go npm make; true";

/// Why it is this command, and the command; or why there is none.
pub(super) fn choose(found: &str) -> Result<(String, &'static str), String> {
    let has = |name: &str| found.lines().any(|line| line == name);
    let says = |file: &str| found.lines().any(|line| line.starts_with(file));
    let installed = |program: &str| {
        found.lines().any(|line| line.starts_with('/') && line.rsplit('/').next() == Some(program))
    };
    let test = |name: &str| name.contains("test") && !name.contains(':');
    let is_test = |line: &str| line.strip_suffix(".py").is_some_and(test);
    let python = found.lines().any(is_test)
        || has("pytest.ini")
        || ["pyproject.toml:", "setup.cfg:", "tox.ini:"].into_iter().any(says);
    let known = [
        (python, "pytest", "", "pytest -q"),
        (python, "python3", "", "python3 -m pytest -q"),
        (has("Cargo.toml"), "cargo", "this is a Cargo workspace with tests of its own", "cargo test"),
        (says("package.json:"), "npm", "package.json has a test script", "npm test"),
        (has("go.mod"), "go", "this is a Go module", "go test ./..."),
        (says("Makefile:"), "make", "the Makefile has a target for tests", "make test"),
    ];
    let there: Vec<_> = known.into_iter().filter(|(there, ..)| *there).collect();
    let missing = list(there.iter().map(|(_, program, ..)| code(program)));
    match there.iter().find(|(_, program, ..)| installed(program)) {
        Some((_, _, "", command)) => Ok(("There are tests for pytest here. ".to_owned(), command)),
        Some((_, _, what, command)) => Ok((format!("There is nothing for pytest here, but {what}. "), command)),
        None if there.is_empty() => Err("I found no tests here: no tests for pytest, no Cargo.toml, no test script in package.json, no go.mod, no test target in a Makefile. So I ran nothing. With `& command` I run another in the background.".to_owned()),
        None => Err(format!("There are tests here, but {missing} is not installed where the runner looks, so I ran nothing. With `& command` I run another in the background.")),
    }
}
