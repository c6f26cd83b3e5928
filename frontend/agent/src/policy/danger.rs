//! What is dangerous in a command, part by part: said to the person who is asked for it.
//!
//! This decides nothing: a command that is asked for is asked for in any case. So it may say too much, and not too little: where
//! a command cannot be read for certain, or what it runs is worked out only while it runs, that is said too. What programs do is
//! data, in [`table`].

mod git;
mod interpreter;
mod place;
mod program;
mod table;
mod taken;
mod written;

use shared::shown;

use self::table::{Kind, lists};
use super::split::{Into, Part, Word, split};
use crate::view::Danger;

/// No more are listed than this.
const LISTED: usize = 12;
/// A part is shown to this many characters.
const SHOWN: usize = 100;
/// Commands within words of commands are followed so deep.
const DEPTH: usize = 6;
/// So many bytes are read in all, with what is read again as a command within a command.
const READ: usize = 4 << 20;

/// What is dangerous in a command, in its order; if there is too much of it, the gravest first.
pub(super) fn of(command: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found::new(workspace);
    found.script(command, Within { depth: 0, is_last: true, is_fed: false });
    if shown::hidden(command) > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

/// What is dangerous in text that a running program reads, which may be a shell.
pub(super) fn of_input(text: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found::new(workspace);
    found.script(text, Within { depth: 0, is_last: true, is_fed: false });
    for (_, kinds) in &mut found.list {
        kinds.retain(|kind| *kind != Kind::Unclear);
    }
    found.list.retain(|(_, kinds)| !kinds.is_empty());
    if shown::hidden(text) > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

/// Where a script stands.
#[derive(Clone, Copy)]
struct Within {
    depth: usize,
    /// Whether nothing follows it.
    is_last: bool,
    /// Whether what it reads comes from elsewhere.
    is_fed: bool,
}

/// What stands around a part.
#[derive(Clone, Copy)]
struct Around<'a> {
    all: &'a [Part],
    within: Within,
    /// Whether a group in the script reads from a file or from the command itself.
    fed: bool,
}

impl Around<'_> {
    /// A script in one of the part's words.
    fn within(self, part: &Part) -> Within {
        let is_fed = self.fed || part.fed || part.piped;
        Within { depth: self.within.depth + 1, is_fed, ..self.within }
    }
}

struct Found<'a> {
    list: Vec<(String, Vec<Kind>)>,
    workspace: &'a str,
    /// Whether something before this has downloaded.
    downloads: bool,
    /// What was downloaded may be in these.
    files: Vec<String>,
    /// What was written may be in these, with the text if it is known.
    written: Vec<(String, Option<String>)>,
    /// How many bytes may still be read.
    left: usize,
}

impl<'a> Found<'a> {
    fn new(workspace: &'a str) -> Self {
        Self {
            list: Vec::new(),
            workspace,
            downloads: false,
            files: Vec::new(),
            written: Vec::new(),
            left: READ,
        }
    }

    fn add(&mut self, part: &str, kind: Kind) {
        if let Some((_, kinds)) = self.list.iter_mut().find(|(text, _)| text == part) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        } else {
            self.list.push((part.to_owned(), vec![kind]));
        }
    }

    fn listed(mut self) -> Vec<Danger> {
        let more = self.list.len().saturating_sub(LISTED);
        if more > 0 {
            self.list.sort_by_key(|(_, kinds)| kinds.iter().min().copied());
        }
        let mut rest: Vec<Kind> =
            self.list.iter().skip(LISTED).flat_map(|(_, kinds)| kinds.iter().copied()).collect();
        rest.sort_unstable();
        rest.dedup();
        let mut listed: Vec<Danger> = self
            .list
            .into_iter()
            .take(LISTED)
            .map(|(text, kinds)| Danger {
                part: crate::notice::cut_head(&shown::line(&text), SHOWN),
                what: kinds.iter().map(|kind| kind.words().to_owned()).collect(),
            })
            .collect();
        if let [gravest, others @ ..] = rest.as_slice() {
            let first = format!("has {more} more such parts, of which one {}", gravest.words());
            let others = others.iter().map(|kind| format!("one {}", kind.words()));
            listed.push(Danger { part: String::new(), what: [first].into_iter().chain(others).collect() });
        }
        listed
    }

    fn script(&mut self, command: &str, within: Within) {
        let Within { depth, is_last, is_fed } = within;
        let Some(left) = self.left.checked_sub(command.len()).filter(|_| depth <= DEPTH) else {
            self.add("", Kind::Unclear);
            return;
        };
        self.left = left;
        let split = split(command);
        if split.unclear {
            self.add("", Kind::Unclear);
        }
        let fed = is_fed || split.parts.iter().any(|part| part.fed && part.closes());
        let last = split.parts.len().saturating_sub(1);
        for (at, part) in split.parts.iter().enumerate() {
            let within = Within { depth, is_last: is_last && at == last, is_fed };
            self.part(part, Around { all: &split.parts, within, fed });
        }
    }

    fn part(&mut self, part: &Part, around: Around<'_>) {
        let add = |found: &mut Self, kind| found.add(&part.text, kind);
        if part.unclear {
            add(self, Kind::Unclear);
        }
        for word in &part.writes {
            self.redirected(&part.text, word);
        }
        if around
            .all
            .iter()
            .any(|inner| matches!(inner.into, Some(Into::Words(host) | Into::File(host)) if host == part.id))
        {
            add(self, Kind::Substitutes);
        }
        if part.data {
            return;
        }
        let mut words = part.command();
        while let Some((first, rest)) =
            words.split_first().filter(|(first, _)| super::shell::is_assignment(&first.text))
        {
            // `IFS=, read a b` takes a line apart, and no more.
            let splits =
                first.text.starts_with("IFS=") && rest.first().is_some_and(|word| word.text == "read");
            if table::loads_code(&first.text) && !splits {
                add(self, Kind::Code);
            }
            self.quoted(part, first, around);
            words = rest;
        }
        if part.empties && !part.closes() && prints_nothing(words) {
            let empties = |word: &&Word| !place::is_stream(&word.text);
            if part.writes.iter().any(|word| empties(&word)) {
                add(self, Kind::Overwrites);
            }
        }
        self.command(part, words, around);
        self.remember(part, words);
    }

    fn command(&mut self, part: &Part, words: &[Word], around: Around<'_>) {
        let Some(program) = words.first() else { return };
        let name = name(program);
        let is_set = name != "printf" || words.iter().any(|word| word.text.starts_with("-v"));
        if lists(table::EVALUATES, name) && is_set && words.iter().any(evaluates) {
            self.add(&part.text, Kind::Unclear);
        }
        if matches!(program.text.as_str(), "for" | "case" | "select" | "[" | "[[" | "}") {
            return;
        }
        // The end of `[[ … && $x ]]`.
        let is_test = words.last().is_some_and(|word| word.text == "]]");
        if program.open && !is_test {
            self.add(&part.text, Kind::Unclear);
        }
        let wraps = lists(table::WRAPPERS, name) || program::is_loader(name);
        for at in 0..if wraps { words.len() } else { 1 } {
            self.program(part, &words[at..], at, around);
        }
        if lists(table::PREFIXES, name) && taken::inner(words).is_some_and(|at| words[at].open) {
            self.add(&part.text, Kind::Unclear);
        }
        let known = [table::SHELLS, table::TAKES_COMMANDS, "git"].iter().any(|names| lists(names, name));
        if !known && !lists(table::TAKES_TEXT, name) {
            for word in &words[1..] {
                self.quoted(part, word, around);
            }
        }
    }

    /// A word that looks like a command in itself, or whose end does, may be run as one by whoever gets it.
    fn quoted(&mut self, part: &Part, word: &Word, around: Around<'_>) {
        const GRAVE: [Kind; 6] =
            [Kind::Deletes, Kind::NeedsRoot, Kind::Network, Kind::ForcesPush, Kind::RunsDownload, Kind::Ends];
        const SIGNS: [char; 8] = [' ', '\t', '\n', ';', '|', '&', '`', '$'];
        if !word.quoted || around.within.depth >= DEPTH || !word.text.contains(SIGNS) {
            return;
        }
        let mut within = Found { downloads: self.downloads, left: self.left, ..Found::new(self.workspace) };
        let ends = word.text.match_indices('=').map(|(at, _)| &word.text[at + 1..]).take(4);
        for text in [word.text.as_str()].into_iter().chain(ends) {
            within.script(text.trim_start_matches(['+', '!', ':', '|', ' ', '@']), around.within(part));
        }
        self.left = within.left;
        for (_, kinds) in within.list {
            for kind in kinds.into_iter().filter(|kind| GRAVE.contains(kind)) {
                self.add(&part.text, kind);
            }
        }
    }

    /// What is written by a redirection.
    fn redirected(&mut self, part: &str, word: &Word) {
        let text = word.text.as_str();
        if text.starts_with("/dev/tcp/") || text.starts_with("/dev/udp/") {
            self.add(part, Kind::Network);
        } else if self.is_outside(word) {
            self.add(part, Kind::WritesOutside);
        }
        if shared::by_itself::what(text).is_some() {
            self.add(part, Kind::ByItself);
        }
    }

    /// Keeps in mind which files a part has written, and what, if it is seen.
    fn remember(&mut self, part: &Part, words: &[Word]) {
        let program = words.first().map(name).unwrap_or_default();
        let text = (program == "cat").then(|| part.input.first().cloned()).flatten();
        let mut files: Vec<&Word> = part.writes.iter().collect();
        for (at, word) in words.iter().enumerate() {
            match name(word) {
                "tee" | "sponge" => files.extend(&words[at + 1..]),
                "dd" => files.extend(words.iter().filter(|word| word.text.starts_with("of="))),
                "cp" | "mv" | "ln" | "install" if at == 0 => {
                    let known = words.iter().map(base).any(|file| {
                        self.files.contains(&file) || self.written.iter().any(|(known, _)| *known == file)
                    });
                    files.extend(words.last().filter(|_| known));
                }
                _ => {}
            }
        }
        let files = files.into_iter().filter(|word| !word.text.starts_with("/dev/")).map(base);
        self.written.extend(files.filter(|file| !file.is_empty()).map(|file| (file, text.clone())));
    }
}

/// Whether what a command prints is nothing, so that what it is written to is only emptied.
fn prints_nothing(words: &[Word]) -> bool {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    match texts.as_slice() {
        [] | [":" | "true" | "false" | "echo" | "printf", ..] if texts.len() < 2 => true,
        [":" | "true" | "false", ..] | ["echo", "-n" | ""] | ["printf", ""] => true,
        ["cat" | "head" | "tail", files @ ..] => {
            !files.is_empty() && files.iter().all(|file| *file == "/dev/null")
        }
        _ => false,
    }
}

/// Whether a word names a place in an array by what another command prints.
fn evaluates(word: &Word) -> bool {
    let inside = word.text.split_once('[').map(|(_, inside)| inside);
    inside.is_some_and(|inside| inside.contains("$(") || inside.contains('`'))
}

/// What a program is called, wherever it lies.
fn name(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

/// What an option is set to, or the word itself.
fn value(text: &str) -> &str {
    let begins = text.starts_with('-') || super::shell::is_assignment(text);
    begins.then(|| text.split_once('=')).flatten().map_or(text, |(_, value)| value)
}

fn base(word: &Word) -> String {
    let file = value(&word.text).rsplit('/').next().unwrap_or_default();
    if file.starts_with('-') { String::new() } else { file.to_owned() }
}

#[cfg(test)]
mod tests;
