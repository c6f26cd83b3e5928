//! What git does: its verbs decide, not its words anywhere, since a message is a word, too.

use super::super::split::{Part, Word};
use super::program::{meets, values};
use super::table::{self, Kind, lists};
use super::{Around, Found, place};

impl Found<'_> {
    pub(super) fn git(&mut self, part: &Part, words: &[Word], around: Around<'_>) {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let mut verb = 0;
        // `-C folder` and `-c name=value` come before what is to be done.
        while let Some(text) = texts.get(verb).filter(|text| text.starts_with('-')) {
            let takes =
                matches!(*text, "-c" | "-C" | "--config-env" | "--git-dir" | "--work-tree" | "--namespace");
            if matches!(*text, "-c" | "--config-env" | "--exec-path")
                || ["--exec-path=", "--config-env="].iter().any(|known| text.starts_with(known))
            {
                self.add(&part.text, Kind::Code);
            }
            if *text == "-C" && texts.get(verb + 1).is_some_and(|to| self.leaves(to)) {
                self.add(&part.text, Kind::WritesOutside);
            }
            verb += 1 + usize::from(takes);
        }
        let Some(name) = texts.get(verb) else { return };
        let rest = &texts[(verb + 1).min(texts.len())..];
        if words[verb].open {
            self.add(&part.text, Kind::Unclear);
        }
        for rule in table::GIT {
            if lists(rule.programs, name) && rule.needs.split_whitespace().all(|need| meets(need, rest)) {
                self.add(&part.text, rule.kind);
            }
        }
        if matches!(*name, "push" | "send-pack") && rest.iter().any(|text| is_forced(text)) {
            self.add(&part.text, Kind::ForcesPush);
        }
        let has = |known: &[&str]| rest.iter().any(|text| known.contains(text));
        let unstages = has(&["--staged", "-S"]) && !has(&["--worktree", "-W"]);
        let discards = match *name {
            "checkout" => is_of_files(rest),
            "restore" => !unstages,
            "rm" => !has(&["--cached"]),
            _ => false,
        };
        if discards {
            self.add(&part.text, Kind::Deletes);
        }
        match *name {
            "bisect" if rest.first() == Some(&"run") => {
                for at in verb + 2..words.len() {
                    self.program(part, &words[at..], at, around);
                }
                self.add(&part.text, Kind::Code);
            }
            "submodule" if has(&["foreach"]) => {
                let command: Vec<&str> =
                    rest.iter().copied().skip_while(|text| *text != "foreach").skip(1).collect();
                self.script(&command.join(" "), around.within(part));
            }
            _ => {}
        }
        if table::GIT.iter().any(|rule| rule.kind == Kind::Code && lists(rule.programs, name)) {
            for command in values(rest, table::GIT_COMMANDS) {
                self.script(&command, around.within(part));
            }
        }
    }
}

fn is_forced(text: &str) -> bool {
    text.starts_with(['+', ':'])
        || text.strip_prefix('-').is_some_and(|set| !set.starts_with('-') && set.contains(['f', 'd']))
        || text.len() > 3
            && ["--force", "--delete", "--mirror", "--prune"]
                .iter()
                .any(|known| text.starts_with(known) || known.starts_with(text))
}

/// Whether `checkout` takes files from elsewhere, and with it the changes in them away. A branch and a folder can have the same
/// name; what has an ending, or follows another name, is a file.
fn is_of_files(rest: &[&str]) -> bool {
    let makes = rest.iter().any(|text| {
        matches!(*text, "-b" | "-B" | "-t" | "--track" | "--orphan" | "--detach" | "-d")
            || text.starts_with("--track=")
    });
    let operands: Vec<&&str> = rest.iter().filter(|text| !text.starts_with('-') || **text == "-").collect();
    let is_file = |text: &str| {
        let name = text.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        text.starts_with("./")
            || matches!(text, "." | ":/")
            || text.ends_with('/')
            || text.contains(['*', '?', '['])
            || place::is_stream(text)
            || ending.is_some_and(|ending| {
                (1..=6).contains(&ending.len()) && !ending.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    rest.contains(&"--") || !makes && (operands.len() > 1 || operands.iter().any(|text| is_file(text)))
}
