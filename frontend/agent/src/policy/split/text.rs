//! What words are made of: quotes, escapes, and what is put in.

use super::{DEPTH, Into, Open, Splitter, word};

impl Splitter {
    pub(super) fn sign(&mut self, sign: char, open: &mut Open, depth: usize) {
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
            '$' if self.peek(1) == Some('\'') => self.escaped(open),
            '$' if self.peek(1) == Some('"') => self.at += 1,
            '$' | '`' | '\\' => self.expansion(sign, open, depth, false),
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

    /// At `$'`. An escape that hides a letter, or that is the end of the quote to dash, is not worked out.
    fn escaped(&mut self, open: &mut Open) {
        self.at += 2;
        word(open).quoted = true;
        word(open).open = true;
        while let Some(sign) = self.peek(0) {
            self.at += 1;
            if sign == '\'' {
                return;
            }
            if sign != '\\' {
                word(open).text.push(sign);
                continue;
            }
            let next = self.peek(0);
            self.at = (self.at + 1).min(self.signs.len());
            let plain = match next {
                Some('n') => Some('\n'),
                Some('t') => Some('\t'),
                Some('r') => Some('\r'),
                Some('e' | 'E') => Some('\u{1b}'),
                Some('a' | 'b' | 'f' | 'v') => Some(' '),
                Some('\\' | '"' | '?') => next,
                _ => None,
            };
            open.part.unclear |= plain.is_none();
            word(open).text.extend(plain.or(next));
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
                '$' | '`' | '\\' => self.expansion(sign, open, depth, true),
                _ => {
                    self.at += 1;
                    word(open).text.push(sign);
                }
            }
        }
        self.split.unclear = true;
    }

    /// At `$`, a backquote or a backslash.
    fn expansion(&mut self, sign: char, open: &mut Open, depth: usize, quoted: bool) {
        let into = Some(Into::Words(open.part.id));
        self.at += 1;
        match (sign, self.peek(0)) {
            ('\\', Some('\n')) => {
                // Two signs may make one operator across the lines.
                let before = self.at.checked_sub(2).map(|at| self.signs[at]);
                let is_operator = |sign: Option<char>| sign.is_some_and(|sign| "$<>&|;({'\"".contains(sign));
                open.part.unclear |= is_operator(before) && is_operator(self.peek(1));
                self.at += 1;
            }
            ('\\', Some(next)) => {
                self.at += 1;
                let word = word(open);
                word.text.push(next);
                word.quoted = true;
            }
            ('\\', None) => self.split.unclear = true,
            ('`', _) => {
                self.backquoted(into, depth);
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
            (_, Some('{')) => self.braces(open, depth, quoted),
            (_, Some(next)) if next.is_alphanumeric() || "_@*#?$!-".contains(next) => {
                let word = word(open);
                word.open = true;
                word.text.push('$');
            }
            _ => word(open).text.push('$'),
        }
    }

    /// Behind a backquote: up to the next that is not escaped, whatever quotes stand between.
    fn backquoted(&mut self, into: Option<Into>, depth: usize) {
        let mut text = Vec::new();
        let mut closed = false;
        while let Some(sign) = self.peek(0).filter(|_| !closed) {
            self.at += 1;
            match (sign, self.peek(0)) {
                ('`', _) => closed = true,
                ('\\', Some(next @ ('`' | '\\' | '$' | '"'))) => {
                    self.at += 1;
                    text.push(next);
                }
                _ => text.push(sign),
            }
        }
        self.split.unclear |= !closed;
        let outer = std::mem::replace(&mut self.signs, text);
        let at = std::mem::take(&mut self.at);
        self.script(None, into, depth + 1);
        self.signs = outer;
        self.at = at;
    }

    /// What is put into a text that is not read as words.
    pub(super) fn inner(&mut self, text: &str, into: Into, depth: usize) {
        let Into::Words(host) = into else { return };
        let outer = std::mem::replace(&mut self.signs, text.chars().collect());
        let at = std::mem::take(&mut self.at);
        let waiting = std::mem::take(&mut self.heredocs);
        let mut open = self.nobody(host);
        while let Some(sign) = self.peek(0) {
            match sign {
                '$' | '`' | '\\' => self.expansion(sign, &mut open, depth, true),
                _ => self.at += 1,
            }
        }
        self.split.unclear |= open.part.unclear;
        self.heredocs = waiting;
        self.signs = outer;
        self.at = at;
    }

    /// A part that is thrown away: what is put into it is put into another.
    fn nobody(&mut self, host: usize) -> Open {
        let frame = super::Frame { into: None, levels: Vec::new(), piped: false };
        let mut open = self.open(false, &frame);
        open.part.id = host;
        open
    }

    /// At the parenthesis after `$`: skips a sum, if it is one in which nothing is put in.
    pub(super) fn arithmetic(&mut self) -> bool {
        if self.peek(1) != Some('(') {
            return false;
        }
        let inside = &self.signs[self.at + 2..];
        let plain =
            |sign: &char| sign.is_ascii_alphanumeric() || " \t\n_+-*/%<>=&|^!~?:,$#[]{}.".contains(*sign);
        let length = inside.iter().take_while(|sign| plain(sign)).count();
        let fits = inside.get(length) == Some(&')') && inside.get(length + 1) == Some(&')');
        if fits {
            self.at += length + 4;
        }
        fits
    }

    /// At `((` where a command may begin: whether it can only be a sum, and no group in a group, as dash
    /// would read it.
    pub(super) fn is_sum(&self) -> bool {
        let inside = self.signs.get(self.at + 2..).unwrap_or_default();
        let mut signs = inside.iter().skip_while(|sign| **sign == ' ').peekable();
        let is_variable = signs.next_if(|sign| **sign == '$').is_some();
        let name = |sign: &&char| sign.is_ascii_alphanumeric() || **sign == '_' || **sign == '#';
        while signs.next_if(name).is_some() {}
        while is_variable && signs.next_if(|sign| **sign == ' ').is_some() {}
        signs.next().is_some_and(|sign| "=+%<>!".contains(*sign))
    }

    /// At the brace of `${`: what is put in within it counts, and quotes do.
    fn braces(&mut self, open: &mut Open, depth: usize, quoted: bool) {
        self.at += 1;
        let begins = self.at;
        if depth > DEPTH {
            self.split.unclear = true;
            self.at = self.signs.len();
            return;
        }
        let mut closed = false;
        let mut within = self.nobody(open.part.id);
        while let Some(sign) = self.peek(0).filter(|_| !closed) {
            match sign {
                '\'' if quoted => {
                    // Whether it quotes depends on the operator, and on the shell.
                    within.part.unclear = true;
                    self.at += 1;
                }
                '"' if quoted => {
                    within.part.unclear = true;
                    self.at += 1;
                    self.double(&mut within, depth + 1);
                }
                '\'' | '"' => self.sign(sign, &mut within, depth + 1),
                '$' if !quoted && self.peek(1) == Some('\'') => self.sign(sign, &mut within, depth + 1),
                '$' | '`' | '\\' => self.expansion(sign, &mut within, depth + 1, quoted),
                _ => {
                    closed = sign == '}';
                    self.at += 1;
                }
            }
        }
        self.split.unclear |= !closed;
        let end = self.at.saturating_sub(usize::from(closed)).clamp(begins.min(self.at), self.signs.len());
        let text: String = self.signs[begins.min(end)..end].iter().collect();
        // These read what a variable holds once more.
        let lists = text.ends_with(['@', '*']) || text.ends_with("[@]") || text.ends_with("[*]");
        open.part.unclear |= within.part.unclear
            || text.ends_with("@P")
            || (text.starts_with('!') && text.len() > 1 && !lists);
        let word = word(open);
        word.open = true;
        word.text.push_str(&format!("${{{text}}}"));
    }
}
