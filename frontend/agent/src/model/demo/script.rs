//! What the demo does next: three stories and two signs. A story is a row of rounds, and the log knows how
//! many of them were played; when there are no more, or nothing of the last went well, the demo tells what
//! came of them. No round is played twice, so every turn ends.

use serde_json::json;

use super::facts::Facts;
use super::project::{LOOK, choose};
use super::sentences;
use super::stream::{Reply, Use};
use super::text::{code, list};

/// `$ command`, `& command`, the three examples in their order, and everything else.
enum Story {
    Run,
    Background,
    Write,
    Check,
    Tests,
    Unknown,
}

/// What is asked for, with what commands. Whatever stands between the quotes of an example can be changed.
fn read(text: &str) -> (Story, Vec<&str>) {
    let (form, quoted) = split(text);
    let example = super::examples().iter().position(|example| form == split(example.wish).0);
    let command = text.trim().get(1..).map(str::trim).filter(|command| !command.is_empty());
    match (text.trim().chars().next(), command, example, quoted.len()) {
        (Some('$'), Some(command), ..) => (Story::Run, vec![command]),
        (Some('&'), Some(command), ..) => (Story::Background, vec![command]),
        (_, _, Some(0), 1) => (Story::Write, quoted),
        (_, _, Some(1), 1..) => (Story::Check, quoted),
        (_, _, Some(2), 0) => (Story::Tests, quoted),
        _ => (Story::Unknown, quoted),
    }
}

/// What stands outside of quotes, without numbers and lone commas; and what stands in them.
fn split(text: &str) -> (String, Vec<&str>) {
    let pieces: Vec<&str> = text.split('"').map(str::trim).collect();
    let says = |word: &&str| word.contains(|sign: char| !sign.is_ascii_digit() && sign != ',');
    let outside = pieces.iter().step_by(2).flat_map(|piece| piece.split_whitespace()).filter(says);
    let form = outside.map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    let quoted = pieces.into_iter().skip(1).step_by(2).filter(|command| !command.is_empty());
    (form, quoted.take(10).collect())
}

/// The next answer.
pub(super) fn next(facts: &Facts) -> Reply {
    let (story, commands) = read(&facts.text);
    let explains = !facts.woken && matches!(story, Story::Unknown);
    let introduced = facts.answers > 0 || explains;
    let mut texts = Vec::new();
    texts.extend((!introduced).then(|| format!("{} The commands are real.", sentences::INTRODUCTION)));
    for (task, output) in facts.fresh.iter().filter_map(|id| facts.ended.get(id)) {
        let of_tests = matches!(story, Story::Tests) && facts.own().any(|(own, _)| *own == task.id);
        let verdict = if of_tests { sentences::verdict(task) } else { "" };
        texts.push(verdict.to_owned() + &sentences::end(task, output, usize::MAX));
    }
    let failed = facts.rounds.last().is_some_and(|round| round.iter().all(|step| step.outcome.is_error));
    let round = if facts.woken || failed { None } else { round(&story, &commands, facts) };
    let (text, uses) = round.unwrap_or_default();
    if !text.is_empty() {
        texts.push(text);
    } else if !facts.woken {
        texts.extend(facts.rounds.iter().flatten().filter_map(|step| sentences::step(facts, step)));
    }
    if uses.is_empty() && !explains {
        texts.extend(sentences::standing(facts));
        texts.extend((facts.answers == facts.rounds.len()).then(|| sentences::ADVICE.to_owned()));
    }
    if texts.is_empty() {
        texts.push("There is nothing new to say.".to_owned());
    }
    Reply { texts, uses }
}

/// What is said and used next; nothing if all is done.
fn round(story: &Story, commands: &[&str], facts: &Facts) -> Option<(String, Vec<Use>)> {
    let bash = |command: &str| ("bash", json!({"command": command}));
    let start = |why: &str, commands: &[&str]| {
        let names = list(commands.iter().map(|command| code(command)));
        let uses = commands.iter().map(|command| ("background_run", json!({"command": command})));
        (format!("{why}I start {names} in the background."), uses.collect())
    };
    let found = facts.rounds.first().map_or("", |round| round[0].outcome.content.as_str());
    let has = |name: &str| found.lines().any(|line| line == name);
    Some(match (story, facts.rounds.len()) {
        (Story::Run, 0) => (format!("I run {}.", code(commands[0])), vec![bash(commands[0])]),
        (Story::Background | Story::Write | Story::Check, 0) => start("", commands),
        (Story::Write, 1) => {
            let content =
                format!("The demo wrote this when it had begun in the background:\n{}\n", commands[0]);
            let write = json!({"path": "meanwhile-demo.txt", "content": content});
            ("I do not wait for it: I write `meanwhile-demo.txt`.".to_owned(), vec![("write_file", write)])
        }
        (Story::Check, 1) => {
            ("Now I look at how they stand.".to_owned(), vec![("check_background", json!({}))])
        }
        (Story::Tests, 0) => ("I look which tests this workspace has.".to_owned(), vec![bash(LOOK)]),
        (Story::Tests, 1) => match choose(found) {
            Ok((why, command)) => start(&why, &[command]),
            Err(why_not) => (why_not, Vec::new()),
        },
        (Story::Tests, 2) => {
            let readme = has("README.md").then(|| ("read_file", json!({"path": "README.md", "limit": 60})));
            let commits = has(".git").then(|| bash("git log --oneline -n 5"));
            let uses: Vec<Use> = readme.into_iter().chain(commits).collect();
            let uses = if uses.is_empty() { vec![bash("ls")] } else { uses };
            ("I do not wait for it: I look at what else is here.".to_owned(), uses)
        }
        (Story::Unknown, _) => (sentences::help(), Vec::new()),
        _ => return None,
    })
}
