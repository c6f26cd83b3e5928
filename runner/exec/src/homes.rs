//! The user's home folders: what the environment says, and what the system knows of the user.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use nix::unistd::{User, getuid};

/// Each home folder that this user has, real and absolute, once. `variable` is the environment's `HOME`,
/// which may be missing or anything; what a service or `sudo` leaves there is not where the user's secrets
/// lie. Empty if nothing is known.
pub fn homes(variable: Option<&OsStr>) -> Vec<PathBuf> {
    let known = User::from_uid(getuid()).ok().flatten().map(|user| user.dir);
    let named = variable.filter(|home| !home.is_empty()).map(PathBuf::from);
    let mut homes: Vec<PathBuf> = [named, known]
        .into_iter()
        .flatten()
        .filter(|home| home.is_absolute())
        .map(|home| fs::canonicalize(&home).unwrap_or(home))
        // A user of the system has no home of its own there, and everything lies in it.
        .filter(|home| home.parent().is_some())
        .collect();
    homes.dedup();
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_leaves_out_or_invents_hides_no_home() {
        let known = homes(None);
        assert!(!known.is_empty(), "the user of a test has a home folder");
        assert_eq!(homes(Some(OsStr::new(""))), known);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let both = homes(Some(folder.as_os_str()));
        assert_eq!(both.first(), Some(&folder));
        assert!(known.iter().all(|home| both.contains(home)));
    }
}
