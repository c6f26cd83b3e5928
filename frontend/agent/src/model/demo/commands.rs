//! Finds commands that stand without quotes: behind a verb, or as a list behind a colon.

use super::tokens::{find_one, is_one, mask, tokens, trimmed};

const NUMBERS: &str = "zero one two three four five six seven eight nine ten eleven twelve";
/// Words that begin a command rather than a sentence.
pub(super) const PROGRAMS: &str = "docker sh bash curl wget cp mv rm mkdir sed awk yarn pnpm pip tar ls cat pwd echo git cargo npm \
python python3 node grep rg sleep date whoami df du uname head tail wc printf seq ps";
/// More words that begin a command, where a list of commands is looked for.
const MORE_PROGRAMS: &str = "make true false pytest go touch find test cd";
/// Words that say how many and how, and name no command.
const TALK: &str = "the a an my me some few several couple dozen of these this following for in as at same time times twice thrice once all \
both each please new small short shell with that run running background parallel simultaneously concurrently meanwhile asynchronously task \
tasks command commands job jobs process processes to and it them too also well separately thanks thank you now here right away again bg";

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

pub(super) fn is_talk(word: &str) -> bool {
    let word = trimmed(word).to_ascii_lowercase();
    number(&word).is_some() || word.is_empty() || is_one(&word, TALK)
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
        if let Some(head) = rest.strip_suffix(" twice").or_else(|| rest.strip_suffix(" thrice")) {
            return head.trim_end_matches(',');
        }
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
    let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches([';', ',']);
    is_one(first, PROGRAMS) || is_one(first, MORE_PROGRAMS) || first.starts_with("./")
}

/// Parts commands at commas and at `and`: where several were announced at each, else only if each part begins like a command.
pub(super) fn split(spoken: &str, several: bool) -> Vec<String> {
    let masked = mask(spoken).replace(" and ", ",    ");
    let mut parts = Vec::new();
    let mut from = 0;
    for to in masked.match_indices(',').map(|(at, _)| at).chain([masked.len()]) {
        let part = spoken.get(from..to).unwrap_or_default().trim();
        parts.extend((!part.is_empty()).then(|| part.to_owned()));
        let and = spoken[to..].get(..5).is_some_and(|and| and.eq_ignore_ascii_case(" and "));
        from = to + if and { 5 } else { 1 };
    }
    let parts = if several || parts.iter().all(|part| begins_command(part)) {
        parts
    } else {
        vec![spoken.to_owned()]
    };
    parts.into_iter().map(|part| unquoted(&part).unwrap_or(part)).collect()
}

/// What is in quotes, if nothing else is there.
fn unquoted(part: &str) -> Option<String> {
    match tokens(part).as_slice() {
        [only] if only.quoted => Some(only.text.to_owned()),
        _ => None,
    }
}

/// A command that stands without quotes behind a verb, up to where the sentence goes on.
pub(super) fn spoken_command(text: &str, from: usize) -> String {
    const GOES_ON: &str = " in the foreground| in the background| in background| in the bg| in bg| in parallel\
| as a background | to the background| asynchronously| simultaneously| concurrently\
| at the same time|, then | and then | and keep | and check| and create| and write| and tell \
| and list | and show | and read | while it| while that| please|, thanks| for me";
    const HOW: &str =
        "in the background|in background|in the bg|in bg|in parallel|at the same time|asynchronously";
    let rest = text[from..].trim_start();
    // `Run in the background sleep 5`
    let rest = HOW
        .split('|')
        .find_map(|how| {
            let begins = rest.get(..how.len()).is_some_and(|start| start.eq_ignore_ascii_case(how));
            begins.then(|| rest[how.len()..].trim_start_matches([',', ':', ' ']))
        })
        .unwrap_or(rest);
    let masked = mask(rest);
    let end = find_one(&masked, GOES_ON).unwrap_or(rest.len());
    let mut spoken = rest[..end].trim().trim_end_matches([',', '!', '?']);
    for idle in [" too", " as well", " also", " likewise", " first", " now"] {
        spoken = spoken.strip_suffix(idle).unwrap_or(spoken);
    }
    let spoken = if spoken.ends_with(" .") || spoken.ends_with("..") || spoken.ends_with("/.") {
        spoken
    } else {
        spoken.trim_end_matches('.')
    };
    let spoken = [
        "the command ",
        "command ",
        "the script ",
        "a background task: ",
        "background task: ",
        "a background ",
        "off ",
        "up ",
    ]
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

/// A pause as people say it: `sleep for three seconds`, `a five second sleep`, `wait 2 minutes`.
pub(super) fn pause(spoken: &str) -> Option<String> {
    let words = tokens(spoken);
    let said: Vec<&str> = words
        .iter()
        .map(|word| word.word.as_str())
        .filter(|word| !is_one(word, "for a an the of task command long around about just"))
        .collect();
    let is_pause = |word: &str| is_one(word, "sleep sleeps wait pause nap sleeping");
    let (amount, unit) = match said.as_slice() {
        [pause, amount] if is_pause(pause) => (*amount, "s"),
        [pause, amount, unit] | [amount, unit, pause] if is_pause(pause) => (*amount, *unit),
        [amount, pause] if is_pause(pause) => match amount.split_once('-') {
            Some((amount, unit)) => (amount, unit),
            None => (*amount, "s"),
        },
        _ => return None,
    };
    let unit = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => "",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" => "h",
        _ => return None,
    };
    let spoken = NUMBERS.split(' ').position(|number| number == amount).map(|number| number.to_string());
    let amount = spoken.or_else(|| is_amount(amount).then(|| amount.to_owned()))?;
    Some(format!("sleep {amount}{unit}"))
}

/// Whether it is a number such as `2` or `0.5`, told without reading it: that would weigh 15 kB in the page.
fn is_amount(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    [whole, part].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A number from 2 to 99.
pub(super) fn number(word: &str) -> Option<usize> {
    let spoken = match word {
        "couple" => Some(2),
        "few" | "several" => Some(3),
        "dozen" => Some(12),
        word => NUMBERS.split(' ').position(|number| number == word),
    };
    spoken.or_else(|| word.parse().ok()).filter(|count| (2..=99).contains(count))
}

/// A number in words, if it is a small one.
pub(super) fn in_words(count: usize) -> String {
    NUMBERS.split(' ').nth(count).map_or_else(|| count.to_string(), str::to_owned)
}
