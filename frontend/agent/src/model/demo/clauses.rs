//! Cuts a wish into its parts: "start … in the background, then create a file, and list the files" is three.
//!
//! A cut is made before a word that begins something new, where the words before it leave off: at the end of a sentence, at "then", at "and" or a comma,
//! and behind "in the background". Nothing is cut within quotes, within a loop or a condition of the shell, nor where a verb could be part of a command.

use super::commands::{begins_command, is_talk};
use super::times::{after_phrase, idle_while, shell_blocks};
use super::tokens::{Token, is_one, place_of, tokens};
use super::wishes::{CHECK, READ, RUN, STOP, WRITE};
use super::writing::is_file_name;

/// A part of a wish, in the words of the person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) text: String,
    /// To be done while what stands before it runs.
    pub(super) meanwhile: bool,
    /// To be done once what stands before it has ended.
    pub(super) after: bool,
}

/// Words before a part that say no more than that there is one.
const LEAD: &str = "and then also plus next now finally afterwards afterward lastly first firstly second secondly third \
thirdly please just but so meanwhile can could would will you i i'd want need like to let's lets \
kindly ok okay";
/// Of those, the ones that always begin a part.
const STRONG: &str = "then next finally afterwards afterward lastly second secondly third thirdly meanwhile";
/// The same in several words, and whether they say that the part is done while the one before it runs.
const LEAD_PHRASES: [(&str, bool); 11] = [
    ("after that", false),
    ("after this", false),
    ("at last", false),
    ("at the end", false),
    ("in the end", false),
    ("in the meantime", true),
    ("in the meanwhile", true),
    ("at the same time", true),
    ("go ahead and", false),
    ("as well as", false),
    ("followed by", false),
];
const BACKGROUND: &str = "in the background|in background|in the bg|in bg|as a background task|as a background job|\
as a background process|as background task|as background tasks|in parallel|asynchronously|\
to the background";

/// Cuts a text.
pub(super) fn cut(text: &str) -> Vec<Clause> {
    let words = tokens(text);
    let whole = shell_blocks(&words);
    let mut clauses = Vec::new();
    let mut first = 0;
    let mut begin = skip_lead(&words, 0);
    let mut place = begin.place + 1;
    while place < words.len() {
        let within = whole.iter().any(|(from, to)| (from + 1..=*to).contains(&place));
        if !within && let Some(lead) = boundary(text, &words, first, place) {
            push(&mut clauses, text, &words[begin.place..place], begin.meanwhile);
            (first, begin) = (lead.place, lead);
            place = begin.place + 1;
        } else if announces(&words[begin.place..place]) && begins_part(&words, place) {
            (first, begin) = (place, Lead { place, ..begin });
            place += 1;
        } else {
            place += 1;
        }
    }
    push(&mut clauses, text, words.get(begin.place..).unwrap_or_default(), begin.meanwhile);
    clauses
}

fn push(clauses: &mut Vec<Clause>, text: &str, words: &[Token<'_>], meanwhile: bool) {
    if let [first, .., last] | [first @ last] = words {
        let text = text[first.start..last.end].trim_end_matches([',', ';']);
        let text =
            if ends_sentence(words, words.len() - 1) { text.trim_end_matches('.') } else { text }.to_owned();
        clauses.push(Clause { text, meanwhile, after: false });
    }
}

/// Whether this word ends a sentence: a point that belongs to no path.
fn ends_sentence(words: &[Token<'_>], place: usize) -> bool {
    let word = &words[place];
    let joined = place > 0 && words[place - 1].end == word.start;
    !word.quoted
        && word.text.ends_with(['.', '!', '?'])
        && (joined || word.text.len() > 1)
        && !word.text.ends_with("..")
        && !word.text.ends_with("/.")
}

/// `Please do these things:` and the number of an item say nothing by themselves.
fn announces(words: &[Token<'_>]) -> bool {
    let known = |word: &Token<'_>| {
        word.is(LEAD)
            || is_item_number(word)
            || word.is("do these this things steps following the all of as follows three two four")
    };
    words.last().is_some_and(|last| is_item_number(last) || last.text.ends_with(':'))
        && words.iter().all(known)
}

/// Where a part's own words begin.
#[derive(Clone, Copy, Debug, Default)]
struct Lead {
    place: usize,
    strong: bool,
    meanwhile: bool,
    any: bool,
}

fn skip_lead(words: &[Token<'_>], from: usize) -> Lead {
    let mut lead = Lead { place: from, ..Lead::default() };
    while let Some(word) = words.get(lead.place) {
        let phrase = LEAD_PHRASES.iter().find(|(phrase, _)| stands(words, lead.place, phrase));
        if let Some((phrase, meanwhile)) = phrase {
            lead.place += phrase.split(' ').count();
            lead.meanwhile |= *meanwhile;
            lead.strong = true;
        } else if word.is(LEAD) || is_item_number(word) || is_arrow(words, lead.place) {
            lead.strong |= word.is(STRONG);
            lead.meanwhile |= word.is("meanwhile");
            lead.place += 1;
        } else if let Some(end) = idle_while(words, lead.place) {
            // `while that runs, list the files`
            lead.place = end;
            lead.meanwhile = true;
            lead.strong = true;
        } else {
            break;
        }
        lead.any = true;
    }
    lead
}

/// A number or a sign before an item of a list.
fn is_item_number(word: &Token<'_>) -> bool {
    let sign = word.text.strip_suffix(['.', ')']);
    !word.quoted
        && (matches!(word.text, "-" | "*" | "•") || sign.is_some_and(|number| number.parse::<u8>().is_ok()))
}

/// A sign that people put for `and then`; a `&` only where it is none of the shell's.
fn is_arrow(words: &[Token<'_>], place: usize) -> bool {
    let sign = words[place].text;
    matches!(sign, "->" | "=>" | "→" | "–" | "—" | "--") && !words[place].quoted
        || matches!(sign, "&" | "+") && ends_in_background(words, place)
}

/// Whether these words stand here.
fn stands(words: &[Token<'_>], place: usize, phrase: &str) -> bool {
    let mut count = 0;
    phrase.split(' ').enumerate().all(|(offset, wanted)| {
        count += 1;
        words.get(place + offset).is_some_and(|word| word.is(wanted))
    }) && count > 0
}

/// Whether a part begins at this word, and where its own words do; `first` is where the part before it begins.
fn boundary(text: &str, words: &[Token<'_>], first: usize, place: usize) -> Option<Lead> {
    let before = &words[place - 1];
    let so_far = &words[first..place];
    let ends_with = |signs: &[char]| {
        let joined = place > 1 && words[place - 2].end == before.start;
        !before.quoted
            && before.text.ends_with(signs)
            && (joined || before.text.len() > 1 || before.text == ";")
    };
    let line = text[before.end..words[place].start].contains('\n');
    let lead = skip_lead(words, place);
    let head = words.get(lead.place)?;
    let ordinal = words[place].is("first second third") && !line && !ends_with(&[',', ';', '.', ':']);
    let operator = matches!(before.text, "&&" | "||" | "|") && !before.quoted;
    if operator || ordinal || !has_body(so_far) {
        return None;
    }
    let begins = begins_part(words, lead.place) || puts_off(words, lead.place);
    let named = begins || head.quoted || begins_command(head.text);
    let comma = ends_with(&[',']);
    if comma && opens(so_far) {
        return None;
    }
    if ends_sentence(words, place - 1) {
        let upper = words[place].text.starts_with(|sign: char| sign.is_ascii_uppercase());
        return (begins || lead.strong || upper && !is_item_number(before)).then_some(lead);
    }
    if ends_with(&[';']) || line {
        // A shell's own `;` stands before a command.
        return (begins || lead.strong && (named || !raw(so_far))).then_some(lead);
    }
    let colon = lead.place == place && before.text.ends_with(':');
    if lead.strong && (comma || words[place].is("and") || named) && !colon {
        return (named || !raw(so_far)).then_some(lead);
    }
    if ends_in_background(words, place) && !ends_with(&[':']) && has_command(so_far) {
        // `in the background 3 times` is still of the same part.
        let more = clause_words(words, lead.place);
        return (!more.iter().all(|word| !word.quoted && is_talk(&word.word))).then_some(lead);
    }
    let and = words[place].is("and also plus but");
    if and && lists_files(so_far) && !head.is("folders directories dirs subfolders their its sizes hidden") {
        return Some(lead);
    }
    let speaks = !raw(so_far) || ends_in_background(words, place);
    ((comma || and || lead.strong) && begins && (speaks || lead.strong)).then_some(lead)
}

/// Whether these words only say when: `While "sleep 3" runs`.
fn opens(words: &[Token<'_>]) -> bool {
    let place = skip_lead(words, 0).place;
    let says_when = words.get(place).is_some_and(|word| word.is("while whilst when once after"));
    let commas = words.iter().filter(|word| !word.quoted && word.text.ends_with(',')).count();
    says_when && commas == 1
}

/// Whether something is put off here: `once it is done, …`.
fn puts_off(words: &[Token<'_>], place: usize) -> bool {
    let Some(end) = after_phrase(words, place).filter(|end| *end < words.len()) else { return false };
    !words[end - 1].text.ends_with(['.', ';', '!', '?'])
}

fn lists_files(words: &[Token<'_>]) -> bool {
    let verb = words.get(skip_lead(words, 0).place);
    verb.is_some_and(|verb| verb.is("list show see")) && place_of(words, "files").is_some()
}

/// Whether what was said so far is a command that was typed as to a shell, whose words may be anything.
fn raw(words: &[Token<'_>]) -> bool {
    let lead = skip_lead(words, 0).place;
    let from = if words.get(lead).is_some_and(|word| word.is(RUN)) { lead + 1 } else { lead };
    words.get(from).is_some_and(|word| word.is("echo printf"))
        && !(1..=words.len()).any(|end| ends_in_background(words, end))
}

/// Whether something is wished in these words, so that another part may follow.
fn has_body(words: &[Token<'_>]) -> bool {
    words.iter().any(|word| {
        let idle = is_talk(&word.word) || word.is(LEAD) || word.is("do things steps") || is_item_number(word);
        word.quoted || !idle
    }) || (0..words.len()).any(|place| begins_part(words, place))
}

/// Whether a command is named in these words.
fn has_command(words: &[Token<'_>]) -> bool {
    words.iter().any(|word| word.quoted || !is_talk(&word.word) && !word.is(LEAD) && !word.is(RUN))
}

pub(super) fn ends_in_background(words: &[Token<'_>], end: usize) -> bool {
    BACKGROUND.split('|').any(|phrase| {
        let length = phrase.split(' ').count();
        end >= length && stands(words, end - length, phrase)
    })
}

/// The words up to where they might leave off.
fn clause_words<'a, 'b>(words: &'a [Token<'b>], from: usize) -> &'a [Token<'b>] {
    let rest = words.get(from..).unwrap_or_default();
    let end = rest.iter().position(|word| !word.quoted && word.text.ends_with([',', ';', '.', '!', '?']));
    let and = rest.iter().skip(1).position(|word| word.is("and then")).map(|place| place + 1);
    let length = [end.map(|place| place + 1), and].into_iter().flatten().min().unwrap_or(rest.len());
    &rest[..length]
}

/// Verbs, and what must follow so that they begin a part: a word of these, `□` something quoted, `▤` a file's name within a few words, `#` a task's id,
/// `.` nothing at all, `*` anything. The first row that has the verb counts.
const VERBS: [(&str, &str); 13] = [
    ("end", "□ the a an my its their it them all this that both everything"),
    ("kick fire spin", "off up"),
    (RUN, "*"),
    (STOP, "# □ the a an my its their it them all this that both everything task tasks sleep"),
    (WRITE, "□ ▤"),
    (READ, "□ ▤ the a an my its their it them all this that both everything me us files tasks status what"),
    (
        CHECK,
        "# □ the a an my its their it them all this that both everything on how if whether what status tasks files folder directory running \
background contents every",
    ),
    ("keep continue carry", ". working going on doing"),
    ("tell let notify inform give remind", "me us"),
    ("report", "back the to how when"),
    ("wait", ". for until till"),
    ("don't do never without", "not wait stop block run start waiting"),
    ("what what's which how", "*"),
];

/// Whether a part can begin with this word: a verb of ours with what it could be about.
pub(super) fn begins_part(words: &[Token<'_>], place: usize) -> bool {
    let Some(verb) = words.get(place) else { return false };
    let Some((_, follows)) = VERBS.iter().find(|(verbs, _)| verb.is(verbs)) else { return false };
    let takes = |sign: &str| is_one(sign, follows);
    let behind = &words[place + 1..];
    let Some(next) = behind.first() else { return takes(".") };
    let named = |word: &Token<'_>| word.is("file note") || is_file_name(&word.word);
    takes("*")
        || if next.quoted { takes("□") } else { takes(&next.word) }
        || takes("#") && is_id(&next.word)
        || takes("▤") && behind.iter().take(5).any(named)
}

fn is_id(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}
