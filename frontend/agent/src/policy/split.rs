//! Splits a command into all that it runs, to name what is dangerous in each part.
//!
//! Unlike [`super::shell`] it never gives up: what nobody can read for certain is marked [`Split::unclear`], and the parts
//! that were found are there all the same. Substitutions are parts of their own, and know whose words they are put into.

/// No more parts than this are told apart.
const PARTS: usize = 500;
/// Not deeper than this.
const DEPTH: usize = 12;

/// A word after quotes were taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether what it becomes is not known here: variables, substitutions, braces, patterns.
    pub(super) open: bool,
    pub(super) quoted: bool,
}

/// How a part comes to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Into {
    /// What it prints is put into the other's words.
    Words(usize),
    /// What it prints is a file that the other reads: `<(…)`.
    File(usize),
    /// It reads what the other writes: `>(…)`.
    Reads(usize),
}

/// A simple command.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) id: usize,
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    /// What its output is written to.
    pub(super) writes: Vec<Word>,
    /// What it reads that stands in the command itself.
    pub(super) input: Vec<String>,
    /// Whether it reads what another prints.
    pub(super) piped: bool,
    pub(super) into: Option<Into>,
}

/// All parts, inner ones before those that they are put into.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) parts: Vec<Part>,
    /// Whether something in it could not be read for certain.
    pub(super) unclear: bool,
}

/// Splits a command.
pub(super) fn split(command: &str) -> Split {
    let mut splitter = Splitter {
        signs: command.chars().collect(),
        at: 0,
        ids: 0,
        heredocs: Vec::new(),
        split: Split::default(),
    };
    splitter.script(None, None, 0);
    splitter.split.unclear |= !splitter.heredocs.is_empty() || splitter.at < splitter.signs.len();
    splitter.split
}

struct Splitter {
    signs: Vec<char>,
    at: usize,
    ids: usize,
    heredocs: Vec<Heredoc>,
    split: Split,
}

struct Heredoc {
    part: usize,
    end: String,
    strips: bool,
    literal: bool,
}

/// What the next word is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Word,
    Written,
    Read,
    Given,
}

/// A part that is being read.
struct Open {
    part: Part,
    word: Option<Word>,
    next: Next,
    begins: usize,
}

impl Splitter {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.signs.get(self.at + ahead).copied()
    }

    fn skip(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(ahead, sign)| self.peek(ahead) == Some(sign));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    fn id(&mut self) -> usize {
        self.ids += 1;
        self.ids
    }

    /// Reads up to `end`, which is taken, or to the end of all.
    fn script(&mut self, end: Option<char>, into: Option<Into>, depth: usize) {
        let piped = matches!(into, Some(Into::Reads(_)));
        let mut open = self.open(piped, into);
        let mut groups = 0_usize;
        if depth > DEPTH {
            self.split.unclear = true;
            self.at = self.signs.len();
            return;
        }
        while let Some(sign) = self.peek(0) {
            if Some(sign) == end && groups == 0 {
                self.close(&mut open);
                self.at += 1;
                return;
            }
            match sign {
                ' ' | '\t' | '\r' => {
                    self.at += 1;
                    end_word(&mut open);
                }
                '\n' => {
                    self.close(&mut open);
                    self.at += 1;
                    self.bodies(depth);
                    open = self.open(false, into);
                }
                ';' | '&' | '|' => self.operator(sign, &mut open, into),
                '(' | ')' => {
                    groups = if sign == '(' { groups + 1 } else { groups.saturating_sub(1) };
                    // What goes into a group goes into the first of it.
                    let piped = open.part.piped && sign == '(';
                    self.close(&mut open);
                    self.at += 1;
                    open = self.open(piped, into);
                }
                '<' | '>' => self.redirect(sign, &mut open, depth),
                '#' if open.word.is_none() => {
                    while self.peek(0).is_some_and(|sign| sign != '\n') {
                        self.at += 1;
                    }
                }
                _ => self.sign(sign, &mut open, depth),
            }
        }
        self.split.unclear |= end.is_some() || groups > 0;
        self.close(&mut open);
    }

    fn open(&mut self, piped: bool, into: Option<Into>) -> Open {
        let part = Part { id: self.id(), piped, into, ..Part::default() };
        Open { part, word: None, next: Next::Word, begins: self.at }
    }

    fn close(&mut self, open: &mut Open) {
        end_word(open);
        let mut part = std::mem::take(&mut open.part);
        self.split.unclear |= open.next != Next::Word;
        if part.words.is_empty() && part.writes.is_empty() {
            return;
        }
        if self.split.parts.len() >= PARTS {
            self.split.unclear = true;
            return;
        }
        part.text = self.signs[open.begins..self.at].iter().collect::<String>().trim().to_owned();
        self.split.parts.push(part);
    }

    fn operator(&mut self, sign: char, open: &mut Open, into: Option<Into>) {
        if sign == '&' && self.peek(1) == Some('>') {
            end_word(open);
            self.at += 2;
            let _appends = self.skip(">");
            open.next = Next::Written;
            return;
        }
        let pipes = sign == '|' && self.peek(1) != Some('|');
        self.close(open);
        self.at += 1;
        let _second = match sign {
            '|' => self.skip("|") || self.skip("&"),
            '&' => self.skip("&"),
            _ => self.skip(";"),
        };
        *open = self.open(pipes, into);
    }

    fn redirect(&mut self, sign: char, open: &mut Open, depth: usize) {
        if self.peek(1) == Some('(') {
            let into = if sign == '<' { Into::File(open.part.id) } else { Into::Reads(open.part.id) };
            self.at += 2;
            self.script(Some(')'), Some(into), depth + 1);
            word(open).text.push_str(if sign == '<' { "<(…)" } else { ">(…)" });
            word(open).open = true;
            return;
        }
        // The word before may be the number of what is redirected.
        let number = open
            .word
            .as_ref()
            .is_some_and(|word| !word.quoted && word.text.bytes().all(|b| b.is_ascii_digit()));
        if number {
            open.word = None;
        }
        end_word(open);
        self.at += 1;
        if sign == '>' {
            let _kind = self.skip(">") || self.skip("|");
            let copies =
                self.skip("&") && self.peek(0).is_some_and(|next| next.is_ascii_digit() || next == '-');
            open.next = if copies { Next::Read } else { Next::Written };
        } else if self.skip("<<") {
            open.next = Next::Given;
        } else if self.skip("<") {
            let strips = self.skip("-");
            self.heredoc(open.part.id, strips);
        } else {
            let both = self.skip(">");
            let _copies = self.skip("&");
            open.next = if both { Next::Written } else { Next::Read };
        }
    }

    fn heredoc(&mut self, part: usize, strips: bool) {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
        let (mut end, mut literal) = (String::new(), false);
        while let Some(sign) = self.peek(0).filter(|sign| !" \t\n;|&<>()".contains(*sign)) {
            self.at += 1;
            if matches!(sign, '\'' | '"' | '\\') {
                literal = true;
            } else {
                end.push(sign);
            }
        }
        self.heredocs.push(Heredoc { part, end, strips, literal });
    }

    /// After a line's end: what the line's here-documents hold.
    fn bodies(&mut self, depth: usize) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let mut body = String::new();
            let mut ended = false;
            while self.at < self.signs.len() && !ended {
                let rest = &self.signs[self.at..];
                let length = rest.iter().position(|sign| *sign == '\n').unwrap_or(rest.len());
                let line: String = rest[..length].iter().collect();
                self.at += (length + 1).min(rest.len());
                let told = if heredoc.strips { line.trim_start_matches('\t') } else { &line };
                ended = told == heredoc.end;
                if !ended {
                    body.push_str(told);
                    body.push('\n');
                }
            }
            self.split.unclear |= !ended;
            if !heredoc.literal && (body.contains("$(") || body.contains('`')) {
                self.inner(&body, Into::Words(heredoc.part), depth);
            }
            if let Some(part) = self.split.parts.iter_mut().find(|part| part.id == heredoc.part) {
                part.input.push(body);
            } else {
                self.split.unclear = true;
            }
        }
    }

    /// What is put into a text that is not read as words.
    fn inner(&mut self, text: &str, into: Into, depth: usize) {
        let outer = std::mem::replace(&mut self.signs, text.chars().collect());
        let at = std::mem::take(&mut self.at);
        let Into::Words(host) = into else { return };
        let mut open = self.open(false, None);
        open.part.id = host;
        while let Some(sign) = self.peek(0) {
            match sign {
                '$' | '`' | '\\' => self.expansion(sign, &mut open, depth),
                _ => self.at += 1,
            }
        }
        self.signs = outer;
        self.at = at;
    }

    fn sign(&mut self, sign: char, open: &mut Open, depth: usize) {
        match sign {
            '\'' => {
                self.at += 1;
                word(open).quoted = true;
                self.single(open);
            }
            '"' => {
                self.at += 1;
                word(open).quoted = true;
                self.double(open, depth);
            }
            '$' if self.peek(1) == Some('\'') => {
                // What its escapes become is not worked out here.
                self.at += 2;
                let word = word(open);
                word.quoted = true;
                word.open = true;
                while let Some(sign) = self.peek(0) {
                    self.at += 1;
                    match sign {
                        '\'' => return,
                        '\\' => {
                            word.text.push('\\');
                            word.text.extend(self.signs.get(self.at));
                            self.at = (self.at + 1).min(self.signs.len());
                        }
                        _ => word.text.push(sign),
                    }
                }
                self.split.unclear = true;
            }
            '$' if self.peek(1) == Some('"') => self.at += 1,
            '$' | '`' | '\\' => self.expansion(sign, open, depth),
            '*' | '?' | '[' | '{' => {
                self.at += 1;
                let word = word(open);
                word.open |= sign != '{'
                    || !word.text.is_empty()
                    || self.signs.get(self.at).is_some_and(|next| !next.is_whitespace());
                word.text.push(sign);
            }
            _ => {
                self.at += 1;
                word(open).text.push(sign);
            }
        }
    }

    fn single(&mut self, open: &mut Open) {
        while let Some(sign) = self.peek(0) {
            self.at += 1;
            if sign == '\'' {
                return;
            }
            word(open).text.push(sign);
        }
        self.split.unclear = true;
    }

    fn double(&mut self, open: &mut Open, depth: usize) {
        while let Some(sign) = self.peek(0) {
            match sign {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' if !matches!(self.peek(1), Some('$' | '`' | '"' | '\\' | '\n')) => {
                    self.at += 1;
                    word(open).text.push('\\');
                }
                '$' | '`' | '\\' => self.expansion(sign, open, depth),
                _ => {
                    self.at += 1;
                    word(open).text.push(sign);
                }
            }
        }
        self.split.unclear = true;
    }

    /// At `$`, a backquote or a backslash.
    fn expansion(&mut self, sign: char, open: &mut Open, depth: usize) {
        let into = Some(Into::Words(open.part.id));
        self.at += 1;
        match (sign, self.peek(0)) {
            ('\\', Some('\n')) => self.at += 1,
            ('\\', Some(next)) => {
                self.at += 1;
                let word = word(open);
                word.text.push(next);
                word.quoted = true;
            }
            ('\\', None) => self.split.unclear = true,
            ('`', _) => {
                self.script(Some('`'), into, depth + 1);
                word(open).text.push_str("`…`");
                word(open).open = true;
            }
            (_, Some('(')) if self.arithmetic() => word(open).open = true,
            (_, Some('(')) => {
                self.at += 1;
                self.script(Some(')'), into, depth + 1);
                word(open).text.push_str("$(…)");
                word(open).open = true;
            }
            (_, Some('{')) => self.braces(open, depth),
            (_, Some(next)) if next.is_alphanumeric() || "_@*#?$!-".contains(next) => {
                let word = word(open);
                word.open = true;
                word.text.push('$');
            }
            _ => word(open).text.push('$'),
        }
    }

    /// At the parenthesis after `$`: skips a sum, if it is one in which nothing is put in.
    fn arithmetic(&mut self) -> bool {
        if self.peek(1) != Some('(') {
            return false;
        }
        let inside = &self.signs[self.at + 2..];
        let plain = |sign: &char| sign.is_ascii_alphanumeric() || " \t_+-*/%<>=&|^!~?:,".contains(*sign);
        let length = inside.iter().take_while(|sign| plain(sign)).count();
        let fits = inside.get(length) == Some(&')') && inside.get(length + 1) == Some(&')');
        if fits {
            self.at += length + 4;
        }
        fits
    }

    /// At the brace of `${`: what is put in within it counts.
    fn braces(&mut self, open: &mut Open, depth: usize) {
        let begins = self.at + 1;
        let mut level = 0_usize;
        while let Some(sign) = self.peek(0) {
            self.at += 1;
            match sign {
                '{' => level += 1,
                '}' => level -= 1,
                '\\' => self.at = (self.at + 1).min(self.signs.len()),
                _ => {}
            }
            if level == 0 {
                break;
            }
        }
        self.split.unclear |= level > 0;
        let end = self.at.min(self.signs.len()).saturating_sub(1).max(begins.min(self.signs.len()));
        let text: String = self.signs[begins.min(end)..end].iter().collect();
        if depth < DEPTH && (text.contains("$(") || text.contains('`') || text.contains("${")) {
            let outer = self.at;
            self.inner(&text, Into::Words(open.part.id), depth + 1);
            self.at = outer;
        }
        let word = word(open);
        word.open = true;
        word.text.push_str(&format!("${{{text}}}"));
    }
}

fn word(open: &mut Open) -> &mut Word {
    open.word.get_or_insert_default()
}

fn end_word(open: &mut Open) {
    let Some(word) = open.word.take() else { return };
    match std::mem::replace(&mut open.next, Next::Word) {
        Next::Word => open.part.words.push(word),
        Next::Written => open.part.writes.push(word),
        Next::Given => open.part.input.push(word.text),
        Next::Read => {}
    }
}
