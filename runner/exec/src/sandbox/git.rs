//! What git needs to read beside the workspace: a repository's own folders, and its user's settings.
//!
//! What lies in or above the workspace may come from a model, an archive or another user. So a link grants
//! nothing, and what a `.git` file points to must point back.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use nix::unistd::getuid;
use parking_lot::Mutex;

/// How much of a file that names a folder is read.
const MOST_BYTES: u64 = 64 * 1024;
/// How long git may take to say what it is set to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Git's own folders of a workspace that is a part of a repository, or a further tree of one. `workspace` is
/// real.
pub(super) fn repository(workspace: &Path) -> Vec<PathBuf> {
    let git =
        workspace.ancestors().map(|folder| folder.join(".git")).find(|git| git.symlink_metadata().is_ok());
    let Some(git) = git else { return Vec::new() };
    let Ok(about) = git.symlink_metadata() else { return Vec::new() };
    // As git itself, which does not believe what another user put there.
    if about.uid() != getuid().as_raw() && !git.starts_with(workspace) {
        return Vec::new();
    }
    if about.is_dir() {
        return if is_repository(&git) { vec![git] } else { Vec::new() };
    }
    if !about.is_file() {
        return Vec::new();
    }
    let mut found = vec![git.clone()];
    if let Some((target, common)) = elsewhere(&git) {
        found.extend([target, common]);
    }
    found
}

/// Where a `.git` file points to, and what that shares with other trees; both only if they point back.
fn elsewhere(git: &Path) -> Option<(PathBuf, PathBuf)> {
    let tree = git.parent()?;
    let pointer = text(git)?;
    let target = fs::canonicalize(tree.join(pointer.strip_prefix("gitdir:")?.trim())).ok()?;
    let back = match text(&target.join("gitdir")) {
        // A further tree of a repository.
        Some(back) => fs::canonicalize(target.join(back.trim())).ok()? == git,
        // A repository within another.
        None => fs::canonicalize(target.join(worktree(&text(&target.join("config"))?)?)).ok()? == tree,
    };
    if !back {
        return None;
    }
    let common = match text(&target.join("commondir")) {
        Some(common) => fs::canonicalize(target.join(common.trim())).ok()?,
        None => target.clone(),
    };
    is_repository(&common).then_some((target, common))
}

/// The folder that a repository's configuration says is its tree.
fn worktree(config: &str) -> Option<PathBuf> {
    config.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("worktree").then(|| PathBuf::from(value.trim().trim_matches('"')))
    })
}

fn is_repository(git: &Path) -> bool {
    let is = |name: &str, folder: bool| {
        git.join(name).symlink_metadata().is_ok_and(|about| about.is_dir() == folder && !about.is_symlink())
    };
    is("HEAD", false) && is("objects", true) && is("refs", true)
}

fn text(path: &Path) -> Option<String> {
    let about = path.symlink_metadata().ok()?;
    (about.is_file() && about.len() <= MOST_BYTES).then(|| fs::read_to_string(path).ok())?
}

/// The files that git's user has it read: its own, what these include, and the lists of what it ignores.
///
/// Asked of git, which knows best, and again only when one of them has changed.
#[derive(Default)]
pub(super) struct Settings {
    known: Mutex<Option<(Vec<PathBuf>, Stamps)>>,
}

type Stamps = Vec<Option<SystemTime>>;

impl Settings {
    /// Absolute paths; some may be missing.
    pub(super) fn files(
        &self,
        environment: Vec<(String, String)>,
        home: &Path,
        workspace: &Path,
    ) -> Vec<PathBuf> {
        let stamps = |paths: &[PathBuf]| -> Stamps {
            paths.iter().map(|path| path.metadata().and_then(|about| about.modified()).ok()).collect()
        };
        let mut known = self.known.lock();
        if let Some((files, before)) = &*known
            && stamps(files) == *before
        {
            return files.clone();
        }
        let elsewhere = environment.iter().find(|(name, _)| name == "XDG_CONFIG_HOME");
        let elsewhere = elsewhere.map_or_else(|| home.join(".config"), |(_, folder)| PathBuf::from(folder));
        let mut files = vec![home.join(".gitconfig"), elsewhere.join("git/config")];
        if files.iter().any(|path| path.exists()) {
            files.extend(named(&asked(environment, workspace), home));
        }
        files.retain(|path| path.is_absolute());
        files.sort();
        files.dedup();
        *known = Some((files.clone(), stamps(&files)));
        files
    }
}

/// What git says of its user's settings; nothing, if it takes too long.
fn asked(environment: Vec<(String, String)>, workspace: &Path) -> String {
    let child = Command::new("git")
        .args(["config", "--global", "--includes", "--show-origin", "--null", "--list"])
        .current_dir(workspace)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return String::new() };
    let Some(output) = child.stdout.take() else { return String::new() };
    let (sender, listing) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.take(MOST_BYTES).read_to_end(&mut text);
        // Nobody waits any more if it took too long.
        let _unheard = sender.send(read.map(|_| String::from_utf8_lossy(&text).into_owned()));
    });
    let listing = listing.recv_timeout(PATIENCE).ok().and_then(Result::ok);
    // It has ended, or is to end; either way it is reaped.
    let _ended = child.kill();
    let _status = child.wait();
    listing.unwrap_or_default()
}

/// The files that a list of settings comes from, and those that it names.
fn named(list: &str, home: &Path) -> Vec<PathBuf> {
    let mut parts = list.split('\0');
    let mut found = Vec::new();
    while let (Some(origin), Some(setting)) = (parts.next(), parts.next()) {
        found.extend(origin.strip_prefix("file:").map(PathBuf::from));
        let value = setting
            .split_once('\n')
            .filter(|(name, _)| matches!(*name, "core.excludesfile" | "core.attributesfile"))
            .map(|(_, value)| value);
        found.extend(value.map(|value| match value.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => PathBuf::from(value),
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn repository_at(folder: &Path) {
        for part in ["objects", "refs"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        fs::write(folder.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn only_a_real_repository_is_granted() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (work, secret) = (root.join("work/sub"), root.join("secret"));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&secret).unwrap();
        let git = root.join("work/.git");
        assert_eq!(repository(&work), Vec::<PathBuf>::new());
        symlink(&secret, &git).unwrap();
        assert_eq!(repository(&work), Vec::<PathBuf>::new(), "a link");
        repository_at(&secret);
        assert_eq!(repository(&work), Vec::<PathBuf>::new(), "a link to a repository");
        fs::remove_file(&git).unwrap();
        fs::create_dir(&git).unwrap();
        assert_eq!(repository(&work), Vec::<PathBuf>::new(), "a folder without a repository");
        repository_at(&git);
        assert_eq!(repository(&work), [git]);
    }

    #[test]
    fn what_a_pointer_names_must_point_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (work, bare) = (root.join("work"), root.join("repo.git"));
        let tree = bare.join("worktrees/work");
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&tree).unwrap();
        repository_at(&bare);
        fs::write(work.join(".git"), format!("gitdir: {}\n", bare.display())).unwrap();
        assert_eq!(repository(&work), [work.join(".git")], "a neighbour's repository");
        fs::write(work.join(".git"), "gitdir: ../repo.git/worktrees/work\n").unwrap();
        fs::write(tree.join("commondir"), "../..\n").unwrap();
        assert_eq!(repository(&work), [work.join(".git")], "a tree of somebody else");
        fs::write(tree.join("gitdir"), format!("{}\n", work.join(".git").display())).unwrap();
        assert_eq!(repository(&work), [work.join(".git"), tree, bare]);
        // A repository within another.
        let inner = root.join("above/.git/modules/inner");
        fs::create_dir_all(root.join("above/inner")).unwrap();
        repository_at(&inner);
        fs::write(root.join("above/inner/.git"), "gitdir: ../.git/modules/inner\n").unwrap();
        fs::write(inner.join("config"), "[core]\n\tbare = false\n").unwrap();
        assert_eq!(repository(&root.join("above/inner")).len(), 1);
        fs::write(inner.join("config"), "[core]\n\tworktree = ../../../inner\n").unwrap();
        assert_eq!(repository(&root.join("above/inner")).len(), 3);
    }

    #[test]
    fn what_settings_name_is_found() {
        let list =
            "file:/home/me/.gitconfig\0user.name\nMe\0file:/home/me/.more\0core.excludesfile\n~/.ignored\0";
        let found = named(list, Path::new("/home/me"));
        assert_eq!(found, ["/home/me/.gitconfig", "/home/me/.more", "/home/me/.ignored"].map(PathBuf::from));
    }
}
