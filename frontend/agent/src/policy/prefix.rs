//! Rules by the first words of a command: which are offered, and what they cover.
//!
//! A prefix is offered where the words say what will be done, such as `npm test`. It never is for programs that run whatever they are given.

use super::shell::Word;
use crate::settings::Rule;

/// Programs that run what their arguments say: a rule for their beginning would be a rule for everything.
const RUNS_ANYTHING: [&str; 46] = [
    "sh", "bash", "zsh", "fish", "dash", "ksh", "pwsh", "cmd", "eval", "exec", "source", ".", "command",
    "builtin", "sudo", "doas", "su", "env", "xargs", "nohup", "timeout", "time", "nice", "watch", "parallel",
    "ssh", "docker", "podman", "kubectl", "npx", "pnpx", "bunx", "uvx", "node", "python", "python3", "deno",
    "perl", "ruby", "php", "awk", "sed", "rm", "find", "curl", "wget",
];

/// Whether a rule covers a plain command.
pub(super) fn covers(rule: &Rule, words: &[Word], workspace: &str) -> bool {
    let Rule::Prefix { words: prefix, workspace: place } = rule else { return false };
    let Some(program) = prefix.first() else { return false };
    place == workspace
        && (!RUNS_ANYTHING.contains(&program.as_str()) || offer(words).as_ref() == Some(prefix))
        && prefix.len() <= words.len()
        && prefix.iter().zip(words).all(|(expected, word)| *expected == word.text && word.glob.is_none())
}

/// The prefix that can be offered for a plain command.
pub(super) fn offer(words: &[Word]) -> Option<Vec<String>> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let taken = match texts.as_slice() {
        ["pytest" | "mypy" | "tsc" | "jest" | "vitest" | "ctest", ..] => 1,
        ["python" | "python3", "-m", "pytest" | "unittest" | "mypy", ..]
        | ["npm" | "pnpm" | "yarn" | "bun", "run", _, ..] => 3,
        ["npm" | "pnpm" | "yarn" | "bun", "test" | "ci" | "build" | "lint" | "start" | "outdated", ..]
        | [
            "cargo",
            "test" | "build" | "check" | "clippy" | "fmt" | "bench" | "doc" | "tree" | "run" | "nextest",
            ..,
        ]
        | ["go", "test" | "build" | "vet" | "fmt", ..]
        | ["git", "add" | "commit" | "switch" | "merge" | "tag", ..]
        | ["dotnet" | "swift" | "mix", "test" | "build", ..]
        | ["mvn" | "gradle" | "./gradlew", "test" | "build" | "check" | "compile", ..]
        | ["uv", "sync" | "lock", ..]
        | ["ruff", "check" | "format", ..]
        | ["make" | "just", _, ..] => 2,
        _ => return None,
    };
    let prefix = &words[..taken];
    let plain = |word: &Word| {
        word.glob.is_none()
            && (word.text.starts_with(|first: char| first.is_ascii_alphanumeric())
                || matches!(word.text.as_str(), "-m" | "./gradlew"))
            && word
                .text
                .chars()
                .all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.' | ':' | '/'))
    };
    prefix.iter().all(plain).then(|| prefix.iter().map(|word| word.text.clone()).collect())
}
