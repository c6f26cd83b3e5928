//! Files that make something run later, without anybody's asking for it: a person is asked before one is
//! changed.
//!
//! Page and runner share the list. The page looks at the path as it was written, the runner at where it
//! leads. What runs only in a build or a test (`build.rs`, a `Makefile`, the scripts of a `package.json`) is
//! not in it: that command is asked for.

use crate::shown;

/// What a file is, and the names of such. `x/`: anything that is or lies under a file or folder of this name.
/// `x/y`: y directly in x. `x*`: names that begin so.
const TABLE: [(&str, &str); 7] = [
    ("a file of git's own", ".git/ git~1/ .gitconfig"),
    (
        "a hook",
        ".husky/ .githooks/ .git-hooks/ .hooks/ .pre-commit-config.yaml .pre-commit-config.yml .pre-commit-hooks.yaml \
         lefthook.* .lefthook.* lefthook-local.* .lefthook-local.* .overcommit.yml .lintstagedrc* lint-staged.config.* \
         .simple-git-hooks.* simple-git-hooks.*",
    ),
    (
        "a start-up file",
        ".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .zlogout .kshrc \
         .mkshrc .cshrc .tcshrc .login .logout .inputrc .envrc .direnvrc .pam_environment .xprofile .xinitrc .xsession .xsessionrc \
         .tmux.conf .screenrc .vimrc .gvimrc .exrc .nvimrc .nvim.lua .emacs .emacs.d/ .dir-locals.el .gdbinit .lldbinit .psqlrc \
         .sqliterc .irbrc .pryrc .rprofile .pythonrc .pythonrc.py sitecustomize.py usercustomize.py .ssh/ .config/fish \
         .config/autostart .config/systemd .config/git .config/nvim .config/zsh .config/environment.d launchagents/ \
         launchdaemons/ crontab cron.d/ cron.daily/ cron.hourly/ .local/bin",
    ),
    (
        "a file of the CI",
        ".github/workflows .github/actions .forgejo/workflows .forgejo/actions .gitea/workflows .gitlab-ci.* .gitlab/ .circleci/ \
         jenkinsfile* azure-pipelines* .azure-pipelines/ .azuredevops/ .travis.yml bitbucket-pipelines.yml .drone.* \
         .woodpecker/ .woodpecker.* .buildkite/ appveyor.yml .appveyor.yml .teamcity/ cloudbuild.y* .cirrus.* .semaphore/ \
         .builds/ .build.yml buildspec.y*",
    ),
    (
        "a setting of an editor",
        ".vscode/ *.code-workspace .idea/ .zed/ .fleet/ .devcontainer/ .devcontainer.json .sublime-project *.sublime-project",
    ),
    ("a setting of an agent", ".claude/ .cursor/ .codex/ .gemini/ .mcp.json .aider.conf.yml"),
    (
        "a setting of a tool that can run commands",
        ".cargo/config .cargo/config.toml rust-toolchain rust-toolchain.toml .npmrc .yarnrc .yarnrc.yml .yarn/releases \
         .yarn/plugins .pnpmfile.* bunfig.toml mise.toml .mise.toml .config/mise .wgetrc .curlrc .netrc .pip/ pip.conf",
    ),
];

/// What a file at this path is, if it runs something by itself.
#[must_use]
pub fn what(path: &str) -> Option<&'static str> {
    let parts: Vec<String> = path.split(['/', '\\']).map(plain).filter(|part| !part.is_empty()).collect();
    let fits = |names: &str| names.split_whitespace().any(|name| matches(name, &parts));
    TABLE.iter().find(|(_, names)| fits(names)).map(|(what, _)| *what)
}

/// A name as the most forgiving of file systems would read it.
fn plain(part: &str) -> String {
    let letters = part.chars().filter(|sign| !shown::is_hidden(*sign)).flat_map(char::to_lowercase);
    let name: String = letters.map(|letter| if letter == 'ſ' { 's' } else { letter }).collect();
    name.trim_end_matches(['.', ' ']).to_owned()
}

fn matches(pattern: &str, parts: &[String]) -> bool {
    if let Some(folder) = pattern.strip_suffix('/') {
        return parts.iter().any(|part| part == folder);
    }
    if let Some((folder, name)) = pattern.split_once('/') {
        return parts.windows(2).any(|two| two[0] == folder && two[1] == name);
    }
    let Some(name) = parts.last() else { return false };
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(begin), _) => name.starts_with(begin),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => name == pattern,
    }
}

/// The parts that git knows a repository by, whatever its folder is called: with these three in it, its
/// `config` and `hooks` count.
pub const BARE: [&str; 3] = ["head", "objects", "refs"];
/// What in such a folder can make git run something, or makes it one.
pub const BARE_OWN: [&str; 10] = [
    "head",
    "objects",
    "refs",
    "config",
    "config.worktree",
    "commondir",
    "hooks",
    "info",
    "modules",
    "worktrees",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_itself_is_known_in_any_spelling() {
        for path in [
            ".git/config",
            ".git",
            "./.git/config",
            "a/.GIT/hooks/x",
            "a\\.git\\config",
            ".g\u{200c}it/config",
            ".git./config",
            ".git /config",
            "GIT~1/config",
            "sub/../.git/hooks/pre-commit",
            ".husky/pre-commit",
            ".githooks/pre-push",
            ".pre-commit-config.yaml",
            "lefthook.yml",
            ".bashrc",
            "home/.ZSHRC",
            ".envrc",
            "x/.ssh/authorized_keys",
            ".config/fish/config.fish",
            ".github/workflows/ci.yml",
            ".GitHub/./Workflows/ci.yml",
            ".gitlab-ci.yml",
            ".circleci/config.yml",
            "Jenkinsfile",
            "Jenkinsfile.release",
            ".vscode/tasks.json",
            ".vscode/settings.json",
            "x.code-workspace",
            ".devcontainer/devcontainer.json",
            ".claude/settings.json",
            ".cargo/config.toml",
            "rust-toolchain.toml",
            ".npmrc",
            ".huſky/x",
        ] {
            assert!(what(path).is_some(), "{path}");
        }
    }

    #[test]
    fn other_files_are_not() {
        for path in [
            "",
            "src/main.rs",
            ".gitignore",
            ".gitattributes",
            ".github/ISSUE_TEMPLATE.md",
            "docs/HEAD",
            "build.rs",
            "package.json",
            "Makefile",
            "workflows/ci.yml",
            "src/hooks/useThing.ts",
            "config.toml",
            ".cargo/registry/x",
            "git/config",
            "bashrc",
            ".environment",
        ] {
            assert_eq!(what(path), None, "{path}");
        }
    }
}
