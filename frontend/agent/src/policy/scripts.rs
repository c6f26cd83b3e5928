//! Programs for `sed` and `awk`: whether they only print, and if not, what they write and run.
//!
//! Within brackets of an expression some systems take the delimiter as a letter, and others as the end: both
//! readings count.

use std::str::Chars;

/// What a script for `sed` does besides printing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sed {
    /// Whether all of it is of the plain forms: addresses, `p`, `d`, `q`, `=`, `s` and a few that only move
    /// text.
    pub(super) plain: bool,
    pub(super) writes: Vec<String>,
    pub(super) runs: bool,
}

/// Reads a script; `None` if nobody can.
pub(super) fn sed(script: &str) -> Option<Sed> {
    let read = |brackets| {
        let mut reader =
            SedReader { rest: script.chars(), brackets, read: Sed { plain: true, ..Sed::default() } };
        reader.commands().map(|()| reader.read)
    };
    match (read(true), read(false)) {
        (Some(mut one), Some(other)) => {
            one.plain &= other.plain;
            one.runs |= other.runs;
            one.writes.extend(other.writes);
            one.writes.dedup();
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

struct SedReader<'a> {
    rest: Chars<'a>,
    brackets: bool,
    read: Sed,
}

impl SedReader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn skip(&mut self, known: impl Fn(char) -> bool) -> usize {
        let mut count = 0;
        while self.peek().is_some_and(&known) {
            self.rest.next();
            count += 1;
        }
        count
    }

    fn line(&mut self) -> String {
        self.rest.by_ref().take_while(|sign| *sign != '\n').collect()
    }

    fn commands(&mut self) -> Option<()> {
        let mut blocks = 0_usize;
        loop {
            self.skip(|sign| sign.is_whitespace() || sign == ';');
            if self.peek().is_none() {
                return (blocks == 0).then_some(());
            }
            self.addresses()?;
            let command = self.rest.next()?;
            match command {
                '{' => {
                    blocks += 1;
                    continue;
                }
                '}' => blocks = blocks.checked_sub(1)?,
                's' => self.substitute()?,
                'y' => {
                    self.read.plain = false;
                    let delimiter = self.rest.next()?;
                    self.expression(delimiter)?;
                    self.expression(delimiter)?;
                }
                'p' | 'd' | '=' | 'n' | 'N' | 'P' | 'D' | 'h' | 'H' | 'g' | 'G' | 'x' => {}
                'q' => {
                    self.skip(|sign| sign == ' ' || sign.is_ascii_digit());
                }
                'Q' | 'l' | 'L' => {
                    self.read.plain = false;
                    self.skip(|sign| sign == ' ' || sign.is_ascii_digit());
                }
                'z' | 'F' => self.read.plain = false,
                'b' | 't' | 'T' | ':' | 'v' => {
                    self.read.plain = false;
                    self.skip(|sign| sign != '\n' && sign != ';' && sign != '}');
                }
                'a' | 'i' | 'c' => {
                    self.read.plain = false;
                    while self.line().ends_with('\\') {}
                }
                'r' | 'R' | '#' => {
                    self.read.plain = false;
                    self.line();
                }
                'w' | 'W' => self.writes(),
                'e' => {
                    self.read.plain = false;
                    self.read.runs = true;
                    self.line();
                }
                _ => return None,
            }
            self.skip(|sign| sign == ' ' || sign == '\t');
            if !matches!(self.peek(), None | Some(';' | '\n' | '}' | '#'))
                && !matches!(command, 'a' | 'i' | 'c' | 'r' | 'R' | 'w' | 'W' | 'e' | '#' | 's')
            {
                return None;
            }
        }
    }

    fn writes(&mut self) {
        self.read.plain = false;
        let file = self.line().trim().to_owned();
        self.read.writes.push(file);
    }

    fn addresses(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                Some('/') => {
                    self.rest.next();
                    self.expression('/')?;
                    self.skip(|sign| sign == 'I' || sign == 'M');
                }
                Some('\\') => {
                    self.rest.next();
                    let delimiter = self.rest.next()?;
                    self.expression(delimiter)?;
                    self.skip(|sign| sign == 'I' || sign == 'M');
                }
                Some(sign) if sign.is_ascii_digit() || "$,~+! ".contains(sign) => {
                    self.rest.next();
                }
                _ => return Some(()),
            }
        }
    }

    /// Behind a delimiter: up to the next.
    fn expression(&mut self, delimiter: char) -> Option<()> {
        if matches!(delimiter, '\n' | '\\') {
            return None;
        }
        let mut bracket = 0_usize;
        loop {
            let sign = self.rest.next()?;
            match sign {
                // The first sign within brackets, or the second behind `^`, does not end them.
                ']' if bracket > 1 => bracket = 0,
                '^' if bracket == 1 => {}
                _ if bracket > 0 => bracket += 1,
                '\\' => {
                    self.rest.next()?;
                }
                _ if sign == delimiter => return Some(()),
                '[' if self.brackets => bracket = 1,
                _ => {}
            }
        }
    }

    fn substitute(&mut self) -> Option<()> {
        let delimiter = self.rest.next()?;
        self.expression(delimiter)?;
        let brackets = std::mem::take(&mut self.brackets);
        let replaced = self.expression(delimiter);
        self.brackets = brackets;
        replaced?;
        loop {
            match self.peek() {
                Some('e') => {
                    self.read.plain = false;
                    self.read.runs = true;
                }
                Some('w') => {
                    self.rest.next();
                    self.writes();
                    return Some(());
                }
                Some('g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9') => {}
                None | Some(';' | '\n' | '}' | ' ' | '\t' | '#') => return Some(()),
                Some(_) => return None,
            }
            self.rest.next();
        }
    }
}

/// Which of the words of `awk` is the program, if it is not in a file.
pub(super) fn awk_program(words: &[&str]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *words.get(at)? {
            "-F" | "-v" => at += 2,
            "-e" | "--source" => return Some(at + 1).filter(|at| *at < words.len()),
            word if word.starts_with("-f") || word.starts_with("--file") => return None,
            word if word.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
}

/// What a program for `awk` does besides printing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Awk {
    /// Whether all of it is known: statements, sums, and functions of texts and numbers.
    pub(super) plain: bool,
    pub(super) writes: Vec<String>,
    pub(super) runs: bool,
}

/// So many signs of a file's name are read.
const NAME: usize = 200;
/// Its functions, and its own words before a parenthesis.
const AWK_KNOWN: &str = "if while for in print printf return exit length substr index split sub gsub gensub match sprintf tolower \
    toupper int sqrt exp log sin cos atan2 rand srand strftime systime mktime and or xor lshift rshift compl strtonum asort asorti";
/// Behind these a value follows, so that a slash begins an expression.
const AWK_OPENS: &str = "print printf return in else do exit case";

/// Reads a program.
pub(super) fn awk(program: &str) -> Awk {
    let mut read = Awk { plain: true, ..Awk::default() };
    let mut rest = program;
    // Whether a value stands before; how deep the parentheses are, and how deep they were where a statement
    // began to print.
    let (mut valued, mut depth, mut prints) = (false, 0_usize, None);
    while let Some(sign) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let length = match sign {
            '"' => quoted(rest, '"'),
            '/' if !valued => quoted(rest, '/'),
            '#' => Some(rest.find('\n').unwrap_or(rest.len())),
            _ => Some(word.max(sign.len_utf8())),
        };
        let Some(length) = length else {
            read.plain = false;
            read.runs = true;
            return read;
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if word > 0 {
            let calls = rest.trim_start().starts_with('(');
            match token {
                "print" | "printf" => prints = Some(depth),
                "getline" => read.plain = false,
                _ => read.plain &= !calls || AWK_KNOWN.split_whitespace().any(|known| known == token),
            }
            read.runs |= token == "system";
            valued = !AWK_OPENS.split_whitespace().any(|known| known == token);
            continue;
        }
        match sign {
            '|' if rest.starts_with('|') => rest = &rest[1..],
            '|' | '@' => (read.plain, read.runs) = (false, true),
            '>' if prints == Some(depth) => {
                let end = rest.char_indices().nth(NAME).map_or(rest.len(), |(at, _)| at);
                let name = rest[..end].trim_start_matches('>').split([';', '\n', '}']).next();
                let name = name.unwrap_or_default().trim().trim_matches('"');
                read.writes.push(name.to_owned());
                (read.plain, prints) = (false, None);
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ';' | '\n' | '{' | '}' => prints = None,
            _ => {}
        }
        valued = matches!(sign, '"' | '/' | ')' | ']') && length > 0 && (sign != '/' || length > 1)
            || valued && sign.is_whitespace() && sign != '\n';
    }
    read
}

/// How long what stands between two of a sign is, with both.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let ends = text.char_indices().skip(1).find(|(_, sign)| {
        let ends = *sign == quote && !escaped;
        escaped = *sign == '\\' && !escaped;
        ends
    });
    ends.map(|(at, _)| at + 1).filter(|end| !text[..*end].contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_a_script_for_sed_does() {
        let plain = |script: &str| sed(script).is_some_and(|read| read.plain);
        for script in [
            "1,5p",
            "$p",
            "/a/,/b/p",
            "s/a/b/",
            "s/a/b/gI2p",
            "/x/d",
            "1!d",
            "10q",
            "$=",
            "s|a|b|;s,c,d,",
            "\\,a,p",
            "s/[^/]*$//",
            "s/[/]/x/",
            "/a/{s/b/c/;p}",
            "2~3p",
            "/a/I,+2p",
            "1{p;q}",
            "n;d",
            "",
        ] {
            assert!(plain(script), "{script}");
        }
        for script in [
            "w f",
            "s/a/b/w f",
            "s/a/b/e",
            "e",
            "1e ls",
            "1,2W f",
            "/a/{e ls\n}",
            "r f",
            "s/[/a/e;#]/b/",
            "a\\\nx",
            "y/a/b/",
            "s/a/b",
            "Z",
            "\\\nx\np",
            "s/x/y/;w a\np",
        ] {
            assert!(!plain(script), "{script}");
        }
        assert_eq!(sed("s/a/b/w a b\np").unwrap().writes, ["a b"]);
        assert!(sed("/a/{s/x/y/e;p}").unwrap().runs && sed("s/a/b").is_none());
    }

    #[test]
    fn what_a_program_for_awk_does() {
        for program in [
            "{print $1, $2}",
            "$1 > 2 || $2",
            "NR>=10 && NR<=20",
            "/a|b/ {print}",
            "$1 ~ /x\\/y/ && !/z/",
            "{print $1 \"|\" $2, \"a > b\"}",
            "{ if ($1 > 5) print $2 }",
            "length($0) > 80 {print FILENAME\": \"$0}",
            "$1 == \"system\"",
            "{s+=$1} END {print s/NR, s/2}",
            "{print ($1 > 2)}",
            "BEGIN{for(i=0;i<3;i++) print i} # > f",
        ] {
            assert_eq!(awk(program), Awk { plain: true, ..Awk::default() }, "{program}");
        }
        for program in [
            "{print | \"a\"}",
            "{print |& \"a\"}",
            "{print > \"a\"}",
            "{print($1) >> \"a\"}",
            "{printf \"%s\", $1 > $2}",
            "{print (1>2) > \"a\"}",
            "{if (1) print $1 > \"a\"}",
            "/\"/ {print > \"x\"} /\"/",
            "{system(\"a\")}",
            "{system (\"a\")}",
            "{getline x < \"a\"}",
            "@load \"a\"",
            "BEGIN{f=\"system\"; @f(\"a\")}",
            "{other(1)}",
            "{print \"",
        ] {
            assert!(!awk(program).plain, "{program}");
        }
        assert_eq!(awk("{print $1 > \"/etc/x\"}").writes, ["/etc/x"]);
        assert_eq!(awk("{print >> \"a\" $1; print 2}").writes, ["a\" $1"]);
        assert!(awk("{print | \"a\"}").runs && awk("{system (1)}").runs && !awk("{getline x < \"a\"}").runs);
        assert_eq!(awk_program(&["-F", "|", "-v", "a=1", "{print}", "f"]), Some(4));
        assert_eq!(awk_program(&["-F|", "-f", "x"]), None);
    }
}
