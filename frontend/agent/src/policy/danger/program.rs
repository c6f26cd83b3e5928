//! What a program does with its words.

use super::super::split::{Into, Part, Word};
use super::interpreter::{self, Given};
use super::table::{self, Kind, Rule, lists};
use super::words::{base, meets, name, values};
use super::{Around, Found, place};

impl Found<'_> {
    /// `words` from a program on; `at`: how many words stand before it.
    pub(super) fn program(&mut self, part: &Part, words: &[Word], at: usize, around: Around<'_>) {
        let [program, arguments @ ..] = words else { return };
        let full = name(program);
        let full = full.as_str();
        let stem = full.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.');
        let is = |names: &str| lists(names, full) || lists(names, stem);
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let given = if is(table::DATABASES) { around.given(part) } else { Vec::new() };
        let all: Vec<&str> = texts.iter().copied().chain(given.iter().map(String::as_str)).collect();
        let tells = matches!(texts.as_slice(), ["--version" | "--help"]);
        for Rule { kind, programs, needs } in table::RULES.iter().filter(|_| !tells) {
            if is(programs) && meets(needs, &all) {
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
        self.by_name(part, full, arguments, around);
        self.writes(part, &is, arguments);
        let found = interpreter::of(full, stem);
        let given = found.map(|row| row.read(arguments)).unwrap_or_default();
        let runs = found.is_some() || is("source .") || is_path(&program.text);
        let ran = if runs { run_files(part, words, found.is_some().then_some(&given)) } else { Vec::new() };
        self.brought_in(part, &is, arguments, &ran);
        if runs {
            self.runs_written(part, &ran, found.is_none_or(|_| given.is_shell), around);
        }
        if found.is_some() || is("source . eval") {
            self.interpreter(part, &given, words, around);
        }
        if is(table::SHELLS) || is(table::TAKES_COMMANDS) || is("source .") {
            self.commands(part, &given, words, at, around);
        }
    }

    /// What is known of a program by its name alone.
    fn by_name(&mut self, part: &Part, name: &str, arguments: &[Word], around: Around<'_>) {
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        match name {
            "git" => self.git(part, arguments, around),
            "sed" | "gsed" => self.sed(part, arguments),
            "awk" | "gawk" | "mawk" | "nawk" => self.awk(part, arguments),
            "find" | "fd" | "fdfind" => self.find(part, name, arguments),
            "xargs" | "parallel" | "sem" => self.taken(part, name, arguments, around),
            "ed" | "ex" if part.piped || part.fed => self.add(&part.text, Kind::RunsOutput),
            "make" | "gmake" if (part.piped || part.fed) && is_fed_a_makefile(&texts) => {
                self.add(&part.text, Kind::RunsOutput);
            }
            "cd" | "pushd" if !around.within.only_reads_follow => {
                let to = arguments.iter().find(|word| !word.text.starts_with('-') || word.text == "-");
                if to.is_none_or(|to| to.text == "-" || self.is_outside(to)) {
                    self.add(&part.text, Kind::WritesOutside);
                }
                if to.is_some_and(place::runs_by_itself) {
                    self.add(&part.text, Kind::ByItself);
                }
            }
            "kill" => {
                // Behind the signal: `-1` is all programs, and `-1234` a group of them.
                let many = |text: &&str| {
                    text.strip_prefix('-')
                        .is_some_and(|id| id.starts_with(|c: char| c.is_ascii_digit() || c == '$'))
                };
                if texts.iter().skip(1).any(many) {
                    self.add(&part.text, Kind::Ends);
                }
            }
            "tar" if texts.first().is_some_and(|first| !first.starts_with('-') && first.contains('P')) => {
                self.add(&part.text, Kind::WritesOutside);
            }
            "chmod" if texts.iter().any(|mode| is_as_owner(mode)) => self.add(&part.text, Kind::Permits),
            // Without a word it installs.
            "yarn"
                if texts
                    .iter()
                    .all(|text| text.starts_with('-') && !matches!(*text, "--version" | "--help")) =>
            {
                self.add(&part.text, Kind::Network);
            }
            _ => {}
        }
    }

    /// What a program brings in from elsewhere, and whether it runs what was brought in or written before.
    fn brought_in(&mut self, part: &Part, is: &dyn Fn(&str) -> bool, arguments: &[Word], ran: &[&Word]) {
        let is_download = |word: &&Word| {
            word.text.split('/').any(|name| self.files.iter().any(|file| file == name))
                || self.downloads && word.open && !word.quoted
                || place::is_url(&word.text)
        };
        let in_folder = table::RUNS_FILES.iter().any(|(programs, _)| is(programs));
        if ran.iter().any(is_download) || self.unpacked && (in_folder || !ran.is_empty()) {
            self.add(&part.text, Kind::RunsDownload);
        }
        if is(table::DOWNLOADS) {
            self.downloads = true;
            // What `ssh` is given is run elsewhere.
            let given = if is("ssh") { &[] } else { arguments };
            let files = given.iter().chain(&part.writes).map(base).filter(|file| !file.is_empty());
            self.files.extend(files);
        }
        self.unpacked |= self.downloads && is(table::UNPACKS);
        for (_, files) in table::RUNS_FILES.iter().filter(|(programs, _)| is(programs)) {
            if self.written.iter().any(|(file, _)| lists(files, file)) {
                self.add(&part.text, Kind::RunsWritten);
            }
        }
    }

    /// Words and input that are commands of a shell.
    fn commands(&mut self, part: &Part, given: &Given, words: &[Word], at: usize, around: Around<'_>) {
        let [program, arguments @ ..] = words else { return };
        let is_eval = program.text == "eval";
        let command = given.is_shell && given.code;
        let scripts = arguments.iter().filter(|word| {
            (command && !word.text.starts_with('-')) || word.text.contains([' ', ';', '|', '&', '\n', '>'])
        });
        let mut inner: Vec<String> = scripts.map(|word| without_option(&word.text).to_owned()).collect();
        if is_eval {
            let texts = arguments.iter().map(|word| word.text.as_str()).skip_while(|text| *text == "--");
            inner.push(texts.collect::<Vec<_>>().join(" "));
        }
        // What these read is not a script, but names.
        let takes_names = lists("xargs parallel sem find make watch entr", &name(program));
        inner.extend(if takes_names { part.input.clone() } else { around.given(part) });
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
            if self.downloads {
                self.add(&part.text, Kind::RunsDownload);
            }
        }
    }

    /// A program that runs what it reads, or what is put in.
    fn interpreter(&mut self, part: &Part, given: &Given, words: &[Word], around: Around<'_>) {
        let arguments = &words[1..];
        let is_source = matches!(words[0].text.as_str(), "source" | ".");
        let is_eval = words[0].text == "eval";
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
            Some(Into::Words(host)) => host == part.id && (given.code || reads || is_source || is_eval),
            Some(Into::File(host)) => host == part.id,
            Some(Into::Reads(_)) | None => false,
        };
        let fetches = |other: &Part| other.words.iter().any(|word| lists(table::DOWNLOADS, &name(word)));
        let written_to = matches!(part.into, Some(Into::Reads(_)));
        let downloads =
            self.downloads || around.all.iter().any(|inner| (written_to || put_in(inner)) && fetches(inner));
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
    fn runs_written(&mut self, part: &Part, ran: &[&Word], is_shell: bool, around: Around<'_>) {
        let is_run = |file: &String| ran.iter().any(|word| base(word) == *file);
        // Each text is read once, however often it is run.
        let texts: Vec<Option<String>> =
            self.written.iter_mut().filter(|(file, _)| is_run(file)).map(|(_, text)| text.take()).collect();
        for text in texts {
            self.add(&part.text, Kind::RunsWritten);
            if let Some(text) = text.filter(|_| is_shell) {
                self.script(&text, around.within(part));
            }
        }
    }
}

/// The files that a program runs: one that is named by its path, the operand of an interpreter, or what that
/// reads.
fn run_files<'a>(part: &'a Part, words: &'a [Word], given: Option<&Given>) -> Vec<&'a Word> {
    let arguments = &words[1..];
    let files: Vec<&Word> = match given {
        Some(given) if given.unknown => arguments.iter().collect(),
        Some(given) if given.code => Vec::new(),
        Some(given) => given.operand.and_then(|at| arguments.get(at)).into_iter().collect(),
        None if is_path(&words[0].text) => vec![&words[0]],
        None => arguments.first().into_iter().collect(),
    };
    if files.is_empty() && given.is_some_and(|given| !given.code) {
        part.reads.iter().collect()
    } else {
        files
    }
}

fn is_fed_a_makefile(texts: &[&str]) -> bool {
    let files = values(texts, &["-f", "--file", "--makefile"]);
    files.iter().any(|file| interpreter::is_input(file))
}

/// Whether a program is named by where it lies.
fn is_path(program: &str) -> bool {
    program.contains('/') && !program.contains('=') && !program.starts_with('-')
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

/// Whether a mode of a file lets it run as its owner.
fn is_as_owner(mode: &str) -> bool {
    mode.len() == 4 && mode.bytes().all(|digit| digit.is_ascii_digit()) && !mode.starts_with(['0', '1'])
}
