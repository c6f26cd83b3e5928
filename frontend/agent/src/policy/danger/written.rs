//! What a program writes to besides its output: by its operands, its options, or its script.

use super::super::split::{Part, Word};
use super::table::{self, Kind};
use super::words::{value, values};
use super::{Found, place};
use crate::policy::scripts;

impl Found<'_> {
    /// What a program writes to besides its output.
    pub(super) fn writes(&mut self, part: &Part, is: &dyn Fn(&str) -> bool, arguments: &[Word]) {
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let takes_urls = is(table::DOWNLOADS);
        let mut leaves = false;
        let mut targets: Vec<&Word> = Vec::new();
        if is("perl ruby") {
            let code =
                |at: usize| at > 0 && texts[at - 1].starts_with('-') && texts[at - 1].ends_with(['e', 'E']);
            targets.extend(
                arguments
                    .iter()
                    .enumerate()
                    .filter(|(at, word)| !word.text.starts_with('-') && !code(*at))
                    .map(|(_, word)| word),
            );
        } else if is(table::WRITES) && !is("sed") {
            targets.extend(arguments);
        }
        let operands: Vec<usize> =
            (0..texts.len()).filter(|at| !texts[*at].starts_with('-') || texts[*at] == "-").collect();
        if is(table::WRITES_LAST) {
            let options = arguments.iter().filter(|word| word.text.starts_with('-') && word.text.len() > 2);
            targets.extend(options);
            let after = |at: usize| {
                at > 0 && texts[at - 1].starts_with('-') && texts[at - 1].ends_with('t')
                    || at > 0 && texts[at - 1].starts_with("--t") && !texts[at - 1].contains('=')
            };
            targets.extend(operands.iter().filter(|at| after(**at)).map(|at| &arguments[*at]));
            // An option behind the first may have a value of its own, which is not the target.
            let mixed = operands
                .first()
                .is_some_and(|first| texts[*first..].iter().any(|text| text.starts_with('-')));
            // A link to what lies outside leads all that is written to it there.
            let from = if is("ln") {
                0
            } else if mixed {
                1
            } else {
                operands.len().saturating_sub(1)
            };
            targets.extend(operands.iter().skip(from).map(|at| &arguments[*at]));
        }
        if is(table::WRITES_SECOND) {
            let files: Vec<&Word> = operands
                .iter()
                .filter(|at| {
                    !matches!(
                        at.checked_sub(1).map(|before| texts[before]),
                        Some("-c" | "-l" | "-s" | "-g" | "-o" | "-f" | "-w")
                    )
                })
                .map(|at| &arguments[*at])
                .collect();
            if files.len() > 1 && !texts.contains(&"/dev/null") {
                self.add(&part.text, Kind::Overwrites);
            }
            leaves |= files.iter().skip(1).any(|word| self.is_outside(word));
        }
        let reads = is(table::READS) || is(table::TAKES_TEXT) || is("ssh mount ps");
        if !reads {
            let outputs: Vec<&str> = table::OUTPUTS.split_whitespace().collect();
            leaves |= values(&texts, &outputs).iter().any(|to| self.leaves(to));
        }
        let mut by_itself = targets.iter().any(|word| place::runs_by_itself(word))
            || (is("sed") || is(table::WRITES_LAST)) && arguments.iter().any(place::runs_by_itself);
        for (_, options) in table::FOLDERS.iter().filter(|(programs, _)| is(programs)) {
            let options: Vec<&str> = options.split_whitespace().collect();
            for folder in values(&texts, &options) {
                // `-v folder:inside`, `--mount type=bind,source=folder`
                let source = folder
                    .split(',')
                    .find_map(|pair| pair.strip_prefix("source=").or(pair.strip_prefix("src=")));
                let folder = source.or(folder.split(':').next()).unwrap_or_default();
                leaves |= self.leaves(folder);
                by_itself |= shared::by_itself::what(folder).is_some();
            }
        }
        let outside =
            |word: &Word| self.is_outside(word) && !(takes_urls && place::is_url(value(&word.text)));
        leaves |= targets.iter().any(|word| outside(word));
        if leaves {
            self.add(&part.text, Kind::WritesOutside);
        }
        if by_itself {
            self.add(&part.text, Kind::ByItself);
        }
    }

    pub(super) fn sed(&mut self, part: &Part, arguments: &[Word]) {
        let (mut programs, mut files) = (Vec::new(), Vec::new());
        let mut words = arguments.iter().peekable();
        let mut in_file = false;
        while let Some(word) = words.next() {
            let text = word.text.as_str();
            if let Some(program) = text.strip_prefix("--expression=") {
                programs.push(Word { text: program.to_owned(), ..word.clone() });
            } else if text.starts_with("--") {
                in_file |= text.starts_with("--file");
            } else if let Some(set) = text.strip_prefix('-').filter(|set| !set.is_empty()) {
                // What stands behind `i` is an ending, and behind `e` a program.
                let at = set.find(['e', 'f', 'i', 'l']);
                let rest = at.map_or("", |at| &set[at + 1..]);
                match at.map(|at| &set[at..=at]) {
                    Some("e") if rest.is_empty() => programs.extend(words.next().cloned()),
                    Some("e") => programs.push(Word { text: rest.to_owned(), ..word.clone() }),
                    Some("f") => {
                        in_file = true;
                        let _file = rest.is_empty().then(|| words.next());
                    }
                    // On a Mac an ending follows, which may be empty.
                    Some("i") => {
                        let _ending = words.next_if(|word| word.text.is_empty());
                    }
                    _ => {}
                }
            } else {
                files.push(word);
            }
        }
        if programs.is_empty() && !in_file && !files.is_empty() {
            programs.push(files.remove(0).clone());
        }
        for program in &programs {
            let Some(read) = scripts::sed(&program.text) else {
                if !program.open {
                    self.add(&part.text, Kind::Unclear);
                }
                continue;
            };
            if read.runs {
                self.add(&part.text, Kind::Code);
            }
            for file in read.writes.iter().filter(|file| !place::is_stream(file)) {
                self.add(&part.text, Kind::Overwrites);
                self.redirected(&part.text, &Word { text: file.clone(), ..Word::default() });
            }
        }
        let changes =
            arguments.iter().any(|word| word.text.starts_with("-i") || word.text.starts_with("--in-place"))
                || arguments.iter().any(|word| {
                    word.text
                        .strip_prefix('-')
                        .is_some_and(|set| !set.starts_with(['-', 'e', 'f']) && set.contains('i'))
                });
        if changes && files.iter().any(|word| self.is_outside(word)) {
            self.add(&part.text, Kind::WritesOutside);
        }
    }

    pub(super) fn awk(&mut self, part: &Part, arguments: &[Word]) {
        let in_place = arguments.iter().any(|word| word.text.ends_with("inplace"));
        if in_place && arguments.iter().any(|word| self.is_outside(word)) {
            self.add(&part.text, Kind::WritesOutside);
        }
        if in_place && arguments.iter().any(place::runs_by_itself) {
            self.add(&part.text, Kind::ByItself);
        }
        let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let Some(program) = scripts::awk_program(&texts) else { return };
        let read = scripts::awk(texts[program]);
        if read.runs {
            self.add(&part.text, Kind::Code);
        }
        for file in read.writes {
            if !place::is_stream(&file) {
                self.add(&part.text, Kind::Overwrites);
            }
            self.redirected(&part.text, &Word { text: file, ..Word::default() });
        }
    }
}
