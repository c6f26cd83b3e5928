//! What is known of programs.

/// What is dangerous, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    NeedsRoot,
    Deletes,
    RunsDownload,
    RunsOutput,
    RunsWritten,
    ForcesPush,
    WritesOutside,
    ByItself,
    Publishes,
    Ends,
    Overwrites,
    Permits,
    Network,
    Code,
    Unclear,
    Hidden,
    Substitutes,
}

impl Kind {
    /// What a part does, as the rest of a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::RunsDownload => "pipes a download into a shell",
            Self::RunsOutput => "runs what another command prints",
            Self::RunsWritten => "runs what it has just written",
            Self::ForcesPush => "forces a push",
            Self::WritesOutside => "may write outside the workspace",
            Self::ByItself => "changes what runs by itself later",
            Self::Publishes => "changes what others use",
            Self::Ends => "ends other programs",
            Self::Overwrites => "overwrites",
            Self::Permits => "changes who may use many files",
            Self::NeedsRoot => "needs root",
            Self::Network => "opens the network",
            Self::Substitutes => "puts in what another command prints",
            Self::Code => "runs code that is not looked into here",
            Self::Hidden => "holds signs that cannot be seen; they are shown as escapes",
            Self::Unclear => "cannot be read for certain, and may do more than it seems",
        }
    }
}

/// A program is dangerous in this way if its arguments meet all needs: see [`super::program::meets`].
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
        "rm rmdir unlink shred srm wipe trash trash-put trash-empty rmtrash rimraf del del-cli erase wipefs blkdiscard fdisk sfdisk \
         parted mkswap truncate dropdb Remove-Item",
        "",
    ),
    rule(Kind::Deletes, "find fd fdfind", "-delete|--delete"),
    rule(Kind::Deletes, "rsync", "--del*|--remove-source-files"),
    rule(Kind::Deletes, "mv", "/dev/null"),
    rule(Kind::Deletes, "gio", "trash|remove"),
    rule(Kind::Deletes, "svn hg", "revert|cleanup|purge|rollback|strip"),
    rule(Kind::Deletes, "docker podman docker-compose nerdctl", "rm|rmi|prune|down"),
    rule(
        Kind::Deletes,
        "kubectl helm terraform tofu gh glab aws gcloud s3cmd rclone",
        "delete|destroy|uninstall|purge|rm|rb|del",
    ),
    rule(Kind::Deletes, "mysql psql sqlite3", "*DROP|*drop|*DELETE|*delete|*TRUNCATE|*truncate"),
    rule(Kind::Deletes, "redis-cli", "flushall|flushdb|FLUSHALL|FLUSHDB|del|DEL"),
    rule(Kind::NeedsRoot, "sudo doas su pkexec run0 runuser sudoedit visudo", ""),
    rule(
        Kind::NeedsRoot,
        "mount umount losetup swapon swapoff iptables nft ufw systemctl service shutdown reboot poweroff halt useradd userdel \
         usermod groupadd passwd chpasswd chroot insmod rmmod modprobe sysctl setcap dpkg rpm apt apt-get aptitude yum dnf \
         zypper apk pacman snap installer",
        "",
    ),
    rule(Kind::NeedsRoot, "docker docker-compose", "run|exec|create|start|cp|load|import|plugin|swarm"),
    rule(
        Kind::Network,
        "curl wget aria2c http https xh lynx w3m links elinks ftp lftp sftp tftp scp ssh autossh ssh-copy-id mosh sshfs telnet nc \
         ncat netcat nc.traditional nc.openbsd socat rclone s3cmd aws gcloud gsutil az gh glab heroku flyctl fly vercel netlify \
         kubectl helm terraform tofu ansible ansible-playbook ping dig nslookup host whois traceroute nmap smbclient mail sendmail \
         mutt websocat ngrok cloudflared npx pnpx bunx uvx mosquitto_pub yt-dlp youtube-dl apt apt-get yum dnf apk pacman snap \
         brew flatpak",
        "",
    ),
    rule(Kind::Network, "rsync", "*:"),
    rule(
        Kind::Network,
        "npm pnpm yarn bun",
        "install|i|add|ci|update|up|upgrade|publish|create|init|exec|x|dlx|login|audit|outdated|view|info|link|unpublish|deprecate",
    ),
    rule(
        Kind::Network,
        "pip pipx pipenv poetry conda mamba gem bundle bundler composer nuget deno",
        "install|add|download|sync|update|upgrade|publish|push|require|create|search",
    ),
    rule(Kind::Network, "pipx deno", "run"),
    rule(Kind::Network, "uv", "add|sync|pip|tool|run|lock|publish|python"),
    rule(Kind::Network, "cargo", "install|publish|add|update|search|login|fetch|owner|yank|binstall"),
    rule(Kind::Network, "go", "get|install|mod|generate"),
    rule(Kind::Network, "docker podman nerdctl docker-compose", "pull|push|run|build|login"),
    rule(Kind::Network, "python", "pip|smtpd|http.server"),
    rule(Kind::Network, "php", "-S"),
    rule(Kind::Network, "openssl", "s_client|s_server"),
    rule(Kind::Network, "busybox toybox", "wget|nc|telnet|ftpget|ftpput|httpd|tftp"),
    rule(
        Kind::Publishes,
        "npm pnpm yarn bun cargo uv poetry gem twine vsce mvn gradle",
        "publish|unpublish|deprecate|upload|deploy|release|push|yank",
    ),
    rule(
        Kind::Publishes,
        "terraform tofu kubectl helm pulumi serverless fly flyctl heroku vercel netlify cdk",
        "apply|deploy|up|install|upgrade|rollout|scale|--prod",
    ),
    rule(Kind::Publishes, "gh glab", "release|merge|create|edit|close"),
    rule(Kind::Publishes, "docker podman", "push"),
    rule(Kind::Ends, "pkill killall killall5 skill xkill taskkill", ""),
    rule(Kind::Ends, "kill", "-1|0|1|--"),
    rule(Kind::Ends, "kill", "*PPID"),
    rule(Kind::Ends, "fuser", "-k|--kill"),
    rule(Kind::Permits, "chmod chown chgrp", "-R|--recursive"),
    rule(Kind::Overwrites, "cp install rsync", "/dev/null|/dev/zero"),
    rule(Kind::Overwrites, "tree sort", "-o|--output"),
    rule(Kind::Overwrites, "find", "-fprint*|-fls"),
    rule(Kind::Code, "npx pnpx bunx uvx pipx", ""),
    rule(Kind::Code, "npm pnpm yarn bun", "exec|x|dlx"),
    rule(
        Kind::Code,
        "tar bsdtar gtar",
        "--checkpoint-action|--to-command|--use-compress-program|-I|--info-script|--new-volume-script|-F|--rsh-command|--rmt-command",
    ),
    rule(Kind::Code, "vim vi nvim view ex gvim vimdiff", "-c|+*|--cmd|-S|-s|-es*"),
    rule(Kind::Code, "emacs", "--eval|-eval|--execute|--funcall|-f|--load|-l|--script|--batch"),
    rule(Kind::Code, "sqlite3", "*.shell|*.system|*.load|*.once|*.output"),
    rule(Kind::Code, "gdb lldb", "-ex|-x|-o|-s|--eval-command|-eval-command|--command"),
    rule(Kind::Code, "expect", "-c*"),
    rule(Kind::Code, "sort", "--compress-program"),
    rule(Kind::Code, "rg", "--pre"),
    rule(Kind::Code, "split", "--filter"),
    rule(Kind::Code, "zip", "-TT|--unzip-command"),
    rule(Kind::Code, "rsync", "-e|--rsh|--rsync-path"),
    rule(Kind::Code, "man", "-P*|-H*|--pager|--html"),
    rule(Kind::Code, "less more", "+*"),
    rule(Kind::Code, "go", "-exec*|-toolexec*|-vettool*"),
    rule(Kind::Code, "make gmake", "SHELL=*|.SHELLFLAGS=*|--eval"),
    rule(Kind::ByItself, "crontab at batch chsh update-rc.d launchctl", ""),
    rule(Kind::ByItself, "git", "config"),
    rule(Kind::ByItself, "systemctl", "enable|daemon-reload|link"),
    rule(Kind::ByItself, "alias trap", ""),
    rule(Kind::ByItself, "hash", "-p*"),
    rule(Kind::ByItself, "enable", "-f*"),
    rule(Kind::ByItself, "bind", "-x*"),
    rule(Kind::ByItself, "complete", "-C*"),
];

/// What verbs of git are dangerous: the kind, the verbs, and what must follow them.
pub(super) const GIT: &[Rule] = &[
    rule(Kind::Deletes, "clean filter-branch filter-repo prune", ""),
    rule(Kind::Deletes, "reset", "--hard|--merge"),
    rule(Kind::Deletes, "checkout switch", "-f|--force|--discard-changes"),
    rule(Kind::Deletes, "checkout", "--ours|--theirs|--patch|-p|--pathspec-from-file"),
    rule(Kind::Deletes, "checkout-index", "-f|--force"),
    rule(Kind::Deletes, "submodule", "deinit"),
    rule(Kind::Deletes, "stash", "drop|clear"),
    rule(Kind::Deletes, "branch", "-D|-d|--delete"),
    rule(Kind::Deletes, "tag", "-d|--delete"),
    rule(Kind::Deletes, "worktree", "remove"),
    rule(Kind::Deletes, "reflog", "expire|delete"),
    rule(Kind::Deletes, "read-tree", "-u|--reset"),
    rule(Kind::Deletes, "update-ref", "-d|--stdin"),
    rule(Kind::Deletes, "gc", "--prune*"),
    rule(Kind::Deletes, "remote", "remove|rm"),
    rule(
        Kind::Network,
        "push fetch pull clone ls-remote submodule lfs send-email svn send-pack fetch-pack",
        "",
    ),
    rule(Kind::Network, "remote", "update|prune"),
    rule(Kind::ByItself, "config", ""),
    rule(Kind::Code, "rebase", "-x*|--exec"),
    rule(Kind::Code, "difftool mergetool", "-x*|--extcmd"),
    rule(Kind::Code, "fetch pull clone ls-remote", "--upload-pack|*ext::"),
    rule(Kind::Code, "push send-pack", "--receive-pack|--exec|*ext::"),
    rule(Kind::Code, "clone", "-c|--config|--template"),
    rule(Kind::Code, "grep", "-O*|--open-files-in-pager"),
    rule(Kind::Code, "diff log show", "--ext-diff|--textconv"),
];
/// Options of git's verbs whose values are commands.
pub(super) const GIT_COMMANDS: &[&str] = &["-x", "--exec", "--extcmd", "--upload-pack", "--receive-pack"];

/// Shells.
pub(super) const SHELLS: &str = "sh bash zsh dash ksh mksh fish ash csh tcsh rbash busybox";

/// What brings in what others wrote.
pub(super) const DOWNLOADS: &str = "curl wget aria2c http https xh fetch lynx w3m ftp lftp sftp tftp scp nc ncat netcat nc.traditional nc.openbsd socat ssh gh glab rclone aws gsutil";

/// Programs whose words, behind their own options, are another program and its words.
pub(super) const WRAPPERS: &str = "env command builtin exec nohup nice ionice chrt taskset time timeout stdbuf setsid setarch unshare \
    nsenter chroot flock strace ltrace watch xargs parallel sudo doas su pkexec run0 runuser busybox toybox find fd fdfind script entr \
    systemd-run firejail bwrap proxychains torsocks caffeinate docker podman kubectl ssh nsjail faketime chpst softlimit uv poetry \
    pipenv bundle npx mise direnv git-annex sem rlwrap unbuffer prlimit numactl dbus-run-session xvfb-run eatmydata fakeroot sg \
    newgrp coproc setpriv conda mamba micromamba pixi hatch rye pdm devbox nix nix-shell rbenv pyenv nvm volta dotenv cross-env \
    chronic cpulimit valgrind perf rr gdb lldb hyperfine watchexec nodemon tini dumb-init start-stop-daemon systemd-inhibit gosu \
    su-exec setuidgid proot linux32 linux64 i386 x86_64 wine ccache sccache distcc bunx pnpx yarn pnpm bun spawn shell .shell .system screen tmux ssh-agent logsave xinit daemonize";

/// Wrappers behind whose options the first word is the program.
pub(super) const PREFIXES: &str = "env command builtin exec nohup nice ionice chrt taskset time timeout stdbuf setsid setarch \
    strace ltrace sudo doas setpriv prlimit numactl eatmydata fakeroot xvfb-run linux32 linux64 gosu su-exec ccache unbuffer";

/// Programs that run words as commands of a shell.
pub(super) const TAKES_COMMANDS: &str = "eval trap su ssh watch script parallel sem flock xargs env sudo doas tmux screen at batch crontab make nix-shell sg runuser find entr expect setsid docker podman kubectl";

/// Programs whose words are only text to them.
pub(super) const TAKES_TEXT: &str = "echo printf grep egrep fgrep rg sed awk jq gh cat test";

/// Programs that only read the files that they are given.
pub(super) const READS: &str = "cat head tail grep egrep fgrep rg wc ls stat file echo printf basename dirname du md5sum sha1sum \
    sha256sum cut diff cmp test readlink realpath nl tac strings od hexdump true false jq";

/// What `[`, `let` and the like read once more as the place in an array may hold commands.
pub(super) const EVALUATES: &str =
    "test [ [[ printf read unset let declare typeset local export readonly mapfile readarray wait getopts";

/// Programs that may write to any file that they are given.
pub(super) const WRITES: &str = "tee touch mkdir rmdir rm unlink shred chmod chown chgrp truncate tar unzip gunzip gzip curl wget dd mv patch sponge ex ed vi vim nano mktemp mkfifo sed perl make cmake git ditto setfacl chattr split csplit zip 7z ssh-keygen openssl ffmpeg convert magick objcopy";
/// Programs that write to the last file that they are given.
pub(super) const WRITES_LAST: &str = "cp install ln rsync scp cpio";
/// Programs that write to the second file that they are given.
pub(super) const WRITES_SECOND: &str = "xxd uniq";
/// Options whose value is written to, whoever has them.
pub(super) const OUTPUTS: &str = "-o --output --output-file --outfile --out --out-dir --outdir --output-dir --target-dir --dest --destination";

/// Options that say in which folder to work.
pub(super) const FOLDERS: &[(&str, &str)] = &[
    ("env", "-C --chdir"),
    ("sudo doas", "-D --chdir"),
    ("make gmake tar", "-C --directory"),
    ("npm", "--prefix -C"),
    ("pnpm", "-C --dir"),
    ("yarn bun", "--cwd"),
    ("cargo", "-C --manifest-path"),
    ("go", "-C"),
];

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

/// Whether a word stands in a list.
pub(super) fn lists(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}
