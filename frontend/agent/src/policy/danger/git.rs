//! What git does: its verbs decide, not its words anywhere, since a message is a word, too.

use super::super::split::{Part, Word};
use super::table::{self, Kind, lists};
use super::words::{meets, values};
use super::{Around, Found, place};
use crate::policy::read_only;

impl Found<'_> {
    pub(super) fn git(&mut self, part: &Part, words: &[Word], around: Around<'_>) {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let mut verb = 0;
        // `-C folder` and `-c name=value` come before what is to be done.
        while let Some(text) = texts.get(verb).filter(|text| text.starts_with('-')) {
            let takes =
                matches!(*text, "-c" | "-C" | "--config-env" | "--git-dir" | "--work-tree" | "--namespace");
            if matches!(*text, "-c" | "--config-env" | "--exec-path")
                || ["--exec-path=", "--config-env="].iter().any(|known| text.starts_with(known))
            {
                self.add(&part.text, Kind::Code);
            }
            verb += 1 + usize::from(takes);
        }
        let (options, _) = texts.split_at(verb.min(texts.len()));
        let reads = texts.get(verb).is_none_or(|verb| lists(read_only::GIT_READS, verb));
        let folders = values(options, &["-C", "--git-dir", "--work-tree"]);
        if !reads && folders.iter().any(|to| self.leaves(to)) {
            self.add(&part.text, Kind::WritesOutside);
        }
        let Some(name) = texts.get(verb) else { return };
        let rest = &texts[(verb + 1).min(texts.len())..];
        if words[verb].open {
            self.add(&part.text, Kind::Unclear);
        }
        for rule in table::GIT {
            if lists(rule.programs, name) && meets(rule.needs, rest) {
                self.add(&part.text, rule.kind);
            }
        }
        if matches!(*name, "push" | "send-pack") && rest.iter().any(|text| is_forced(text)) {
            self.add(&part.text, Kind::ForcesPush);
        }
        let has = |known: &[&str]| rest.iter().any(|text| known.contains(text));
        let unstages = has(&["--staged", "-S"]) && !has(&["--worktree", "-W"]);
        let discards = match *name {
            "checkout" => is_of_files(rest),
            "restore" => !unstages,
            "rm" => !has(&["--cached"]),
            _ => false,
        };
        if discards {
            self.add(&part.text, Kind::Deletes);
        }
        match *name {
            "clone" => (self.downloads, self.unpacked) = (true, true),
            "commit" if rest.iter().any(|text| skips_hooks(text)) => self.add(&part.text, Kind::Evades),
            "config" if !reads_settings(rest) => {
                self.add(&part.text, Kind::ByItself);
                if has(&["--global", "--system"]) {
                    self.add(&part.text, Kind::WritesOutside);
                }
            }
            "bisect" if rest.first() == Some(&"run") => {
                for at in verb + 2..words.len() {
                    self.program(part, &words[at..], at, around);
                }
                self.add(&part.text, Kind::Code);
            }
            "submodule" if has(&["foreach"]) => {
                let command: Vec<&str> = rest
                    .iter()
                    .copied()
                    .skip_while(|text| *text != "foreach")
                    .skip(1)
                    .skip_while(|text| text.starts_with('-'))
                    .collect();
                self.script(&command.join(" "), around.within(part));
            }
            _ => {}
        }
        if lists(table::GIT_TARGETS, name) {
            let operands: Vec<&Word> =
                words[verb + 1..].iter().filter(|word| !word.text.starts_with('-')).collect();
            // Where a copy is made from is only read.
            let from = usize::from(*name == "clone");
            let outside = |word: &&Word| self.is_outside(word) && !place::is_url(&word.text);
            if !matches!(*name, "checkout" | "restore") && operands.iter().skip(from).any(outside) {
                self.add(&part.text, Kind::WritesOutside);
            }
            if operands.iter().any(|word| place::runs_by_itself(word)) {
                self.add(&part.text, Kind::ByItself);
            }
        }
        if table::GIT.iter().any(|rule| rule.kind == Kind::Code && lists(rule.programs, name)) {
            for command in values(rest, table::GIT_COMMANDS) {
                self.script(&command, around.within(part));
            }
        }
    }
}

fn is_forced(text: &str) -> bool {
    text.starts_with(['+', ':'])
        || text.strip_prefix('-').is_some_and(|set| !set.starts_with('-') && set.contains(['f', 'd']))
        || text.len() > 3
            && ["--force", "--delete", "--mirror", "--prune"]
                .iter()
                .any(|known| text.starts_with(known) || known.starts_with(text))
}

/// Files and folders with these names are likelier than branches.
const FILES: &str = "Makefile Dockerfile LICENSE README Gemfile Rakefile Procfile Justfile Vagrantfile Jenkinsfile src lib app test tests \
    docs doc bin scripts public packages frontend backend server client";

/// Whether an option of `commit` leaves out what is run before: `-n`, also among other letters, but not in a
/// text behind one.
fn skips_hooks(text: &str) -> bool {
    let letters = text.strip_prefix('-').filter(|set| !set.starts_with('-'));
    text.len() > 5 && "--no-verify".starts_with(text)
        || letters.is_some_and(|set| {
            set.split(['m', 'F', 'C', 'c', 't', 'S', 'u']).next().unwrap_or_default().contains('n')
        })
}

/// Whether `config` only shows what is set.
fn reads_settings(rest: &[&str]) -> bool {
    let shows = |text: &&str| text.starts_with("--get") || matches!(*text, "-l" | "--list");
    let operands = rest.iter().filter(|text| !text.starts_with('-')).count();
    let changes = |text: &&str| {
        text.starts_with("--unset") || matches!(*text, "-e" | "--edit" | "edit" | "--add" | "--replace-all")
    };
    !rest.iter().any(changes)
        && (rest.iter().any(shows) || matches!(rest.first(), Some(&"get" | &"list")) || operands == 1)
}

/// Whether `checkout` takes files from elsewhere, and with it the changes in them away. A branch and a folder
/// can have the same name; what has an ending, or follows another name, is a file.
fn is_of_files(rest: &[&str]) -> bool {
    let makes = rest.iter().any(|text| {
        matches!(*text, "-b" | "-B" | "-t" | "--track" | "--orphan" | "--detach" | "-d")
            || text.starts_with("--track=")
    });
    let operands: Vec<&&str> = rest.iter().filter(|text| !text.starts_with('-') || **text == "-").collect();
    let is_file = |text: &str| {
        let name = text.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        text.starts_with("./")
            || matches!(text, "." | ":/")
            || text.ends_with('/')
            || text.contains(['*', '?', '['])
            || place::is_stream(text)
            || lists(FILES, text)
            || ending.is_some_and(|ending| {
                (1..=6).contains(&ending.len()) && !ending.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    rest.contains(&"--") || !makes && (operands.len() > 1 || operands.iter().any(|text| is_file(text)))
}
