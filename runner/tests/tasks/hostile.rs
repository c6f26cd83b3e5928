//! Commands that turn against what supervises them.

use std::time::{Duration, Instant};

use shared::task::{Party, TaskState};

use crate::common::{Runner, is_dead, is_held, left_out, living, start, until};

/// A stop whose agent does not hear takes this long at most: the grace, a second, and a slow machine.
const LATE: Duration = Duration::from_secs(15);

async fn stops(command: &str) -> TaskState {
    let runner = Runner::new().await;
    let task = runner.start(start(command)).await;
    let ready = runner.workspace().join("ready");
    until("it has begun", || ready.exists()).await;
    let begun = Instant::now();
    let stopped = runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    assert_eq!(living(&task.id), Vec::<u32>::new());
    runner.end(&task.id).await;
    stopped.state
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_stops_its_supervisor_is_stopped_all_the_same() {
    let state = stops("kill -STOP $PPID; touch ready; sleep 300").await;
    assert_eq!(state, TaskState::Stopped { by: Party::User, signal: Some("SIGTERM".into()) });
}

/// Nobody asks for anything, and yet its end is seen.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_stops_its_supervisor_and_ends_has_ended() {
    let runner = Runner::new().await;
    let (task, output) = runner.finish(start("kill -STOP $PPID; echo bye; exit 3")).await;
    assert_eq!((task.state, output.head.as_str()), (TaskState::Failed { code: 3 }, "bye\n"));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_stops_its_supervisor_again_and_again_is_stopped_all_the_same() {
    let command = "trap '' TERM; agent=$PPID; (setsid sh -c \"trap '' TERM; while :; do kill -STOP $agent; done\" &) ; \
                   sleep 0.2; touch ready; sleep 300";
    assert!(matches!(stops(command).await, TaskState::Stopped { by: Party::User, .. }));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_kills_its_supervisor_is_lost_with_all_that_it_started() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("setsid sleep 300 & kill -KILL $PPID; sleep 300")).await;
    assert!(matches!(task.state, TaskState::Lost { .. }), "{:?}", task.state);
    until("it is gone", || living(&task.id).is_empty()).await;
}

/// Whatever hides: from a group, a session, an environment, its parents.
const HIDING: [&str; 4] = [
    "setsid env -i flock held sleep 300 &",
    "(setsid nohup flock held env -i sleep 300 >/dev/null 2>&1 &);",
    "(exec -c setsid flock held sleep 300 >/dev/null 2>&1 &);",
    "(cd /; exec env -i setsid bash -c 'exec -a x flock \"$0\" sleep 300' \"$OLDPWD/held\" >/dev/null 2>&1 &);",
];

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_kills_its_supervisor_takes_with_it_what_has_another_environment() {
    for hiding in HIDING {
        let runner = Runner::new().await;
        let held = runner.workspace().join("held");
        let task = runner
            .start(start(&format!("{hiding} until [ -e go ]; do sleep 0.01; done; kill -9 $PPID; sleep 300")))
            .await;
        until("it holds the lock", || is_held(&held)).await;
        std::fs::write(runner.workspace().join("go"), "").unwrap();
        let (ended, _) = runner.end(&task.id).await;
        assert!(matches!(ended.state, TaskState::Lost { .. }), "{:?}", ended.state);
        assert!(!is_held(&held), "{hiding} lives");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_behind_ends_with_its_supervisor_whatever_its_environment() {
    for hiding in HIDING {
        let runner = Runner::new().await;
        let held = runner.workspace().join("held");
        let agent = "echo $PPID > agent";
        let (task, _) =
            runner.finish(start(&format!("{agent}; {hiding} while flock -n held true; do :; done"))).await;
        assert_eq!(task.state, TaskState::Completed);
        assert!(is_held(&held));
        let agent = std::fs::read_to_string(runner.workspace().join("agent")).unwrap();
        assert!(std::process::Command::new("kill").args(["-9", agent.trim()]).status().unwrap().success());
        until("it is gone", || !is_held(&held)).await;
    }
}

/// An editor that a task has called may give its environment to a person's shell.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_only_bears_the_name_of_a_task_is_left_alone() {
    let runner = Runner::new().await;
    let task = runner.start(start("until [ -e go ]; do sleep 0.01; done; kill -9 $PPID; sleep 300")).await;
    let mut foreign =
        std::process::Command::new("sleep").arg("300").env("MEANWHILE_TASK", &task.id.0).spawn().unwrap();
    std::fs::write(runner.workspace().join("go"), "").unwrap();
    let (ended, _) = runner.end(&task.id).await;
    assert!(matches!(ended.state, TaskState::Lost { .. }), "{:?}", ended.state);
    let runner = runner.restart().await;
    let lives = foreign.try_wait().unwrap().is_none();
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(lives);
    drop(runner);
}

/// Its supervisor may not even have said that it began.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_kills_its_supervisor_at_once_runs_once() {
    let runner = Runner::new().await;
    for turn in 1..=20 {
        let (task, _) = runner.finish(start("echo ran >> ran; kill -KILL $PPID; sleep 300")).await;
        assert!(matches!(task.state, TaskState::Lost { .. }), "{:?}", task.state);
        until("it is gone", || living(&task.id).is_empty()).await;
        let ran = std::fs::read_to_string(runner.workspace().join("ran")).unwrap();
        assert_eq!(ran.lines().count(), turn);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_does_not_wait_for_an_input_that_nobody_reads() {
    let runner = Runner::new().await;
    // What it leaves behind holds the reading end of its input.
    let mut wish = start("exec 3<&0; sleep 300 <&3 & while [ ! -e go ]; do sleep 0.01; done; exit 3");
    wish.stdin = true;
    let task = runner.start(wish).await;
    let writing = {
        let (tasks, id) = (runner.tasks.clone(), task.id.clone());
        tokio::spawn(async move {
            for _ in 0..2 {
                tasks.send_input(&id, "x".repeat(64 * 1024), false).await?;
            }
            Ok::<_, shared::Problem>(())
        })
    };
    std::fs::write(runner.workspace().join("go"), "").unwrap();
    let begun = Instant::now();
    let (ended, _) = runner.end(&task.id).await;
    assert_eq!(ended.state, TaskState::Failed { code: 3 });
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    assert!(writing.await.unwrap().is_err(), "it was not written");
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_task_is_the_workspace_to_the_letter() {
    let runner = Runner::new().await;
    for folder in [None, Some(String::new())] {
        let mut wish = start("true");
        wish.folder = folder;
        let task = runner.start(wish).await;
        assert_eq!(Some(task.folder.as_str()), runner.workspace().to_str());
    }
}

/// Four files that a model may write are a repository to git, and its configuration names a program.
#[tokio::test(flavor = "multi_thread")]
async fn git_runs_no_program_that_a_folder_of_the_workspace_names() {
    let runner = Runner::new().await;
    let docs = runner.workspace().join("docs");
    for folder in ["objects", "refs"] {
        std::fs::create_dir_all(docs.join(folder)).unwrap();
        std::fs::write(docs.join(folder).join("x"), "").unwrap();
    }
    std::fs::write(docs.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"touch PWNED; false\"\n";
    std::fs::write(docs.join("config"), config).unwrap();
    let (task, output) = runner.finish(start("cd docs && git status; git diff; echo over")).await;
    assert_eq!(task.state, TaskState::Completed, "{output:?}");
    assert!(!docs.join("PWNED").exists());
    let own = "git init -q own && cd own && git config core.fsmonitor 'touch PWNED; false' && git status && git diff";
    let (task, output) = runner.finish(start(own)).await;
    assert_eq!(task.state, TaskState::Completed, "{output:?}");
    assert!(!runner.workspace().join("own/PWNED").exists());
}

/// Its end waits for the store when its supervisor is killed: that is no second end, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_store_holds_back_is_told_once() {
    const DRAIN: Duration = Duration::from_millis(50);
    let runner = Runner::with(|config| {
        (config.limits.drain_quiet, config.limits.drain_most) = (DRAIN, DRAIN);
    })
    .await;
    let there = |name: &str| runner.workspace().join(name);
    // Its output is closed, so that the end need not wait for it.
    let left = "(until [ -e killed ]; do sleep 0.02; done; kill -9 $PPID) >/dev/null 2>&1 &";
    let command = format!("echo $PPID > agent; {left} until [ -e go ]; do sleep 0.02; done; exit 4");
    let task = runner.start(start(&command)).await;
    until("it has begun", || {
        std::fs::read_to_string(there("agent")).is_ok_and(|agent| agent.ends_with('\n'))
    })
    .await;
    let agent = std::fs::read_to_string(there("agent")).unwrap().trim().parse().unwrap();
    let store = runner.hold_store();
    std::fs::write(there("go"), "").unwrap();
    until("the command has ended", || task.pid.is_none_or(is_dead)).await;
    // This is refused once its end was seen; and what is asked for later is answered behind what was due
    // before.
    let seen = async { while runner.tasks.background(&task.id).await.is_ok() {} };
    tokio::time::timeout(LATE, seen).await.expect("its end is seen");
    tokio::time::sleep(2 * DRAIN).await;
    for _ in 0..2 {
        runner.tasks.background(&task.id).await.unwrap_err();
    }
    std::fs::write(there("killed"), "").unwrap();
    until("its supervisor is gone", || is_dead(agent)).await;
    until("with all", || living(&task.id).is_empty()).await;
    // One of so many answers comes behind what the runner does about that.
    for _ in 0..200 {
        runner.tasks.background(&task.id).await.unwrap_err();
    }
    drop(store);
    let (ended, _) = runner.end(&task.id).await;
    assert_eq!(ended.state, TaskState::Failed { code: 4 });
    runner.finish(start("true")).await;
    let completions = runner.kinds().await.iter().filter(|kind| *kind == "ended").count();
    assert_eq!(completions, 2, "one of each task");
}

/// How often a process has read anything so far. Only root may look at that of a supervisor.
#[cfg(target_os = "linux")]
fn reads(pid: u32) -> Option<u64> {
    let told = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("syscr: "))?.parse().ok()
}

/// The tree is walked a few times, and not once for each that dies: that took 40 seconds of a whole
/// processor.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_children_end_within_seconds() {
    const CHILDREN: u64 = 2_000;
    /// A walk reads about five times for each, and the signal two times.
    const WALKS: u64 = 60;
    let runner = Runner::new().await;
    let command =
        format!("echo $PPID > agent; for i in $(seq {CHILDREN}); do sleep 300 & done; touch ready; wait");
    let task = runner.start(start(&command)).await;
    let ready = runner.workspace().join("ready");
    until("it has begun", || ready.exists()).await;
    let agent = std::fs::read_to_string(runner.workspace().join("agent")).unwrap().trim().parse().unwrap();
    let counting = reads(agent).map(|before| {
        std::thread::spawn(move || {
            let mut last = before;
            // It ends with its last task.
            while let Some(now) = reads(agent) {
                last = now;
                std::thread::sleep(Duration::from_millis(1));
            }
            last - before
        })
    });
    let begun = Instant::now();
    let stopped = runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    let took = begun.elapsed();
    assert!(matches!(stopped.state, TaskState::Stopped { by: Party::User, .. }), "{:?}", stopped.state);
    assert!(took < LATE, "{took:?}");
    assert_eq!(living(&task.id), Vec::<u32>::new());
    match counting {
        Some(counting) => {
            let reads = counting.join().unwrap();
            println!("{CHILDREN} children: {took:?}, {reads} reads");
            assert!((CHILDREN..CHILDREN * WALKS * 7).contains(&reads), "{reads} reads");
        }
        None => left_out("only root sees how often a supervisor looks at its tree"),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_left_behind_some_are_named_and_the_rest_counted() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("for i in $(seq 1000); do sleep 300 >/dev/null 2>&1 & done")).await;
    assert_eq!(task.remaining_processes.len(), 33);
    assert_eq!(task.remaining_processes[32].command, "and 968 more processes");
    let begun = Instant::now();
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    assert_eq!(living(&task.id), Vec::<u32>::new());
}

/// A script or make that calls itself. Each process is looked at once, not once for each that is above it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_deep_tree_whose_supervisor_is_killed_ends_within_seconds() {
    const DEPTH: u32 = 1_000;
    let runner = Runner::new().await;
    let script = "if [ $1 -gt 0 ]; then sh deep $(($1 - 1)); else touch ready; sleep 300; fi; :";
    std::fs::write(runner.workspace().join("deep"), script).unwrap();
    let task = runner.start(start(&format!("echo $PPID > agent; sh deep {DEPTH}; :"))).await;
    let ready = runner.workspace().join("ready");
    until("it is deep", || ready.exists()).await;
    let agent = std::fs::read_to_string(runner.workspace().join("agent")).unwrap();
    let begun = Instant::now();
    assert!(std::process::Command::new("kill").args(["-KILL", agent.trim()]).status().unwrap().success());
    let (task, _) = runner.end(&task.id).await;
    let took = begun.elapsed();
    assert!(matches!(task.state, TaskState::Lost { .. }), "{:?}", task.state);
    assert!(took < LATE, "{took:?}");
    assert_eq!(living(&task.id), Vec::<u32>::new());
}
