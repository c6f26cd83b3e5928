//! What a command that is held to reading may read, and what it finds in its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::git;
use crate::homes::homes;

/// Where systems keep programs and what these need.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/snap",
    "/run/current-system",
    "/home/linuxbrew/.linuxbrew",
    "/System/Library",
    "/Library/Developer",
    "/Applications/Xcode.app/Contents/Developer",
];

/// Configuration of the system that holds no secret, and devices and counters that tell nothing of other
/// processes.
const PUBLIC: [&str; 47] = [
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/magic.mime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/profile",
    "/etc/resolv.conf",
    "/etc/ripgreprc",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/var/lib/dbus/machine-id",
];

/// Below the home folder: what toolchains are made of, without the files in which they keep credentials.
const TOOLS: [&str; 14] = [
    ".rustup",
    ".cargo/bin",
    ".cargo/registry/index",
    ".cargo/registry/cache",
    ".cargo/registry/src",
    ".cargo/git",
    ".pyenv",
    ".nvm/versions",
    ".volta/bin",
    ".volta/tools",
    ".asdf",
    ".local/share/mise/installs",
    ".sdkman/candidates",
    "go/bin",
];

/// Below the home folder: what listed programs are told by their user.
const SETTINGS: [&str; 8] = [
    ".gitconfig",
    ".config/git/config",
    ".config/git/ignore",
    ".config/git/attributes",
    ".gitignore",
    ".gitignore_global",
    ".cargo/config.toml",
    ".cargo/config",
];

/// The only variables that a command finds of the runner's own; none holds a secret or makes a program run
/// another.
const VARIABLES: [&str; 34] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_COLLATE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "TZ",
    "TERM",
    "PAGER",
    "GIT_PAGER",
    "GIT_TERMINAL_PROMPT",
    "CI",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOROOT",
    "GOPATH",
    "JAVA_HOME",
    "NVM_DIR",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "VOLTA_HOME",
    "ASDF_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "NO_COLOR",
    "COLUMNS",
];

/// What git is told beside the repository's and its user's configuration.
const GIT: [(&str, &str); 5] = [
    ("core.fsmonitor", "false"),
    ("safe.bareRepository", "explicit"),
    ("core.pager", "cat"),
    ("log.showSignature", "false"),
    ("core.hooksPath", "/dev/null"),
];

/// Absolute paths that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What it may read.
    pub(super) read: Vec<PathBuf>,
    /// What it may read, and run programs from.
    pub(super) run: Vec<PathBuf>,
}

/// What decides what commands of a runner may read. What follows from it is looked at anew for each: files
/// come and go.
pub struct Ground {
    workspace: PathBuf,
    state: PathBuf,
    shell: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    settings: git::Settings,
}

impl Ground {
    /// For commands in this workspace, started by this shell, of a runner with this environment and state
    /// folder.
    pub fn new(
        workspace: &Path,
        state: &Path,
        shell: &Path,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Self {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self {
            workspace: real(workspace),
            state: real(state),
            shell: shell.to_owned(),
            environment: environment.clone(),
            settings: git::Settings::default(),
        }
    }

    /// The environment of a command.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.environment, &self.workspace)
    }

    /// What a command may read that begins now.
    ///
    /// # Errors
    /// Reading the workspace would be reading what must stay hidden; why, as part of a sentence.
    pub fn spec(&self) -> Result<Spec, String> {
        let Self { workspace, state, .. } = self;
        let of = |name: &str| self.environment.get(OsStr::new(name)).map(PathBuf::from);
        let homes = homes(self.environment.get(OsStr::new("HOME")).map(OsString::as_os_str));
        if homes.is_empty() {
            return Err("it is not known where the home folder is, and so what must stay secret".into());
        }
        if state.starts_with(workspace) {
            return Err("the runner's own state lies in the workspace".into());
        }
        if homes.iter().any(|home| home.starts_with(workspace)) {
            return Err("the workspace holds the home folder, and with it what must stay secret".into());
        }
        let hides = |path: &Path| {
            state.starts_with(path)
                || path.starts_with(state)
                || homes.iter().any(|home| home.starts_with(path))
        };
        let known = |path: PathBuf| fs::canonicalize(path).ok().filter(|path| !hides(path));
        let below = |names: &'static [&'static str]| {
            homes
                .iter()
                .flat_map(move |home| names.iter().map(move |name| home.join(name)))
                .collect::<Vec<_>>()
        };
        let path = of("PATH").unwrap_or_default();
        let searched = std::env::split_paths(&path).filter(|path| path.is_absolute());
        let mut run: Vec<PathBuf> =
            SYSTEM.iter().map(PathBuf::from).chain(searched).chain(below(&TOOLS)).collect();
        run.push(self.shell.clone());
        run.extend(of("RUSTUP_HOME"));
        run.extend(of("CARGO_HOME").iter().flat_map(|cargo| [cargo.join("bin"), cargo.join("registry")]));
        let run = run.into_iter().filter_map(known);
        // What lies in the workspace may come from the model: it is read, and not run.
        let mut run: Vec<PathBuf> = run.flat_map(|path| beside(path, workspace)).collect();
        let mut read: Vec<PathBuf> = PUBLIC.iter().map(PathBuf::from).chain(below(&SETTINGS)).collect();
        read.extend(
            of("CARGO_HOME").iter().flat_map(|cargo| [cargo.join("config.toml"), cargo.join("config")]),
        );
        read.extend(of("XDG_CONFIG_HOME").iter().flat_map(|settings| {
            ["config", "ignore", "attributes"].map(|name| settings.join("git").join(name))
        }));
        if let Some(home) = homes.first() {
            read.extend(self.settings.files(self.environment(), home, workspace));
        }
        let mut read: Vec<PathBuf> = read.into_iter().filter_map(known).collect();
        read.extend(git::repository(workspace).into_iter().filter(|path| !hides(path)));
        read.push(workspace.clone());
        for paths in [&mut run, &mut read] {
            paths.sort();
            paths.dedup();
        }
        Ok(Spec { read, run })
    }
}

/// A folder, or what lies in it beside this one if it holds it; nothing, if it lies in it.
fn beside(folder: PathBuf, inner: &Path) -> Vec<PathBuf> {
    if folder.starts_with(inner) {
        return Vec::new();
    }
    if !inner.starts_with(&folder) {
        return vec![folder];
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    // A link leads where it leads, and that is granted if it is.
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    real.flat_map(|entry| beside(entry.path(), inner)).collect()
}

/// The environment of a command that is held to reading.
fn environment(agents: &BTreeMap<OsString, OsString>, workspace: &Path) -> Vec<(String, String)> {
    let text = |value: &OsString| value.to_str().map(str::to_owned);
    let mut environment: Vec<(String, String)> = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), text(agents.get(OsStr::new(name))?)?)))
        .collect();
    let path = agents.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let searched =
        std::env::split_paths(&path).filter(|path| path.is_absolute() && !path.starts_with(workspace));
    if let Some(path) = std::env::join_paths(searched).ok().as_ref().and_then(text) {
        environment.push(("PATH".into(), path));
    }
    environment.push(("GIT_OPTIONAL_LOCKS".into(), "0".into()));
    environment.push(("GIT_NO_LAZY_FETCH".into(), "1".into()));
    environment.push(("GIT_CONFIG_COUNT".into(), GIT.len().to_string()));
    for (place, (key, value)) in GIT.iter().enumerate() {
        environment.push((format!("GIT_CONFIG_KEY_{place}"), (*key).into()));
        environment.push((format!("GIT_CONFIG_VALUE_{place}"), (*value).into()));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_known_whatever_the_environment_says() {
        let state = tempfile::tempdir().unwrap();
        let home = homes(None).first().cloned().unwrap();
        for named in [None, Some(""), Some("/nonexistent"), Some("/tmp")] {
            let environment = named.map(|named| ("HOME".into(), named.into())).into_iter().collect();
            let ground = Ground::new(&home, state.path(), Path::new("/bin/sh"), &environment);
            let refused = ground.spec().unwrap_err();
            assert!(refused.contains("home"), "{named:?}: {refused}");
        }
    }

    #[test]
    fn nothing_in_the_workspace_can_be_run_where_it_lies_among_programs() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for there in ["bin", "src/inner/bin", "src/other"] {
            fs::create_dir_all(root.join(there)).unwrap();
        }
        let granted = |inner: &str| {
            let mut granted = beside(root.clone(), &root.join(inner));
            granted.sort();
            granted
        };
        assert_eq!(granted("src/inner"), [root.join("bin"), root.join("src/other")]);
        assert_eq!(beside(root.join("src/inner/bin"), &root.join("src/inner")), Vec::<PathBuf>::new());
        assert_eq!(beside(root.join("bin"), &root.join("src")), [root.join("bin")]);
    }
}
