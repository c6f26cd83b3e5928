//! What is known of programs.

/// What is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deletes,
    RunsDownload,
    RunsOutput,
    ForcesPush,
    WritesOutside,
    ByItself,
    NeedsRoot,
    Network,
    Substitutes,
    Code,
    Hidden,
    Unclear,
}

impl Kind {
    /// What a part does, as the rest of a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::RunsDownload => "pipes a download into a shell",
            Self::RunsOutput => "runs what another command prints",
            Self::ForcesPush => "forces a push",
            Self::WritesOutside => "may write outside the workspace",
            Self::ByItself => "changes what runs by itself later",
            Self::NeedsRoot => "needs root",
            Self::Network => "opens the network",
            Self::Substitutes => "puts in what another command prints",
            Self::Code => "runs code that is not looked into here",
            Self::Hidden => "holds signs that cannot be seen; they are shown as escapes",
            Self::Unclear => "cannot be read for certain, and may do more than it seems",
        }
    }
}

/// A program is dangerous in this way if its arguments meet all needs: see [`super::meets`].
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) programs: &'static str,
    pub(super) needs: &'static str,
}

const fn rule(kind: Kind, programs: &'static str, needs: &'static str) -> Rule {
    Rule { kind, programs, needs }
}

pub(super) const RULES: &[Rule] = &[
    rule(
        Kind::Deletes,
        "rm rmdir unlink shred srm wipe trash trash-put wipefs blkdiscard fdisk parted mkswap truncate dropdb",
        "",
    ),
    rule(
        Kind::Deletes,
        "find fd fdfind rsync",
        "-delete|--delete|--delete-after|--delete-before|--remove-source-files",
    ),
    rule(Kind::Deletes, "dd", "*of=/dev/"),
    rule(Kind::Deletes, "git", "clean|restore|rm|filter-branch|filter-repo"),
    rule(Kind::Deletes, "git", "reset --hard"),
    rule(Kind::Deletes, "git", "checkout --|-f|--force|."),
    rule(Kind::Deletes, "git", "stash drop|clear"),
    rule(Kind::Deletes, "git", "branch -D|-d|--delete"),
    rule(Kind::Deletes, "git", "tag -d|--delete"),
    rule(Kind::Deletes, "git", "worktree remove"),
    rule(Kind::Deletes, "git", "reflog expire|delete"),
    rule(Kind::Deletes, "docker podman docker-compose nerdctl", "rm|rmi|prune|down"),
    rule(
        Kind::Deletes,
        "kubectl helm terraform gh aws gcloud s3cmd rclone",
        "delete|destroy|uninstall|purge|rm|rb|del",
    ),
    rule(Kind::Deletes, "mysql psql sqlite3", "*DROP|*drop|*DELETE|*delete|*TRUNCATE|*truncate"),
    rule(Kind::Deletes, "redis-cli", "flushall|flushdb|FLUSHALL|FLUSHDB|del|DEL"),
    rule(Kind::NeedsRoot, "sudo doas su pkexec run0 runuser sudoedit visudo", ""),
    rule(
        Kind::NeedsRoot,
        "mount umount losetup swapon swapoff iptables nft ufw systemctl service shutdown reboot poweroff halt useradd userdel \
         usermod groupadd passwd chpasswd chroot insmod rmmod modprobe sysctl setcap dpkg rpm apt apt-get aptitude yum dnf \
         zypper apk pacman snap installer docker docker-compose",
        "",
    ),
    rule(
        Kind::Network,
        "curl wget aria2c http https xh lynx w3m links elinks ftp lftp sftp tftp scp ssh autossh ssh-copy-id mosh sshfs telnet nc \
         ncat netcat nc.traditional nc.openbsd socat rclone s3cmd aws gcloud gsutil az gh glab heroku flyctl fly vercel netlify \
         kubectl helm terraform ansible ansible-playbook ping dig nslookup host whois traceroute nmap smbclient mail sendmail \
         mutt websocat ngrok cloudflared npx pnpx bunx uvx mosquitto_pub yt-dlp youtube-dl apt apt-get yum dnf apk pacman snap \
         brew flatpak",
        "",
    ),
    rule(Kind::Network, "rsync", "*:"),
    rule(Kind::Network, "git", "push|fetch|pull|clone|ls-remote|submodule|lfs|send-email|svn"),
    rule(Kind::Network, "git", "remote update|prune"),
    rule(
        Kind::Network,
        "npm pnpm yarn bun",
        "install|i|add|ci|update|up|upgrade|publish|create|init|exec|x|dlx|login|audit|outdated|view|info|link|unpublish|deprecate",
    ),
    rule(
        Kind::Network,
        "pip pipx pipenv poetry conda mamba gem bundle bundler composer nuget deno",
        "install|add|download|sync|update|upgrade|publish|push|run|require|create|search",
    ),
    rule(Kind::Network, "uv", "add|sync|pip|tool|run|lock|publish|python"),
    rule(Kind::Network, "cargo", "install|publish|add|update|search|login|fetch|owner|yank|binstall"),
    rule(Kind::Network, "go", "get|install|mod|generate"),
    rule(Kind::Network, "docker podman nerdctl docker-compose", "pull|push|run|build|login|up|compose"),
    rule(Kind::Network, "python", "http.server|pip|smtpd"),
    rule(Kind::Network, "php", "-S"),
    rule(Kind::Network, "openssl", "s_client|s_server"),
    rule(Kind::Network, "busybox toybox", "wget|nc|telnet|ftpget|ftpput|httpd|tftp"),
    rule(Kind::Code, "npx pnpx bunx uvx pipx osascript", ""),
    rule(Kind::Code, "awk gawk mawk nawk", "*system(|*getline"),
    rule(Kind::Code, "npm pnpm yarn bun", "exec|x|dlx"),
    rule(Kind::ByItself, "crontab at batch chsh update-rc.d launchctl", ""),
    rule(Kind::ByItself, "git", "config"),
    rule(Kind::ByItself, "systemctl", "enable|daemon-reload|link"),
    rule(Kind::ByItself, "alias trap", ""),
];

/// Shells.
pub(super) const SHELLS: &str = "sh bash zsh dash ksh mksh fish ash csh tcsh pwsh powershell rbash busybox";

/// Interpreters, and the options that give them code.
pub(super) const CODE: &str = "python pypy perl ruby node nodejs php lua luajit Rscript julia deno bun tclsh swipl ipython osascript guile";
pub(super) const CODE_OPTIONS: &[&str] =
    &["-c", "-e", "-E", "-r", "-p", "-pe", "-ne", "-ple", "-nle", "--eval", "--print", "eval", "-R"];

/// What brings in what others wrote.
pub(super) const DOWNLOADS: &str = "curl wget aria2c http https xh fetch lynx w3m ftp lftp sftp tftp scp nc ncat netcat nc.traditional nc.openbsd socat ssh gh glab rclone aws gsutil";

/// Programs whose words, behind their own options, are another program and its words.
pub(super) const WRAPPERS: &[&str] = &[
    "env",
    "command",
    "builtin",
    "exec",
    "nohup",
    "nice",
    "ionice",
    "chrt",
    "taskset",
    "time",
    "timeout",
    "stdbuf",
    "setsid",
    "setarch",
    "unshare",
    "nsenter",
    "chroot",
    "flock",
    "strace",
    "ltrace",
    "watch",
    "xargs",
    "parallel",
    "sudo",
    "doas",
    "su",
    "pkexec",
    "run0",
    "runuser",
    "busybox",
    "toybox",
    "find",
    "fd",
    "fdfind",
    "script",
    "entr",
    "systemd-run",
    "firejail",
    "bwrap",
    "proxychains",
    "torsocks",
    "caffeinate",
    "docker",
    "podman",
    "kubectl",
    "ssh",
    "nsjail",
    "faketime",
    "chpst",
    "softlimit",
    "uv",
    "poetry",
    "pipenv",
    "bundle",
    "npx",
    "mise",
    "direnv",
    "git-annex",
    "sem",
    "rlwrap",
    "unbuffer",
    "prlimit",
    "numactl",
    "dbus-run-session",
    "xvfb-run",
    "eatmydata",
    "fakeroot",
    "sg",
    "newgrp",
    "coproc",
];

/// Programs that run words as commands of a shell.
pub(super) const TAKES_COMMANDS: &str = "eval trap su ssh watch script parallel sem flock xargs env sudo doas tmux screen at batch crontab make nix-shell sg runuser find entr expect setsid docker podman kubectl";

/// Words before a program that are none.
pub(super) const RESERVED: &[&str] =
    &["if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "coproc", "fi", "done", "esac"];

/// Programs whose words are only text to them.
pub(super) const TAKES_TEXT: &[&str] =
    &["echo", "printf", "grep", "egrep", "fgrep", "rg", "sed", "awk", "jq", "gh", "cat", "test"];

/// Programs that may write to any file that they are given.
pub(super) const WRITES: &str = "tee touch mkdir rmdir rm unlink shred chmod chown chgrp truncate tar unzip gunzip gzip curl wget dd mv patch sponge ex ed vi vim nano mktemp mkfifo sed perl make cmake git ditto setfacl chattr split csplit";
/// Programs that write to the last file that they are given.
pub(super) const WRITES_LAST: &str = "cp install ln rsync scp cpio";

/// Whether an assignment before a command can make it another.
pub(super) fn loads_code(assignment: &str) -> bool {
    const NAMES: [&str; 22] = [
        "PATH",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "ENV",
        "PROMPT_COMMAND",
        "SHELL",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "BROWSER",
        "PERL5OPT",
        "PERL5LIB",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "RUBYOPT",
        "RUSTC_WRAPPER",
        "RUSTC",
        "IFS",
    ];
    let name = assignment.split('=').next().unwrap_or_default().trim_end_matches('+');
    NAMES.contains(&name)
        || name.starts_with("GIT_")
        || name.starts_with("npm_config_")
        || name.starts_with("CARGO_")
}
