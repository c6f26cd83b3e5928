//! What is alive and says nothing: an agent, a disk. A task comes to its end all the same.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exec::frames::{FromAgent, VERSION, encode};
use shared::protocol::{Sandbox, Start, TaskEvent};
use shared::task::{Party, Task, TaskState};

use crate::common::{PATIENCE, Runner, left_out, living, start, until};

const GRACE: Duration = Duration::from_millis(500);
/// How long a stop may take beyond the grace.
const LATE: Duration = Duration::from_secs(5);
/// More of an output than is at hand in memory.
const MUCH: &str = "head -c 10240 /dev/zero | tr '\\0' x";

/// An agent that does this while there is a file `silent` beside it, and else what it should.
fn program(folder: &Path, silent: &str) -> PathBuf {
    let program = folder.join("program");
    let real = env!("CARGO_BIN_EXE_meanwhile");
    let (flag, name) = (folder.join("silent"), program.with_extension("new"));
    let script = format!("#!/bin/sh\nif [ -e {} ]; then {silent}\nfi\nexec {real} \"$@\"\n", flag.display());
    fs::write(&flag, "").unwrap();
    fs::write(&name, script).unwrap();
    fs::set_permissions(&name, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(&name, &program).unwrap();
    program
}

/// Has a runner with one place stop two tasks of such an agent, and gives how long that took at most.
async fn stops(folder: &Path, silent: &str, now: bool) -> (Runner, Duration) {
    let program = program(folder, silent);
    let runner = Runner::with(|config| {
        config.program = program;
        config.limits.running = 1;
        (config.limits.grace, config.limits.start_patience) = (GRACE, Duration::from_millis(100));
    })
    .await;
    let mut longest = Duration::ZERO;
    for _ in 0..2 {
        let task = runner.start(start("echo never")).await;
        let begun = Instant::now();
        let stop = runner.tasks.stop(&task.id, Party::User, now);
        let stopped = tokio::time::timeout(PATIENCE, stop).await.expect("it is stopped").unwrap();
        longest = longest.max(begun.elapsed());
        assert_eq!(stopped.state, TaskState::Stopped { by: Party::User, signal: None });
        assert_eq!(runner.end(&task.id).await.0.state, stopped.state);
    }
    (runner, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_of_which_nothing_is_heard_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (runner, took) = stops(folder.path(), "exec sleep 40", true).await;
    assert!(took < LATE, "{took:?}");
    fs::remove_file(folder.path().join("silent")).unwrap();
    let (after, output) = runner.finish(start("echo after")).await;
    assert_eq!((after.state, output.head.as_str()), (TaskState::Completed, "after\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_of_which_nothing_is_heard_ends_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "exec sleep 40");
    let runner = Runner::with(|config| {
        config.program = program;
        config.limits.start_patience = Duration::from_millis(100);
    })
    .await;
    let (task, _) = runner.finish(Start { timeout_ms: Some(300), ..start("echo never") }).await;
    assert_eq!(task.state, TaskState::Timeout);
}

/// What a shell's `printf` says these by.
fn escaped(frames: &[FromAgent]) -> String {
    let bytes = frames.iter().flat_map(|frame| encode(frame).unwrap());
    bytes.fold(String::new(), |text, byte| text + &format!("\\{byte:03o}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_falls_silent_does_not_keep_a_task() {
    let escaped = escaped(&[FromAgent::Hello { version: VERSION }, FromAgent::Started { pid: 4_100_000 }]);
    for now in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let silent = format!("printf '{escaped}' >&0; exec sleep 40");
        let (runner, took) = stops(folder.path(), &silent, now).await;
        assert!(took < GRACE + LATE, "{took:?}");
        let next = runner.start(start("echo never")).await;
        assert_eq!(next.state, TaskState::Running, "there is a place for it");
        runner.tasks.stop(&next.id, Party::User, true).await.unwrap();
    }
}

/// An agent of which the first does this, or the first two, and all others what they should.
fn program_of_which_the_first(folder: &Path, bad: &str, two: bool) -> PathBuf {
    let second = if two { " || mkdir second 2>/dev/null" } else { "" };
    let flag = folder.join("silent");
    let program = program(
        folder,
        &format!("cd {} && (mkdir first 2>/dev/null{second}) && {{ {bad}; }}", folder.display()),
    );
    let script = fs::read_to_string(&program).unwrap().replace(&format!("[ -e {} ]", flag.display()), "true");
    fs::write(&program, script).unwrap();
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deaf_task_takes_no_grace_from_others_when_the_runner_ends() {
    let folder = tempfile::tempdir().unwrap();
    let program = program_of_which_the_first(folder.path(), "exec sleep 40", true);
    let runner = Runner::with(|config| {
        config.program = program;
        (config.limits.grace, config.limits.start_patience) = (4 * GRACE, Duration::from_millis(100));
    })
    .await;
    let deaf = [runner.start(start("echo never")).await, runner.start(start("echo never")).await];
    let command = "trap 'touch asked; exit 3' TERM; touch ready; while :; do sleep 0.02; done";
    let hears = runner.start(start(command)).await;
    until("its trap is set", || runner.workspace().join("ready").exists()).await;
    let pressed: Vec<_> = (0..80)
        .map(|press| {
            let (tasks, id) = (runner.tasks.clone(), deaf[press % 2].id.clone());
            tokio::spawn(async move { tasks.stop(&id, Party::User, false).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let begun = Instant::now();
    runner.tasks.shutdown(4 * GRACE).await;
    assert!(begun.elapsed() < 4 * GRACE + LATE, "{:?}", begun.elapsed());
    assert!(runner.workspace().join("asked").exists(), "it was asked before it was killed");
    let state = runner.tasks.get(&hears.id).unwrap().state;
    assert_eq!(state, TaskState::Stopped { by: Party::Runner, signal: None });
    for stop in pressed {
        stop.await.unwrap().unwrap();
    }
}

/// What it would say next is not what the next command is told by.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_whose_words_cannot_be_read_is_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let escaped = escaped(&[FromAgent::Hello { version: VERSION }, FromAgent::Started { pid: 4_100_000 }]);
    let bad = format!("printf '{escaped}\\004\\000\\000\\000nope' >&0; exec sleep 40");
    let program = program_of_which_the_first(folder.path(), &bad, false);
    let runner = Runner::with(|config| config.program = program).await;
    if !runner.tasks.sandboxes().contains(&Sandbox::ReadOnly) {
        return left_out("commands cannot be held to reading here");
    }
    let held = |command: &str| Start { sandbox: Some(Sandbox::ReadOnly), ..start(command) };
    // At once, and more than supervisors are kept ready: so one of them is told by the bad one.
    let hold = || runner.start(held("sleep 300"));
    let (first, second, third) = tokio::join!(hold(), hold(), hold());
    let ended = runner.event(|event| match event {
        TaskEvent::Ended { task, .. } => Some(Task::clone(task)),
        TaskEvent::Backgrounded { .. } => None,
    });
    let bad = ended.await;
    assert!(matches!(bad.state, TaskState::Lost { .. }), "{bad:?}");
    // Nothing of it is left then.
    runner.tasks.stop(&bad.id, Party::User, true).await.unwrap();
    for _ in 0..4 {
        let (after, output) = runner.finish(held("echo after")).await;
        assert_eq!((after.state, output.head.as_str()), (TaskState::Completed, "after\n"));
    }
    for task in [first, second, third] {
        runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    }
}

/// The file of a log, replaced by a pipe that nobody writes to until this is dropped: a disk that hangs for
/// who opens it.
struct Hanging {
    log: PathBuf,
    aside: PathBuf,
}

impl Hanging {
    fn new(log: PathBuf) -> Self {
        let aside = log.with_extension("aside");
        fs::rename(&log, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
        Self { log, aside }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let pipe = self.log.with_extension("pipe");
        fs::rename(&self.log, &pipe).unwrap();
        fs::rename(&self.aside, &self.log).unwrap();
        // Whoever waits there finds that it is no file.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let open = fs::OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(pipe);
        std::mem::forget(open.unwrap());
    }
}

/// A task that has printed much, whose log hangs, once it is in the background.
async fn hangs(runner: &Runner, how: Start) -> (shared::TaskId, Hanging) {
    let task = runner.start(Start { foreground_ms: Some(600_000), ..how }).await;
    until("it has printed", || runner.tasks.get(&task.id).unwrap().output_bytes == 10_240).await;
    let log = runner.workspace().with_file_name("state").join("logs").join(task.id.as_str());
    let hanging = Hanging::new(log);
    let background = runner.tasks.background(&task.id);
    let there = tokio::time::timeout(PATIENCE, background).await;
    assert!(there.is_ok_and(|there| there.is_ok_and(|task| !task.foreground)), "it hears nothing");
    (task.id, hanging)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_keeps_nobody_from_stopping() {
    let runner = Runner::with(|config| config.limits.grace = GRACE).await;
    let (task, hanging) = hangs(&runner, start(&format!("{MUCH}; sleep 300 & sleep 301"))).await;
    let begun = Instant::now();
    let stopping = {
        let (tasks, id) = (runner.tasks.clone(), task.clone());
        tokio::spawn(async move { tasks.stop(&id, Party::User, true).await })
    };
    until("all of it is gone", || living(&task).is_empty()).await;
    assert!(begun.elapsed() < GRACE + LATE, "{:?}", begun.elapsed());
    assert!(runner.events().await.is_empty(), "nothing is told before what comes before it");
    drop(hanging);
    stopping.await.unwrap().unwrap();
    let kinds = runner.kinds().await;
    assert!(kinds.len() == 2 && kinds[0].starts_with("backgrounded") && kinds[1] == "ended", "{kinds:?}");
    let (ended, output) = runner.end(&task).await;
    assert!(matches!(ended.state, TaskState::Stopped { by: Party::User, .. }), "{ended:?}");
    assert_eq!((ended.output_bytes, output.head.len() + output.tail.len()), (10_240, 4_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_stops_no_clock() {
    let runner = Runner::with(|config| config.limits.grace = GRACE).await;
    let how = Start { timeout_ms: Some(2_000), ..start(&format!("{MUCH}; sleep 300 & sleep 301")) };
    let (task, hanging) = hangs(&runner, how).await;
    until("its time is over", || living(&task).is_empty()).await;
    drop(hanging);
    assert_eq!(runner.end(&task).await.0.state, TaskState::Timeout);
}
