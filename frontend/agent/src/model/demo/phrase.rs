//! Understands one part of a wish. Its words are cut into tokens, quotes kept whole. The first verb decides; what is quoted is a command, a file's name or
//! its content by the words around it.

use super::clauses::begins_part;
use super::commands::{
    PROGRAMS, begins_command, is_plural, is_talk, listed, number, pause, split, spoken_command, without_intro,
};
use super::tokens::{Token, find_one, first_quote, is_one, mask, place_of, run_of, tokens, trimmed};
use super::wishes::{CHECK, MOST_TASKS, READ, RUN, STOP, WRITE, Which, Wish};
use super::writing::write;

const TOGETHER: &str = "background bg parallel simultaneously concurrently asynchronously meanwhile async";
/// What is asked for and happens anyway.
const ANYWAY: &str = "that's it|that's all|that is all|that is it|keep working|keep going|keep on working|continue|\
carry on|go on |tell me|let me know|notify me|inform me|report back|report when|report the result|\
report how|remind me|give me the result|don't wait|do not wait|without waiting|don't block|\
do not block|do something else|work on something else|don't stop working";
/// Words that count commands.
const COUNTED: &str = "tasks commands jobs processes times";
pub(super) const FILLERS: &str = "us its their contents what into at the a an my this that it me please task tasks command background \
running last job process file content of in one now";

/// Where the first verb stands that the demo knows.
pub(super) fn verb(tokens: &[Token<'_>]) -> Option<usize> {
    tokens.iter().position(|token| [RUN, STOP, WRITE, READ, CHECK].iter().any(|verbs| token.is(verbs)))
}

/// Whether something is asked for that happens anyway.
pub(super) fn anyway(text: &str) -> bool {
    let text = mask(text) + " ";
    if find_one(&text, "tell me what|tell me which|tell me how|tell me if|tell me whether|know what|know how|know if|know whether|report how").is_some() {
        return false;
    }
    ANYWAY.split('|').any(|phrase| text.starts_with(phrase) || text.contains(&format!(" {phrase}")))
}

/// Understands one part.
pub(super) fn one(text: &str) -> Wish {
    let unknown = || Wish::Unknown(text.to_owned());
    let tokens = tokens(text);
    if let [only] = tokens.as_slice()
        && only.quoted
    {
        return Wish::Run(vec![only.text.to_owned()]);
    }
    let outline: String = tokens
        .iter()
        .map(|token| if token.quoted { "□ " } else { "" }.to_owned() + &token.word + " ")
        .collect();
    let has = |words: &str| place_of(&tokens, words).is_some();
    let lead = run_of(&tokens, "please now ok okay and");
    let asks = |phrases: &str| find_one(&outline, phrases).is_some();
    let first = tokens.get(run_of(&tokens, "please me us give tell you can could to now and a"));
    if first.is_some_and(|first| first.is("list show what which see display view"))
        && has("files folder directory folders")
        && first_quote(&tokens).is_none()
    {
        let folder = tokens
            .iter()
            .skip_while(|token| !token.is("in of under inside"))
            .map(|token| trimmed(token.text))
            .find(|word| word.contains('/') || is_plain_folder(word));
        let command = folder.map_or_else(|| "ls -la".to_owned(), |folder| format!("ls -la {folder}"));
        return placed(&tokens, vec![command], false);
    }
    if let Some(first) = tokens
        .get(lead)
        .filter(|first| first.quoted || is_one(first.text.trim_end_matches([';', ',']), PROGRAMS))
    {
        let spoken = spoken_command(text, first.start);
        let paused = pause(&spoken).map(|command| vec![command]);
        return placed(&tokens, paused.unwrap_or_else(|| split(&spoken, first.quoted)), !first.quoted);
    }
    let verb = verb(&tokens);
    if listed(text, 0).is_some_and(|(intro, _)| !intro.is_empty()) {
        return run(text, &tokens, None);
    }
    if anyway(text) && verb.is_none_or(|at| tokens[at].is("look") || !begins_part(&tokens, at)) {
        return Wish::Nothing;
    }
    let commands = [RUN, STOP, WRITE].iter().any(|verbs| starts_with(&tokens, verb, verbs));
    let question = text.ends_with('?')
        || starts_with(&tokens, Some(0), "what what's which is are anything how tell whether if");
    if !commands
        && (asks(
            "which tasks|how are they doing|how is it going|how's it going|how far|how they are doing|how it is going",
        ) || question && has("running runs finished done ready status"))
        || asks("still running|running tasks") && verb.is_none()
    {
        return Wish::Check(None);
    }
    if asks("what is in |what's in ") {
        return object(&tokens, place_of(&tokens, "in")).map_or_else(unknown, Wish::Read);
    }
    if asks("where am i |current directory |working directory |current folder ") && !commands {
        return Wish::Run(vec!["pwd".to_owned()]);
    }
    if asks("what time |what day |what date |the time |the date |what is the date") && !commands {
        return Wish::Run(vec!["date".to_owned()]);
    }
    if outline.trim() == "pytest" {
        return Wish::Tests { pytest: true };
    }
    if let Some(command) = pause(&spoken_command(text, 0)).filter(|_| verb.is_none()) {
        return placed(&tokens, vec![command], true);
    }
    if asks("help|who are you|what are you|what can you|api key|real model|hello|connect") && verb.is_none() {
        return Wish::Help;
    }
    let Some(at) = verb else {
        let talk = outline.trim().is_empty() || has("hi hey thanks demo");
        return if talk { Wish::Help } else { unknown() };
    };
    match tokens[at].word.as_str() {
        word if is_one(word, STOP) => Wish::Stop(which(text, &tokens, at)),
        word if is_one(word, RUN) => run(text, &tokens, Some(at)),
        word if is_one(word, WRITE) => write(text, &tokens, at),
        "show" | "view" | "display" | "print" | "check" if has("git") => {
            let from = place_of(&tokens, "git").unwrap_or(at);
            placed(&tokens, vec![spoken_command(text, tokens[from].start)], true)
        }
        "show" | "view" | "display" | "print" if has("tasks status") => Wish::Check(None),
        word if is_one(word, CHECK) => Wish::Check(named_task(&tokens, at)),
        _ if has("output") => Wish::Check(named_task(&tokens, at)),
        _ => object(&tokens, Some(at)).map_or_else(unknown, Wish::Read),
    }
}

/// Commands, in the background if these words say so, or for typed ones if a `&` does.
fn placed(tokens: &[Token<'_>], mut commands: Vec<String>, typed: bool) -> Wish {
    let mut background = place_of(tokens, TOGETHER).is_some()
        || tokens.windows(2).any(|pair| pair[0].is("same") && pair[1].is("time"));
    if typed
        && let Some(last) = commands.last_mut()
        && let Some(sent) =
            last.strip_suffix('&').map(str::trim).filter(|sent| !sent.is_empty() && !sent.ends_with('&'))
    {
        *last = sent.to_owned();
        background = true;
    }
    if background { Wish::Background(commands) } else { Wish::Run(commands) }
}

fn is_plain_folder(word: &str) -> bool {
    !is_one(
        word,
        "in of under inside the this my here folder directory current it workspace background all a files project there now please bg parallel repository repo",
    ) && !word.is_empty()
        && word.chars().all(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '-' | '.'))
}

fn starts_with(tokens: &[Token<'_>], at: Option<usize>, verbs: &str) -> bool {
    at.and_then(|at| tokens.get(at)).is_some_and(|token| token.is(verbs))
}

/// What is to be run, from the verb `at` on, or from the start where a list stands without one.
fn run(text: &str, tokens: &[Token<'_>], at: Option<usize>) -> Wish {
    let unknown = || Wish::Unknown(text.to_owned());
    let from = at.map_or(0, |at| tokens[at].end);
    let count = count(tokens);
    let (spoken, several) = match listed(text, from) {
        Some((intro, list)) => (list, count.is_some() || is_plural(intro)),
        None => (spoken_command(text, from), false),
    };
    let named = without_intro(&spoken, count.is_some());
    let quotes = tokens.iter().skip(at.unwrap_or(0)).filter(|token| token.quoted);
    let mut commands: Vec<String> = quotes.map(|token| token.text.to_owned()).collect();
    let typed = commands.is_empty() || begins_command(named);
    if typed {
        if let Some(pytest) = names_tests(&spoken) {
            return Wish::Tests { pytest };
        }
        if let Some(command) = pause(&spoken).filter(|_| !several) {
            return placed(tokens, vec![command], true);
        }
        let first = named.split(' ').next().unwrap_or_default();
        let spoken_of = is_one(first, "the a an my our some it that");
        commands = match count {
            // What is counted, and then named, is what was named; only where nothing is named a few short ones are made up.
            Some(count) if named.is_empty() => {
                (1..=count.min(MOST_TASKS)).map(|n| format!("sleep {}", 2 * n)).collect()
            }
            _ if named.is_empty() || spoken_of && !several => return unknown(),
            Some(_) if !several && !begins_command(named) => return unknown(),
            _ => {
                split(named, several).into_iter().map(|command| pause(&command).unwrap_or(command)).collect()
            }
        };
    }
    if let (Some(count), [command]) = (count, commands.as_slice()) {
        commands = vec![command.clone(); count.clamp(1, MOST_TASKS)];
    }
    if count.is_some() { Wish::Background(commands) } else { placed(tokens, commands, typed) }
}

/// How many are wished: a number that counts tasks, commands or times.
fn count(tokens: &[Token<'_>]) -> Option<usize> {
    tokens.iter().enumerate().find_map(|(place, token)| {
        match token.word.as_str() {
            "twice" => return Some(2),
            "thrice" => return Some(3),
            _ => {}
        }
        let counted = tokens[place + 1..]
            .iter()
            .find(|token| !token.is("background parallel new small short shell of more different"))?;
        number(&token.word).filter(|_| counted.is(COUNTED))
    })
}

/// What is said behind a quoted command and is no talk about how to run it.
pub(super) fn left_over(text: &str) -> Option<String> {
    let tokens = tokens(text);
    let quote = first_quote(&tokens)?;
    let last = tokens.iter().rposition(|token| token.quoted)?;
    if tokens[..quote].iter().any(|token| begins_command(token.text)) {
        return None;
    }
    let rest = &tokens[last + 1..];
    let known = |token: &Token<'_>| {
        is_talk(&token.word)
            || number(&token.word).is_some()
            || matches!(token.text, "&")
            || token.is("can could while if possible first runs me async but")
    };
    let last = rest.last().filter(|_| !rest.iter().all(known))?;
    let from = rest.iter().find(|token| !token.is("and then also"))?;
    Some(trimmed(&text[from.start..last.end]).to_owned())
}

/// Whether tests are meant, and if so whether pytest is named.
fn names_tests(spoken: &str) -> Option<bool> {
    let lower = spoken.to_ascii_lowercase();
    let plain = lower
        .split_whitespace()
        .filter(|word| !is_one(word, "the all my our unit project's"))
        .collect::<Vec<_>>();
    match plain.as_slice() {
        ["pytest"] => Some(true),
        ["tests" | "test" | "testsuite"] | ["test", "suite"] => Some(false),
        _ => None,
    }
}

fn which(text: &str, tokens: &[Token<'_>], at: usize) -> Which {
    if place_of(tokens, "all both everything them what whatever").is_some() {
        return Which::All;
    }
    if let Some(named) = named_task(tokens, at) {
        return Which::Named(named);
    }
    let left = tokens[at + 1..].iter().find(|token| !token.is(FILLERS) && !token.word.is_empty());
    match left {
        Some(first) => {
            let from = first.end - first.text.len();
            Which::Named(
                trimmed(&text[from..]).trim_end_matches(" please").trim_end_matches(" task").to_owned(),
            )
        }
        None => Which::Last,
    }
}

/// A task that is named by a quote or an id.
fn named_task(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let is_id = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named = tokens[at..].iter().find(|token| token.quoted || is_id(&token.word))?;
    Some(if named.quoted { named.text.to_owned() } else { named.word.clone() })
}

/// What stands behind a verb: a quote, or the first word that says something.
fn object(tokens: &[Token<'_>], at: Option<usize>) -> Option<String> {
    let behind = &tokens[at? + 1..];
    let quote = first_quote(behind).map(|place| &behind[place]);
    let word = behind.iter().find(|token| !token.quoted && !token.word.is_empty() && !token.is(FILLERS));
    quote.or(word).map(|token| if token.quoted { token.text } else { trimmed(token.text) }.to_owned())
}
