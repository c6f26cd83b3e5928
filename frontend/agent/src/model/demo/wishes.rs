//! Understands a wish: which of the few things that the demo can do is meant, and with which commands and files.
//!
//! The words are cut into tokens, quotes kept whole. The first verb decides; what is quoted is a command, a file's name or its content by the words
//! around it. What is not understood is said to be so.

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
const NUMBERS: [&str; 11] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
/// Words that begin a command rather than a sentence.
const PROGRAMS: [&str; 24] = [
    "ls", "cat", "pwd", "echo", "git", "cargo", "npm", "python", "python3", "node", "grep", "rg", "sleep",
    "date", "whoami", "df", "du", "uname", "head", "tail", "wc", "printf", "seq", "ps",
];
const FILLERS: [&str; 22] = [
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
];

/// A word or something in quotes.
#[derive(Clone, Debug)]
struct Token<'a> {
    /// As written: for a quote what is within it.
    text: &'a str,
    /// In lower case without punctuation around it; empty for a quote.
    word: String,
    quoted: bool,
    /// Where it ends in the text, in bytes.
    end: usize,
}

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
        let command = spoken_command(text, 0);
        return if has(&["background"]) {
            Wish::Background { commands: vec![command], file: None, check: false }
        } else {
            Wish::Run(vec![command])
        };
    }
    let asks = |phrases: &[&str]| phrases.iter().any(|phrase| outline.contains(phrase));
    let verb = tokens.iter().position(|token| {
        let word = token.word.as_str();
        [&RUN[..], &STOP, &WRITE, &READ, &["check", "status", "list"]]
            .iter()
            .any(|verbs| verbs.contains(&word))
    });
    if asks(&[
        "what is running",
        "what's running",
        "what runs",
        "which tasks",
        "still running",
        "running tasks",
    ]) && !starts_with(&tokens, verb, &STOP)
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
        word if RUN.contains(&word) => run(text, &tokens, at),
        word if WRITE.contains(&word) => write(text, &tokens, at),
        "list" if has(&["files", "folder", "directory"]) => Wish::Run(vec!["ls -la".to_owned()]),
        "show" if has(&["tasks", "status"]) => Wish::Check(None),
        "check" | "status" | "list" => Wish::Check(named_task(&tokens, at)),
        _ if has(&["output"]) => Wish::Check(named_task(&tokens, at)),
        _ => object(&tokens, Some(at)).map_or(Wish::Unknown, Wish::Read),
    }
}

fn starts_with(tokens: &[Token<'_>], at: Option<usize>, verbs: &[&str]) -> bool {
    at.is_some_and(|at| verbs.contains(&tokens[at].word.as_str()))
}

fn run(text: &str, tokens: &[Token<'_>], at: usize) -> Wish {
    let found = sort_out(tokens, at);
    let has = |words: &[&str]| tokens.iter().any(|token| words.contains(&token.word.as_str()));
    let check = has(&["check", "status"]);
    let count = tokens
        .iter()
        .find_map(|token| number(&token.word))
        .filter(|_| has(&["tasks", "commands", "times", "jobs"]));
    let mut commands = found.commands;
    if commands.is_empty() {
        let spoken = spoken_command(text, tokens[at].end);
        if let Some(pytest) = names_tests(&spoken) {
            return Wish::Tests { pytest };
        }
        commands = match (spoken.split_once(':'), count) {
            (Some((intro, list)), _) if intro.contains("task") || intro.contains("command") => list
                .replace(" and ", ",")
                .split(',')
                .map(|command| command.trim().to_owned())
                .filter(|command| !command.is_empty())
                .collect(),
            (_, Some(count)) => (1..=count.min(MOST_TASKS)).map(|n| format!("sleep {}", 2 * n)).collect(),
            _ if spoken.is_empty() => return Wish::Unknown,
            _ => vec![spoken],
        };
    } else if let (Some(count), [command]) = (count, commands.as_slice()) {
        commands = vec![command.clone(); count.clamp(1, MOST_TASKS)];
    }
    if has(&TOGETHER) || found.file.is_some() || count.is_some() || text.contains("at the same time") {
        Wish::Background { commands, file: found.file, check }
    } else {
        Wish::Run(commands)
    }
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

/// A command that stands without quotes behind a verb, up to where the sentence goes on.
fn spoken_command(text: &str, from: usize) -> String {
    const GOES_ON: [&str; 17] = [
        " in the background",
        " in background",
        " in parallel",
        " as a background task",
        " at the same time",
        ", then ",
        " then ",
        " and then ",
        " and keep ",
        " and check",
        " and create",
        " and write",
        " and tell ",
        " while ",
        " please",
        ". ",
        "\n",
    ];
    let rest = &text[from..];
    let lower = rest.to_ascii_lowercase();
    let end = GOES_ON.iter().filter_map(|phrase| lower.find(phrase)).min().unwrap_or(rest.len());
    let spoken = rest[..end].trim().trim_end_matches([',', '!', '?']);
    let spoken = if spoken.ends_with(" .") { spoken } else { spoken.trim_end_matches('.') };
    let spoken = ["the command ", "command ", "a background task: ", "background task: "]
        .iter()
        .find_map(|intro| {
            spoken
                .get(..intro.len())
                .filter(|start| start.eq_ignore_ascii_case(intro))
                .map(|_| &spoken[intro.len()..])
        })
        .unwrap_or(spoken);
    spoken.trim().to_owned()
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
    if tokens
        .iter()
        .any(|token| matches!(token.word.as_str(), "all" | "everything" | "them" | "what" | "whatever"))
    {
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

fn number(word: &str) -> Option<usize> {
    let spoken = NUMBERS.iter().position(|number| *number == word);
    spoken.or_else(|| word.parse().ok()).filter(|count| (2..=99).contains(count))
}

/// A number in words, if it is a small one.
pub(super) fn in_words(count: usize) -> String {
    NUMBERS.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|sign: char| matches!(sign, ',' | ';' | ':' | '!' | '?' | '(' | ')'))
        .trim_end_matches('.')
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(sign) = text[at..].chars().next() {
        if let Some((inside, end)) = quote(text, at, before) {
            let inside = inside.trim();
            if !inside.is_empty() {
                tokens.push(Token { text: inside, word: String::new(), quoted: true, end });
            }
            (at, before) = (end, '"');
            continue;
        }
        if sign.is_whitespace() {
            at += sign.len_utf8();
        } else {
            let length = text[at..]
                .char_indices()
                .skip(1)
                .find(|(offset, sign)| {
                    let before = text[at..at + offset].chars().next_back().unwrap_or(' ');
                    sign.is_whitespace() || quote(text, at + offset, before).is_some()
                })
                .map_or(text.len() - at, |(offset, _)| offset);
            let raw = &text[at..at + length];
            let word = trimmed(raw).to_ascii_lowercase().replace('’', "'");
            at += length;
            tokens.push(Token { text: raw, word, quoted: false, end: at });
        }
        before = text[..at].chars().next_back().unwrap_or(' ');
    }
    tokens
}

/// What is quoted at this place, and where the quote ends. `before` is the sign before it: an apostrophe within a word opens nothing.
fn quote(text: &str, at: usize, before: char) -> Option<(&str, usize)> {
    let rest = &text[at..];
    let open = rest.chars().next()?;
    if before.is_alphanumeric() {
        return None;
    }
    if open == '`' {
        let fence = &rest[..rest.len() - rest.trim_start_matches('`').len()];
        let inside = &rest[fence.len()..];
        let length = inside.find(fence)?;
        return Some((&inside[..length], at + 2 * fence.len() + length));
    }
    let closers: &[char] = match open {
        '"' => &['"'],
        '“' | '„' => &['”', '“', '"'],
        '«' => &['»'],
        '\'' => &['\''],
        '‘' | '‚' => &['’', '‘'],
        _ => return None,
    };
    let inside = &rest[open.len_utf8()..];
    let (length, closer) = inside.char_indices().find(|(offset, sign)| {
        let after = inside[offset + sign.len_utf8()..].chars().next();
        closers.contains(sign) && !after.is_some_and(char::is_alphanumeric)
    })?;
    Some((&inside[..length], at + open.len_utf8() + length + closer.len_utf8()))
}
