//! Finds commands that stand without quotes: behind a verb, or as a list behind a colon.

use super::tokens::trimmed;

const NUMBERS: [&str; 11] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
/// Words that begin a command rather than a sentence.
pub(super) const PROGRAMS: [&str; 24] = [
    "ls", "cat", "pwd", "echo", "git", "cargo", "npm", "python", "python3", "node", "grep", "rg", "sleep",
    "date", "whoami", "df", "du", "uname", "head", "tail", "wc", "printf", "seq", "ps",
];
/// More words that begin a command, where a list of commands is looked for.
const MORE_PROGRAMS: [&str; 24] = [
    "make", "true", "false", "pytest", "go", "docker", "sh", "bash", "curl", "wget", "cp", "mv", "rm",
    "touch", "mkdir", "find", "sed", "awk", "test", "cd", "yarn", "pnpm", "pip", "tar",
];
/// Words that say how many and how, and name no command.
const TALK: &str = "the a an my me some few couple of these this following for in as at same time once all please new small short shell \
with that run running background parallel simultaneously concurrently meanwhile task tasks command commands job jobs process \
processes to and";

/// A list of commands behind a colon, where only talk stands before it: the talk, and the list up to where the sentence goes on.
pub(super) fn listed(text: &str, from: usize) -> Option<(&str, String)> {
    let rest = &text[from..];
    let colon = rest
        .match_indices(':')
        .map(|(at, _)| at)
        .find(|at| rest[at + 1..].chars().next().is_none_or(char::is_whitespace))?;
    let (intro, list) = (rest[..colon].trim(), &rest[colon + 1..]);
    if !intro.split_whitespace().all(is_talk) {
        return None;
    }
    let items: Vec<&str> = list.lines().map(item).filter(|line| !line.is_empty()).collect();
    Some((intro, spoken_command(&items.join(", "), 0)))
}

/// A line without the sign or number of a list before it.
fn item(line: &str) -> &str {
    let line = line.trim();
    let unmarked = line.trim_start_matches(|sign: char| sign.is_ascii_digit()).strip_prefix(['.', ')']);
    let unmarked =
        unmarked.filter(|rest| rest.starts_with(' ') && line.starts_with(|sign: char| sign.is_ascii_digit()));
    unmarked.or_else(|| line.strip_prefix(['-', '*', '•'])).map_or(line, str::trim).trim_end_matches(',')
}

fn is_talk(word: &str) -> bool {
    let word = trimmed(word).to_ascii_lowercase();
    number(&word).is_some() || word.is_empty() || TALK.split(' ').any(|talk| talk == word)
}

/// Whether several commands are announced, so that every comma parts two.
pub(super) fn is_plural(intro: &str) -> bool {
    let intro = intro.to_ascii_lowercase();
    [
        "tasks",
        "commands",
        "jobs",
        "processes",
        "parallel",
        "simultaneously",
        "concurrently",
        "at the same time",
    ]
    .iter()
    .any(|word| intro.contains(word))
}

/// What is named behind words that only say how; the empty string if there are only such.
pub(super) fn without_intro(spoken: &str, counted: bool) -> &str {
    if spoken.split_whitespace().all(is_talk) {
        return "";
    }
    let mut rest = spoken;
    if counted {
        // Of `sleep 3 two times` the command is what stands first.
        if let Some(head) = rest.strip_suffix(" times").and_then(|rest| rest.rsplit_once(' ')) {
            return head.0.trim_end_matches(',');
        }
        while let Some((word, more)) = rest.split_once(char::is_whitespace).filter(|(word, _)| is_talk(word))
        {
            let _ = word;
            rest = more.trim_start();
        }
    }
    rest
}

pub(super) fn begins_command(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    PROGRAMS.contains(&first) || MORE_PROGRAMS.contains(&first) || first.starts_with("./")
}

/// Parts commands at commas and at `and`: where several were announced at each, else only if each part begins like a command.
pub(super) fn split(spoken: &str, several: bool) -> Vec<String> {
    let parts: Vec<String> = spoken
        .replace(" and ", ",")
        .split(',')
        .map(|part| part.trim().trim_start_matches("and ").to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    if several || parts.iter().all(|part| begins_command(part)) { parts } else { vec![spoken.to_owned()] }
}

/// A command that stands without quotes behind a verb, up to where the sentence goes on.
pub(super) fn spoken_command(text: &str, from: usize) -> String {
    const GOES_ON: [&str; 20] = [
        " in the background",
        " in background",
        " in parallel",
        " as a background task",
        " at the same time",
        ", then ",
        " then ",
        " and then ",
        " and keep ",
        " and check",
        " and create",
        " and write",
        " and tell ",
        " and list ",
        " and show ",
        " and read ",
        " while ",
        " please",
        ". ",
        "\n",
    ];
    let rest = text[from..].trim_start();
    // `Run in the background sleep 5`
    let rest = ["in the background", "in background", "in parallel", "at the same time"]
        .iter()
        .find_map(|how| {
            let begins = rest.get(..how.len()).is_some_and(|start| start.eq_ignore_ascii_case(how));
            begins.then(|| rest[how.len()..].trim_start_matches([',', ':', ' ']))
        })
        .unwrap_or(rest);
    let lower = rest.to_ascii_lowercase();
    let end = GOES_ON.iter().filter_map(|phrase| lower.find(phrase)).min().unwrap_or(rest.len());
    let spoken = rest[..end].trim().trim_end_matches([',', '!', '?']);
    let spoken = if spoken.ends_with(" .") { spoken } else { spoken.trim_end_matches('.') };
    let spoken = ["the command ", "command ", "a background task: ", "background task: "]
        .iter()
        .find_map(|intro| {
            spoken
                .get(..intro.len())
                .filter(|start| start.eq_ignore_ascii_case(intro))
                .map(|_| &spoken[intro.len()..])
        })
        .unwrap_or(spoken);
    spoken.trim().to_owned()
}

/// A number from 2 to 99.
pub(super) fn number(word: &str) -> Option<usize> {
    let spoken = NUMBERS.iter().position(|number| *number == word);
    spoken.or_else(|| word.parse().ok()).filter(|count| (2..=99).contains(count))
}

/// A number in words, if it is a small one.
pub(super) fn in_words(count: usize) -> String {
    NUMBERS.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}
