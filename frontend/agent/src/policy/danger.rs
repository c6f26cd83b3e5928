//! What is dangerous in a command, part by part: said to the person who is asked for it.
//!
//! This decides nothing: a command that is asked for is asked for in any case. So it may say too much, and
//! not too little: where a command cannot be read for certain, or what it runs is worked out only while it
//! runs, that is said too. What programs do is data, in [`table`].

mod git;
mod interpreter;
mod place;
mod program;
mod table;
mod taken;
mod variables;
mod words;
mod written;

use shared::shown;

use self::table::{Kind, lists};
use self::words::{base, name};
use super::shell::is_assignment;
use super::split::{Into, Part, Word, split};
use crate::view::Danger;

/// No more are listed than this.
const LISTED: usize = 12;
/// A part is shown to this many characters.
const SHOWN: usize = 100;
/// Commands within words of commands are followed so deep.
const DEPTH: usize = 6;
/// So many bytes are read in all, with what is read again as a command within a command.
const READ: usize = 1 << 20;
/// So many parts, and so many files, are kept in mind.
const KEPT: usize = 200;
/// Among so many words of a wrapper its program is looked for.
const WRAPPED: usize = 32;
/// So many words of a part are looked at.
const WORDS: usize = 1_000;

/// What is dangerous in a command, in its order; if there is too much of it, the gravest first.
pub(super) fn of(command: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found::new(workspace);
    found.script(command, Within { depth: 0, only_reads_follow: true, is_fed: false });
    if shown::hidden(command) > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

/// What is dangerous in text that a running program reads, which may be a shell.
pub(super) fn of_input(text: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found::new(workspace);
    found.script(text, Within { depth: 0, only_reads_follow: true, is_fed: false });
    for (_, kinds) in &mut found.list {
        kinds.retain(|kind| *kind != Kind::Unclear);
    }
    found.list.retain(|(_, kinds)| !kinds.is_empty());
    found.more.retain(|kind| *kind != Kind::Unclear);
    if shown::hidden(text) > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

/// Where a script stands.
#[derive(Clone, Copy)]
struct Within {
    depth: usize,
    /// Whether nothing follows it but what only reads.
    only_reads_follow: bool,
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

impl<'a> Around<'a> {
    /// A script in one of the part's words.
    fn within(self, part: &Part) -> Within {
        let is_fed = self.fed || part.fed || part.piped;
        Within { depth: self.within.depth + 1, is_fed, ..self.within }
    }

    /// The part before, if it is piped into this one.
    fn before(self, part: &Part) -> Option<&'a Part> {
        let mut before = self.all.iter().rev().skip_while(|other| other.id != part.id).skip(1);
        before.find(|other| other.into == part.into).filter(|_| part.piped)
    }

    /// What a part reads, as far as it stands in the command.
    fn given(self, part: &Part) -> Vec<String> {
        let mut given = part.input.clone();
        if let Some(before) = self.before(part) {
            match before.command() {
                [program, words @ ..] if lists("echo printf", &name(program)) => {
                    let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
                    given.push(words.join(" ").replace("\\n", "\n"));
                }
                [program] if name(program) == "cat" => given.extend(before.input.iter().cloned()),
                _ => {}
            }
        }
        given
    }
}

struct Found<'a> {
    list: Vec<(String, Vec<Kind>)>,
    /// What parts do that are not in the list, since it is full.
    more: Vec<Kind>,
    more_parts: usize,
    workspace: &'a str,
    /// Whether something before this has downloaded.
    downloads: bool,
    /// Whether that was taken apart, so that the names of its files are not known.
    unpacked: bool,
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
            more: Vec::new(),
            more_parts: 0,
            workspace,
            downloads: false,
            unpacked: false,
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
        } else if self.list.len() < KEPT {
            self.list.push((part.to_owned(), vec![kind]));
        } else {
            self.more_parts += 1;
            if !self.more.contains(&kind) {
                self.more.push(kind);
            }
        }
    }

    fn listed(mut self) -> Vec<Danger> {
        let more = self.list.len().saturating_sub(LISTED) + self.more_parts;
        if more > 0 {
            self.list.sort_by_key(|(_, kinds)| kinds.iter().min().copied());
        }
        let mut rest: Vec<Kind> =
            self.list.iter().skip(LISTED).flat_map(|(_, kinds)| kinds.iter().copied()).collect();
        rest.append(&mut self.more);
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
        let Within { depth, only_reads_follow, is_fed } = within;
        let Some(left) = self.left.checked_sub(command.len()).filter(|_| depth <= DEPTH) else {
            self.add("", Kind::Unclear);
            return;
        };
        self.left = left;
        let split = split(command);
        if split.unclear || calls_itself(command) {
            self.add("", Kind::Unclear);
        }
        let fed = is_fed || split.parts.iter().any(|part| part.fed && part.closes());
        let acts = split.parts.iter().rposition(|part| !only_reads(part)).unwrap_or_default();
        for (at, part) in split.parts.iter().enumerate() {
            let within = Within { depth, only_reads_follow: only_reads_follow && at >= acts, is_fed };
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
        if part.reads.iter().any(|word| is_socket(&word.text)) {
            add(self, Kind::Network);
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
        let all = part.command();
        let mut words = &all[..all.len().min(WORDS)];
        if words.len() < all.len() {
            add(self, Kind::Unclear);
        }
        while let Some((first, rest)) = words.split_first().filter(|(first, _)| is_assignment(&first.text)) {
            // `IFS=, read a b` takes a line apart, and no more.
            let splits =
                first.text.starts_with("IFS=") && rest.first().is_some_and(|word| word.text == "read");
            if self.loads_code(&first.text) && !splits {
                add(self, Kind::Code);
            }
            self.quoted(part, first, around);
            words = rest;
        }
        if part.empties && !part.closes() {
            let is_lost = |word: &&Word| {
                !place::is_stream(&word.text)
                    && (prints_no_content(words) || reads_itself(part, &word.text, around))
            };
            if part.writes.iter().any(|word| is_lost(&word)) {
                add(self, Kind::Overwrites);
            }
        }
        self.command(part, words, around);
        self.remember(part, words);
    }

    fn command(&mut self, part: &Part, words: &[Word], around: Around<'_>) {
        let Some(program) = words.first() else { return };
        let name = &name(program);
        let is_set = name != "printf" || words.iter().any(|word| word.text.starts_with("-v"));
        if lists(table::EVALUATES, name) && is_set && words.iter().any(evaluates) {
            self.add(&part.text, Kind::Unclear);
        }
        if lists(table::SETS, name) && words[1..].iter().any(|word| self.loads_code(&word.text)) {
            self.add(&part.text, Kind::Code);
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
        for at in 0..if wraps { words.len().min(WRAPPED) } else { 1 } {
            self.program(part, &words[at..], at, around);
        }
        if wraps && words.len() > WRAPPED {
            self.add(&part.text, Kind::Unclear);
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
        let kinds = within.list.into_iter().flat_map(|(_, kinds)| kinds).chain(within.more);
        for kind in kinds.filter(|kind| GRAVE.contains(kind)) {
            self.add(&part.text, kind);
        }
    }

    /// What is written by a redirection.
    fn redirected(&mut self, part: &str, word: &Word) {
        let text = word.text.as_str();
        if is_socket(text) {
            self.add(part, Kind::Network);
        } else if self.is_outside(word) {
            self.add(part, Kind::WritesOutside);
        }
        if place::runs_by_itself(word) {
            self.add(part, Kind::ByItself);
        }
    }

    /// Keeps in mind which files a part has written, and what, if it is seen.
    fn remember(&mut self, part: &Part, words: &[Word]) {
        let is_cat = words.first().is_some_and(|program| name(program) == "cat");
        let text = is_cat.then(|| part.input.first().cloned()).flatten();
        let mut files: Vec<&Word> = part.writes.iter().collect();
        if let Some(at) = words.iter().position(|word| lists("tee sponge", &name(word))) {
            files.extend(&words[at + 1..]);
        }
        files.extend(words.iter().filter(|word| word.text.starts_with("of=")));
        if words.first().is_some_and(|program| lists("cp mv ln install", &name(program))) {
            let sources: Vec<String> = words.iter().map(base).collect();
            let target = words.last();
            if sources.iter().any(|file| self.files.contains(file)) {
                self.files.extend(target.map(base));
            }
            // A program under another name is run like one that was written here.
            let known = |file: &String| self.written.iter().any(|(known, _)| known == file);
            if sources.iter().any(known) || words.iter().any(|word| word.text.contains("bin/")) {
                files.extend(target);
            }
        }
        let files: Vec<String> =
            files.into_iter().filter(|word| !word.text.starts_with("/dev/")).map(base).collect();
        if self.downloads && part.piped {
            self.files.extend(files.iter().cloned());
        }
        self.written
            .extend(files.into_iter().filter(|file| !file.is_empty()).map(|file| (file, text.clone())));
        if self.written.len() > KEPT || self.files.len() > KEPT {
            self.written.truncate(KEPT);
            self.files.truncate(KEPT);
            self.add("", Kind::Unclear);
        }
    }
}

/// Whether a name is that of a connection, to bash.
fn is_socket(file: &str) -> bool {
    file.starts_with("/dev/tcp/") || file.starts_with("/dev/udp/")
}

/// Whether a part reads and changes nothing.
fn only_reads(part: &Part) -> bool {
    part.writes.is_empty()
        && (part.data || part.command().first().is_none_or(|program| lists(table::READS, &name(program))))
}

/// Whether a command reads the file that it is written to, which is empty by then.
fn reads_itself(part: &Part, file: &str, around: Around<'_>) -> bool {
    let reads = |part: &Part| part.words.iter().skip(1).chain(&part.reads).any(|word| word.text == file);
    let prints = part.words.first().is_some_and(|program| lists("echo printf touch", &name(program)));
    !prints && (reads(part) || around.before(part).is_some_and(reads))
}

/// Whether a function starts itself twice: `f() { f | f & }`.
fn calls_itself(command: &str) -> bool {
    let dense: String = command.split_whitespace().collect();
    dense.match_indices("(){").take(KEPT).any(|(at, sign)| {
        let name = dense[..at].rsplit([';', '&', '|', '}', '\n']).next().unwrap_or_default();
        let body = dense[at + sign.len()..].split('}').next().unwrap_or_default();
        !name.is_empty() && ["|", "&"].iter().any(|join| body.contains(&format!("{name}{join}{name}")))
    })
}

/// Whether what a command prints is nothing, or without end: what it is written to is only lost.
fn prints_no_content(words: &[Word]) -> bool {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    match texts.as_slice() {
        [] | [":" | "true" | "false" | "echo" | "printf", ..] if texts.len() < 2 => true,
        [":" | "true" | "false" | "yes", ..]
        | ["echo", "-n" | ""]
        | ["printf", ""]
        | ["cat", "/dev/zero" | "/dev/urandom" | "/dev/random", ..]
        | ["head", "-c" | "-n", "0", ..] => true,
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

#[cfg(test)]
mod tests;
