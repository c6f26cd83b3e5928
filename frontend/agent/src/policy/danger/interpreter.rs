//! Programs that run what they are given: as a file, as code among their options, or as what they read.

use super::super::split::Word;
use super::table::lists;

/// How a program reads its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// As a shell: an option may follow the one that says that code comes.
    Shell,
    /// Letters that may stand together, a value glued to the last.
    Letters,
    /// Whole words, in any case.
    Words,
}

/// What is known of an interpreter: its options that give code, those with a value of their own, and the
/// others.
pub(super) struct Interpreter {
    names: &'static str,
    style: Style,
    code: &'static str,
    valued: &'static str,
    /// With `-` in it, any other long option is taken to be one alone.
    alone: &'static str,
}

const fn row(
    names: &'static str,
    style: Style,
    code: &'static str,
    valued: &'static str,
    alone: &'static str,
) -> Interpreter {
    Interpreter { names, style, code, valued, alone }
}

const TABLE: &[Interpreter] = &[
    row(
        super::table::SHELLS,
        Style::Shell,
        "-c --command",
        "-o -O --rcfile --init-file",
        "abefhiklmnprstuvxBCDEHPTV --login --norc --noprofile --posix --restricted --verbose --version --help --debugger",
    ),
    row(
        "python pypy ipython",
        Style::Letters,
        "-c",
        "-m -W -X --check-hash-based-pycs",
        "bBdEhiIOPqRsSuvVx?0123456789J --version --help",
    ),
    row("perl", Style::Letters, "-e -E", "-I -M -m -i -F -C -D -d -x -V", "al0123456789npsStTuUvwWcfghX"),
    row("ruby", Style::Letters, "-e", "-r -I -C -E -i -F -K -x -T", "achl0123456789npsSvwWydU -"),
    row("php", Style::Letters, "-r -B -R -E", "-c -d -z -f -F -S -t", "ailmnqsvwCH -"),
    row("lua luajit", Style::Letters, "-e", "-l -j -O -b", "ivEW"),
    row(
        "node nodejs",
        Style::Words,
        "-e -p -pe --eval --print",
        "-r --require --import --loader --experimental-loader -C --conditions --env-file --input-type --title",
        "-i -c -v -h -",
    ),
    row(
        "deno bun",
        Style::Words,
        "eval -e -p --eval --print",
        "-r --require --preload -c --config --cwd --import-map --reload",
        "-A -q -",
    ),
    row(
        "pwsh powershell",
        Style::Words,
        "-command -c -encodedcommand -e -ec -enc",
        "-file -f -executionpolicy -ex -ep -workingdirectory -wd -version",
        "-noprofile -nop -nologo -noninteractive -noni -noexit -login -l -mta -sta -help -h -",
    ),
    row(
        "rscript r octave matlab julia",
        Style::Words,
        "-e --eval --print -r -batch",
        "-l --load -t -p -j",
        "-",
    ),
    row(
        "osascript guile swipl groovy scala clojure clj elixir erl racket sbcl tsx ts-node crystal kotlin ghc runghc ocaml gjs hy",
        Style::Words,
        "-e -c -g -t -x --eval -eval eval -run --execute",
        "-l --load -m --main -s -f --script",
        "-",
    ),
    row("nu xonsh tclsh wish", Style::Words, "-c --commands -e --execute", "--config --env-config", "-"),
];

/// What an interpreter was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Code as a word.
    pub(super) code: bool,
    /// The first word that is no option: which among the arguments.
    pub(super) operand: Option<usize>,
    /// A module by its name.
    pub(super) module: bool,
    /// Whether it is told to read what to run: `-s`.
    pub(super) reads: bool,
    /// Whether an option is not known, so that what follows it is not, either.
    pub(super) unknown: bool,
    pub(super) is_shell: bool,
}

impl Given {
    /// Whether what it runs is what it reads.
    pub(super) fn reads_code(&self, arguments: &[Word]) -> bool {
        let operand = self.operand.and_then(|at| arguments.get(at)).filter(|_| !self.code);
        self.reads
            || !self.code
                && !self.module
                && operand.is_none_or(|file| is_input(&file.text))
                && !self.is_busy(arguments)
    }

    fn is_busy(&self, arguments: &[Word]) -> bool {
        self.operand.is_none()
            && arguments.iter().any(|word| matches!(word.text.as_str(), "--version" | "--help" | "-V"))
    }
}

/// Whether a name is that of what is read anyway.
pub(super) fn is_input(file: &str) -> bool {
    file == "-"
        || ["/dev/stdin", "/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"]
            .iter()
            .any(|known| file.starts_with(known))
}

/// The interpreter of a name.
pub(super) fn of(full: &str, stem: &str) -> Option<&'static Interpreter> {
    let (full, stem) = (full.to_lowercase(), stem.to_lowercase());
    TABLE.iter().find(|row| lists(row.names, &full) || lists(row.names, &stem))
}

impl Interpreter {
    /// Reads its arguments.
    pub(super) fn read(&self, arguments: &[Word]) -> Given {
        let mut given = Given { is_shell: self.style == Style::Shell, ..Given::default() };
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            let text = word.text.as_str();
            let is_option = (text.starts_with('-') && text.len() > 1)
                || (given.is_shell && text.starts_with('+') && text.len() > 1);
            at += 1;
            if text == "--" {
                given.operand = (at < arguments.len()).then_some(at);
                break;
            }
            if !is_option {
                if self.style == Style::Words && lists(self.code, text) {
                    given.code = true;
                    break;
                }
                // The verb comes before the file.
                if self.names.starts_with("deno") && matches!(text, "run" | "serve" | "test") {
                    continue;
                }
                given.operand = Some(at - 1);
                break;
            }
            at += self.option(text, &mut given);
            // What follows is only words to the code.
            if (given.code && !given.is_shell) || given.module {
                break;
            }
        }
        if given.module {
            given.operand = None;
        }
        given
    }

    /// How many words belong to an option besides itself.
    fn option(&self, text: &str, given: &mut Given) -> usize {
        let lower = text.to_lowercase();
        let whole = if self.style == Style::Words { lower.as_str() } else { text };
        if self.style == Style::Words || whole.starts_with("--") {
            let (name, has_value) = whole.split_once('=').map_or((whole, false), |(name, _)| (name, true));
            if lists(self.code, name) {
                given.code = true;
            } else if lists(self.valued, name) {
                return usize::from(!has_value);
            } else if !lists(self.alone, name) && !lists(self.alone, "-") && !self.alone.ends_with(" -") {
                given.unknown = true;
            }
            return 0;
        }
        let mut extra = 0;
        let letters = &whole[1..];
        for (at, letter) in letters.char_indices() {
            let option = format!("-{letter}");
            let is_last = at + letter.len_utf8() == letters.len();
            if lists(self.code, &option) {
                given.code = true;
                if given.is_shell {
                    continue;
                }
                return usize::from(is_last);
            }
            if lists(self.valued, &option) {
                if given.is_shell {
                    extra += 1;
                    continue;
                }
                given.module |= option == "-m" && self.names.starts_with("python");
                return usize::from(is_last && !"iFCDdxV".contains(letter)) + extra;
            }
            given.reads |= given.is_shell && letter == 's';
            given.unknown |= !self.alone.split(' ').next().unwrap_or_default().contains(letter);
        }
        extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn given(command: &str) -> Given {
        let words: Vec<Word> =
            command.split(' ').map(|text| Word { text: text.to_owned(), ..Word::default() }).collect();
        of(&words[0].text, &words[0].text).unwrap().read(&words[1..])
    }

    #[test]
    fn options_are_told_from_files() {
        for command in [
            "bash -euo pipefail x.sh",
            "bash -o pipefail x.sh",
            "sh +e x.sh",
            "python -W ignore x.py",
            "python -u x.py",
            "perl -w x.pl",
            "perl -pi.bak x",
            "node --require a x.js",
            "node --test-only x.js",
            "ruby -rjson x.rb",
            "deno run -A x.ts",
            "pwsh -NoProfile -File x.ps1",
        ] {
            let given = given(command);
            assert!(!given.code && !given.unknown && !given.reads, "{command}: {given:?}");
        }
        for command in [
            "bash -euo pipefail -c x",
            "bash -lc x",
            "python -Ic x",
            "python -cx",
            "python -W ignore -c x",
            "perl -we x",
            "perl -lane x",
            "perl -0777ne x",
            "node --eval=x",
            "node -pe x",
            "ruby -ne x",
            "php -r x",
            "deno eval x",
            "bun -e x",
            "pwsh -Command x",
            "osascript -e x",
        ] {
            assert!(given(command).code, "{command}");
        }
        assert!(given("python -Z x.py").unknown && given("bash --what x").unknown);
        assert!(given("python -m http.server").module && given("bash -s").reads);
        assert_eq!(given("bash -o pipefail").operand, None);
    }
}
