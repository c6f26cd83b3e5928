//! Where a command writes: whether a word may name a file outside of the workspace.

use super::super::split::Word;
use super::Found;
use super::words::value;

impl Found<'_> {
    /// Whether a word of a program may name a file outside of the workspace.
    pub(super) fn is_outside(&self, word: &Word) -> bool {
        let text = word.text.as_str();
        // `-t/usr/bin`, `-vt/usr/bin`
        let glued = text.starts_with('-') && !text.starts_with("--");
        let glued = glued.then(|| text.find(['/', '~', '.']).filter(|at| *at > 1)).flatten();
        let path = glued.map_or(value(text), |at| &text[at..]);
        self.leaves(path)
            || (word.open && (value(text).starts_with(['$', '`']) || self.may_leave(value(text))))
    }

    /// Whether braces and patterns of file names may make of it what lies outside.
    fn may_leave(&self, text: &str) -> bool {
        let texts = alternatives(text);
        texts.len() > ALTERNATIVES || texts.iter().any(|text| self.leaves(text) || text.split('/').any(is_up))
    }

    /// Whether a path leads out of the workspace.
    pub(super) fn leaves(&self, path: &str) -> bool {
        if is_stream(path) {
            return false;
        }
        if path.starts_with('~') {
            return true;
        }
        let inside =
            path.strip_prefix(self.workspace.trim_end_matches('/')).filter(|_| self.workspace.len() > 1);
        let path = match inside.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some(rest) => rest.trim_start_matches('/'),
            None if path.starts_with('/') => return true,
            None => path,
        };
        let mut depth = 0_i32;
        path.split('/').any(|part| {
            depth += match part {
                ".." => -1,
                "" | "." => 0,
                _ => 1,
            };
            depth < 0
        })
    }
}

/// More words than this are not made of one.
const ALTERNATIVES: usize = 128;

/// What braces may make of a word, or too many.
fn alternatives(text: &str) -> Vec<String> {
    let mut made = vec![text.to_owned()];
    let mut at = 0;
    while let Some(text) = made.get(at).cloned().filter(|_| made.len() <= ALTERNATIVES) {
        at += 1;
        let opens = text.match_indices('{').map(|(at, _)| at).find(|at| !text[..*at].ends_with('$'));
        let Some(opens) = opens else { continue };
        let Some(closes) = text[opens..].find('}').map(|at| opens + at) else { continue };
        let one = |one: &str| format!("{}{one}{}", &text[..opens], &text[closes + 1..]);
        made.extend(text[opens + 1..closes].split(',').take(ALTERNATIVES).map(one));
    }
    made
}

/// Whether a word may name what makes something run later.
pub(super) fn runs_by_itself(word: &Word) -> bool {
    let text = value(&word.text);
    // What begins with a dot can be any of those, with a pattern in it.
    let any =
        |text: &str| text.split('/').any(|part| part.starts_with('.') && part.contains(['*', '?', '[']));
    let what = |text: &str| shared::by_itself::what(text).is_some();
    if is_url(text) {
        return false;
    }
    what(text) || word.open && alternatives(text).iter().any(|text| what(text) || any(text))
}

/// Whether a name with patterns in it can be `..`.
fn is_up(part: &str) -> bool {
    part.strip_prefix('.').is_some_and(|rest| {
        rest.contains(['*', '?', '['])
            && (rest.starts_with('[') || rest.chars().all(|sign| ".*?".contains(sign)))
    })
}

/// Whether a name is that of a stream or a device without a content.
pub(super) fn is_stream(path: &str) -> bool {
    const NAMES: [&str; 7] =
        ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/zero", "/dev/full"];
    let number = path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"));
    NAMES.contains(&path)
        || number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a word is the address of something on another machine.
pub(super) fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty()
            && scheme != "file"
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}
