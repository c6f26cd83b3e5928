//! Reads a small part of the shell's language: simple commands, joined by `&&`, `||`, `;`, `|` or line ends,
//! of words and quotes.
//!
//! Everything else is [`Unreadable`]: better to ask once too often than to misread. `2>&1`, discarding into
//! `/dev/null`, `$?` and `{}` are read as well.

/// Why a command cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("It puts in what another command prints.")]
    Substitution,
    #[error("It puts in variables, whose values are not known here.")]
    Expansion,
    #[error("It reads from or writes to a file by redirection.")]
    Redirection,
    #[error("It starts something with `&`, which nobody would watch.")]
    Background,
    #[error("It groups commands in a way that is not judged here.")]
    Grouping,
    #[error("It sets variables before it runs.")]
    Assignment,
    #[error("It holds quotes or signs that are not judged here.")]
    Unclear,
    #[error("It is empty.")]
    Empty,
}

/// A word after quotes were taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where a sign that the shell replaces by file names stands first, in bytes of `text`.
    pub(super) glob: Option<usize>,
    quoted: bool,
}

/// What was read: simple commands, none without words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) commands: Vec<Vec<Word>>,
    joined: bool,
    redirected: bool,
}

impl Script {
    /// The words, if the whole is one command without any operator or redirection.
    pub(super) fn plain(&self) -> Option<&[Word]> {
        match self.commands.as_slice() {
            [words] if !self.joined && !self.redirected => Some(words),
            _ => None,
        }
    }
}

/// Reads a command.
pub(super) fn read(command: &str) -> Result<Script, Unreadable> {
    // Even within quotes: some commands evaluate their arguments once more.
    if command.contains("$(") || command.contains('`') {
        return Err(Unreadable::Substitution);
    }
    let mut reader = Reader { rest: command, script: Script::default(), words: Vec::new(), word: None };
    reader.run()?;
    Ok(reader.script)
}

struct Reader<'a> {
    rest: &'a str,
    script: Script,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), Unreadable> {
        // Whether another command must follow: after `|` and the like.
        let mut wants = true;
        while let Some(sign) = self.next() {
            match sign {
                ' ' | '\t' => self.end_word(),
                '\n' if self.is_between() => self.script.joined = true,
                '\n' | ';' => {
                    self.join()?;
                    wants = false;
                }
                '|' if self.rest.starts_with('&') => return Err(Unreadable::Unclear),
                '|' => {
                    let _ = self.skip("|");
                    self.join()?;
                    wants = true;
                }
                '&' if self.skip("&") => {
                    self.join()?;
                    wants = true;
                }
                '&' if self.skip(">") => {
                    self.end_word();
                    self.discard()?;
                    // To a shell without `&>` this is `&` and another command, which must not have words.
                    if !self.rest.trim_start_matches([' ', '\t']).starts_with(['\n', ';', '|', '&'])
                        && !self.rest.trim_matches([' ', '\t']).is_empty()
                    {
                        return Err(Unreadable::Background);
                    }
                }
                '&' => return Err(Unreadable::Background),
                '>' => self.redirect()?,
                '<' => return Err(Unreadable::Redirection),
                // What `find -exec` and `xargs -I` fill in.
                '{' if self.skip("}") => self.word().text.push_str("{}"),
                '(' | ')' | '{' | '}' => return Err(Unreadable::Grouping),
                '$' => self.dollar(&[' ', '\t', '\n', ';', '|', '&'])?,
                '#' if self.word.is_none() => self.comment()?,
                '\'' => self.single_quoted()?,
                '"' => self.double_quoted()?,
                '\\' => {
                    let sign = self.next().filter(|sign| !sign.is_control()).ok_or(Unreadable::Unclear)?;
                    let word = self.word();
                    word.text.push(sign);
                    word.quoted = true;
                }
                '*' | '?' | '[' => {
                    let word = self.word();
                    word.glob.get_or_insert(word.text.len());
                    word.text.push(sign);
                }
                sign if sign.is_control() => return Err(Unreadable::Unclear),
                sign => self.word().text.push(sign),
            }
            wants &= self.is_between();
        }
        self.end_word();
        if !self.words.is_empty() {
            return self.end_command();
        }
        if self.script.commands.is_empty() || wants { Err(Unreadable::Empty) } else { Ok(()) }
    }

    /// Up to the end of its line. Signs in it that would mean something elsewhere are not judged.
    fn comment(&mut self) -> Result<(), Unreadable> {
        let (text, rest) = self.rest.split_at(self.rest.find('\n').unwrap_or(self.rest.len()));
        if text.contains(['\'', '"', '\\']) || text.chars().any(|sign| sign.is_control() && sign != '\t') {
            return Err(Unreadable::Unclear);
        }
        self.rest = rest;
        Ok(())
    }

    fn join(&mut self) -> Result<(), Unreadable> {
        self.script.joined = true;
        self.end_command()
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.rest.chars().next()?;
        self.rest = &self.rest[sign.len_utf8()..];
        Some(sign)
    }

    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn is_between(&self) -> bool {
        self.word.is_none() && self.words.is_empty()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) -> Result<(), Unreadable> {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        let first = words.first().ok_or(Unreadable::Empty)?;
        if !first.quoted && is_assignment(&first.text) {
            return Err(Unreadable::Assignment);
        }
        self.script.commands.push(words);
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<(), Unreadable> {
        let end = self.rest.find('\'').ok_or(Unreadable::Unclear)?;
        let (text, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        if text.chars().any(|sign| sign.is_control() && sign != '\n' && sign != '\t') {
            return Err(Unreadable::Unclear);
        }
        self.rest = rest;
        let word = self.word.get_or_insert_default();
        word.text.push_str(text);
        word.quoted = true;
        Ok(())
    }

    fn double_quoted(&mut self) -> Result<(), Unreadable> {
        self.word().quoted = true;
        loop {
            let sign = match self.next().ok_or(Unreadable::Unclear)? {
                '"' => return Ok(()),
                '$' => {
                    self.dollar(&['"', ' ', '|', ')', '\\'])?;
                    continue;
                }
                '\\' => match self.next().ok_or(Unreadable::Unclear)? {
                    '\n' => return Err(Unreadable::Unclear),
                    sign @ ('$' | '"' | '\\') => sign,
                    sign => {
                        self.word().text.push('\\');
                        sign
                    }
                },
                sign => sign,
            };
            if sign.is_control() && sign != '\n' && sign != '\t' {
                return Err(Unreadable::Unclear);
            }
            self.word().text.push(sign);
        }
    }

    /// At `$`: how the last command ended, which is a number, or only the sign, where these follow.
    fn dollar(&mut self, plain: &[char]) -> Result<(), Unreadable> {
        if self.skip("?") {
            self.word().text.push('0');
        } else if self.rest.is_empty() || self.rest.starts_with(plain) {
            self.word().text.push('$');
        } else {
            return Err(Unreadable::Expansion);
        }
        Ok(())
    }

    /// After `>`: the word before it may be the number of what is redirected.
    fn redirect(&mut self) -> Result<(), Unreadable> {
        match self.word.take() {
            None => {}
            Some(word) if !word.quoted && matches!(word.text.as_str(), "1" | "2") => {}
            Some(word) if !word.quoted && word.text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(Unreadable::Redirection);
            }
            Some(word) => self.words.push(word),
        }
        if self.rest.starts_with("&1") || self.rest.starts_with("&2") {
            self.rest = &self.rest[2..];
            self.script.redirected = true;
            return self.ends_here();
        }
        self.discard()
    }

    fn discard(&mut self) -> Result<(), Unreadable> {
        let _ = self.skip(">");
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        if !self.skip("/dev/null") {
            return Err(Unreadable::Redirection);
        }
        self.script.redirected = true;
        self.ends_here()
    }

    fn ends_here(&self) -> Result<(), Unreadable> {
        let next = self.rest.chars().next();
        if next.is_none_or(|sign| matches!(sign, ' ' | '\t' | '\n' | ';' | '|' | '&' | '>')) {
            Ok(())
        } else {
            Err(Unreadable::Redirection)
        }
    }
}

pub(super) fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.trim_end_matches('+');
    let name = name.split('[').next().unwrap_or_default();
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
