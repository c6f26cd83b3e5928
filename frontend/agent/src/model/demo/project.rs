//! Which tests a workspace has, and which command runs them.

use super::sentences;

/// Looks for what tells it; changes nothing, and runs unasked.
pub(super) const LOOK: &str = "ls -d .git README.md Cargo.toml go.mod package.json pyproject.toml pytest.ini conftest.py Makefile test_*.py *_test.py tests/test_*.py tests/*_test.py test/test_*.py 2>/dev/null; grep -Hs '\"test\" *:' package.json; grep -Hs '^test *:' Makefile; grep -Hs pytest pyproject.toml setup.cfg tox.ini; command -v pytest python3 cargo go npm make; true";

/// The command, with a sentence why it is this one; or an honest word.
pub(super) fn choose(found: &str) -> Result<(&'static str, &'static str), String> {
    let has = |name: &str| found.lines().any(|line| line == name);
    let names = |start: &str| found.lines().any(|line| line.starts_with(start));
    let installed = |program: &str| {
        found.lines().any(|line| {
            line.strip_suffix(program).is_some_and(|folder| folder.starts_with('/') && folder.ends_with('/'))
        })
    };
    let file = |line: &str| {
        let name = line.strip_suffix(".py");
        name.is_some_and(|name| name.contains("test") && !name.contains(':'))
    };
    let python = has("pytest.ini")
        || has("conftest.py")
        || ["pyproject.toml:", "setup.cfg:", "tox.ini:"].into_iter().any(names)
        || found.lines().any(file);
    let pytest = "There are tests for pytest here.";
    let known = [
        (python, "pytest", pytest, "pytest -q"),
        (python, "python3", pytest, "python3 -m pytest -q"),
        (
            has("Cargo.toml"),
            "cargo",
            "There is nothing for pytest here, but this is a Cargo workspace with tests of its own.",
            "cargo test",
        ),
        (
            names("package.json:"),
            "npm",
            "There is nothing for pytest here, but package.json has a test script.",
            "npm test",
        ),
        (has("go.mod"), "go", "There is nothing for pytest here, but this is a Go module.", "go test ./..."),
        (
            names("Makefile:"),
            "make",
            "There is nothing for pytest here, but the Makefile has a target for tests.",
            "make test",
        ),
    ];
    let there: Vec<_> = known.into_iter().filter(|(there, ..)| *there).collect();
    if let Some((_, _, why, command)) = there.iter().find(|(_, program, ..)| installed(program)) {
        return Ok((why, command));
    }
    let missing: Vec<&str> = there.iter().map(|(_, program, ..)| *program).collect();
    Err(if missing.is_empty() {
        "I found no tests here: no tests for pytest, no Cargo.toml, no test script in package.json, no go.mod, no test target in a Makefile. So I ran nothing. With `& command` I run another in the background.".to_owned()
    } else {
        format!(
            "There are tests here, but {} is not installed where the runner looks, so I ran nothing. With `& command` I run another in the background.",
            sentences::list(&missing)
        )
    })
}
