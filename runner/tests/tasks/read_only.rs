//! What runs without a question is held to reading by the kernel: judged from outside, by what is there afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shared::ProblemCode;
use shared::protocol::{Sandbox, Start};
use shared::task::TaskState;

use crate::common::{PROGRAM, Runner, gone, op, start};

/// Attacks, and what only reads, one a line; `#` begins a remark.
const CORPUS: &str = include_str!("read_only.txt");
const SECRET: &str = "mw-planted-secret-5417";

fn read_only(command: &str) -> Start {
    Start { sandbox: Some(Sandbox::ReadOnly), timeout_ms: Some(20_000), ..start(command) }
}

/// All that can be told of files from outside, but when they were last read.
fn picture(folders: &[&Path]) -> BTreeMap<PathBuf, String> {
    let mut picture = BTreeMap::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(path) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let content = if metadata.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let facts =
            (metadata.mode(), metadata.uid(), metadata.mtime_nsec(), metadata.ctime_nsec(), metadata.nlink());
        picture.insert(path, format!("{facts:?} {content:?}"));
    }
    picture
}

struct Scene {
    runner: Runner,
    outside: tempfile::TempDir,
    victim: Child,
    listener: TcpListener,
}

impl Scene {
    async fn new() -> Self {
        let runner = Runner::new().await;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), SECRET).unwrap();
        let work = runner.workspace();
        for (name, text) in [
            ("a.txt", "one\ntwo\nthree\n"),
            ("b.csv", "2,b\n1,a\n"),
            ("x.json", "{\"a\": [1, 2]}\n"),
            ("--pre=sh", ""),
            ("list", "/etc/shadow\n"),
            ("script.sh", "#!/bin/sh\ntouch PWNED\n"),
            ("0/ls", "#!/bin/sh\ntouch PWNED\n"),
        ] {
            fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
            fs::write(work.join(name), text).unwrap();
        }
        for program in ["script.sh", "0/ls"] {
            fs::set_permissions(work.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink("/", work.join("root")).unwrap();
        symlink(outside.path(), work.join("out")).unwrap();
        symlink(outside.path().join("secret"), work.join("link")).unwrap();
        let repository = "git init -q . && git config user.email a@b && git config user.name a && git add a.txt b.csv && \
            git commit -qm one && echo four >> a.txt && printf '*.txt diff=x\\n*.csv filter=x\\n' > .gitattributes && \
            git config core.fsmonitor 'touch PWNED; false' && git config diff.x.textconv 'touch PWNED; cat' && \
            git config diff.external 'touch PWNED; true' && git config core.pager 'touch PWNED; cat' && \
            git config filter.x.clean 'touch PWNED; cat' && git config alias.pwn '!touch PWNED' && \
            git config core.hooksPath hooks && mkdir hooks docs docs/objects docs/refs && \
            printf 'ref: refs/heads/main\\n' > docs/HEAD && touch docs/objects/x docs/refs/x && \
            printf '[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = \"touch PWNED; false\"\\n' > docs/config";
        let made = Command::new("sh")
            .args(["-c", repository])
            .current_dir(work)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let victim =
            Command::new("sleep").arg("600").env("PLANTED", SECRET).stdin(Stdio::null()).spawn().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { runner, outside, victim, listener }
    }

    /// Puts in the places that only this run knows.
    fn filled(&self, line: &str) -> String {
        line.replace("@OUT@", &self.outside.path().to_string_lossy())
            .replace("@PID@", &self.victim.id().to_string())
            .replace("@RUNNER@", &std::process::id().to_string())
            .replace("@PORT@", &self.listener.local_addr().unwrap().port().to_string())
            .replace("@STATE@", &self.runner.workspace().with_file_name("state").to_string_lossy())
            .replace("\\n", "\n")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may be gone, which the test says.
        let _gone = self.victim.kill();
        let _reaped = self.victim.wait();
    }
}

/// In a process of its own, with secrets in its environment and its home folder; and as an ordinary user, too, if this one is
/// none, for much that a sandbox leaves open is denied to one or the other.
#[test]
fn nothing_that_runs_unasked_writes_reaches_out_or_reads_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    for name in [
        ".ssh/id_ed25519",
        ".bash_history",
        ".git-credentials",
        ".netrc",
        ".cargo/credentials.toml",
        ".config/meanwhile/config.toml",
        ".aws/credentials",
        ".npmrc",
        ".profile",
        "notes.txt",
    ] {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, SECRET).unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_meanwhile"));
    let mut users = vec![Command::new(&own)];
    users[0].env(PROGRAM, program);
    if rustix::process::geteuid().is_root() {
        // What it runs may lie where another user cannot look.
        let copies = [&*own, program].map(|file| {
            let copy = folder.path().join(file.file_name().unwrap());
            fs::copy(file, &copy).unwrap();
            copy
        });
        let user = 1_000_000 + std::process::id();
        for path in [folder.path(), &home] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
        let user = user.to_string();
        let mut ordinary = Command::new("setpriv");
        ordinary.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&copies[0]);
        ordinary.env(PROGRAM, &copies[1]);
        users.push(ordinary);
    }
    for mut user in users {
        let temporary = folder.path().join(format!("tmp{}", user.get_args().count()));
        fs::create_dir(&temporary).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o777)).unwrap();
        user.args(["--exact", "--ignored", "--nocapture", "read_only::the_corpus"])
            .env("HOME", &home)
            .env("TMPDIR", &temporary)
            .envs(["PLANTED", "ANTHROPIC_API_KEY", "GITHUB_TOKEN"].map(|name| (name, SECRET)));
        let output = user.current_dir(folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains("1 passed"),
            "{user:?}: {told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as a process of another test"]
async fn the_corpus() {
    let scene = Scene::new().await;
    assert!(
        scene.runner.tasks.sandboxes().contains(&Sandbox::ReadOnly),
        "this system cannot hold a command to reading; see the runner's log"
    );
    let work = scene.runner.workspace().to_path_buf();
    let watched = [work.as_path(), scene.outside.path()];
    let before = picture(&watched);
    let lines: Vec<&str> =
        CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    assert!(lines.len() >= 200, "{}", lines.len());
    for line in lines {
        let command = scene.filled(line);
        let (_, output) = scene.runner.finish(read_only(&command)).await;
        let told = format!("{}{}", output.head, output.tail);
        assert!(!told.contains(SECRET), "{command}: {told}");
        assert!(!told.contains("root:$") && !told.contains("root:*:"), "{command}: {told}");
        let after = picture(&watched);
        if after != before {
            let changed: Vec<_> = after
                .keys()
                .chain(before.keys())
                .filter(|path| after.get(*path) != before.get(*path))
                .collect();
            panic!("{command} changed {changed:?}: {told}");
        }
        assert!(!gone(scene.victim.id()), "{command} ended a process");
        assert!(scene.listener.accept().is_err(), "{command} made a connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_reads_works_as_it_does_without() {
    let scene = Scene::new().await;
    // Git runs filters to know what changed, and this one complains that it may not write.
    let mut unset = Command::new("git");
    unset.args(["config", "--unset", "filter.x.clean"]).current_dir(scene.runner.workspace());
    assert!(unset.status().unwrap().success());
    for (command, expected) in [
        ("cat a.txt | wc -l", "4"),
        ("sed -n 1,2p a.txt", "one\ntwo"),
        ("ls -d a.txt b.csv 2>/dev/null", "a.txt\nb.csv"),
        ("grep -c o a.txt; sort b.csv | head -n 1", "3\n1,a"),
        ("git log --format=%s", "one"),
        ("git --no-pager grep -n two", "a.txt:2:two"),
        ("git status --short -uno", " M a.txt"),
        ("find . -maxdepth 1 -name '*.csv'", "./b.csv"),
        ("true && echo done > /dev/null; echo ok", "ok"),
        ("sleep 0.1 & wait; printf '%s' bg", "bg"),
        ("cd docs && pwd | grep -o docs$", "docs"),
        ("date +%s | grep -c .; nproc | grep -c .; uname -s", "1\n1\nLinux"),
        ("( kill -PIPE $BASHPID ); echo $?", "141"),
        ("echo \"$MEANWHILE_SANDBOX$ANTHROPIC_API_KEY\"", ""),
    ] {
        let (task, output) = scene.runner.finish(read_only(command)).await;
        assert_eq!(output.head.trim_end(), expected, "{command}: {:?}", task.state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_command_is_stopped_and_ends_like_any_other() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(read_only("exit 7")).await;
    assert_eq!(task.state, TaskState::Failed { code: 7 });
    let (task, _) = runner.finish(read_only("kill -9 $$")).await;
    assert_eq!(task.state, TaskState::Killed { signal: "SIGKILL".into() });
    let task = runner.start(read_only("setsid sleep 300 & sleep 300")).await;
    let stopped = runner.tasks.stop(&task.id, shared::task::Party::User, true).await.unwrap();
    assert!(matches!(stopped.state, TaskState::Stopped { .. }), "{stopped:?}");
    let (task, output) = runner.finish(read_only("echo x > a || echo refused")).await;
    assert_eq!(task.state, TaskState::Completed);
    assert!(output.head.ends_with("refused\n"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_held_is_not_started() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let whole = folder.path().to_path_buf();
    let runner = Runner::at(folder, |config| config.workspace = whole).await;
    assert_eq!(runner.tasks.sandboxes(), [], "the state lies in the workspace");
    let refused = runner.tasks.start(runner.session, op(), read_only("ls")).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::SandboxUnavailable);
    assert!(refused.message.contains("state"), "{refused}");
    tokio::time::timeout(Duration::from_secs(5), runner.finish(start("true"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_a_repository_opens_nothing() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), SECRET).unwrap();
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let root = folder.path().canonicalize().unwrap();
    let work = root.join("above/workspace");
    fs::create_dir_all(&work).unwrap();
    let of = work.clone();
    let runner = Runner::at(folder, |config| config.workspace = of).await;
    let by_itself = format!("cat {}/secret", outside.path().display());
    for git in [work.join(".git"), root.join("above/.git")] {
        let git = git.as_path();
        let look = format!("ls {0}/; cat {0}/secret; {by_itself}", git.display());
        for kind in ["a link that was there", "a link in the place of a repository", "a repository"] {
            let made = match kind {
                "a repository" | "a link in the place of a repository" => {
                    let init = Command::new("git").arg("init").arg("-q").arg(git.parent().unwrap()).status();
                    assert!(init.unwrap().success());
                    let (_, told) = runner.finish(read_only(&format!("cat {}/HEAD", git.display()))).await;
                    assert!(told.head.starts_with("ref: "), "{kind} {}: {told:?}", git.display());
                    kind == "a link in the place of a repository"
                }
                _ => true,
            };
            if made {
                // It may not be there yet.
                let _none = fs::remove_dir_all(git);
                symlink(outside.path(), git).unwrap();
            }
            let (_, told) = runner.finish(read_only(&look)).await;
            assert!(!format!("{told:?}").contains(SECRET), "{kind} {}: {told:?}", git.display());
            if made {
                fs::remove_file(git).unwrap();
            } else {
                fs::remove_dir_all(git).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_again_is_held_as_before() {
    let runner = Runner::new().await;
    let first = runner.start(read_only("touch made; cat made")).await;
    assert_eq!(first.sandbox, Some(Sandbox::ReadOnly));
    let again = Start { again_of: Some(first.id.clone()), ..start("") };
    let (again, _) = runner.finish(again).await;
    assert_eq!((again.sandbox, again.again_of), (Some(Sandbox::ReadOnly), Some(first.id)));
    assert!(matches!(again.state, TaskState::Failed { .. }) && !runner.workspace().join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_what_a_command_is_held_to_as_well() {
    let runner = Runner::new().await;
    for (first, second) in [(Some(Sandbox::ReadOnly), None), (None, Some(Sandbox::ReadOnly))] {
        let op = op();
        let held = |sandbox| Start { sandbox, ..start("true") };
        runner.tasks.start(runner.session, op, held(first)).await.unwrap();
        runner.tasks.start(runner.session, op, held(first)).await.unwrap();
        let refused = runner.tasks.start(runner.session, op, held(second)).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::IdReused);
    }
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn what_tells_of_files_beside_reading_them_is_closed() {
    let runner = Runner::new().await;
    // `getxattr`, `listxattr`, `inotify_init`, `inotify_init1`, `fanotify_init`.
    for call in [
        "191, my $p = \"/etc/passwd\", my $n = \"user.a\", my $b = \"\", 0",
        "194, my $p = \"/etc/passwd\", my $b = \"\", 0",
        "253",
        "294, 0",
        "300, 0, 0",
    ] {
        let (task, told) =
            runner.finish(read_only(&format!("perl -e 'print syscall({call}), \" \", $! + 0'"))).await;
        assert_eq!(told.head, format!("-1 {}", rustix::io::Errno::NOSYS.raw_os_error()), "{call}: {task:?}");
    }
}
