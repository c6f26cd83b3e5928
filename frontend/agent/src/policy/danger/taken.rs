//! `find`, `xargs` and the like: what they run with what they find or read.

use super::super::split::{Part, Word};
use super::interpreter;
use super::table::{self, Kind, lists};
use super::words::{name, values};
use super::{Around, Found};

impl Found<'_> {
    pub(super) fn find(&mut self, part: &Part, program: &str, arguments: &[Word]) {
        let exec: &[&str] = if program == "find" {
            &["-exec", "-execdir", "-ok", "-okdir"]
        } else {
            &["-x", "-X", "--exec", "--exec-batch"]
        };
        let starts = |text: &str| !text.starts_with(['-', '(', '!']);
        let mut changes = arguments.iter().any(|word| word.text == "-delete");
        for (at, _) in arguments.iter().enumerate().filter(|(_, word)| exec.contains(&word.text.as_str())) {
            let Some(runs) = arguments.get(at + 1) else { continue };
            if runs.open {
                self.add(&part.text, Kind::Unclear);
            }
            changes |= !lists(table::READS, &name(runs));
        }
        let written =
            arguments.windows(2).filter(|two| two[0].text.starts_with("-fprint") || two[0].text == "-fls");
        let outside = written.into_iter().any(|two| self.is_outside(&two[1]));
        let folders = arguments
            .iter()
            .take_while(|word| starts(&word.text) || matches!(word.text.as_str(), "-H" | "-L" | "-P"));
        if outside || changes && folders.into_iter().any(|word| self.is_outside(word)) {
            self.add(&part.text, Kind::WritesOutside);
        }
    }

    /// `xargs` and the like: what they run with what they read.
    pub(super) fn taken(&mut self, part: &Part, program: &str, arguments: &[Word], around: Around<'_>) {
        let valued = [
            "-I",
            "-n",
            "-L",
            "-P",
            "-d",
            "-a",
            "-E",
            "-s",
            "-j",
            "--max-args",
            "--max-procs",
            "--delimiter",
            "--arg-file",
        ];
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let mut at = 0;
        while let Some(text) = texts.get(at).filter(|text| text.starts_with('-')) {
            at += 1 + usize::from(valued.contains(text));
        }
        let mut replaced = values(&texts[..at.min(texts.len())], &["-I", "--replace", "-i"]);
        let is_plain = |text: &&str| matches!(*text, "-i" | "--replace");
        replaced.extend(texts[..at.min(texts.len())].iter().any(is_plain).then(|| "{}".to_owned()));
        let words = arguments.get(at..).unwrap_or_default();
        let Some(first) = words.first() else {
            if program != "xargs" && (part.piped || part.fed) {
                self.add(&part.text, Kind::RunsOutput);
            }
            return;
        };
        if first.open {
            self.add(&part.text, Kind::Unclear);
        }
        let mut at = 0;
        while words.get(at).is_some_and(|word| lists(table::PREFIXES, &name(word)) || name(word) == "xargs") {
            match inner(&words[at..]) {
                Some(next) => at += next,
                None => at = words.len(),
            }
        }
        let runs = words.get(at);
        let is_filled = |text: &str| {
            replaced.iter().any(|sign| !sign.is_empty() && text.contains(sign.as_str()))
                || program != "xargs" && text.contains("{}")
        };
        let row = runs.and_then(|word| interpreter::of(&name(word), &name(word)));
        let computed = match (runs, row) {
            (None, _) => true,
            (Some(word), None) => is_filled(&word.text),
            (Some(_), Some(row)) => {
                let rest = &words[at + 1..];
                let given = row.read(rest);
                let code = rest.iter().find(|word| !word.text.starts_with('-'));
                let has_code = code.is_some() || rest.iter().any(|word| word.text.contains('='));
                if given.code {
                    !has_code
                        || rest.iter().any(|word| {
                            is_filled(&word.text) && word.text.len() < 3
                                || word.quoted && is_filled(&word.text)
                        })
                } else {
                    !given.module
                        && given.operand.and_then(|at| rest.get(at)).is_none_or(|word| is_filled(&word.text))
                }
            }
        };
        if computed {
            self.add(&part.text, if self.downloads { Kind::RunsDownload } else { Kind::RunsOutput });
        }
        if runs.is_some_and(|word| name(word) == "kill") {
            self.add(&part.text, Kind::Ends);
        }
        let reads = runs.is_some_and(|word| lists(table::READS, &name(word)));
        if part.piped && !reads && self.comes_from_outside(part, around.all) {
            self.add(&part.text, Kind::WritesOutside);
        }
    }

    /// Whether what a part reads are names that another was told to look for outside.
    fn comes_from_outside(&self, part: &Part, all: &[Part]) -> bool {
        let before = all.iter().rev().skip_while(|other| other.id != part.id).skip(1);
        let mut piped = true;
        before
            .filter(|other| other.into == part.into)
            .take_while(|other| std::mem::replace(&mut piped, other.piped))
            .any(|other| other.words.iter().skip(1).any(|word| self.is_outside(word)))
    }
}

/// Where among the words of a wrapper its program stands.
pub(super) fn inner(words: &[Word]) -> Option<usize> {
    let is_amount = |text: &str| text.trim_end_matches(['s', 'm', 'h', 'd']).parse::<f64>().is_ok();
    let skipped = |word: &Word| {
        word.text.starts_with('-') || crate::policy::shell::is_assignment(&word.text) || is_amount(&word.text)
    };
    (1..words.len()).find(|at| !skipped(&words[*at]))
}
