//! Whether a task seems to wait for a person: its input is open, it is quiet, and what it printed last looks
//! like a question. A guess, so it only makes a flag.

use tokio::time::Instant;

use super::text;

/// What a question ends with, blanks aside, when the cursor is left behind it.
const ENDS: [char; 9] = [':', '?', '>', '$', '#', '%', ']', ')', '='];
/// What is a question also at the end of a whole line, in lower case.
const PHRASES: [&str; 12] = [
    "y/n",
    "yes/no",
    "[yes]",
    "[no]",
    "password:",
    "passphrase:",
    "username:",
    "press enter",
    "press return",
    "press any key",
    "hit enter",
    "are you sure?",
];

/// The watch over one task.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When it will have been quiet for long enough.
    pub(super) due: Option<Instant>,
    /// The output's length when it was last answered: what was asked before then is answered.
    answered: u64,
}

impl Watch {
    /// It printed, or may look different now. `due`: when it will have been quiet for long enough.
    pub(super) const fn heard(&mut self, due: Instant) {
        self.due = Some(due);
    }

    pub(super) const fn answered(&mut self, at: u64) {
        self.answered = at;
    }

    /// It was quiet for long enough, with so much output, whose end looks like a question or not: whether it
    /// asks.
    pub(super) const fn asks(&mut self, total: u64, looks: bool) -> bool {
        self.due = None;
        looks && total > self.answered
    }
}

/// Whether the end of some output asks for something.
pub(super) fn looks_like_a_question(tail: &[u8]) -> bool {
    let text = text::clean(tail);
    let whole = text.ends_with('\n');
    let Some(line) = text.lines().rev().map(str::trim_end).find(|line| !line.trim().is_empty()) else {
        return false;
    };
    let lower = line.to_lowercase();
    if PHRASES.iter().any(|phrase| lower.contains(phrase)) {
        return true;
    }
    if whole { line.ends_with('?') } else { line.ends_with(ENDS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_text() {
        for question in [
            "Name: ",
            "Overwrite? [y/N] ",
            ">>> ",
            "package name: (x) ",
            "Proceed (Y/n)?\n",
            "(gdb) ",
            "mysql> ",
            "$ ",
            "Password:",
            "\x1b[1m? \x1b[0mPick one \x1b[36m›\x1b[0m y/n",
            "Press ENTER to continue\n",
            "Really?\n\n",
        ] {
            assert!(looks_like_a_question(question.as_bytes()), "{question:?}");
        }
        for text in [
            "",
            "\n",
            "done\n",
            "Listening on: 3000\n",
            "50%\n",
            "[3/4] Linking\n",
            "100",
            "compiling a.c",
            "> build\n",
            "x:\n",
        ] {
            assert!(!looks_like_a_question(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_was_answered_is_no_question_until_something_new_is_printed() {
        let mut watch = Watch::default();
        assert!(watch.asks(6, true));
        watch.answered(6);
        assert!(!watch.asks(6, true));
        assert!(watch.asks(11, true));
    }
}
