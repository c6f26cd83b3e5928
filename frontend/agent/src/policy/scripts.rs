//! Programs for `sed` and `awk`: whether they only print, and if not, what they write and run.
//!
//! Within brackets of an expression some systems take the delimiter as a letter, and others as the end: both readings count.

use std::str::Chars;

/// What a script for `sed` does besides printing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sed {
    /// Whether all of it is of the plain forms: addresses, `p`, `d`, `q`, `=`, `s` and a few that only move text.
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

/// Whether a program for `awk` only prints: nothing in it could write, run or read more.
pub(super) fn awk_only_prints(program: &str) -> bool {
    !program.contains(['|', '>', '@'])
        && !["system", "getline", "close"].iter().any(|word| program.contains(word))
}

/// Whether a program for `awk` may run another.
pub(super) fn awk_runs(program: &str) -> bool {
    program.replace("||", "").contains(['|', '@'])
        || ["system", "getline"].iter().any(|word| program.contains(word))
}

/// What a program for `awk` writes to: the names that follow `>` where something is printed.
pub(super) fn awk_writes(program: &str) -> Vec<String> {
    let printed = program.split([';', '\n', '{', '}']).filter_map(|statement| statement.split_once("print"));
    printed
        .filter_map(|(_, printed)| printed.rsplit_once('>'))
        .map(|(_, name)| name.trim().trim_matches('"').to_owned())
        .collect()
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
        assert!(awk_only_prints("{print $1, $2}") && !awk_runs("$1 > 2 || $2"));
        for program in
            ["{print | \"a\"}", "{print > \"a\"}", "{system(\"a\")}", "{getline x < \"a\"}", "@load \"a\""]
        {
            assert!(!awk_only_prints(program), "{program}");
        }
        assert_eq!(awk_writes("{print $1 > \"/etc/x\"}"), ["/etc/x"]);
        assert_eq!(awk_writes("$1 > 5 {print $1}"), Vec::<String>::new());
    }
}
