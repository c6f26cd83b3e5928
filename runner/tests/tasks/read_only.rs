//! What is held to reading works as it does without, and is as closed as it is said to be.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use shared::ProblemCode;
use shared::protocol::{Sandbox, Start};
use shared::task::TaskState;

use crate::common::{Runner, left_out, op, start};
use crate::corpus::{SECRET, Scene, read_only};

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

/// Whether a program is installed; if not, that is told.
fn installed(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap().status.success();
    if !found {
        left_out(&format!("{program} is not installed"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_what_only_reads() {
    let runner = Runner::new().await;
    let (_, told) = runner.finish(read_only("ulimit -Hf; ulimit -Hc; ulimit -Ht; ulimit -Hu")).await;
    let limits: Vec<_> = told.head.lines().collect();
    assert_eq!(limits[..3], ["0", "0", "600"], "{told:?}");
    let processes: u64 = limits[3].parse().expect("it is bounded");
    assert!((512..100_000).contains(&processes), "{processes}");
    let (_, told) = runner.finish(read_only("ulimit -f 1 2>&1 || ulimit -t 601 2>&1 || echo refused")).await;
    assert!(told.head.ends_with("refused\n"), "no limit is raised again: {told:?}");
}

/// A call that is not on the list is not there at all, whatever its arguments: these would do no harm if it
/// were.
#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_other_processes_the_kernel_or_the_network_is_no_call() {
    if !installed("perl") {
        return;
    }
    let runner = Runner::new().await;
    let missing = libc::ENOSYS;
    let mut calls: Vec<(&str, String)> = [
        ("io_uring_setup", "425, 0, 0"),
        ("io_uring_enter", "426, -1, 0, 0, 0, 0"),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0"),
        ("process_vm_writev", "311, 1, 0, 0, 0, 0, 0"),
        ("ptrace", "101, 16, 2147483647, 0, 0"),
        ("bpf", "321, 0, 0, 0"),
        ("keyctl", "250, 0, -3, 0, 0, 0"),
        ("add_key", "248, 0, 0, 0, 0, 0"),
        ("request_key", "249, 0, 0, 0, 0"),
        ("mount", "165, 0, 0, 0, 0, 0"),
        ("umount2", "166, 0, 0"),
        ("pivot_root", "155, 0, 0"),
        ("chroot", "161, 0"),
        ("unshare", "272, 0"),
        ("setns", "308, -1, 0"),
        ("clone3", "435, 0, 0"),
        ("pidfd_open", "434, 1, 0"),
        ("pidfd_getfd", "438, -1, 0, 0"),
        ("pidfd_send_signal", "424, -1, 0, 0, 0"),
        ("perf_event_open", "298, 0, 0, 0, -1, 0"),
        ("userfaultfd", "323, 0"),
        ("open_by_handle_at", "304, -1, 0, 0"),
        ("name_to_handle_at", "303, -1, 0, 0, 0, 0"),
        ("connect", "42, -1, 0, 0"),
        ("bind", "49, -1, 0, 0"),
        ("listen", "50, -1, 0"),
        ("accept", "43, -1, 0, 0"),
        ("sendmsg", "46, -1, 0, 0"),
        ("sendmmsg", "307, -1, 0, 0, 0"),
        ("setpriority", "141, 0, 0, 0"),
        ("sched_setaffinity", "203, 1, 0, 0"),
        ("sched_setscheduler", "144, 1, 0, 0"),
        ("ioprio_set", "251, 1, 1, 0"),
        ("prlimit64 of another", "302, 1, 7, 0, 0"),
        ("chmod", "90, 0, 0"),
        ("fchmodat", "268, -1, 0, 0"),
        ("chown", "92, 0, -1, -1"),
        ("utimensat", "280, -1, 0, 0, 0"),
        ("setxattr", "188, 0, 0, 0, 0, 0"),
        ("setuid", "105, -1"),
        ("setgroups", "116, -1, 0"),
        ("personality", "135, 4294967295"),
        ("modify_ldt", "154, 0, 0, 0"),
        ("shmget", "29, 0, 0, 0"),
        ("msgget", "68, 0, 0"),
        ("semget", "64, 0, 0, 0"),
        ("mq_open", "240, 0, 0, 0, 0"),
        ("landlock_restrict_self", "446, -1, 0"),
        ("seccomp", "317, 9, 0, 0"),
        ("a call that there is not yet", "2000"),
        ("getpid of x32", "1073741863"),
        ("write of x32", "1073741825, 1, 0, 0"),
        ("ptrace of x32", "1073742345, 16, 2147483647, 0, 0"),
    ]
    .map(|(name, call)| (name, call.to_owned()))
    .to_vec();
    // Families: local, IPv4, IPv6, netlink, packet, Bluetooth, of virtual machines; kinds: stream, datagram,
    // raw, in packets.
    for family in [1, 2, 10, 16, 17, 31, 40] {
        for kind in [1, 2, 3, 5] {
            calls.push(("socket", format!("41, {family}, {kind}, 0")));
        }
    }
    for (family, kind) in [(1, 2), (1, 5), (1, 3), (2, 1), (2, 2), (10, 1)] {
        calls.push(("socketpair", format!("53, {family}, {kind}, 0, my $b = \"\\0\" x 8")));
    }
    let print = |(_, call): &(&str, String)| format!("print syscall({call}), \" \", $! + 0, \"\\n\";");
    let script = calls.iter().map(print).collect::<Vec<_>>().concat();
    let (task, told) =
        runner.finish(Start { preview_chars: 50_000, ..read_only(&format!("perl -e '{script}'")) }).await;
    assert_eq!(task.state, TaskState::Completed, "{told:?}");
    let answers: Vec<_> = told.head.lines().collect();
    assert_eq!(answers.len(), calls.len(), "{told:?}");
    for ((name, call), answer) in calls.iter().zip(answers) {
        assert_eq!(answer, format!("-1 {missing}"), "{name}: {call}");
    }
    let pair = "perl -e 'my $b = \"\\0\" x 8; print syscall(53, 1, 1, 0, $b)'";
    assert_eq!(runner.finish(read_only(pair)).await.1.head, "0", "a pair of pipes is nothing but that");
}

/// As the same user, who may do all of it to its own processes otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn another_process_of_the_user_is_not_signalled() {
    let scene = Scene::new().await;
    let (victim, pid) = (scene.victim(), scene.victim.id());
    for signal in ["0", "STOP", "CONT", "USR1", "TERM", "KILL"] {
        let command = format!(
            "kill -s {signal} {pid} 2>/dev/null && echo sent; kill -s {signal} $PPID 2>/dev/null && echo sent"
        );
        let (task, told) = scene.runner.finish(read_only(&command)).await;
        assert_eq!((told.head.as_str(), scene.victim()), ("", victim.clone()), "{signal}: {:?}", task.state);
    }
    let (_, told) =
        scene.runner.finish(read_only("sleep 60 & kill -s STOP $! && kill -s KILL $! && echo its own")).await;
    assert_eq!(told.head, "its own\n");
    let (_, told) = scene.runner.finish(start(&format!("kill -s STOP {pid} && echo sent"))).await;
    assert_eq!(told.head, "sent\n", "it is the sandbox that refuses");
    assert!(scene.victim().starts_with('T'), "{}", scene.victim());
}

/// What people expect to work at once does.
#[tokio::test(flavor = "multi_thread")]
async fn programs_that_read_work() {
    let scene = Scene::new().await;
    let work = scene.runner.workspace();
    let mut unset = Command::new("git");
    unset.args(["config", "--unset", "filter.x.clean"]).current_dir(work);
    assert!(unset.status().unwrap().success());
    // It names a program of the workspace for some files, which git runs, and which may not do what it does.
    fs::remove_file(work.join(".gitattributes")).unwrap();
    let package = "[package]\nname = \"held\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    for (name, text) in [("p/Cargo.toml", package), ("p/src/lib.rs", "//! Nothing.\n")] {
        fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
        fs::write(work.join(name), text).unwrap();
    }
    if installed("cargo") {
        let mut lock = Command::new("cargo");
        lock.args(["generate-lockfile", "--offline", "--quiet"]).current_dir(work.join("p"));
        assert!(lock.status().unwrap().success());
    } else {
        fs::write(work.join("p/Cargo.lock"), "").unwrap();
    }
    let mut wrong = Vec::new();
    for (program, command, expected) in [
        ("rg", "rg -n two a.txt", "2:two"),
        ("rg", "rg -l one . | sort", "./a.txt"),
        ("rg", "rg --files p | sort", "p/Cargo.lock\np/Cargo.toml\np/src/lib.rs"),
        ("jq", "jq -c .a x.json", "[1,2]"),
        ("jq", "jq '.a | add' < x.json", "3"),
        ("awk", "awk -F, '{ print $2 }' b.csv | sort", "a\nb"),
        ("awk", "awk '/two/ { print NR }' a.txt", "2"),
        ("cargo", "cd p && cargo tree --offline | cut -d' ' -f1,2", "held v0.1.0"),
        (
            "cargo",
            "cd p && cargo metadata --offline --no-deps --format-version 1 | grep -c '\"name\":\"held\"'",
            "1",
        ),
        ("git", "git log --stat --format=%s | grep -c '|'", "2"),
        ("git", "git log --stat", ""),
        ("git", "git diff --stat | tail -n 1", " 1 file changed, 1 insertion(+)"),
        ("git", "git show --format=%s --name-only", "one\n\na.txt\nb.csv"),
        ("git", "git blame -s a.txt | grep -c one", "1"),
        ("find", "find . -name '*.rs' -newer Cargo.none 2>/dev/null; find p -type f | wc -l", "3"),
        ("find", "find . -maxdepth 2 -name '*.toml'", "./p/Cargo.toml"),
        ("tree", "tree --noreport p/src", "p/src\n\u{2514}\u{2500}\u{2500} lib.rs"),
        ("wc", "wc -l a.txt b.csv | tail -n 1", " 6 total"),
        ("perl", "perl -ne 'print if /two/' a.txt", "two"),
        ("python3", "python3 -c 'print(open(\"x.json\").read().count(\"1\"))'", "1"),
        ("sort", "sort -t, -k2 b.csv | head -n 1", "1,a"),
        ("diff", "diff a.txt b.csv | wc -l | grep -c .", "1"),
        ("file", "file -b a.txt", "ASCII text"),
        ("stat", "stat -c %s x.json", "14"),
    ] {
        if !installed(program) {
            continue;
        }
        let (task, output) = scene.runner.finish(read_only(command)).await;
        let told = output.head.trim_end();
        let works =
            if expected.is_empty() { told.contains("2 files changed") } else { told == expected.trim_end() };
        if task.state != TaskState::Completed || !works {
            wrong.push(format!("{command}: {:?} {output:?}", task.state));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
