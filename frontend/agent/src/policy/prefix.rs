//! Rules by the first words of a command: which can be made, and what they cover.
//!
//! A list of what is allowed, for the beginning and for what follows. A rule is offered where the first words
//! say what will be done, such as `npm test`, and what follows them cannot make it something else: options
//! are known one by one, names of files lie in the workspace, and nothing is set. What is not in [`TABLE`] is
//! asked for, also where an older rule names it.

use super::shell::Word;
use crate::settings::Rule;

/// What may follow besides options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operands {
    /// Nothing: it would be a target, or words for a program that is not known.
    None,
    /// Names: of tests, packages, files in the workspace.
    Names,
    /// Anything: it is a text, or a name that is only looked up.
    Any,
}

/// The beginnings, what operands may follow, and the options that may: those before `:` alone, those behind
/// it with a value.
type Row = (&'static [&'static str], Operands, &'static str);

const CARGO: &str = "-v -q -r --verbose --quiet --release --workspace --all --all-targets --all-features --no-default-features --lib \
    --bins --tests --examples --benches --no-run --no-fail-fast --locked --offline --frozen --keep-going --nocapture --ignored \
    --include-ignored --exact --list --check --no-deps --open --doc : -p -j -F --package --exclude --features --test --bin \
    --example --bench --jobs --test-threads --skip --color --message-format";
const GO: &str =
    "-v -race -short -cover -json -failfast -x -n -l -d : -run -bench -count -timeout -parallel -tags -skip";
const PYTEST: &str = "-v -vv -q -x -s -l --lf --ff --last-failed --failed-first --collect-only --exitfirst --verbose --quiet --sw --nf : -k -m \
    --maxfail --tb --durations --color";
const SCRIPT: &str = "--watch --watchAll --coverage --verbose --silent --quiet --bail --ci --fix --run --no-coverage --passWithNoTests -s -u -v : \
    -t --testNamePattern --grep --maxWorkers --watch --watchAll --coverage --bail --color";
const QUIET: &str = "-s -k -q -B --silent --quiet --keep-going : -j";

const TABLE: &[Row] = &[
    (&["cargo test|build|check|clippy|bench|doc|fmt", "cargo nextest run"], Operands::Names, CARGO),
    (&["go test|build|vet|fmt"], Operands::Names, GO),
    (&["pytest", "python -m pytest", "python3 -m pytest"], Operands::Names, PYTEST),
    (
        &["python -m unittest", "python3 -m unittest"],
        Operands::Names,
        "-v -q -f -b --verbose --quiet --failfast : -k",
    ),
    (&["npm|pnpm|yarn|bun test", "jest", "vitest run"], Operands::Names, SCRIPT),
    (&["npm|pnpm|yarn|bun run *", "npm|pnpm|yarn|bun build|lint|start"], Operands::None, SCRIPT),
    (&["tsc"], Operands::None, "--noEmit --watch --pretty -w -b --build : --incremental"),
    (
        &["mypy", "ctest"],
        Operands::Names,
        "-v -V -q --strict --verbose --output-on-failure --pretty : -j -R -E",
    ),
    (
        &["ruff check|format"],
        Operands::Names,
        "--fix --diff --check --quiet -q --statistics : --select --ignore",
    ),
    (&["git add"], Operands::Names, "-A -u -n -v --all --update --dry-run --verbose -- :"),
    (
        &["git commit"],
        Operands::Any,
        "-a -v -q -am --all --amend --no-edit --allow-empty --verbose --quiet --signoff -s : -m --message",
    ),
    (
        &["git switch|merge|tag"],
        Operands::Any,
        "-c -q -a --quiet --no-ff --ff-only --squash --abort --continue --annotate --create : -m --message",
    ),
    (
        &["dotnet|swift|mix test|build"],
        Operands::Names,
        "-v -q --verbose --quiet --release --no-restore : --filter",
    ),
    (
        &["mvn|gradle|./gradlew test|build|check|compile"],
        Operands::None,
        "-q -o --quiet --offline --info --stacktrace :",
    ),
    (&["make|just *"], Operands::None, QUIET),
];

/// Whether a rule covers a plain command.
pub(super) fn covers(rule: &Rule, words: &[Word], workspace: &str) -> bool {
    matches!(rule, Rule::Prefix { prefix, workspace: place } if place == workspace && offer(words, workspace).as_ref() == Some(prefix))
}

/// The rule that can be made of a plain command.
pub(super) fn offer(words: &[Word], workspace: &str) -> Option<Vec<String>> {
    TABLE.iter().find_map(|(beginnings, operands, options)| {
        let taken = beginnings.iter().find_map(|beginning| begins(beginning, words))?;
        follows(&words[taken..], *operands, options, workspace)
            .then(|| words[..taken].iter().map(|word| word.text.clone()).collect())
    })
}

/// How many words a beginning takes, if it is there.
fn begins(beginning: &str, words: &[Word]) -> Option<usize> {
    let mut taken = 0;
    for expected in beginning.split(' ') {
        let word = words.get(taken).filter(|word| word.glob.is_none())?;
        let fits = match expected {
            "*" => is_name(&word.text) && !word.text.starts_with(['-', '.', '/']),
            _ => expected.split('|').any(|one| one == word.text),
        };
        if !fits {
            return None;
        }
        taken += 1;
    }
    Some(taken)
}

/// Whether all that follows is known not to make the command another.
fn follows(words: &[Word], operands: Operands, options: &str, workspace: &str) -> bool {
    let (alone, valued) = options.split_once(':').unwrap_or((options, ""));
    let knows = |list: &str, option: &str| list.split_whitespace().any(|known| known == option);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        if word.glob.is_some() {
            return false;
        }
        if text == "--" || knows(alone, text) {
            continue;
        }
        let fits = if !text.starts_with('-') {
            match operands {
                Operands::None => false,
                Operands::Names => is_name(text) && super::read_only::check_path(word, workspace).is_ok(),
                Operands::Any => true,
            }
        } else if let Some((name, value)) = text.split_once('=') {
            knows(valued, name) && is_value(value)
        } else if knows(valued, text) {
            words.next().is_some_and(|value| {
                value.glob.is_none() && (is_value(&value.text) || operands == Operands::Any)
            })
        } else {
            // `-j4`: a number at once behind its letter.
            text.get(..2).is_some_and(|letter| knows(valued, letter))
                && text.get(2..).is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether a word is only a name, whoever reads it.
fn is_name(text: &str) -> bool {
    // Behind `@` many programs read options from a file.
    !text.is_empty()
        && !text.starts_with('@')
        && text.chars().all(|sign| sign.is_alphanumeric() || "-_./:@,+".contains(sign))
}

/// Whether the value of an option is only a pattern or a number.
fn is_value(text: &str) -> bool {
    !text.starts_with('-') && text.chars().all(|sign| sign.is_alphanumeric() || "-_./:@,+ ^|".contains(sign))
}
