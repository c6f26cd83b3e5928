//! `--confine`: where commands may write, and where not, by every way that writes.

use landlock::{AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Runner, Socket, left_out};

/// Whether this machine can confine at all.
fn able() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::WriteFile).and_then(Ruleset::create).is_ok()
}

async fn finish(socket: &mut Socket, command: &str) -> Value {
    let task = socket.start(command).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    ended["event"].clone()
}

/// One way to write a line, each to `$1`, which holds `old` and lies in a folder of its own.
const WAYS: [&str; 9] = [
    "echo new >> $1",
    ": > $1",
    "rm $1",
    "mv $1 $1.moved",
    "echo new > $1.fresh",
    "mkdir $1.folder",
    "ln -s x $1.link",
    "ln -sf $1 in-between && echo new >> in-between",
    "setsid sh -c '(echo new >> '$1') & wait'",
];

/// Whether anything of the folder is other than it was.
fn touched(folder: &std::path::Path) -> bool {
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names != ["file"] || std::fs::read_to_string(folder.join("file")).unwrap() != "old\n"
}

#[tokio::test]
async fn a_confined_command_writes_to_the_workspace_and_its_temporary_folder_alone() {
    if !able() {
        left_out("this kernel confines no command");
        return refuses_to_start().await;
    }
    for confined in [true, false] {
        let runner = Runner::start(if confined { &["--confine"] } else { &[] }).await;
        let credential = runner.pair().await;
        let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
        let temporary = runner.state().join("tmp");
        if confined {
            let work = runner.workspace().canonicalize().unwrap();
            assert_eq!(welcome["confined"]["writable"], json!([work, temporary]));
            assert!(welcome["confined"]["gaps"].is_array());
        } else {
            assert_eq!(welcome["confined"], Value::Null);
        }
        for (number, way) in WAYS.into_iter().enumerate() {
            let outside = runner.state().join(format!("outside{number}"));
            std::fs::create_dir(&outside).unwrap();
            std::fs::write(outside.join("file"), "old\n").unwrap();
            let command = format!("set -- {}/file; {way}", outside.display());
            let event = finish(&mut socket, &command).await;
            assert_eq!(touched(&outside), !confined, "{way}: {event}");
            if confined {
                let output = event["excerpt"]["head"].as_str().unwrap();
                assert!(output.contains("ermission denied"), "{way}: {output}");
            }
            let event = finish(
                &mut socket,
                &format!("mkdir in{number}; echo old > in{number}/file; set -- in{number}/file; {way}"),
            )
            .await;
            assert_eq!(event["task"]["state"]["status"], "completed", "{way}, inside: {event}");
            assert!(touched(&runner.workspace().join(format!("in{number}"))), "{way}, inside");
        }
        // What is read, thrown away or temporary works.
        let command =
            "cat /etc/passwd > /dev/null && mktemp && ls / && echo x > /dev/stderr && cat <(echo y)";
        let event = finish(&mut socket, command).await;
        assert_eq!(event["task"]["state"]["status"], "completed", "{event}");
        // What gains rights by being run, such as `sudo`, gains none; and so for all that it starts.
        let rights = finish(&mut socket, "sh -c 'grep NoNewPrivs /proc/self/status'").await;
        let none = format!("NoNewPrivs:\t{}\n", u8::from(confined));
        assert_eq!(rights["excerpt"]["head"], none);
        assert_eq!(
            event["excerpt"]["head"].as_str().unwrap().starts_with(temporary.to_str().unwrap()),
            confined
        );
        // The runner itself goes on as before.
        socket.ask(json!({"op": "write_file", "path": "by-the-runner", "content": "x"})).await;
        let folder = runner.stop().await;
        assert!(!folder.path().join("state/tmp").exists(), "it goes with the runner");
    }
}

#[tokio::test]
async fn what_is_named_may_be_written_to() {
    if !able() {
        left_out("this kernel confines no command");
        return refuses_to_start().await;
    }
    let extra = tempfile::tempdir().unwrap();
    let runner = Runner::start(&["--confine", "--writable", extra.path().to_str().unwrap()]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let event = finish(&mut socket, &format!("echo x > {}/file", extra.path().display())).await;
    assert_eq!(event["task"]["state"]["status"], "completed", "{event}");
    assert_eq!(std::fs::read_to_string(extra.path().join("file")).unwrap(), "x\n");
}

/// Names of folders come from others, too, and whoever reads the log in a terminal would obey what is in
/// them.
#[tokio::test]
async fn nothing_that_a_terminal_would_obey_is_logged() {
    if !able() {
        return left_out("this kernel confines no command, and so the log names no folder");
    }
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a\u{1b}[2Jb\u{202e}c\u{7}\rd");
    std::fs::create_dir(&folder).unwrap();
    let runner = Runner::start(&["--confine", "--writable", folder.to_str().unwrap()]).await;
    let log = runner.log();
    assert!(!log.contains(|char: char| char != '\n' && (char.is_control() || char == '\u{202e}')), "{log:?}");
    assert!(log.contains("[2Jb"), "it is named: {log}");
}

/// A machine without Landlock: the runner must not start as if it confined.
async fn refuses_to_start() {
    let folder = crate::support::folder();
    let output = crate::support::meanwhile()
        .args(["--no-open", "--port", "0", "--config", "/dev/null", "--confine", "--workspace"])
        .arg(folder.path().join("workspace"))
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .output()
        .await
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("Landlock") && message.contains("without --confine"), "{message}");
}

/// A runner on a system without these calls, as older kernels and some containers are.
/// Without a call whatever its arguments, or only where that one (counted from 0) is this.
fn on_a_system_without(calls: &[(i64, Option<(u8, u64)>)], test: impl AsyncFnOnce() + Send + 'static) {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    let rule = |argument: &Option<(u8, u64)>| {
        let is =
            |at, value| SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap();
        argument.iter().map(|(at, value)| SeccompRule::new(vec![is(*at, *value)]).unwrap()).collect()
    };
    let rules = calls.iter().map(|(call, argument)| (*call, rule(argument))).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, architecture).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // Inherited by what this thread starts, and gone with it.
    let thread = std::thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    });
    thread.join().unwrap();
}

async fn holds_nothing_to_reading() {
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["sandboxes"], json!([]), "{}", runner.log());
    let refused = socket.refused(json!({"op": "start", "command": "ls", "sandbox": "read_only"})).await;
    assert_eq!(refused, "sandbox_unavailable");
    let event = finish(&mut socket, "echo open").await;
    assert_eq!(event["task"]["state"]["status"], "completed", "{event}");
    assert!(runner.log().contains("No command runs without a question"), "{}", runner.log());
}

#[test]
fn without_landlock_nothing_is_held_to_reading() {
    on_a_system_without(&[(libc::SYS_landlock_create_ruleset, None)], holds_nothing_to_reading);
}

#[test]
fn without_seccomp_nothing_is_held_to_reading() {
    let filters = u64::from(libc::PR_SET_SECCOMP.cast_unsigned());
    on_a_system_without(
        &[(libc::SYS_seccomp, None), (libc::SYS_prctl, Some((0, filters)))],
        holds_nothing_to_reading,
    );
}

/// As on kernels before 5.3, and in containers that do not know the call.
#[test]
fn without_handles_of_processes_trees_end_all_the_same_and_it_is_said() {
    on_a_system_without(&[(libc::SYS_pidfd_open, None)], async || {
        let runner = Runner::start(&[]).await;
        let credential = runner.pair().await;
        let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
        let task =
            socket.start("setsid sleep 1000 & echo $!; trap '' TERM; while :; do sleep 0.01; done").await;
        let printed =
            |frame: &Value| frame["task"]["last_line"].as_str().is_some_and(|line| !line.is_empty());
        let frame = socket.find(printed).await;
        let pid: u32 = frame["task"]["last_line"].as_str().unwrap().parse().unwrap();
        for paused in [true, false] {
            let op = if paused { "pause" } else { "resume" };
            let answer = socket.ask(json!({"op": op, "task": task})).await;
            assert_eq!(answer["task"]["paused"].as_bool().unwrap_or_default(), paused, "{answer}");
        }
        let answer = socket.ask(json!({"op": "stop", "task": task, "by": "user", "now": true})).await;
        assert_eq!(answer["task"]["state"]["status"], "stopped", "{answer}");
        assert!(!testkit::process::is_alive(pid));
        assert!(runner.log().contains("pidfd_open"), "{}", runner.log());
    });
}

/// Here nothing can be stopped, and is not said to be.
#[test]
fn a_pause_that_fails_is_refused_and_changes_nothing() {
    let stop = Some((1, u64::from(libc::SIGSTOP.cast_unsigned())));
    on_a_system_without(&[(libc::SYS_pidfd_send_signal, stop), (libc::SYS_kill, stop)], async || {
        let runner = Runner::start(&[]).await;
        let credential = runner.pair().await;
        let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
        let task = socket.start("sleep 1000").await;
        let refused = socket.refused(json!({"op": "pause", "task": task})).await;
        assert_eq!(refused, "conflict");
        let answer = socket.ask(json!({"op": "resume", "task": task})).await;
        assert!(!answer["task"]["paused"].as_bool().unwrap_or_default(), "{answer}");
        let answer = socket.ask(json!({"op": "stop", "task": task, "by": "user", "now": true})).await;
        assert_eq!(answer["task"]["state"]["status"], "stopped", "{answer}");
    });
}

/// Git is asked as the runner starts, and is the first program that it starts.
#[tokio::test]
async fn no_program_inherits_what_the_runner_was_started_with() {
    if !able() {
        return left_out("this kernel confines no command");
    }
    let folder = crate::support::folder();
    std::fs::write(folder.path().join("home/.gitconfig"), "").unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let seen = folder.path().join("seen");
    let git = bin.join("git");
    std::fs::write(&git, format!("#!/bin/sh\nls /proc/self/fd > {}\n", seen.display())).unwrap();
    std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let lines = format!("exec 9</dev/null; PATH={}:$PATH", bin.display());
    let runner = Runner::start_after(folder, &["sh"], &lines, crate::support::binary()).await;
    let descriptors = std::fs::read_to_string(&seen).unwrap();
    assert!(descriptors.starts_with("0\n1\n2\n") && !descriptors.contains('9'), "{descriptors}");
    drop(runner.stop().await);
}

#[tokio::test]
async fn what_is_offered_is_held() {
    if !able() {
        return left_out("this kernel confines no command");
    }
    let runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["sandboxes"], json!(["read_only"]), "{}", runner.log());
    let refused = socket.refused(json!({"op": "start", "command": "ls", "sandbox": "workspace"})).await;
    assert_eq!(refused, "sandbox_unavailable", "the runner was started without --confine");
    socket.ask(json!({"op": "start", "command": "touch made || echo held", "sandbox": "read_only"})).await;
    let event = socket.find(|frame| frame["event"]["event"] == "ended").await;
    assert!(event["event"]["excerpt"]["head"].as_str().unwrap().ends_with("held\n"), "{event}");
    assert!(!runner.workspace().join("made").exists());
}
