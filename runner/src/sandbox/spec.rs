//! What a command that is held to reading may read, and what it finds in its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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

/// Configuration of the system that holds no secret, and devices and counters that tell nothing of other processes.
const HARMLESS: [&str; 47] = [
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

/// The only variables that a command finds of the runner's own; none holds a secret or makes a program run another.
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
pub(crate) struct Spec {
    /// What it may read.
    pub(super) read: Vec<PathBuf>,
    /// What it may read, and run programs from.
    pub(super) run: Vec<PathBuf>,
}

impl Spec {
    /// For commands in this workspace, started by this shell, of a runner with this environment and state folder.
    ///
    /// # Errors
    /// Reading the workspace would be reading what must stay hidden; why, as part of a sentence.
    pub(crate) fn new(
        workspace: &Path,
        state: &Path,
        shell: &Path,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, String> {
        let of = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
        let home = of("HOME").and_then(|home| fs::canonicalize(home).ok());
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (workspace, state) = (real(workspace), real(state));
        if state.starts_with(&workspace) {
            return Err("the runner's own state lies in the workspace".into());
        }
        if home.as_ref().is_some_and(|home| home.starts_with(&workspace)) {
            return Err("the workspace holds the home folder, and with it what must stay secret".into());
        }
        let hides =
            |path: &Path| state.starts_with(path) || home.as_ref().is_some_and(|home| home.starts_with(path));
        let known = |path: PathBuf| fs::canonicalize(path).ok().filter(|path| !hides(path));
        let below = |names: &'static [&'static str]| {
            home.iter()
                .flat_map(move |home| names.iter().map(move |name| home.join(name)))
                .collect::<Vec<_>>()
        };
        let path = of("PATH").unwrap_or_default();
        let searched = std::env::split_paths(&path).filter(|path| path.is_absolute());
        let mut run: Vec<PathBuf> =
            SYSTEM.iter().map(PathBuf::from).chain(searched).chain(below(&TOOLS)).collect();
        run.push(shell.to_owned());
        run.extend(of("RUSTUP_HOME"));
        run.extend(of("CARGO_HOME").iter().flat_map(|cargo| [cargo.join("bin"), cargo.join("registry")]));
        let mut run: Vec<PathBuf> = run.into_iter().filter_map(known).collect();
        // What lies in the workspace may come from the model: it is read, and not run.
        run.retain(|path| !path.starts_with(&workspace));
        let mut read: Vec<PathBuf> = HARMLESS.iter().map(PathBuf::from).chain(below(&SETTINGS)).collect();
        read.extend(
            of("CARGO_HOME").iter().flat_map(|cargo| [cargo.join("config.toml"), cargo.join("config")]),
        );
        read.extend(of("XDG_CONFIG_HOME").iter().flat_map(|settings| {
            ["config", "ignore", "attributes"].map(|name| settings.join("git").join(name))
        }));
        let mut read: Vec<PathBuf> = read.into_iter().filter_map(known).collect();
        read.extend(repository(&workspace).into_iter().filter(|path| !hides(path)));
        read.push(workspace);
        for paths in [&mut run, &mut read] {
            paths.sort();
            paths.dedup();
        }
        Ok(Self { read, run })
    }
}

/// Git's own folders of a workspace that is a part of a repository, or a further tree of one.
fn repository(workspace: &Path) -> Vec<PathBuf> {
    let Some(git) = workspace.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists()) else {
        return Vec::new();
    };
    let mut found = Vec::from([git.clone()]);
    if let Ok(pointer) = fs::read_to_string(&git) {
        let target = pointer.strip_prefix("gitdir:").map(|target| git.with_file_name("").join(target.trim()));
        // A pointer that names anything else than a folder of git's own grants nothing.
        let target = target.and_then(|target| fs::canonicalize(target).ok());
        if let Some(target) = target.filter(|target| target.join("HEAD").is_file() && is_below_git(target)) {
            let common = fs::read_to_string(target.join("commondir")).ok();
            let common = common.and_then(|common| fs::canonicalize(target.join(common.trim())).ok());
            found.extend(common.filter(|common| is_below_git(common)));
            found.push(target);
        }
    }
    found
}

fn is_below_git(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".git")
}

/// The environment of a command that is held to reading.
pub(crate) fn environment(shims: &BTreeMap<OsString, OsString>, workspace: &Path) -> Vec<(String, String)> {
    let text = |value: &OsString| value.to_str().map(str::to_owned);
    let mut environment: Vec<(String, String)> = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), text(shims.get(OsStr::new(name))?)?)))
        .collect();
    let path = shims.get(OsStr::new("PATH")).cloned().unwrap_or_default();
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
