//! What commands find in their environment.
//!
//! The runner's own, without what belongs to the runner or holds its keys, and with answers that keep programs from
//! waiting for a person: no pager, no prompt, a dumb terminal.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables with these beginnings are the runner's own or hold its keys.
const OWN: [&str; 2] = ["MEANWHILE_", "ANTHROPIC_"];

/// Marks every process of a task, so that it can be found should its shim be killed.
pub(super) const MARK: &str = "MEANWHILE_TASK";

const ADDED: [(&str, &str); 5] =
    [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0"), ("CI", "1")];

/// The environment of shims, and through them of commands. `secret` names further variables to leave out.
pub(super) fn environment(
    own: impl Iterator<Item = (OsString, OsString)>,
    secret: &[String],
) -> BTreeMap<OsString, OsString> {
    let kept = |name: &OsString| {
        let name = name.to_string_lossy();
        !OWN.iter().any(|prefix| name.starts_with(prefix)) && !secret.iter().any(|secret| *secret == name)
    };
    let mut environment: BTreeMap<_, _> = own.filter(|(name, _)| kept(name)).collect();
    for (name, value) in ADDED {
        environment.insert(name.into(), value.into());
    }
    let set = |name: &str| environment.get(&OsString::from(name)).is_some_and(|value| !value.is_empty());
    if !["LC_ALL", "LC_CTYPE", "LANG"].into_iter().any(set) {
        let locale = if cfg!(target_os = "macos") { "UTF-8" } else { "C.UTF-8" };
        environment.insert("LC_CTYPE".into(), locale.into());
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(own: &[(&str, &str)], secret: &[&str]) -> BTreeMap<OsString, OsString> {
        let secret: Vec<_> = secret.iter().map(ToString::to_string).collect();
        environment(own.iter().map(|(name, value)| (name.into(), value.into())), &secret)
    }

    #[test]
    fn keys_and_own_variables_are_left_out() {
        let made = made(
            &[("ANTHROPIC_API_KEY", "k"), ("MEANWHILE_PORT", "1"), ("OTHER", "k"), ("PATH", "/bin")],
            &["OTHER"],
        );
        assert!(!made.keys().any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("ANTHROPIC_") || name.starts_with("MEANWHILE_") || name == "OTHER"
        }));
        assert_eq!(made[&OsString::from("PATH")], "/bin");
    }

    #[test]
    fn a_locale_is_given_only_where_there_is_none() {
        assert!(made(&[], &[])[&OsString::from("LC_CTYPE")].to_string_lossy().ends_with("UTF-8"));
        assert!(!made(&[("LANG", "de_DE.UTF-8")], &[]).contains_key(&OsString::from("LC_CTYPE")));
    }
}
