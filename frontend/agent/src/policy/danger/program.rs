//! What a program does with its words.

use super::super::split::{Into, Part, Word};
use super::interpreter::{self, Given};
use super::table::{self, Kind, Rule, lists};
use super::{Around, Found, base, name, place};

impl Found<'_> {
    /// `words` from a program on; `at`: how many words stand before it.
    pub(super) fn program(&mut self, part: &Part, words: &[Word], at: usize, around: Around<'_>) {
        let [program, arguments @ ..] = words else { return };
        let full = name(program);
        let stem = full.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
        let is = |names: &str| lists(names, full) || lists(names, stem);
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        for Rule { kind, programs, needs } in table::RULES {
            if is(programs) && needs.split_whitespace().all(|need| meets(need, &texts)) {
                self.add(&part.text, *kind);
            }
        }
        if full.starts_with("mkfs") {
            self.add(&part.text, Kind::Deletes);
        }
        for file in texts.iter().filter_map(|text| text.strip_prefix("of=")).filter(|_| is("dd")) {
            if file.starts_with("/dev/") && !place::is_stream(file) {
                self.add(&part.text, Kind::Deletes);
            } else if !place::is_stream(file) {
                self.add(&part.text, Kind::Overwrites);
            }
        }
        match full {
            "git" => self.git(part, arguments, around),
            "sed" | "gsed" => self.sed(part, arguments),
            "awk" | "gawk" | "mawk" | "nawk" => self.awk(part, arguments),
            "find" | "fd" | "fdfind" => self.find(part, full, arguments),
            "xargs" | "parallel" | "sem" => self.taken(part, full, arguments, around),
            "ed" | "ex" if part.piped || part.fed => self.add(&part.text, Kind::RunsOutput),
            "make" | "gmake" if (part.piped || part.fed) && is_fed_a_makefile(&texts) => {
                self.add(&part.text, Kind::RunsOutput);
            }
            "cd" | "pushd" if !around.within.is_last => {
                let to = arguments.iter().find(|word| !word.text.starts_with('-') || word.text == "-");
                if to.is_none_or(|to| to.text == "-" || self.is_outside(to)) {
                    self.add(&part.text, Kind::WritesOutside);
                }
            }
            _ => {}
        }
        self.writes(part, &is, arguments);
        if is(table::DOWNLOADS) {
            self.downloads = true;
            self.files.extend(arguments.iter().chain(&part.writes).map(base).filter(|file| !file.is_empty()));
        }
        let found = interpreter::of(full, stem);
        let given = found.map(|row| row.read(arguments)).unwrap_or_default();
        let runs = found.is_some() || is("source .") || program.text.contains('/');
        if runs && words.iter().map(base).any(|file| self.files.contains(&file)) {
            self.add(&part.text, Kind::RunsDownload);
        }
        if runs {
            self.runs_written(part, words, found.is_some().then_some(&given), around);
        }
        if found.is_some() || is("source . eval") {
            self.interpreter(part, &given, words, around);
        }
        if is(table::SHELLS) || is(table::TAKES_COMMANDS) || is("source .") {
            self.commands(part, &given, words, at, around);
        }
    }

    /// Words and input that are commands of a shell.
    fn commands(&mut self, part: &Part, given: &Given, words: &[Word], at: usize, around: Around<'_>) {
        let [program, arguments @ ..] = words else { return };
        let is_eval = name(program) == "eval";
        let command = given.is_shell && given.code;
        let scripts = arguments.iter().filter(|word| {
            (command && !word.text.starts_with('-')) || word.text.contains([' ', ';', '|', '&', '\n', '>'])
        });
        let mut inner: Vec<String> = scripts.map(|word| without_option(&word.text).to_owned()).collect();
        if is_eval {
            let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
            inner.push(texts.join(" "));
        }
        inner.extend(part.input.iter().cloned());
        for script in inner.iter().filter(|script| script.as_str() != part.text) {
            self.script(script, around.within(part));
        }
        for word in arguments {
            self.quoted(part, word, around);
        }
        // What a variable or another command makes of it is not known.
        let computed = arguments.iter().any(|word| word.open && word.text.contains('$'));
        if computed && at == 0 && (is_eval || command) {
            self.add(&part.text, Kind::Unclear);
        }
    }

    /// A program that runs what it reads, or what is put in.
    fn interpreter(&mut self, part: &Part, given: &Given, words: &[Word], around: Around<'_>) {
        let arguments = &words[1..];
        let is_source = matches!(name(&words[0]), "source" | ".");
        let is_eval = name(&words[0]) == "eval";
        if given.unknown {
            self.add(&part.text, Kind::Unclear);
        }
        if given.code && !given.is_shell {
            self.add(&part.text, Kind::Code);
        }
        let operand = given.operand.and_then(|at| arguments.get(at));
        if operand.is_some_and(|word| word.open && !word.quoted && word.text.starts_with(['$', '`'])) {
            self.add(&part.text, Kind::Unclear);
        }
        let reads = if is_source {
            arguments.first().is_none_or(|file| interpreter::is_input(&file.text))
        } else {
            !is_eval && given.reads_code(arguments)
        };
        let put_in = |inner: &Part| match inner.into {
            Some(Into::Words(host)) => host == part.id && (given.code || is_source || is_eval),
            Some(Into::File(host)) => host == part.id,
            Some(Into::Reads(_)) | None => false,
        };
        let fetches = |other: &Part| other.words.iter().any(|word| lists(table::DOWNLOADS, name(word)));
        let written_to = matches!(part.into, Some(Into::Reads(_)));
        let downloads = self.downloads || (written_to && around.all.iter().any(fetches));
        // What stands in the command itself is looked at, if it is for a shell.
        let unseen = part.piped || around.fed || (part.fed && part.input.is_empty());
        if (reads && (unseen || downloads)) || around.all.iter().any(put_in) {
            self.add(&part.text, if downloads { Kind::RunsDownload } else { Kind::RunsOutput });
        }
        if reads && !part.input.is_empty() && !given.is_shell && !is_source && !is_eval {
            self.add(&part.text, Kind::Code);
        }
    }

    /// A file that the same command has written before.
    fn runs_written(&mut self, part: &Part, words: &[Word], given: Option<&Given>, around: Around<'_>) {
        let arguments = &words[1..];
        let files: Vec<&Word> = match given {
            Some(given) if given.unknown => arguments.iter().collect(),
            Some(given) => given.operand.and_then(|at| arguments.get(at)).into_iter().collect(),
            None if words[0].text.contains('/') => vec![&words[0]],
            None => arguments.first().into_iter().collect(),
        };
        let is_run = |file: &String| files.iter().any(|word| base(word) == *file);
        // Each text is read once, however often it is run.
        let ran: Vec<Option<String>> =
            self.written.iter_mut().filter(|(file, _)| is_run(file)).map(|(_, text)| text.take()).collect();
        for text in ran {
            self.add(&part.text, Kind::RunsWritten);
            let is_shell = given.is_none_or(|given| given.is_shell);
            if let Some(text) = text.filter(|_| is_shell) {
                self.script(&text, around.within(part));
            }
        }
    }
}

fn is_fed_a_makefile(texts: &[&str]) -> bool {
    let files = values(texts, &["-f", "--file", "--makefile"]);
    files.iter().any(|file| interpreter::is_input(file))
}

/// Whether a program is the system's own, which loads the one that is named.
pub(super) fn is_loader(name: &str) -> bool {
    ["ld-linux", "ld-musl", "ld.so", "qemu-"].iter().any(|known| name.starts_with(known))
}

/// A word without an option's name before what it is set to: `-vSls x`, `--split-string=ls x`.
fn without_option(text: &str) -> &str {
    match text.split_once('=') {
        Some((name, value)) if name.starts_with("--") && !name.contains(' ') => value,
        _ if text.starts_with('-') && !text.starts_with("--") => {
            let name = text.char_indices().take(4).find(|(_, sign)| *sign == 'S').map_or(1, |(at, _)| at);
            text.char_indices().find(|(at, _)| *at > name).map_or("", |(at, _)| &text[at..])
        }
        _ => text,
    }
}

/// What options are set to: behind `=`, glued to a letter, or as the next word.
pub(super) fn values(texts: &[&str], options: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        for option in options {
            if text == option {
                found.extend(texts.get(at + 1).map(|value| (*value).to_owned()));
            } else if let Some(rest) = text.strip_prefix(option) {
                let glued = option.len() == 2 && !rest.starts_with('=');
                found.extend(rest.strip_prefix('=').or(glued.then_some(rest)).map(str::to_owned));
            }
        }
    }
    found
}

/// Whether arguments hold what a rule needs: one of the words between `|`. A single letter after `-` may stand among others, a
/// long option may be short for it or have a value, `*` before it means "somewhere in a word", and `*` behind it "so begins a word".
pub(super) fn meets(need: &str, texts: &[&str]) -> bool {
    need.split('|').any(|need| {
        texts.iter().any(|text| match need.as_bytes() {
            [b'*', ..] => text.contains(&need[1..]),
            [.., b'*'] => text.starts_with(&need[..need.len() - 1]),
            [b'-', b'-', ..] => {
                let name = text.split('=').next().unwrap_or_default();
                name == need || name.len() > 4 && need.starts_with(name)
            }
            [b'-', letter] if letter.is_ascii_alphabetic() => {
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
