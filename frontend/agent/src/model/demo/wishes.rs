//! Understands a wish: which of the few things that the demo can do is meant, and with which commands and files.
//!
//! [`clauses`] cuts it into parts, [`phrase`] understands each by itself; here they are put together, since "it" and "meanwhile" reach from one to another.
//! What is not understood is said to be so.

use super::clauses::{self, Clause};
use super::commands::{pause, split};
use super::phrase::{self, FILLERS};
use super::times::{while_command, without_after, without_while};
use super::tokens::{mask, place_of, run_of, tokens, trimmed};
use super::writing::is_file_name;

/// A part of what is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) wish: Wish,
    /// Only once the tasks that were started before it have ended.
    pub(super) after: bool,
}

/// What is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Runs commands and waits for them.
    Run(Vec<String>),
    /// Starts commands in the background.
    Background(Vec<String>),
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
    /// Asks for what happens anyway, such as to go on working and to say when something has ended.
    Nothing,
    /// Wants to know what this is.
    Help,
    /// Something else, in these words.
    Unknown(String),
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

/// The file that is written where none is named.
pub(super) const OWN_FILE: &str = "meanwhile-demo.txt";
/// The most tasks that one wish starts.
pub(super) const MOST_TASKS: usize = 10;

pub(super) const RUN: &str = "run start execute launch kick fire spin begin trigger invoke rerun try";
pub(super) const STOP: &str = "stop kill cancel terminate abort end interrupt";
pub(super) const WRITE: &str = "create write save make add";
pub(super) const READ: &str = "read show open print display view cat";
pub(super) const CHECK: &str = "check status list look";

/// Understands words: the parts in the order in which they are to be done.
pub(super) fn understand(text: &str) -> Vec<Part> {
    let text = &with_verbs(text.trim());
    let whole = |wish| vec![Part { wish, after: false }];
    if let [only] = tokens(text).as_slice()
        && only.quoted
    {
        return whole(Wish::Run(vec![only.text.to_owned()]));
    }
    let clauses = clauses::cut(text);
    // What is not to be done may reach over more than one part: then nothing is done.
    if clauses.iter().any(|clause| forbids(&clause.text)) {
        return whole(Wish::Unknown(text.to_owned()));
    }
    if clauses.is_empty() || asks_how(text) {
        return whole(Wish::Help);
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut after = false;
    for clause in &clauses {
        take(&mut parts, clause, &mut after);
    }
    let several = parts.len() > 1;
    parts.retain(|part| !several || !matches!(part.wish, Wish::Help));
    if parts.iter().all(|part| part.wish == Wish::Nothing) {
        return whole(if several || parts.is_empty() { Wish::Help } else { Wish::Unknown(text.to_owned()) });
    }
    parts.retain(|part| part.wish != Wish::Nothing);
    parts
}

/// `while listing the files` as `meanwhile list the files`.
fn with_verbs(text: &str) -> String {
    const DOING: [(&str, &str); 9] = [
        ("listing", "list"),
        ("creating", "create"),
        ("writing", "write"),
        ("reading", "read"),
        ("checking", "check"),
        ("showing", "show"),
        ("making", "make"),
        ("printing", "print"),
        ("opening", "open"),
    ];
    let words = tokens(text);
    let pair = words.windows(2).find_map(|pair| {
        let verb = DOING.iter().find(|(doing, _)| pair[1].is(doing))?;
        pair[0].is("while whilst").then_some((pair[0].start, pair[1].end, verb.1))
    });
    match pair {
        Some((from, to, verb)) => format!("{}meanwhile {verb}{}", &text[..from], &text[to..]),
        None => text.to_owned(),
    }
}

fn asks_how(text: &str) -> bool {
    let text = mask(text);
    ["how do i ", "how can i ", "how to ", "how do you ", "how would i "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether something is not to be done.
fn forbids(text: &str) -> bool {
    let tokens = tokens(text);
    let no = place_of(&tokens, "don't dont not never");
    let verb = phrase::verb(&tokens);
    let goes_on = |at: usize| tokens.get(at + 1).is_some_and(|token| token.is("working going there"));
    no.is_some() && no < verb && !verb.is_some_and(goes_on)
}

/// Understands a part, and adds it to those before it.
fn take(parts: &mut Vec<Part>, clause: &Clause, after: &mut bool) {
    let (text, ended) = without_after(&clause.text);
    if mask(&clause.text).starts_with("wait") && pause(&text).is_none() {
        *after = true;
        return parts.push(Part { wish: Wish::Nothing, after: true });
    }
    let tells = ended && phrase::anyway(&text);
    let (text, idle) = without_while(&text);
    let mut meanwhile = clause.meanwhile || idle;
    let text = match while_command(&text) {
        Some((command, rest)) if !rest.is_empty() => {
            parts.push(Part { wish: Wish::Background(split(&command, false)), after: *after });
            meanwhile = false;
            rest
        }
        _ => text,
    };
    // What something else is done meanwhile runs in the background, said so or not.
    if meanwhile
        && let Some(Part { wish, .. }) = parts.last_mut()
        && let Wish::Run(commands) = wish
    {
        *wish = Wish::Background(std::mem::take(commands));
    }
    let likewise = parts.last().is_some_and(|part| matches!(part.wish, Wish::Background(_)));
    let mut wish = phrase::one(&text);
    if let Wish::Run(commands) = &mut wish
        && (idle && parts.is_empty() || likewise && also(&text))
    {
        wish = Wish::Background(std::mem::take(commands));
    } else if let Wish::Unknown(words) = &wish
        && reads_it(words)
        && let Some(path) = written(parts)
    {
        wish = Wish::Read(path);
    }
    *after |= ended && !tells;
    let mut wishes = each(wish, &text);
    if let [Wish::Run(_) | Wish::Background(_)] = wishes.as_slice()
        && let Some(rest) = phrase::left_over(&text)
    {
        wishes.push(Wish::Unknown(rest));
    }
    parts.extend(wishes.into_iter().map(|wish| Part { wish, after: *after }));
}

/// What is wished of several files or tasks, one by one.
fn each(wish: Wish, text: &str) -> Vec<Wish> {
    if let Wish::Read(path) = &wish
        && let Some(paths) = several(text, path)
    {
        return paths.map(Wish::Read).collect();
    }
    if let Wish::Write(file) = &wish
        && let Some(names) = file.name.as_ref().and_then(|name| several(text, name))
    {
        return names.map(|name| Wish::Write(File { name: Some(name), ..file.clone() })).collect();
    }
    if let Wish::Stop(Which::Named(named)) = &wish {
        let named = named.split(" and ").map(|named| named.trim().to_owned());
        return named.map(|named| Wish::Stop(Which::Named(named))).collect();
    }
    vec![wish]
}

/// The file that is written before this: `create a.txt, then read it`.
fn written(parts: &[Part]) -> Option<String> {
    parts.iter().rev().find_map(|part| {
        let Wish::Write(file) = &part.wish else { return None };
        Some(file.name.clone().unwrap_or_else(|| OWN_FILE.to_owned()))
    })
}

/// Whether the same is to be done with this as with what came before it.
fn also(text: &str) -> bool {
    let tokens = tokens(text);
    tokens.last().is_some_and(|token| token.is("too also well likewise"))
}

/// Several files that are named: `README.md, Cargo.toml and src/main.rs`.
fn several(text: &str, first: &str) -> Option<std::vec::IntoIter<String>> {
    let tokens = tokens(text);
    let from = tokens.iter().position(|token| trimmed(token.text) == first)?;
    let files: Vec<String> = tokens[from..]
        .iter()
        .filter(|token| !token.is("and then the file files please"))
        .map(|token| trimmed(token.text).to_owned())
        .collect();
    (files.len() > 1 && files.iter().all(|file| is_file_name(file))).then(|| files.into_iter())
}

fn reads_it(text: &str) -> bool {
    let tokens = tokens(text);
    run_of(&tokens, READ) == 1 && run_of(&tokens[1..], FILLERS) == tokens.len() - 1
}
