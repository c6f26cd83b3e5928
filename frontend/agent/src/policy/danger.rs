//! What is dangerous in a command, part by part: said to the person who is asked for it.
//!
//! This decides nothing: a command that is asked for is asked for in any case. So it may say too much, and not too little: where
//! a command cannot be read for certain, that is said too. What programs do is data, in [`table`].

mod table;

use shared::shown;

use self::table::{Kind, Rule, SHELLS};
use super::split::{Into, Part, Word, split};
use crate::view::Danger;

/// No more are listed than this.
const LISTED: usize = 12;
/// A part is shown to this many characters.
const SHOWN: usize = 100;
/// Commands within words of commands are followed so deep.
const DEPTH: usize = 6;

/// What is dangerous in a command, in its order.
pub(super) fn of(command: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found { list: Vec::new(), workspace, downloads: false, files: Vec::new() };
    found.script(command, 0);
    let hidden = shown::hidden(command);
    if hidden > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

/// What is dangerous in text that a running program reads, which may be a shell.
pub(super) fn of_input(text: &str, workspace: &str) -> Vec<Danger> {
    let mut found = Found { list: Vec::new(), workspace, downloads: false, files: Vec::new() };
    found.script(text, 0);
    for (_, kinds) in &mut found.list {
        kinds.retain(|kind| *kind != Kind::Unclear);
    }
    found.list.retain(|(_, kinds)| !kinds.is_empty());
    if shown::hidden(text) > 0 {
        found.add("", Kind::Hidden);
    }
    found.listed()
}

struct Found<'a> {
    list: Vec<(String, Vec<Kind>)>,
    workspace: &'a str,
    /// Whether something before this has downloaded.
    downloads: bool,
    /// What was downloaded may be in these.
    files: Vec<String>,
}

impl Found<'_> {
    fn add(&mut self, part: &str, kind: Kind) {
        if let Some((_, kinds)) = self.list.iter_mut().find(|(text, _)| text == part) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        } else {
            self.list.push((part.to_owned(), vec![kind]));
        }
    }

    fn listed(self) -> Vec<Danger> {
        let more = self.list.len().saturating_sub(LISTED);
        let mut listed: Vec<Danger> = self
            .list
            .into_iter()
            .take(LISTED)
            .map(|(text, kinds)| Danger {
                part: crate::notice::cut_head(&shown::line(&text), SHOWN),
                what: kinds.iter().map(|kind| kind.words().to_owned()).collect(),
            })
            .collect();
        if more > 0 {
            listed.push(Danger {
                part: String::new(),
                what: vec![format!("does as much in {more} more parts")],
            });
        }
        listed
    }

    fn script(&mut self, command: &str, depth: usize) {
        let split = split(command);
        if split.unclear || depth > DEPTH {
            self.add("", Kind::Unclear);
        }
        if depth > DEPTH {
            return;
        }
        let last = split.parts.len().saturating_sub(1);
        for (at, part) in split.parts.iter().enumerate() {
            self.part(part, &split.parts, at == last, depth);
        }
    }

    fn part(&mut self, part: &Part, all: &[Part], is_last: bool, depth: usize) {
        let add = |found: &mut Self, kind| found.add(&part.text, kind);
        for word in &part.writes {
            self.written(&part.text, word);
        }
        if all
            .iter()
            .any(|inner| matches!(inner.into, Some(Into::Words(host) | Into::File(host)) if host == part.id))
        {
            add(self, Kind::Substitutes);
        }
        let mut words = part.words.as_slice();
        while let [first, rest @ ..] = words {
            let reserved = !first.quoted && table::RESERVED.contains(&first.text.as_str());
            let skipped = reserved || super::shell::is_assignment(&first.text);
            if !skipped {
                break;
            }
            if table::loads_code(&first.text) {
                add(self, Kind::Code);
            }
            let value = first.text.split_once('=').map(|(_, value)| value.to_owned()).unwrap_or_default();
            self.quoted(part, &Word { text: value, ..first.clone() }, depth);
            words = rest;
        }
        let Some(program) = words.first() else { return };
        if matches!(program.text.as_str(), "for" | "case" | "select" | "[" | "[[" | "function" | "}") {
            return;
        }
        if program.open {
            add(self, Kind::Unclear);
        }
        let wraps = table::WRAPPERS.contains(&name(program));
        for at in 0..if wraps { words.len() } else { 1 } {
            self.program(part, all, &words[at..], at, depth);
        }
        if matches!(name(program), "cd" | "pushd") && !is_last {
            let to = words.iter().skip(1).find(|word| !word.text.starts_with('-') || word.text == "-");
            if to.is_none_or(|to| to.text == "-" || self.is_outside(to)) {
                add(self, Kind::WritesOutside);
            }
        }
        let known = [SHELLS, table::TAKES_COMMANDS, "git"]
            .iter()
            .any(|names| names.split_whitespace().any(|known| known == name(program)));
        if !known && !table::TAKES_TEXT.contains(&name(program)) {
            for word in &words[1..] {
                self.quoted(part, word, depth);
            }
        }
    }

    /// A word that looks like a command in itself may be run as one by whoever gets it.
    fn quoted(&mut self, part: &Part, word: &Word, depth: usize) {
        if !word.quoted || depth >= DEPTH || !word.text.contains([' ', '\t', '\n', ';', '|', '&', '`', '$']) {
            return;
        }
        let mut within = Found {
            list: Vec::new(),
            workspace: self.workspace,
            downloads: self.downloads,
            files: Vec::new(),
        };
        within.script(&word.text, depth + 1);
        let grave = [Kind::Deletes, Kind::NeedsRoot, Kind::Network, Kind::ForcesPush, Kind::RunsDownload];
        for (_, kinds) in within.list {
            for kind in kinds.into_iter().filter(|kind| grave.contains(kind)) {
                self.add(&part.text, kind);
            }
        }
    }

    /// `words` from a program on; `at`: how many words stand before it.
    fn program(&mut self, part: &Part, all: &[Part], words: &[Word], at: usize, depth: usize) {
        let [program, arguments @ ..] = words else { return };
        let full = name(program);
        let stem = full.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
        let is = |names: &str| names.split_whitespace().any(|known| known == full || known == stem);
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        for Rule { kind, programs, needs } in table::RULES {
            if is(programs) && needs.split_whitespace().all(|need| meets(need, &texts)) {
                self.add(&part.text, *kind);
            }
        }
        if full.starts_with("mkfs") {
            self.add(&part.text, Kind::Deletes);
        }
        if is("git") {
            self.git(part, &texts);
        }
        // The first of these is a program of theirs, in which `/` means something else.
        let first = if is("sed perl") {
            texts.iter().position(|text| !text.starts_with('-')).map_or(0, |at| at + 1)
        } else {
            0
        };
        if is(table::WRITES) && arguments[first..].iter().any(|word| self.is_outside(word)) {
            self.add(&part.text, Kind::WritesOutside);
        }
        if is(table::WRITES_LAST) {
            let target =
                texts.iter().position(|text| *text == "-t" || text.starts_with("--target-directory"));
            let target = target.and_then(|at| arguments.get(at + 1)).or(arguments.last());
            if target.is_some_and(|word| self.is_outside(word)) {
                self.add(&part.text, Kind::WritesOutside);
            }
        }
        if is(table::WRITES) || is(table::WRITES_LAST) {
            let changes = |word: &Word| shared::by_itself::what(value(&word.text)).is_some();
            if arguments.iter().any(changes) {
                self.add(&part.text, Kind::ByItself);
            }
        }
        if is(table::DOWNLOADS) {
            self.downloads = true;
            self.files.extend(arguments.iter().chain(&part.writes).map(base).filter(|file| !file.is_empty()));
        }
        if is(table::CODE) {
            let given = texts.iter().any(|text| table::CODE_OPTIONS.contains(text) || text.starts_with("-e"));
            if given || !part.input.is_empty() {
                self.add(&part.text, Kind::Code);
            }
        }
        let runs_file = (is(SHELLS) || is(table::CODE) || is("source .") || program.text.contains('/'))
            && words.iter().map(base).any(|file| self.files.contains(&file));
        if runs_file {
            self.add(&part.text, Kind::RunsDownload);
        }
        if is(SHELLS) || is(table::CODE) || is("source . eval") {
            self.interpreter(part, all, &texts);
        }
        if is(SHELLS) || is(table::TAKES_COMMANDS) {
            let joined = is("eval").then(|| texts.join(" "));
            let command = is(SHELLS) && texts.iter().any(|text| gives_command(text));
            let scripts = arguments.iter().filter(|word| {
                (command && !word.text.starts_with('-'))
                    || word.text.contains([' ', ';', '|', '&', '\n', '>'])
            });
            let inner: Vec<String> = scripts
                .map(|word| word.text.clone())
                .chain(joined)
                .chain(part.input.iter().cloned())
                .collect();
            for script in inner.iter().filter(|script| script.as_str() != part.text) {
                self.script(script, depth + 1);
            }
            // What a variable or another command makes of it is not known.
            let given = arguments.iter().any(|word| word.open && word.text.contains('$'));
            if given && at == 0 && (is("eval") || command) {
                self.add(&part.text, Kind::Unclear);
            }
        }
    }

    /// A program that runs what it reads, or what is put in.
    fn interpreter(&mut self, part: &Part, all: &[Part], texts: &[&str]) {
        let operand = texts.iter().find(|text| !text.starts_with('-'));
        let reads = operand.is_none_or(|file| matches!(*file, "/dev/stdin" | "/proc/self/fd/0"))
            || texts.contains(&"-s");
        let command = texts.iter().any(|text| gives_command(text) || table::CODE_OPTIONS.contains(text));
        let command =
            command || part.words.first().is_some_and(|word| matches!(name(word), "eval" | "source" | "."));
        let put_in = |inner: &Part| match inner.into {
            Some(Into::Words(host)) => host == part.id && command,
            Some(Into::File(host)) => host == part.id,
            Some(Into::Reads(_)) | None => false,
        };
        let fetches = |other: &Part| {
            other
                .words
                .iter()
                .any(|word| table::DOWNLOADS.split_whitespace().any(|known| known == name(word)))
        };
        let written_to = matches!(part.into, Some(Into::Reads(_)));
        let downloads = self.downloads || (written_to && all.iter().any(fetches));
        if (reads && (part.piped || downloads)) || all.iter().any(put_in) {
            let kind = if downloads { Kind::RunsDownload } else { Kind::RunsOutput };
            self.add(&part.text, kind);
        }
    }

    fn git(&mut self, part: &Part, texts: &[&str]) {
        let verb = texts.iter().position(|text| !text.starts_with('-')).unwrap_or(texts.len());
        // `-C folder` and `-c name=value` come before what is to be done.
        let before = |text: &&str| {
            matches!(*text, "-c" | "--config-env" | "--exec-path") || text.starts_with("--exec-path=")
        };
        if texts[..verb].iter().any(before) {
            self.add(&part.text, Kind::Code);
        }
        let away = texts[..verb].iter().position(|text| *text == "-C");
        if away.and_then(|at| texts.get(at + 1)).is_some_and(|to| self.leaves(to)) {
            self.add(&part.text, Kind::WritesOutside);
        }
        let Some(push) = texts.iter().position(|text| *text == "push") else { return };
        let forced = |text: &&str| {
            text.starts_with(['+', ':'])
                || text.strip_prefix('-').is_some_and(|set| !set.starts_with('-') && set.contains(['f', 'd']))
                || text.len() > 3
                    && ["--force", "--delete", "--mirror", "--prune"]
                        .iter()
                        .any(|known| text.starts_with(known) || known.starts_with(*text))
        };
        if texts[push..].iter().any(|text| forced(&text)) {
            self.add(&part.text, Kind::ForcesPush);
        }
    }

    fn written(&mut self, part: &str, word: &Word) {
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

    /// Whether a word may name a file outside of the workspace.
    fn is_outside(&self, word: &Word) -> bool {
        let text = word.text.as_str();
        if text.contains("://") {
            return false;
        }
        let glued = text.starts_with('-') && !text.starts_with("--");
        let glued = glued.then(|| text.get(2..)).flatten().filter(|rest| rest.starts_with(['/', '~', '.']));
        self.leaves(glued.unwrap_or(value(text))) || (word.open && value(text).starts_with(['$', '`']))
    }

    fn leaves(&self, path: &str) -> bool {
        const SAFE: [&str; 6] =
            ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/zero"];
        if SAFE.contains(&path) || path.starts_with("/dev/fd/") || path.starts_with("/dev/std") {
            return false;
        }
        if path.starts_with('~') {
            return true;
        }
        let inside =
            path.strip_prefix(self.workspace.trim_end_matches('/')).filter(|_| self.workspace.len() > 1);
        let path = match inside.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some(rest) => rest.trim_start_matches('/'),
            None if path.starts_with('/') => return true,
            None => path,
        };
        let mut depth = 0_i32;
        path.split('/').any(|part| {
            depth += match part {
                ".." => -1,
                "" | "." => 0,
                _ => 1,
            };
            depth < 0
        })
    }
}

/// Whether an option says that the next word is a command: `-c`, `-lc`.
fn gives_command(option: &str) -> bool {
    option.strip_prefix('-').is_some_and(|set| !set.starts_with('-') && set.contains('c'))
        || option == "--command"
}

/// What a program is called, wherever it lies.
fn name(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

/// What an option is set to, or the word itself.
fn value(text: &str) -> &str {
    let begins = text.starts_with('-') || text.starts_with("of=");
    begins.then(|| text.split_once('=')).flatten().map_or(text, |(_, value)| value)
}

fn base(word: &Word) -> String {
    let file = value(&word.text).rsplit('/').next().unwrap_or_default();
    if file.starts_with('-') { String::new() } else { file.to_owned() }
}

/// Whether arguments hold what a rule needs: one of the words between `|`. A single letter after `-` may stand among others, a
/// long option may be short for it or have a value, and `*` before it means "somewhere in a word".
fn meets(need: &str, texts: &[&str]) -> bool {
    need.split('|').any(|need| {
        texts.iter().any(|text| match need.as_bytes() {
            [b'*', ..] => text.contains(&need[1..]),
            [b'-', b'-', ..] => {
                let name = text.split('=').next().unwrap_or_default();
                name == need || name.len() > 4 && need.starts_with(name)
            }
            [b'-', letter] => {
                *text == need
                    || text.len() < 6
                        && text.starts_with('-')
                        && !text.starts_with("--")
                        && text.bytes().any(|b| b == *letter)
            }
            _ => *text == need,
        })
    })
}

#[cfg(test)]
mod tests;
