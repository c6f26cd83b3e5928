//! The corpus: each line of what runs without a question, held to reading by the kernel and judged from
//! outside, by what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shared::ProblemCode;
use shared::protocol::{Sandbox, Start};
use shared::task::TaskState;

use crate::common::{PROGRAM, Runner, is_dead, op, start};

/// Attacks, and what only reads, one a line; `#` begins a remark.
const CORPUS: &str = include_str!("read_only.txt");
/// What the page's policy lets pass, a line each behind `read: `.
const PASSED: &str = include_str!("../../../frontend/agent/src/policy/verdicts.txt");
pub(crate) const SECRET: &str = "mw-planted-secret-5417";

fn corpus() -> Vec<&'static str> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let passed = PASSED.lines().filter_map(|line| line.strip_prefix("read: "));
    let all: Vec<&str> = lines.chain(passed).collect();
    assert!(all.len() >= 400, "{}", all.len());
    all
}

pub(crate) fn read_only(command: &str) -> Start {
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

/// What else lies where everybody may write, and is this user's or has a name that the corpus gives.
fn litter() -> BTreeSet<PathBuf> {
    let own = rustix::process::geteuid();
    let entries = ["/tmp", "/var/tmp", "/dev/shm"].iter().filter_map(|folder| fs::read_dir(folder).ok());
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mine = !own.is_root() && path.symlink_metadata().is_ok_and(|file| file.uid() == own.as_raw());
        mine || name.contains("PWNED") || name.ends_with("-mw")
    };
    entries.flatten().map(|entry| entry.unwrap().path()).filter(ours).collect()
}

pub(crate) struct Scene {
    pub(crate) runner: Runner,
    outside: tempfile::TempDir,
    pub(crate) victim: Child,
    listener: TcpListener,
    /// On the same port.
    datagrams: UdpSocket,
}

impl Scene {
    pub(crate) async fn new() -> Self {
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
        let (listener, datagrams) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // That port may be taken for datagrams.
            if let Ok(datagrams) = UdpSocket::bind(listener.local_addr().unwrap()) {
                break (listener, datagrams);
            }
        };
        listener.set_nonblocking(true).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        Self { runner, outside, victim, listener, datagrams }
    }

    /// All of the victim that another process may change: whether it runs, its priority, processors, limits.
    pub(crate) fn victim(&self) -> String {
        let of =
            |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.victim.id())).unwrap_or_default();
        let (stat, status) = (of("stat"), of("status"));
        // Behind the name, which may hold anything: the state first, then from the 14th word on priority and
        // niceness.
        let stat: Vec<_> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let state = if stat.first() == Some(&"R") { "S" } else { stat.first().copied().unwrap_or("gone") };
        let allowed: Vec<_> = status.lines().filter(|line| line.starts_with("Cpus_allowed:")).collect();
        let nice = stat.get(15..17).unwrap_or_default();
        format!("{state} {nice:?} {allowed:?} {} {}", of("limits"), of("oom_score_adj"))
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

/// In a process of its own, with secrets in its environment and its home folder; and as an ordinary user,
/// too, if this one is none, for much that a sandbox leaves open is denied to one or the other.
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
        user.args(["--exact", "--ignored", "--nocapture", "corpus::the_corpus"])
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
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let watched = [work.as_path(), scene.outside.path(), &home];
    let (before, litter_before, victim) = (picture(&watched), litter(), scene.victim());
    assert!(victim.starts_with('S') && victim.contains("Max open files"), "{victim}");
    assert!(before.keys().any(|path| path.ends_with("home/.netrc")), "{before:?}");
    for line in corpus() {
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
        assert_eq!(litter(), litter_before, "{command} left something");
        assert!(!is_dead(scene.victim.id()), "{command} ended a process");
        assert_eq!(scene.victim(), victim, "{command} changed a process");
        assert!(scene.listener.accept().is_err(), "{command} made a connection");
        assert!(scene.datagrams.recv_from(&mut [0; 16]).is_err(), "{command} sent a datagram");
    }
}

/// This thread, and what it starts, finds these system calls missing; of `prctl` alone what would begin a
/// filter.
fn without(calls: &[i64]) {
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    let filters = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 22).unwrap();
    let rules = calls.iter().map(|call| match *call {
        libc::SYS_prctl => (*call, vec![SeccompRule::new(vec![filters.clone()]).unwrap()]),
        call => (call, Vec::new()),
    });
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules.collect(), SeccompAction::Allow, missing, architecture).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// As on a system that has no Landlock, or no filters of system calls: the page is told so, and asks (see the
/// agent's tests); and what is started all the same is refused.
#[test]
fn without_landlock_or_without_filters_nothing_is_held_and_nothing_runs() {
    let landlock = [libc::SYS_landlock_create_ruleset];
    for missing in [&landlock[..], &[libc::SYS_seccomp, libc::SYS_prctl]] {
        let calls = missing.to_vec();
        let system = std::thread::spawn(move || {
            without(&calls);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let scene = Scene::new().await;
                assert_eq!(scene.runner.tasks.sandboxes(), [], "{calls:?}");
                let (runner, before) = (&scene.runner, picture(&[scene.runner.workspace()]));
                for line in corpus() {
                    let command = scene.filled(line);
                    let refused =
                        runner.tasks.start(runner.session, op(), read_only(&command)).await.unwrap_err();
                    assert_eq!(refused.code, ProblemCode::SandboxUnavailable, "{command}");
                }
                assert_eq!(runner.tasks.list(), [], "nothing was begun");
                assert_eq!(picture(&[runner.workspace()]), before);
                let (task, output) = runner.finish(start("echo open")).await;
                assert_eq!((task.state, output.head.as_str()), (TaskState::Completed, "open\n"));
            });
        });
        system.join().unwrap();
    }
}
