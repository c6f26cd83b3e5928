//! Here-documents: what ends them, and the lines that they are made of.

use super::{Heredoc, Into, Open, Splitter};

impl Splitter {
    /// Behind `<<`: the word that ends it, which may be quoted and then hold anything.
    pub(super) fn heredoc(&mut self, open: &mut Open, strips: bool) {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
        let begins = self.at;
        let (mut end, mut literal) = (String::new(), false);
        while let Some(sign) = self.peek(0).filter(|sign| !" \t\n;|&<>()".contains(*sign)) {
            self.at += 1;
            match sign {
                '\'' | '"' => {
                    literal = true;
                    self.quoted_end(sign, &mut end);
                }
                '\\' => {
                    literal = true;
                    self.split.unclear |= self.peek(0).is_none_or(|sign| sign == '\n');
                    end.extend(self.peek(0));
                    self.at = (self.at + 1).min(self.signs.len());
                }
                // Nothing is put in, but shells differ about what is taken off.
                '$' | '`' => {
                    open.part.unclear = true;
                    end.push(sign);
                }
                _ => end.push(sign),
            }
        }
        self.split.unclear |= self.at == begins;
        self.heredocs.push(Heredoc { part: open.part.id, end, strips, literal });
    }

    fn quoted_end(&mut self, quote: char, end: &mut String) {
        while let Some(sign) = self.peek(0) {
            self.at += 1;
            if sign == quote {
                return;
            }
            // What is escaped within quotes is not worked out here.
            self.split.unclear |= sign == '\n' || (quote == '"' && "\\$`".contains(sign));
            end.push(sign);
        }
        self.split.unclear = true;
    }

    /// After a line's end: what the line's here-documents hold.
    pub(super) fn bodies(&mut self, depth: usize) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let (mut body, mut next) = self.body(&heredoc, false);
            if !heredoc.literal {
                // Lines that end with a backslash are joined before the end is looked for, or not: shells
                // differ.
                let unjoined = next;
                (body, next) = self.body(&heredoc, true);
                self.split.unclear |= unjoined != next;
            }
            self.split.unclear |= next.is_none();
            self.at = next.unwrap_or(self.signs.len());
            if !heredoc.literal && (body.contains('$') || body.contains('`')) {
                self.inner(&body, Into::Words(heredoc.part), depth);
            }
            if let Some(part) = self.split.parts.iter_mut().find(|part| part.id == heredoc.part) {
                part.input.push(body);
            } else {
                self.split.unclear = true;
            }
        }
    }

    /// The lines up to the end, and where what follows begins.
    fn body(&self, heredoc: &Heredoc, joins: bool) -> (String, Option<usize>) {
        let (mut body, mut line, mut at) = (String::new(), String::new(), self.at);
        loop {
            let sign = self.signs.get(at).copied();
            at += 1;
            match sign {
                Some('\\') if joins => {
                    let next = self.signs.get(at).copied();
                    at += 1;
                    if next != Some('\n') {
                        line.push('\\');
                        line.extend(next);
                    }
                }
                Some('\n') | None => {
                    let stripped = if heredoc.strips { line.trim_start_matches('\t') } else { line.as_str() };
                    if stripped == heredoc.end {
                        return (body, Some(at.min(self.signs.len())));
                    }
                    body.push_str(stripped);
                    body.push('\n');
                    if sign.is_none() || at > self.signs.len() {
                        return (body, None);
                    }
                    line.clear();
                }
                Some(sign) => line.push(sign),
            }
        }
    }
}
