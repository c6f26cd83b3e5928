//! What a person must have allowed: changes of files that run something by themselves, wherever their paths
//! lead.
//!
//! The page asks by the path as it is written; here the path is followed. A link, another spelling or a
//! repository under another name hides nothing.

use std::path::{Component, Path, PathBuf};

use cap_std::fs::Dir;
use shared::by_itself::{self, BARE, BARE_OWN};
use shared::{Problem, ProblemCode};

/// What the workspace is, as a sentence, if so much lies in it that each change of a file is to be allowed.
#[must_use]
pub(crate) fn wide(workspace: &Path, homes: &[PathBuf]) -> Option<String> {
    let what = if workspace.parent().is_none() {
        "all there is on this machine"
    } else if homes.iter().any(|home| home == workspace) {
        "your home folder"
    } else if homes.iter().any(|home| home.starts_with(workspace)) {
        "a folder that holds your home folder"
    } else {
        return None;
    };
    Some(format!("The workspace is {what}, not a project's: each change of a file in it is asked for."))
}

/// Refuses what must be allowed first. `relative` is the path as it was named.
pub(super) fn ask_first(dir: &Dir, wide: Option<&str>, relative: &Path, path: &str) -> Result<(), Problem> {
    let real = relative.ancestors().find_map(|there| {
        let real = dir.canonicalize(if there.as_os_str().is_empty() { Path::new(".") } else { there });
        Some((real.ok()?, relative.strip_prefix(there).ok()?))
    });
    // Whoever changes it will hear why it cannot be followed.
    let Some((real, missing)) = real else { return Ok(()) };
    if missing.components().any(|part| part == Component::ParentDir) {
        let message = format!("{path} goes up from a folder that is not there. Name the file without `..`.");
        return Err(Problem::new(ProblemCode::Malformed, message));
    }
    let real = if missing.as_os_str().is_empty() { real } else { real.join(missing) };
    let asks = |message: String| Err(Problem::new(ProblemCode::NeedsApproval, message));
    let leads = |what: &str| {
        let by_name = by_itself::what(&relative.to_string_lossy()).is_some();
        let through = if by_name { String::new() } else { format!("{} through a link, ", real.display()) };
        format!(
            "{path} is {through}{what}, which can run commands by itself later: a person must allow this change."
        )
    };
    if let Some(what) = by_itself::what(&real.to_string_lossy()) {
        return asks(leads(what));
    }
    if let Some(folder) = bare(dir, &real) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let message = format!(
            "{path} would be a part of a repository that is {} itself, whose settings can make git run commands: a person must \
             allow this change.",
            folder.display()
        );
        return asks(message);
    }
    wide.map_or(Ok(()), |wide| asks(wide.to_owned()))
}

/// The folder that git would take for a repository by what lies in it, once this file lies there too.
fn bare<'a>(dir: &Dir, real: &'a Path) -> Option<&'a Path> {
    real.ancestors().skip(1).find(|folder| {
        let Some(Component::Normal(own)) =
            real.strip_prefix(folder).ok().and_then(|rest| rest.components().next())
        else {
            return false;
        };
        let own = own.to_string_lossy().to_lowercase();
        let is_there = |name: &str| {
            let spelled = if name == "head" { "HEAD" } else { name };
            own == name || dir.symlink_metadata(folder.join(spelled)).is_ok()
        };
        BARE_OWN.contains(&own.as_str()) && BARE.iter().all(|name| is_there(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_and_all_there_is_are_wide() {
        let homes = ["/somewhere".into(), "/nowhere/me".into()];
        assert!(wide(Path::new("/"), &homes).is_some_and(|warning| warning.contains("all there is")));
        assert!(wide(Path::new("/"), &[]).is_some());
        assert!(
            wide(Path::new("/nowhere/me"), &homes)
                .is_some_and(|warning| warning.contains("your home folder"))
        );
        assert!(
            wide(Path::new("/nowhere"), &homes).is_some_and(|warning| warning.contains("holds your home"))
        );
        assert_eq!(wide(Path::new("/nowhere/me/project"), &homes), None);
        assert_eq!(wide(Path::new("/nowhere/me/project"), &[]), None);
    }
}
