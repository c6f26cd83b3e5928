//! What commands find in their environment.
//!
//! The runner's own, without what belongs to the runner or holds its keys, and with answers that keep
//! programs from waiting for a person: no pager, no prompt, a dumb terminal.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use exec::frames::ReadOnly;
use exec::sandbox::Ground;

use super::config::TasksError;

/// Variables with these beginnings are the runner's own or hold its keys.
const OWN: [&str; 2] = ["MEANWHILE_", "ANTHROPIC_"];

/// Variables that make programs run others, or read other configuration than a person would expect of a
/// command.
const REFUSED: [&str; 4] = ["BASH_ENV", "ENV", "RIPGREP_CONFIG_PATH", "GIT_EXTERNAL_DIFF"];

/// A repository must not choose a program that `git status` runs, nor a folder pass for a bare repository.
/// Behind what the runner's own environment sets, so that it counts.
const GIT: [(&str, &str); 2] = [("core.fsmonitor", "false"), ("safe.bareRepository", "explicit")];

const ADDED: [(&str, &str); 6] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("CI", "1"),
];

/// The environment of agents, and through them of commands.
pub(super) fn environment(own: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    let kept = |name: &OsString| {
        let name = name.to_string_lossy();
        !OWN.iter().any(|prefix| name.starts_with(prefix)) && !REFUSED.contains(&&*name)
    };
    let mut environment: BTreeMap<_, _> = own.filter(|(name, _)| kept(name)).collect();
    for (name, value) in ADDED {
        environment.insert(name.into(), value.into());
    }
    let count = |value: &OsString| value.to_str().and_then(|count| count.parse::<usize>().ok());
    let first = environment.get(&OsString::from("GIT_CONFIG_COUNT")).and_then(count).unwrap_or(0);
    for (place, (key, value)) in GIT.iter().enumerate() {
        environment.insert(format!("GIT_CONFIG_KEY_{}", first + place).into(), key.into());
        environment.insert(format!("GIT_CONFIG_VALUE_{}", first + place).into(), value.into());
    }
    environment.insert("GIT_CONFIG_COUNT".into(), (first + GIT.len()).to_string().into());
    let set = |name: &str| environment.get(&OsString::from(name)).is_some_and(|value| !value.is_empty());
    if !["LC_ALL", "LC_CTYPE", "LANG"].into_iter().any(set) {
        let locale = if cfg!(target_os = "macos") { "UTF-8" } else { "C.UTF-8" };
        environment.insert("LC_CTYPE".into(), locale.into());
    }
    environment
}

/// An absolute path, since the agent runs elsewhere.
pub(super) fn shell(wanted: Option<&Path>) -> Result<String, TasksError> {
    let candidates = match wanted {
        Some(wanted) => vec![wanted],
        None => ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh"].map(Path::new).to_vec(),
    };
    let found = candidates.iter().find(|path| path.is_absolute() && path.is_file());
    match found.and_then(|path| path.to_str()) {
        Some(path) => Ok(path.to_owned()),
        None => Err(TasksError::Shell {
            path: candidates.last().map(|path| path.to_path_buf()).unwrap_or_default(),
        }),
    }
}

/// What holds commands of this runner to reading, or why nothing can, as part of a sentence.
pub(super) fn ground(
    workspace: &Path,
    state: &Path,
    shell: &str,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Arc<Ground>, String> {
    let ground = Ground::new(workspace, state, Path::new(shell), environment);
    exec::sandbox::tried(&ground.spec()?)?;
    Ok(Arc::new(ground))
}

/// How a command that begins now is held to reading.
///
/// # Errors
/// It cannot be any more, since folders were moved.
pub(super) fn read_only(ground: &Ground) -> io::Result<ReadOnly> {
    let spec = ground.spec().map_err(io::Error::other)?;
    Ok(ReadOnly { spec: serde_json::to_string(&spec)?, env: ground.environment() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(own: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        environment(own.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn keys_and_own_variables_are_left_out() {
        let made = made(&[("ANTHROPIC_API_KEY", "k"), ("MEANWHILE_PORT", "1"), ("PATH", "/bin")]);
        assert!(!made.keys().any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("ANTHROPIC_") || name.starts_with("MEANWHILE_")
        }));
        assert_eq!(made[&OsString::from("PATH")], "/bin");
    }

    #[test]
    fn what_makes_programs_run_others_is_left_out() {
        let own = [
            ("BASH_ENV", "x"),
            ("ENV", "x"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("GIT_CONFIG_VALUE_0", "me"),
        ];
        let made = made(&own);
        let of = |name: &str| made.get(&OsString::from(name)).and_then(|value| value.to_str());
        assert_eq!((of("BASH_ENV"), of("ENV")), (None, None));
        assert_eq!((of("GIT_CONFIG_COUNT"), of("GIT_CONFIG_KEY_0")), (Some("3"), Some("user.name")));
        assert_eq!(
            (of("GIT_CONFIG_KEY_1"), of("GIT_CONFIG_VALUE_1")),
            (Some("core.fsmonitor"), Some("false"))
        );
        assert_eq!(of("GIT_CONFIG_VALUE_2"), Some("explicit"));
    }

    #[test]
    fn a_locale_is_given_only_where_there_is_none() {
        assert!(made(&[])[&OsString::from("LC_CTYPE")].to_string_lossy().ends_with("UTF-8"));
        assert!(!made(&[("LANG", "de_DE.UTF-8")]).contains_key(&OsString::from("LC_CTYPE")));
    }
}
