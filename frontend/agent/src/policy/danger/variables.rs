//! Variables that a command sets for what it runs: which make a program another.

use super::super::split::Word;
use super::Found;
use super::table::lists;

/// Whoever reads them finds, loads or runs something else.
const LOADS: &str = "PATH LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH BASH_ENV PROMPT_COMMAND PS4 IFS \
    HOME ZDOTDIR XDG_CONFIG_HOME CDPATH PERL5OPT PERL5DB PYTHONSTARTUP PYTHONHOME PYTHONBREAKPOINT PYTEST_ADDOPTS RUSTC RUSTC_WRAPPER \
    RUSTC_WORKSPACE_WRAPPER RUSTDOC LESSOPEN LESSCLOSE TAR_OPTIONS RSYNC_RSH SSH_ASKPASS SUDO_ASKPASS RIPGREP_CONFIG_PATH MAKEFILES \
    VIMINIT EXINIT GCONV_PATH INPUTRC PIP_CONFIG_FILE DOCKER_HOST KUBECONFIG";
/// These name a program, which is no other with what is in [`PLAIN`].
const PROGRAMS: &str = "SHELL EDITOR VISUAL PAGER MANPAGER BROWSER GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR";
const PLAIN: &str = "cat true : less more vi vim nano none bash sh zsh /bin/sh /bin/bash";
/// These name folders to look in.
const FOLDERS: &str = "PYTHONPATH PERL5LIB RUBYLIB NODE_PATH GOPATH CLASSPATH PKG_CONFIG_PATH ENV";
/// These hold options, and are dangerous with these in them.
const OPTIONS: &[(&str, &str)] = &[
    ("NODE_OPTIONS", "-r --require --import --loader --experimental-loader --env-file"),
    ("RUBYOPT", "-r -I"),
    ("RUSTFLAGS RUSTDOCFLAGS", "linker link-arg codegen-backend"),
    ("GOFLAGS", "exec overlay modfile"),
    ("MAKEFLAGS GNUMAKEFLAGS", "-- = -f"),
    (
        "JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS MAVEN_OPTS GRADLE_OPTS",
        "agent bootclasspath OnError OnOutOfMemory @",
    ),
];
/// Of variables that begin so, the others are taken to run something.
const FAMILIES: &[(&str, &str)] = &[
    ("git_", "author_ committer_ terminal_prompt optional_locks merge_autoedit"),
    ("cargo_", "term_ incremental profile_ net_ build_jobs build_target target_dir"),
    ("npm_config_", "loglevel color progress fund audit yes update_notifier"),
];

impl Found<'_> {
    /// Whether a variable that is set makes programs run or load something else.
    pub(super) fn loads_code(&self, assignment: &str) -> bool {
        let Some((name, value)) = assignment.split_once('=') else { return false };
        let name = name.trim_end_matches('+');
        if lists(LOADS, name) {
            return true;
        }
        if lists(PROGRAMS, name) {
            return !value.is_empty() && !lists(PLAIN, value);
        }
        if lists(FOLDERS, name) {
            let own = |folder: &str| {
                folder.starts_with("$PWD") || folder.starts_with("${PWD}") || folder.contains(name)
            };
            return value.split(':').any(|folder| {
                !own(folder) && self.is_outside(&Word { text: folder.to_owned(), open: true, quoted: true })
            });
        }
        if let Some((_, bad)) = OPTIONS.iter().find(|(names, _)| lists(names, name)) {
            return bad.split_whitespace().any(|bad| value.contains(bad));
        }
        let name = name.to_ascii_lowercase();
        FAMILIES.iter().any(|(family, safe)| {
            name.strip_prefix(family)
                .is_some_and(|rest| !safe.split_whitespace().any(|known| rest.starts_with(known)))
        })
    }
}
