//! Where a command writes: whether a word may name a file outside of the workspace.

use super::super::split::Word;
use super::{Found, value};

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
        let mut texts = vec![text.to_owned()];
        alternatives(text, &mut texts);
        texts.iter().any(|text| self.leaves(text) || text.split('/').any(is_up))
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

/// What braces may make of a word.
fn alternatives(text: &str, into: &mut Vec<String>) {
    const MOST: usize = 64;
    let opens = text.match_indices('{').map(|(at, _)| at).find(|at| !text[..*at].ends_with('$'));
    let Some(opens) = opens else { return };
    let Some(closes) = text[opens..].find('}').map(|at| opens + at) else { return };
    for one in text[opens + 1..closes].split(',') {
        let one = format!("{}{one}{}", &text[..opens], &text[closes + 1..]);
        if into.len() < MOST && one.len() < text.len() {
            alternatives(&one, into);
            into.push(one);
        }
    }
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
