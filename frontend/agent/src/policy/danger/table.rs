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
    Evades,
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
            Self::Evades => "skips checks, or hides changes from them",
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

/// A program is dangerous in this way if its arguments meet all needs: see [`super::words::meets`].
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
         sgdisk cfdisk gdisk parted mkswap newfs truncate dropdb dropuser remove-item lvremove vgremove pvremove logrotate",
        "",
    ),
    rule(Kind::Deletes, "find fd fdfind", "-delete|--delete"),
    rule(Kind::Deletes, "rsync aws", "--del*|--remove-source-files"),
    rule(Kind::Deletes, "mv", "/dev/null"),
    rule(Kind::Deletes, "gio", "trash|remove"),
    rule(Kind::Deletes, "cmake", "-E rm|remove|remove_directory"),
    rule(Kind::Deletes, "tar bsdtar", "--remove-files"),
    rule(Kind::Deletes, "zip", "-m|-d"),
    rule(Kind::Deletes, "7z", "d"),
    rule(Kind::Deletes, "journalctl", "--vacuum*"),
    rule(Kind::Deletes, "fallocate", "-p|-c|--punch-hole|--collapse-range"),
    rule(Kind::Deletes, "svn hg", "revert|cleanup|purge|rollback|strip"),
    rule(Kind::Deletes, "docker podman docker-compose nerdctl", "rm|rmi|prune|down"),
    rule(Kind::Deletes, "npm pnpm yarn bun pip pipx uv gem brew conda", "uninstall|prune"),
    rule(
        Kind::Deletes,
        "kubectl helm terraform tofu pulumi cdk vagrant minikube kind virsh gh glab aws az gcloud gsutil bq eksctl doctl s3cmd \
         rclone etcdctl consul vault zpool zfs btrfs tmutil vercel fly flyctl mysqladmin",
        "delete|destroy|uninstall|purge|rm|rb|del|drop|deletefile",
    ),
    rule(Kind::Deletes, "firebase heroku netlify", "*:delete|*:destroy|*:remove"),
    rule(Kind::Deletes, "rclone", "sync"),
    rule(Kind::Deletes, "cryptsetup", "erase|luksErase|luksFormat"),
    rule(Kind::Deletes, "diskutil", "erase*|secureErase|partitionDisk|zeroDisk|apfs"),
    rule(Kind::Deletes, DATABASES, "*drop~|*delete~from|*truncate~|*dropdatabase"),
    rule(
        Kind::Deletes,
        "rails rake mix php npx prisma sequelize sequelize-cli knex supabase diesel sqlx",
        "db:drop*|db:reset*|db:purge|db:wipe|db:rollback|migrate:fresh|migrate:reset|migrate:refresh|ecto.drop|ecto.reset|reset|drop",
    ),
    rule(Kind::Deletes, "python", "manage.py flush|reset_db|sqlflush"),
    rule(Kind::Deletes, "redis-cli", "flushall|flushdb|FLUSHALL|FLUSHDB|del|DEL"),
    rule(Kind::NeedsRoot, "sudo doas su pkexec run0 runuser sudoedit visudo", ""),
    rule(
        Kind::NeedsRoot,
        "umount losetup swapon swapoff iptables nft ufw shutdown reboot poweroff halt useradd userdel usermod groupadd \
         passwd chpasswd chroot insmod rmmod modprobe sysctl setcap cryptsetup lvremove vgremove pvremove zpool installer softwareupdate",
        "",
    ),
    rule(Kind::NeedsRoot, "init telinit", "0|1|2|3|4|5|6|S|s|q"),
    rule(Kind::NeedsRoot, "mount", "*/"),
    rule(
        Kind::NeedsRoot,
        "systemctl service",
        "^status|is-active|is-enabled|show|cat|list*|--user|--failed|--status-all",
    ),
    rule(
        Kind::NeedsRoot,
        "dpkg rpm apt apt-get aptitude yum dnf zypper apk pacman snap",
        "^-l|-L|-s|-S|-q*|-Q*|--list|--listfiles|--status|--search|list|show|search|info|policy|depends",
    ),
    rule(Kind::NeedsRoot, "docker docker-compose", "run|exec|create|start|cp|load|import|plugin|swarm"),
    rule(
        Kind::Network,
        "curl curlie wget wget2 aria2c axel http https xh lwp-request hurl grpcurl lynx w3m links elinks ftp lftp sftp tftp scp ssh \
         autossh ssh-copy-id ssh-keyscan mosh sshfs telnet nc ncat netcat nc.traditional nc.openbsd socat rclone s3cmd aws gcloud \
         gsutil az gh glab heroku flyctl fly vercel netlify firebase wrangler ansible ansible-playbook ping dig nslookup host whois \
         traceroute nmap smbclient mail sendmail mutt websocat ngrok cloudflared tailscale npx pnpx bunx uvx mosquitto_pub yt-dlp \
         youtube-dl skopeo crane oras cpan cpanm flatpak",
        "",
    ),
    rule(Kind::Network, "kubectl helm terraform tofu", "^fmt|validate|lint|version|template|completion"),
    rule(
        Kind::Network,
        "apt apt-get yum dnf zypper apk pacman snap brew",
        "^list|-l|show|info|policy|depends|-Q*|--prefix|config|doctor",
    ),
    rule(Kind::Network, "rsync", "*:"),
    rule(
        Kind::Network,
        "npm pnpm yarn bun",
        "install|i|it|cit|install-test|add|ci|update|up|upgrade|publish|create|init|exec|x|dlx|login|audit|outdated|view|info|link|\
         unpublish|deprecate|whoami|ping|search|token|owner|access|team|org|profile|dist-tag|fetch",
    ),
    rule(
        Kind::Network,
        "pip pipx pipenv poetry conda mamba gem bundle bundler composer nuget deno rustup luarocks opam cabal stack pod vagrant asdf \
         nvm volta mise helm flutter dart swift",
        "install|add|download|sync|update|upgrade|publish|push|require|create|search|get|up",
    ),
    rule(Kind::Network, "mix", "deps.get|deps.update|local.hex|hex.publish|archive.install"),
    rule(Kind::Network, "dotnet", "add|tool|restore|nuget|workload"),
    rule(
        Kind::Network,
        "nix nix-env nix-shell nix-channel",
        "run|shell|develop|build|-i|-iA|--install|-u|-p|--update|profile",
    ),
    rule(Kind::Network, "pipx deno", "run"),
    rule(Kind::Network, "uv", "add|sync|pip|tool|run|lock|publish|python"),
    rule(Kind::Network, "cargo", "install|publish|add|update|search|login|fetch|owner|yank|binstall"),
    rule(Kind::Network, "go", "get|install|generate|*@"),
    rule(Kind::Network, "go", "mod download|tidy|get"),
    rule(Kind::Network, "docker podman nerdctl docker-compose", "pull|push|run|build|login"),
    rule(Kind::Network, "python", "pip install|download|index|search"),
    rule(Kind::Network, "python", "smtpd|http.server"),
    rule(Kind::Network, "php", "-S"),
    rule(Kind::Network, "openssl", "s_client|s_server"),
    rule(Kind::Network, "gpg", "--recv*|--send*|--keyserver*|--search*|--refresh*|--locate*|--fetch*"),
    rule(Kind::Network, "code codium cursor", "--install-extension"),
    rule(Kind::Network, "busybox toybox", "wget|nc|telnet|ftpget|ftpput|httpd|tftp"),
    rule(
        Kind::Publishes,
        "npm pnpm yarn bun cargo uv poetry gem twine vsce mvn gradle lerna nx",
        "publish|unpublish|deprecate|upload|deploy|release|push|yank",
    ),
    rule(
        Kind::Publishes,
        "terraform tofu kubectl helm pulumi serverless fly flyctl heroku vercel netlify cdk firebase wrangler sam eb gcloud aws az",
        "apply|deploy|up|install|upgrade|rollout|scale|--prod",
    ),
    rule(Kind::Publishes, "ansible-playbook", "!--check|--syntax-check|--list*"),
    rule(Kind::Publishes, "gh glab", "release|merge|create|edit|close|*delete|*post|*put|*patch"),
    rule(Kind::Publishes, "docker podman", "push|--push"),
    rule(Kind::Ends, "pkill killall killall5 skill xkill taskkill", ""),
    rule(Kind::Ends, "kill", "0|1|--"),
    rule(Kind::Ends, "kill", "*ppid"),
    rule(Kind::Ends, "docker podman docker-compose pm2 supervisorctl", "stop|kill|restart|delete"),
    rule(Kind::Ends, "tmux", "kill-server|kill-session"),
    rule(Kind::Ends, "fuser", "-k|--kill"),
    rule(Kind::Permits, "chmod chown chgrp setfacl", "-R|--recursive"),
    rule(Kind::Permits, "chmod", "u+s|g+s|+s|ug+s|a+s"),
    rule(Kind::Overwrites, "cp install rsync ln", "/dev/null|/dev/zero"),
    rule(Kind::Overwrites, "tree sort", "-o|--output"),
    rule(Kind::Overwrites, "find", "-fprint*|-fls"),
    rule(Kind::Code, "npx pnpx bunx uvx pipx", ""),
    rule(Kind::Code, "npm pnpm yarn bun", "exec|x|dlx|--script-shell|--node-options"),
    rule(
        Kind::Code,
        "tar bsdtar gtar",
        "--checkpoint-action|--to-command|--use-compress-program|-I|--info-script|--new-volume-script|-F|--rsh-command|--rmt-command",
    ),
    rule(Kind::Code, "vim vi nvim view ex gvim vimdiff", "-c|+*|--cmd|-S|-s|-es*"),
    rule(Kind::Code, "emacs", "--eval|-eval|--execute|--funcall|-f|--load|-l|--script|--batch"),
    rule(Kind::Code, "sqlite3", "*.shell|*.system|*.load|*.once|*.output"),
    rule(Kind::Code, "psql", "*\\!|*from~program|*to~program"),
    rule(Kind::Code, "mysql", "*system~|*\\!"),
    rule(Kind::Code, "mongo mongosh gnuplot", "--eval|-e"),
    rule(Kind::Code, "dc", "*!"),
    rule(Kind::Code, "m4", ""),
    rule(Kind::Code, "gdb lldb", "-ex|-x|-o|-s|--eval-command|-eval-command|--command"),
    rule(Kind::Code, "expect", "-c*"),
    rule(Kind::Code, "sort", "--compress-program"),
    rule(Kind::Code, "rg", "--pre"),
    rule(Kind::Code, "split", "--filter"),
    rule(Kind::Code, "zip", "-TT|--unzip-command"),
    rule(Kind::Code, "rsync", "-e|--rsh|--rsync-path"),
    rule(Kind::Code, "ssh scp sftp rsync", "*proxycommand|*localcommand|*knownhostscommand|*match~exec"),
    rule(Kind::Code, "scp sftp", "-S|-D"),
    rule(Kind::Code, "man", "-P*|-H*|--pager|--html"),
    rule(Kind::Code, "less more", "+*"),
    rule(Kind::Code, "cc gcc g++ clang clang++", "-wrapper|-fplugin*|-B*|-specs*"),
    rule(Kind::Code, "go", "-exec*|-toolexec*|-vettool*|--exec*|--toolexec*|--vettool*"),
    rule(Kind::Code, "go", "run *@"),
    rule(Kind::Code, "cargo", "--config"),
    rule(Kind::Code, "pytest", "-p"),
    rule(Kind::Code, "make gmake", "SHELL=*|.SHELLFLAGS=*|--eval"),
    rule(Kind::Code, "rails", "runner|r"),
    rule(Kind::Code, "php", "tinker"),
    rule(Kind::Code, "python", "manage.py shell"),
    rule(Kind::Code, "mapfile readarray", "-C*"),
    rule(Kind::Code, "compgen complete", "-C*|-F*|-W*"),
    rule(Kind::Code, "cmd wsl reg jshell", ""),
    rule(Kind::ByItself, "crontab", "^-l"),
    rule(Kind::ByItself, "at batch chsh update-rc.d launchctl", "^list|-l"),
    rule(Kind::ByItself, "systemctl", "enable|daemon-reload|link"),
    rule(Kind::ByItself, "loginctl", "enable-linger"),
    rule(Kind::ByItself, "alias", "*="),
    rule(Kind::ByItself, "trap", "^-|-l|-p"),
    rule(Kind::ByItself, "hash", "-p*"),
    rule(Kind::ByItself, "enable", "-f*"),
    rule(Kind::ByItself, "bind", "-x*"),
    rule(Kind::ByItself, "complete", "-C*"),
    rule(Kind::ByItself, "npm pnpm yarn", "pkg set|delete *script"),
    rule(Kind::ByItself, "npm", "set-script"),
    rule(Kind::ByItself, "npm pnpm yarn pip poetry conda", "config|c set|edit|delete|--set"),
    rule(Kind::ByItself, "yarn", "config"),
    rule(Kind::ByItself, "go", "env -w"),
    rule(Kind::ByItself, "direnv", "allow|permit"),
    rule(Kind::ByItself, "pre-commit lefthook husky", "install|init|add"),
    rule(Kind::WritesOutside, "tar bsdtar", "--absolute-names|-P"),
    rule(Kind::WritesOutside, "unzip", "-:*"),
    rule(Kind::WritesOutside, "make ninja meson", "install|uninstall !*prefix=|*destdir"),
    rule(Kind::WritesOutside, "cmake", "--install !--prefix"),
    rule(Kind::WritesOutside, "python", "setup.py install|develop"),
];

/// What verbs of git are dangerous: the kind, the verbs, and what must follow them.
pub(super) const GIT: &[Rule] = &[
    rule(Kind::Deletes, "clean filter-branch filter-repo prune", ""),
    rule(Kind::Deletes, "reset", "--hard|--merge"),
    rule(Kind::Deletes, "checkout switch", "-f|--force|--discard-changes|-B|-C|--force-create"),
    rule(Kind::Deletes, "checkout", "--ours|--theirs|--patch|-p|--pathspec-from-file"),
    rule(Kind::Deletes, "checkout-index", "-f|--force"),
    rule(Kind::Deletes, "submodule", "deinit"),
    rule(Kind::Deletes, "stash", "drop|clear"),
    rule(Kind::Deletes, "branch", "-D|-d|--delete|-f|--force|-M|-C"),
    rule(Kind::Deletes, "tag", "-d|--delete|-f|--force"),
    rule(Kind::Deletes, "notes", "remove|prune"),
    rule(Kind::Deletes, "replace", "-d|--delete"),
    rule(Kind::Deletes, "worktree", "remove"),
    rule(Kind::Deletes, "reflog", "expire|delete|drop"),
    rule(Kind::Deletes, "read-tree", "-u|--reset"),
    rule(Kind::Deletes, "update-ref", ""),
    rule(Kind::Deletes, "gc", "--prune*"),
    rule(Kind::Deletes, "remote", "remove|rm"),
    rule(Kind::Network, "push fetch pull clone ls-remote lfs send-email svn send-pack fetch-pack", ""),
    rule(Kind::Network, "submodule", "add|update|init|sync|foreach"),
    rule(Kind::Network, "remote", "update|prune|show"),
    rule(Kind::Network, "archive", "--remote"),
    rule(Kind::ByItself, "maintenance", "start|register"),
    rule(Kind::ByItself, "lfs", "install"),
    rule(Kind::Evades, "push merge rebase am pull", "--no-verify"),
    rule(
        Kind::Evades,
        "update-index",
        "--assume-unchanged|--no-assume-unchanged|--skip-worktree|--no-skip-worktree",
    ),
    rule(Kind::Code, "rebase", "-x*|--exec"),
    rule(Kind::Code, "difftool mergetool", "-x*|--extcmd"),
    rule(Kind::Code, "fetch pull clone ls-remote", "--upload-pack|*ext::"),
    rule(Kind::Code, "push send-pack", "--receive-pack|--exec|*ext::"),
    rule(Kind::Code, "clone", "-c|--config|--template"),
    rule(Kind::Code, "init", "--template"),
    rule(Kind::Code, "grep", "-O*|--open-files-in-pager"),
    rule(Kind::Code, "diff log show", "--ext-diff|--textconv"),
];
/// Options of git's verbs whose values are commands.
pub(super) const GIT_COMMANDS: &[&str] = &["-x", "--exec", "--extcmd", "--upload-pack", "--receive-pack"];
/// Verbs of git that write to a path that they are given.
pub(super) const GIT_TARGETS: &str = "mv clone init worktree archive bundle submodule checkout restore rm";

/// Shells.
pub(super) const SHELLS: &str = "sh bash zsh dash ksh mksh fish ash csh tcsh rbash busybox busybox.static";

/// GNU's programs that other systems call by a `g` before their names.
pub(super) const GNU: &str = "rm rmdir unlink cp mv ln dd find xargs sed awk env timeout nice nohup stdbuf shred truncate install chmod \
    chown chgrp tee split csplit sort tar touch mkdir mkfifo kill make";

/// Programs that read commands for a database, from words or as what they are fed with.
pub(super) const DATABASES: &str = "mysql mariadb psql sqlite3 mongo mongosh cockroach clickhouse-client";

/// What brings in what others wrote.
pub(super) const DOWNLOADS: &str = "curl curlie wget wget2 aria2c axel http https xh fetch lwp-request lynx w3m ftp lftp sftp tftp scp rsync \
    nc ncat netcat nc.traditional nc.openbsd socat ssh gh glab rclone aws gsutil svn";
/// What takes an archive apart, and so brings in files whose names are not in the command.
pub(super) const UNPACKS: &str = "tar bsdtar unzip 7z cpio";
/// What runs files of the folder in which it stands: what, and which.
pub(super) const RUNS_FILES: &[(&str, &str)] = &[
    ("make gmake", "Makefile makefile GNUmakefile"),
    ("npm pnpm yarn bun", "package.json"),
    ("cargo", "build.rs"),
    ("just", "justfile Justfile .justfile"),
    ("ninja cmake meson", "CMakeLists.txt build.ninja meson.build"),
    ("pytest", "conftest.py"),
];

/// Programs whose words, behind their own options, are another program and its words.
pub(super) const WRAPPERS: &str = "env command builtin exec nohup nice ionice chrt taskset time timeout stdbuf setsid setarch unshare \
    nsenter chroot flock strace ltrace watch xargs parallel sudo doas su pkexec run0 runuser busybox busybox.static toybox find fd fdfind \
    script entr systemd-run firejail bwrap proxychains torsocks caffeinate docker podman kubectl ssh nsjail faketime chpst softlimit uv \
    poetry pipenv bundle npx mise direnv git-annex sem rlwrap unbuffer prlimit numactl dbus-run-session xvfb-run eatmydata fakeroot sg \
    newgrp coproc setpriv conda mamba micromamba pixi hatch rye pdm devbox nix nix-shell rbenv pyenv nvm volta dotenv cross-env \
    chronic ifne mispipe run-one cpulimit valgrind perf rr gdb lldb hyperfine watchexec nodemon tini dumb-init start-stop-daemon \
    systemd-inhibit gosu su-exec setuidgid proot linux32 linux64 i386 x86_64 wine ccache sccache distcc bunx pnpx yarn pnpm bun spawn \
    shell .shell .system screen tmux ssh-agent logsave xinit daemonize jobs noglob nocorrect repeat cmd wsl";

/// Wrappers behind whose options the first word is the program.
pub(super) const PREFIXES: &str = "env command builtin exec nohup nice ionice chrt taskset time timeout stdbuf setsid setarch \
    strace ltrace sudo doas setpriv prlimit numactl eatmydata fakeroot xvfb-run linux32 linux64 gosu su-exec ccache unbuffer";

/// Programs that run words as commands of a shell.
pub(super) const TAKES_COMMANDS: &str = "eval trap su ssh watch script parallel sem flock xargs env sudo doas tmux screen at batch crontab make nix-shell sg runuser find entr expect setsid docker podman kubectl mispipe";

/// Programs whose words are only text to them.
pub(super) const TAKES_TEXT: &str = "echo printf grep egrep fgrep rg sed awk jq gh cat test";

/// Programs that only read the files that they are given.
pub(super) const READS: &str = "cat head tail grep egrep fgrep rg wc ls stat file echo printf basename dirname du md5sum sha1sum \
    sha256sum cut diff cmp test readlink realpath nl tac strings od hexdump true false jq pwd cd which";

/// What `[`, `let` and the like read once more as the place in an array may hold commands.
pub(super) const EVALUATES: &str = "test [ [[ printf read unset let declare typeset local export readonly mapfile readarray wait getopts compgen";

/// Programs that set the variables that they are given.
pub(super) const SETS: &str = "export declare typeset readonly local env sudo doas";

/// Programs that may write to any file that they are given.
pub(super) const WRITES: &str = "tee touch mkdir rmdir rm unlink shred chmod chown chgrp truncate fallocate tar unzip gunzip gzip curl \
    wget dd mv patch sponge ex ed vi vim nvim nano emacs micro hx code mktemp mkfifo sed perl make cmake ditto setfacl chattr split csplit zip \
    7z ssh-keygen openssl ffmpeg convert magick objcopy sqlite3";
/// Programs that write to the last file that they are given.
pub(super) const WRITES_LAST: &str = "cp install ln rsync scp cpio";
/// Programs that write to the second file that they are given.
pub(super) const WRITES_SECOND: &str = "xxd uniq";
/// Options whose value is written to, whoever has them.
pub(super) const OUTPUTS: &str = "-o --output --output-file --outfile --out --out-dir --outdir --output-dir --target-dir --dest --destination";

/// Options that say in which folder to work, or which to hand on.
pub(super) const FOLDERS: &[(&str, &str)] = &[
    ("env", "-C --chdir"),
    ("sudo doas", "-D --chdir"),
    ("make gmake tar", "-C --directory"),
    ("npm", "--prefix -C"),
    ("pnpm", "-C --dir"),
    ("yarn bun", "--cwd"),
    ("cargo", "-C --manifest-path new init"),
    ("go", "-C"),
    ("docker podman nerdctl", "-v --volume --mount"),
];

/// Whether a word stands in a list.
pub(super) fn lists(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}
