//! Splits a command into all that it runs, to name what is dangerous in each part.
//!
//! Unlike [`super::shell`] it never gives up: what nobody can read for certain is marked [`Split::unclear`]
//! or [`Part::unclear`], and the parts that were found are there all the same. Substitutions are parts of
//! their own, and know whose words they are put into. The shell may be bash or dash: what the two read
//! differently is unclear.

mod heredoc;
mod text;

/// No more parts than this are told apart.
const PARTS: usize = 500;
/// Not deeper than this.
const DEPTH: usize = 12;

/// Words before a program that are none.
const RESERVED: &[&str] =
    &["if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "coproc", "fi", "done", "esac"];

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
    /// Whether one of these is emptied first.
    pub(super) empties: bool,
    /// What it reads by redirection.
    pub(super) reads: Vec<Word>,
    /// What it reads that stands in the command itself.
    pub(super) input: Vec<String>,
    /// Whether it reads from a file or from the command itself.
    pub(super) fed: bool,
    /// Whether it reads what another prints.
    pub(super) piped: bool,
    pub(super) into: Option<Into>,
    /// Whether it stands directly behind a group.
    pub(super) behind: bool,
    /// Whether it is no command: a pattern of `case`, or the values of an array.
    pub(super) data: bool,
    /// Whether it could not be read for certain.
    pub(super) unclear: bool,
}

impl Part {
    /// Whether it ends a group, so that its redirections are those of the group.
    pub(super) fn closes(&self) -> bool {
        let ends = |word: &Word| matches!(word.text.as_str(), "}" | "done" | "fi" | "esac") && !word.quoted;
        self.behind || self.words.first().is_some_and(ends)
    }

    /// Its words without those of the shell's own language before the program.
    pub(super) fn command(&self) -> &[Word] {
        let mut words = self.words.as_slice();
        while let [first, rest @ ..] = words {
            let is = |word: &Word, known: &str| !word.quoted && word.text == known;
            let after = match rest {
                [_, after @ ..] if is(first, "function") => after,
                // `for x do` goes through what the script was given.
                [_, second, after @ ..] if is(first, "for") && is(second, "do") => after,
                [option, after @ ..] if is(first, "time") && option.text.starts_with('-') => after,
                [_, second, ..] if is(first, "coproc") && is_reserved(second) => &rest[1..],
                _ if is_reserved(first) => rest,
                _ => break,
            };
            words = after;
        }
        words
    }
}

fn is_reserved(word: &Word) -> bool {
    !word.quoted && RESERVED.contains(&word.text.as_str())
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
    splitter.split.unclear |= splitter.at < splitter.signs.len();
    splitter.split
}

/// A here-document that was announced in the line that is being read.
struct Heredoc {
    part: usize,
    end: String,
    strips: bool,
    literal: bool,
}

struct Splitter {
    signs: Vec<char>,
    at: usize,
    ids: usize,
    heredocs: Vec<Heredoc>,
    split: Split,
}

/// What the next word is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Word,
    Written,
    Appended,
    Read,
    Copied,
    Given,
}

/// A part that is being read.
struct Open {
    part: Part,
    word: Option<Word>,
    next: Next,
    begins: usize,
    /// How many words stood before `&>`, which ends the command for dash.
    ampersand: Option<usize>,
}

impl Open {
    fn is_empty(&self) -> bool {
        self.word.is_none() && self.part.command().is_empty()
    }
}

/// What parentheses mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Group,
    Array,
    /// `case … esac`, and whether a pattern comes next.
    Case(bool),
}

/// A script that is being read: what its parts have in common.
struct Frame {
    into: Option<Into>,
    levels: Vec<Level>,
    /// Whether a group before reads what another prints: then so may all that follows.
    piped: bool,
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
        if depth > DEPTH {
            self.split.unclear = true;
            self.at = self.signs.len();
            return;
        }
        // Whose lines they are that follow within is not the same to all shells.
        let waiting = std::mem::take(&mut self.heredocs);
        self.split.unclear |= !waiting.is_empty();
        let piped = matches!(into, Some(Into::Reads(_)));
        let mut frame = Frame { into, levels: Vec::new(), piped };
        let closed = self.parts(end, &mut frame, depth);
        self.split.unclear |=
            (end.is_some() && !closed) || !frame.levels.is_empty() || !self.heredocs.is_empty();
        self.heredocs = waiting;
    }

    fn parts(&mut self, end: Option<char>, frame: &mut Frame, depth: usize) -> bool {
        let mut open = self.open(false, frame);
        while let Some(sign) = self.peek(0) {
            match sign {
                ' ' | '\t' | '\r' => {
                    self.at += 1;
                    end_word(&mut open);
                }
                '\n' => {
                    self.close(&mut open, frame);
                    self.at += 1;
                    self.bodies(depth);
                    open = self.open(false, frame);
                }
                ';' | '&' | '|' => self.operator(sign, &mut open, frame),
                '(' if open.is_empty() && frame.levels.last() == Some(&Level::Case(true)) => self.at += 1,
                '(' if open.is_empty() && self.is_sum() && self.arithmetic() => {}
                '(' => {
                    let is_array = open.word.as_ref().is_some_and(|word| {
                        word.text.ends_with('=') && super::shell::is_assignment(&word.text)
                    });
                    let was_pattern = frame.levels.last() == Some(&Level::Case(true));
                    frame.piped |= open.part.piped;
                    self.close(&mut open, frame);
                    match frame.levels.last() {
                        Some(Level::Case(true)) if !was_pattern => {}
                        _ if is_array => frame.levels.push(Level::Array),
                        _ => frame.levels.push(Level::Group),
                    }
                    self.at += 1;
                    open = self.open(false, frame);
                }
                ')' => {
                    self.close(&mut open, frame);
                    self.at += 1;
                    let mut behind = false;
                    match frame.levels.last_mut() {
                        Some(Level::Case(pattern)) if *pattern => *pattern = false,
                        Some(Level::Group | Level::Array) => {
                            behind = frame.levels.pop() == Some(Level::Group);
                        }
                        Some(Level::Case(_)) | None if end == Some(')') => return true,
                        Some(Level::Case(_)) | None => self.split.unclear = true,
                    }
                    open = self.open(false, frame);
                    open.part.behind = behind;
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
        self.close(&mut open, frame);
        false
    }

    fn open(&mut self, piped: bool, frame: &Frame) -> Open {
        let part = Part { id: self.id(), piped: piped || frame.piped, into: frame.into, ..Part::default() };
        Open { part, word: None, next: Next::Word, begins: self.at, ampersand: None }
    }

    fn close(&mut self, open: &mut Open, frame: &mut Frame) {
        end_word(open);
        let mut part = std::mem::take(&mut open.part);
        self.split.unclear |= open.next != Next::Word;
        if part.words.is_empty() && part.writes.is_empty() && !part.fed && !part.unclear {
            return;
        }
        part.unclear |= open.ampersand.is_some_and(|before| part.words.len() > before);
        let is =
            |word: Option<&Word>, known: &str| word.is_some_and(|word| !word.quoted && word.text == known);
        match frame.levels.last() {
            Some(Level::Case(_)) if is(part.words.first(), "esac") => {
                frame.levels.pop();
            }
            Some(Level::Case(true) | Level::Array) => part.data = true,
            _ if is(part.command().first(), "case") => frame.levels.push(Level::Case(true)),
            _ => {}
        }
        frame.piped |= part.piped && part.words.first().is_some_and(is_reserved);
        if self.split.parts.len() >= PARTS {
            self.split.unclear = true;
            return;
        }
        self.signs[open.begins..self.at].iter().collect::<String>().trim().clone_into(&mut part.text);
        self.split.parts.push(part);
    }

    fn operator(&mut self, sign: char, open: &mut Open, frame: &mut Frame) {
        if sign == '&' && self.peek(1) == Some('>') {
            end_word(open);
            self.at += 2;
            let appends = self.skip(">");
            open.next = if appends { Next::Appended } else { Next::Written };
            open.ampersand.get_or_insert(open.part.words.len());
            return;
        }
        let pipes = sign == '|' && self.peek(1) != Some('|');
        self.close(open, frame);
        self.at += 1;
        let ends_case = sign == ';' && matches!(self.peek(0), Some(';' | '&'));
        let _second = match sign {
            '|' => self.skip("|") || self.skip("&"),
            '&' => self.skip("&"),
            _ => self.skip(";&") || self.skip(";") || (ends_case && self.skip("&")),
        };
        if let Some(Level::Case(pattern)) = frame.levels.last_mut() {
            *pattern |= ends_case;
        }
        *open = self.open(pipes, frame);
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
            let appends = self.skip(">");
            let forced = !appends && self.skip("|");
            let copies = !appends
                && !forced
                && self.skip("&")
                && self.peek(0).is_some_and(|next| next.is_ascii_digit() || next == '-');
            open.next = match (copies, appends) {
                (true, _) => Next::Copied,
                (_, true) => Next::Appended,
                _ => Next::Written,
            };
        } else if self.skip("<<") {
            open.part.fed = true;
            open.next = Next::Given;
        } else if self.skip("<") {
            open.part.fed = true;
            let strips = self.skip("-");
            self.heredoc(open, strips);
        } else {
            let both = self.skip(">");
            let _copies = self.skip("&");
            open.next = if both { Next::Appended } else { Next::Read };
        }
    }
}

fn word(open: &mut Open) -> &mut Word {
    open.word.get_or_insert_default()
}

fn end_word(open: &mut Open) {
    let Some(word) = open.word.take() else { return };
    match std::mem::replace(&mut open.next, Next::Word) {
        Next::Word => open.part.words.push(word),
        Next::Written => {
            open.part.empties = true;
            open.part.writes.push(word);
        }
        Next::Appended => open.part.writes.push(word),
        Next::Given => open.part.input.push(word.text),
        Next::Read => {
            open.part.fed |= !matches!(word.text.as_str(), "/dev/null" | "-");
            open.part.reads.push(word);
        }
        Next::Copied => {}
    }
}
