//! Understands a wish: which of the few things that the demo can do is meant, and with which commands and files.
//!
//! The words are cut into tokens, quotes kept whole. The first verb decides; what is quoted is a command, a file's name or its content by the words
//! around it. What is not understood is said to be so.

use super::commands::begins_command;
use super::commands::{PROGRAMS, is_plural, listed, number, split, spoken_command, without_intro};
use super::tokens::{Token, tokens, trimmed};

/// What is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Runs commands and waits for them.
    Run(Vec<String>),
    /// Starts commands in the background, then does what else was wished.
    Background { commands: Vec<String>, file: Option<File>, check: bool },
    /// Runs the workspace's tests in the background; whether pytest was named.
    Tests { pytest: bool },
    /// Looks at tasks: at one, or at all.
    Check(Option<String>),
    /// Stops tasks.
    Stop(Which),
    /// Reads a file.
    Read(String),
    /// Writes a file.
    Write(File),
    /// Wants to know what this is.
    Help,
    /// Something else.
    Unknown,
}

/// Which task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Last,
    /// An id, or a part of a command.
    Named(String),
}

/// A file to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) content: Option<String>,
}

/// The most tasks that one wish starts.
pub(super) const MOST_TASKS: usize = 10;

const RUN: [&str; 4] = ["run", "start", "execute", "launch"];
const STOP: [&str; 6] = ["stop", "kill", "cancel", "terminate", "abort", "end"];
const WRITE: [&str; 5] = ["create", "write", "save", "make", "add"];
const READ: [&str; 6] = ["read", "show", "open", "print", "display", "view"];
const TOGETHER: [&str; 5] = ["background", "parallel", "simultaneously", "concurrently", "meanwhile"];
/// Words that count commands.
const COUNTED: [&str; 5] = ["tasks", "commands", "jobs", "processes", "times"];
const FILLERS: [&str; 24] = [
    "the",
    "a",
    "an",
    "my",
    "this",
    "that",
    "it",
    "me",
    "please",
    "task",
    "tasks",
    "command",
    "background",
    "running",
    "last",
    "job",
    "process",
    "file",
    "content",
    "contents",
    "of",
    "in",
    "one",
    "now",
];

/// Understands words.
pub(super) fn understand(text: &str) -> Wish {
    let text = text.trim();
    let tokens = tokens(text);
    if let [only] = tokens.as_slice()
        && only.quoted
    {
        return Wish::Run(vec![only.text.to_owned()]);
    }
    let outline: String = tokens
        .iter()
        .map(|token| if token.quoted { "□ " } else { "" }.to_owned() + &token.word + " ")
        .collect();
    let has = |words: &[&str]| tokens.iter().any(|token| words.contains(&token.word.as_str()));
    if let Some(first) = tokens.first()
        && PROGRAMS.contains(&first.text)
    {
        let commands = split(&spoken_command(text, 0), false);
        return if has(&TOGETHER) {
            Wish::Background { commands, file: None, check: false }
        } else {
            Wish::Run(commands)
        };
    }
    let asks = |phrases: &[&str]| phrases.iter().any(|phrase| outline.contains(phrase));
    let verb = tokens.iter().position(|token| {
        let word = token.word.as_str();
        [&RUN[..], &STOP, &WRITE, &READ, &["check", "status", "list"]]
            .iter()
            .any(|verbs| verbs.contains(&word))
    });
    if listed(text, 0).is_some_and(|(intro, _)| !intro.is_empty()) {
        return run(text, &tokens, None);
    }
    let no = tokens.iter().position(|token| matches!(token.word.as_str(), "don't" | "not" | "never"));
    if no < verb && no.is_some() {
        return Wish::Unknown;
    }
    if asks(&["how do i ", "how can i ", "how to "]) {
        return Wish::Help;
    }
    let commands = [&RUN[..], &STOP, &WRITE].iter().any(|verbs| starts_with(&tokens, verb, verbs));
    let question = text.ends_with('?')
        || starts_with(&tokens, Some(0), &["what", "what's", "which", "is", "are", "anything", "how"]);
    if !commands && (asks(&["which tasks"]) || question && has(&["running", "runs", "finished", "done"]))
        || asks(&["still running", "running tasks"]) && verb.is_none()
    {
        return Wish::Check(None);
    }
    if asks(&["what is in ", "what's in "]) {
        return object(&tokens, tokens.iter().position(|token| token.word == "in"))
            .map_or(Wish::Unknown, Wish::Read);
    }
    if outline.trim() == "pytest" {
        return Wish::Tests { pytest: true };
    }
    if asks(&[
        "help",
        "who are you",
        "what are you",
        "what can you",
        "api key",
        "real model",
        "hello",
        "connect",
    ]) && verb.is_none()
    {
        return Wish::Help;
    }
    let Some(at) = verb else {
        return if outline.trim().is_empty() || has(&["hi", "hey", "thanks", "demo"]) {
            Wish::Help
        } else {
            Wish::Unknown
        };
    };
    match tokens[at].word.as_str() {
        word if STOP.contains(&word) => Wish::Stop(which(text, &tokens, at)),
        word if RUN.contains(&word) => run(text, &tokens, Some(at)),
        word if WRITE.contains(&word) => write(text, &tokens, at),
        "list" if has(&["files", "folder", "directory"]) => Wish::Run(vec!["ls -la".to_owned()]),
        "show" if has(&["tasks", "status"]) => Wish::Check(None),
        "check" | "status" | "list" => Wish::Check(named_task(&tokens, at)),
        _ if has(&["output"]) => Wish::Check(named_task(&tokens, at)),
        _ => object(&tokens, Some(at)).map_or(Wish::Unknown, Wish::Read),
    }
}

fn starts_with(tokens: &[Token<'_>], at: Option<usize>, verbs: &[&str]) -> bool {
    at.and_then(|at| tokens.get(at)).is_some_and(|token| verbs.contains(&token.word.as_str()))
}

/// What is to be run, from the verb `at` on, or from the start where a list stands without one.
fn run(text: &str, tokens: &[Token<'_>], at: Option<usize>) -> Wish {
    let found = sort_out(tokens, at.unwrap_or(0));
    let from = at.map_or(0, |at| tokens[at].end);
    let has = |words: &[&str]| tokens.iter().any(|token| words.contains(&token.word.as_str()));
    let check = has(&["check", "status"]);
    let count = count(tokens);
    let mut commands = found.commands;
    if commands.is_empty() {
        let (spoken, several) = match listed(text, from) {
            Some((intro, list)) => (list, count.is_some() || is_plural(intro)),
            None => (spoken_command(text, from), false),
        };
        if let Some(pytest) = names_tests(&spoken) {
            return Wish::Tests { pytest };
        }
        let named = without_intro(&spoken, count.is_some());
        commands = match count {
            // What is counted, and then named, is what was named; only where nothing is named a few short ones are made up.
            Some(count) if named.is_empty() => {
                (1..=count.min(MOST_TASKS)).map(|n| format!("sleep {}", 2 * n)).collect()
            }
            _ if named.is_empty() => return Wish::Unknown,
            Some(_) if !several && !begins_command(named) => return Wish::Unknown,
            _ => split(named, several),
        };
    }
    if let (Some(count), [command]) = (count, commands.as_slice()) {
        commands = vec![command.clone(); count.clamp(1, MOST_TASKS)];
    }
    if has(&TOGETHER) || found.file.is_some() || count.is_some() || text.contains("at the same time") {
        Wish::Background { commands, file: found.file, check }
    } else {
        Wish::Run(commands)
    }
}

/// How many are wished: a number that counts tasks, commands or times.
fn count(tokens: &[Token<'_>]) -> Option<usize> {
    tokens.iter().enumerate().find_map(|(place, token)| {
        let counted = tokens[place + 1..].iter().find(|token| {
            !matches!(token.word.as_str(), "background" | "parallel" | "new" | "small" | "short" | "shell")
        })?;
        number(&token.word).filter(|_| COUNTED.contains(&counted.word.as_str()))
    })
}

fn write(text: &str, tokens: &[Token<'_>], at: usize) -> Wish {
    let found = sort_out(tokens, at);
    let Some(file) = found.file else { return Wish::Unknown };
    if !found.commands.is_empty() {
        return Wish::Background { commands: found.commands, file: Some(file), check: false };
    }
    let after = tokens[at + 1..].iter().find(|token| RUN.contains(&token.word.as_str()));
    match after {
        Some(verb) if text.contains("background") => Wish::Background {
            commands: vec![spoken_command(text, verb.end)],
            file: Some(file),
            check: false,
        },
        _ => Wish::Write(file),
    }
}

#[derive(Default)]
struct Found {
    commands: Vec<String>,
    file: Option<File>,
}

/// Tells commands, names and contents apart by the words around them, from the verb `at` on.
fn sort_out(tokens: &[Token<'_>], at: usize) -> Found {
    let mut found = Found::default();
    let mut writing = false;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        let before = place.checked_sub(1).map_or("", |before| tokens[before].word.as_str());
        let next = tokens.get(place + 1).map_or("", |next| next.word.as_str());
        match token.word.as_str() {
            word if RUN.contains(&word) => writing = false,
            "while" => writing = false,
            word if WRITE.contains(&word) => writing = true,
            "file" | "note" if writing => {
                found.file.get_or_insert_default();
            }
            _ => {}
        }
        let named = matches!(before, "named" | "called");
        let placed = matches!(before, "to" | "into" | "file" | "create");
        let content = matches!(
            before,
            "with" | "containing" | "contains" | "saying" | "says" | "content" | "text" | "reading" | "write"
        );
        if token.quoted && !writing && !named {
            found.commands.push(token.text.to_owned());
        } else if token.quoted {
            let file = found.file.get_or_insert_default();
            let is_content = content || matches!(next, "to" | "into" | "in");
            if !is_content && file.name.is_none() {
                file.name = Some(token.text.to_owned());
            } else {
                file.content = Some(token.text.to_owned());
            }
        } else if named || writing && (placed || content) && is_file_name(&token.word) {
            let file = found.file.get_or_insert_default();
            file.name.get_or_insert_with(|| trimmed(token.text).to_owned());
        }
    }
    found
}

fn is_file_name(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && !ending.is_empty()
            && ending.len() <= 10
            && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Whether tests are meant, and if so whether pytest is named.
fn names_tests(spoken: &str) -> Option<bool> {
    let lower = spoken.to_ascii_lowercase();
    let plain = lower
        .split_whitespace()
        .filter(|word| !matches!(*word, "the" | "all" | "my" | "our" | "unit" | "project's"))
        .collect::<Vec<_>>();
    match plain.as_slice() {
        ["pytest"] => Some(true),
        ["tests" | "test" | "testsuite"] | ["test", "suite"] => Some(false),
        _ => None,
    }
}

fn which(text: &str, tokens: &[Token<'_>], at: usize) -> Which {
    if tokens.iter().any(|token| {
        matches!(token.word.as_str(), "all" | "both" | "everything" | "them" | "what" | "whatever")
    }) {
        return Which::All;
    }
    if let Some(named) = named_task(tokens, at) {
        return Which::Named(named);
    }
    let left = tokens[at + 1..]
        .iter()
        .find(|token| !FILLERS.contains(&token.word.as_str()) && !token.word.is_empty());
    match left {
        Some(first) => {
            let from = first.end - first.text.len();
            Which::Named(
                trimmed(&text[from..]).trim_end_matches(" please").trim_end_matches(" task").to_owned(),
            )
        }
        None => Which::Last,
    }
}

/// A task that is named by a quote or an id.
fn named_task(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let is_id = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named = tokens[at..].iter().find(|token| token.quoted || is_id(&token.word))?;
    Some(if named.quoted { named.text.to_owned() } else { named.word.clone() })
}

/// What stands behind a verb: a quote, or the first word that says something.
fn object(tokens: &[Token<'_>], at: Option<usize>) -> Option<String> {
    let behind = &tokens[at? + 1..];
    let quote = behind.iter().find(|token| token.quoted);
    let word = behind
        .iter()
        .find(|token| !token.quoted && !token.word.is_empty() && !FILLERS.contains(&token.word.as_str()));
    quote.or(word).map(|token| if token.quoted { token.text } else { trimmed(token.text) }.to_owned())
}
