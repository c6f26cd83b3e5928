//! Supervision with real processes: what runs, what ends, what is left, what is told.

use std::fs;
use std::time::Duration;

use rstest::rstest;
use shared::ProblemCode;
use shared::protocol::{Start, TaskEvent};
use shared::task::{Party, TaskState};

use crate::common::{PATIENCE, Runner, is_dead, living, op, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn exit_zero_is_completed_with_its_output() {
    let runner = Runner::new().await;
    let (task, preview) = runner.finish(start("echo one; echo two >&2; echo three")).await;
    assert_eq!(task.state, TaskState::Completed);
    assert_eq!(preview.head, "one\ntwo\nthree\n");
    assert_eq!(task.output_bytes, 14);
    assert_eq!(task.last_line, "three");
}

#[rstest]
#[case::another_exit("exit 7", TaskState::Failed { code: 7 })]
#[case::a_signal_by_its_name("kill -SEGV $$", TaskState::Killed { signal: "SIGSEGV".into() })]
#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_complete_says_how(#[case] command: &str, #[case] state: TaskState) {
    assert_eq!(Runner::new().await.finish(start(command)).await.0.state, state);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_streams_keep_their_order() {
    let runner = Runner::new().await;
    let (_, preview) =
        runner.finish(start("for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done")).await;
    let expected = (1..10).fold(String::new(), |all, number| all + &format!("o{number}\ne{number}\n"));
    assert_eq!(preview.head, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pipe_does_not_hold_the_end() {
    let runner = Runner::new().await;
    let (task, preview) = runner.finish(start("echo hi; sleep 300 &")).await;
    assert_eq!((task.state, preview.head.as_str()), (TaskState::Completed, "hi\n"));
    assert_eq!(task.remaining_processes.len(), 1);
    assert_eq!(task.remaining_processes[0].command, "sleep 300");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pipe_that_never_rests_does_not_hold_the_end_for_ever() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("while :; do echo x; sleep 0.02; done & sleep 0.1")).await;
    assert_eq!(task.state, TaskState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_can_be_stopped() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("sleep 300 &")).await;
    let pid = task.remaining_processes[0].pid;
    let after = runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    assert!(is_dead(pid), "{pid}");
    assert_eq!((after.state, after.remaining_processes), (TaskState::Completed, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_and_ended_is_no_longer_listed() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("sleep 0.6 >/dev/null 2>&1 & sleep 0.1")).await;
    assert_eq!(task.remaining_processes.len(), 1);
    until("it has gone", || runner.tasks.get(&task.id).unwrap().remaining_processes.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_whole_tree_however_it_hides() {
    let runner = Runner::new().await;
    let trees = [
        ("setsid", "setsid sleep 1000 & setsid sleep 1001 & wait"),
        ("double fork", "(setsid sh -c 'sleep 1000 & sleep 1001' & ); sleep 1002"),
        ("nohup", "nohup sleep 1000 >/dev/null 2>&1 & disown; sleep 1001"),
        ("stopped", "sleep 1000 & kill -STOP $!; kill -STOP $$"),
        ("respawn", "trap 'setsid sleep 1000 & setsid sleep 1001 &' TERM; while :; do sleep 0.05; done"),
        (
            "ignoring",
            "trap '' TERM HUP INT; sleep 1000 & (setsid sh -c 'trap \"\" TERM; sleep 1001; sleep 1002' &) ; wait",
        ),
    ];
    for (name, command) in trees {
        let task = runner.start(start(command)).await;
        until(name, || living(&task.id).len() >= 2).await;
        runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
        assert_eq!(living(&task.id), Vec::<u32>::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_task_tells_by_whom_and_by_which_signal() {
    let runner = Runner::new().await;
    for (command, signal) in [
        ("sleep 1000", Some("SIGTERM")),
        ("trap '' TERM; while :; do sleep 0.05; done", Some("SIGKILL")),
        ("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done", None),
    ] {
        let task = runner.start(start(command)).await;
        if command.contains("trap") {
            // The trap must be set before the stop.
            let id = task.id.clone();
            until("two processes", || living(&id).len() >= 2).await;
        }
        let stopped = runner.tasks.stop(&task.id, Party::Agent, false).await.unwrap();
        let expected = TaskState::Stopped { by: Party::Agent, signal: signal.map(Into::into) };
        assert_eq!(stopped.state, expected, "{command}");
    }
}

/// Some of a tree that is being ended takes longer than its main process: it does not remain.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_ended_is_not_called_left_behind() {
    let runner = Runner::with(|config| config.limits.grace = Duration::from_millis(500)).await;
    let task =
        runner.start(start("sh -c 'trap : TERM; touch ready; while :; do sleep 0.05; done' & wait")).await;
    until("it is deaf", || runner.workspace().join("ready").exists()).await;
    runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    let (ended, _) = runner.end(&task.id).await;
    assert_eq!(ended.remaining_processes, [], "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_kills_at_once() {
    let runner = Runner::with(|config| config.limits.grace = Duration::from_secs(600)).await;
    let command = "trap 'touch asked' TERM; touch ready; while :; do sleep 0.05; done";
    let task = runner.start(start(command)).await;
    let there = |name: &str| runner.workspace().join(name).exists();
    until("the trap is set", || there("ready")).await;
    let (tasks, id) = (runner.tasks.clone(), task.id.clone());
    let first = tokio::spawn(async move { tasks.stop(&id, Party::User, false).await });
    until("it heard TERM", || there("asked")).await;
    assert!(!first.is_finished(), "TERM alone does not end it");
    runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    let state = tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap().unwrap().state;
    assert_eq!(state, TaskState::Stopped { by: Party::User, signal: Some("SIGKILL".into()) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_another_party_leaves_the_grace_of_the_first() {
    let runner = Runner::with(|config| config.limits.grace = Duration::from_secs(600)).await;
    let command = "trap 'touch asked; until [ -e go ]; do sleep 0.02; done; echo cleaned; exit 0' TERM; touch ready; \
                   while :; do sleep 0.05; done";
    let task = runner.start(start(command)).await;
    let (ready, asked) = (runner.workspace().join("ready"), runner.workspace().join("asked"));
    until("it has begun", || ready.exists()).await;
    let stop = |by| {
        let (tasks, id) = (runner.tasks.clone(), task.id.clone());
        tokio::spawn(async move { tasks.stop(&id, by, false).await })
    };
    let first = stop(Party::Agent);
    until("it was asked", || asked.exists()).await;
    let (second, third) = (stop(Party::User), stop(Party::Runner));
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::write(runner.workspace().join("go"), "").unwrap();
    for stopped in [first, second, third] {
        let task = tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
        assert!(matches!(task.state, TaskState::Stopped { by: Party::Agent, .. }), "{:?}", task.state);
    }
    let output = runner.end(&task.id).await.1.head;
    assert!(output.ends_with("cleaned\n"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_takes_a_place() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let (left, _) = runner.finish(start("sleep 300 >/dev/null 2>&1 &")).await;
    let next = runner.start(start("true")).await;
    assert_eq!(next.state, TaskState::Queued);
    runner.tasks.stop(&left.id, Party::User, true).await.unwrap();
    assert_eq!(runner.end(&next.id).await.0.state, TaskState::Completed);
}

/// Its main process has ended, and what it had started hears no TERM.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_ended_takes_a_place() {
    let runner = Runner::with(|config| {
        config.limits.running = 1;
        config.limits.grace = Duration::from_secs(600);
    })
    .await;
    let deaf = "sh -c 'trap : TERM; touch ready; while :; do sleep 0.05; done' >/dev/null 2>&1 & wait";
    let task = runner.start(start(deaf)).await;
    until("it is deaf", || runner.workspace().join("ready").exists()).await;
    let next = runner.start(start("true")).await;
    let (tasks, id) = (runner.tasks.clone(), task.id.clone());
    let stopping = tokio::spawn(async move { tasks.stop(&id, Party::User, false).await });
    runner.end(&task.id).await;
    let early = tokio::time::timeout(Duration::from_secs(1), runner.end(&next.id)).await;
    assert!(early.is_err(), "{early:?} while there is {:?}", living(&task.id));
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    stopping.await.unwrap().unwrap();
    assert_eq!(runner.end(&next.id).await.0.state, TaskState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_started_takes_no_input_yet() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let first = runner.start(start("sleep 300")).await;
    let waits = runner.start(Start { stdin: true, ..start("cat") }).await;
    let refused = runner.tasks.send_input(&waits.id, "hello\n".into(), true).await.unwrap_err();
    assert_eq!((refused.code, refused.retryable), (ProblemCode::Conflict, true));
    assert!(refused.message.contains("not started yet"), "{refused}");
    runner.tasks.stop(&first.id, Party::User, true).await.unwrap();
    until("it runs", || runner.tasks.get(&waits.id).unwrap().state == TaskState::Running).await;
    runner.tasks.send_input(&waits.id, "hello\n".into(), true).await.unwrap();
    assert_eq!(runner.end(&waits.id).await.1.head, "hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_what_has_ended_changes_nothing() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("exit 3")).await;
    let after = runner.tasks.stop(&task.id, Party::User, false).await.unwrap();
    assert_eq!(after.state, TaskState::Failed { code: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_tree() {
    let runner = Runner::new().await;
    let (task, _) =
        runner.finish(Start { timeout_ms: Some(300), ..start("setsid sleep 1000 & sleep 1001") }).await;
    assert_eq!(task.state, TaskState::Timeout);
    assert!(task.duration_ms.unwrap() >= 300, "{task:?}");
    until("all has gone", || living(&task.id).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_named() {
    let runner = Runner::new().await;
    let task = runner.start(Start { folder: Some("nowhere".into()), ..start("true") }).await;
    let TaskState::Error { reason } = task.state else { panic!("{task:?}") };
    assert!(reason.contains("folder") && reason.contains("nowhere"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_a_name_that_is_too_long_is_refused() {
    let runner = Runner::new().await;
    for (length, whole) in [(4_096, true), (4_097, false), (9 * 1024 * 1024, false)] {
        let long = Start { folder: Some("x/".repeat(length)[..length].to_owned()), ..start("true") };
        let started = runner.tasks.start(runner.session, op(), long).await;
        match started {
            Ok(task) => assert!(whole && matches!(task.state, TaskState::Error { .. }), "{:?}", task.state),
            Err(refused) => {
                assert!(!whole && refused.code == ProblemCode::TooLarge, "{refused}");
                assert!(refused.message.contains("4096"), "{refused}");
            }
        }
    }
}

/// It is no lack, so that nobody has to stand in line behind it.
#[tokio::test(flavor = "multi_thread")]
async fn supervisors_that_die_before_they_read_are_told_at_once() {
    let runner = Runner::with(|config| config.program = "/bin/false".into()).await;
    let begun = std::time::Instant::now();
    let (task, _) = runner.finish(start("true")).await;
    let TaskState::Error { reason } = task.state else { panic!("{task:?}") };
    assert!(reason.contains("was not started") && reason.contains("start it again"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_shell_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("shell");
    fs::copy("/bin/sh", &shell).unwrap();
    let runner = Runner::with(|config| config.shell = Some(shell.clone())).await;
    fs::remove_file(&shell).unwrap();
    let task = runner.start(start("true")).await;
    let TaskState::Error { reason } = task.state else { panic!("{task:?}") };
    assert!(reason.contains("shell") && reason.contains(shell.to_str().unwrap()), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_mebibyte_runs() {
    let runner = Runner::new().await;
    let text = "\u{e4}".repeat(500_000);
    let (task, preview) = runner.finish(start(&format!("x='{text}'; echo ${{#x}} $#"))).await;
    assert_eq!((task.state, preview.head.as_str()), (TaskState::Completed, "500000 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_too_long_is_refused() {
    let runner = Runner::new().await;
    let refused =
        runner.tasks.start(runner.session, op(), start(&"x".repeat(1024 * 1024 + 1))).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_task_runs_when_there_is_a_place() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let first = runner.start(start("sleep 0.3")).await;
    let second = runner.start(start("echo ran")).await;
    assert_eq!((first.state, &second.state), (TaskState::Running, &TaskState::Queued));
    assert_eq!(runner.end(&second.id).await.1.head, "ran\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_task_can_be_stopped_and_never_runs() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let first = runner.start(start("sleep 1000")).await;
    let second = runner.start(start("echo ran >ran")).await;
    let stopped = runner.tasks.stop(&second.id, Party::User, false).await.unwrap();
    assert_eq!(stopped.state, TaskState::Stopped { by: Party::User, signal: None });
    assert_eq!(stopped.started, None);
    assert_eq!(runner.end(&second.id).await.0, stopped);
    runner.tasks.stop(&first.id, Party::User, true).await.unwrap();
    assert_eq!(
        runner.finish(start("cat ran 2>&1 || true")).await.1.head,
        "cat: ran: No such file or directory\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_refused_with_a_message() {
    let runner = Runner::with(|config| (config.limits.running, config.limits.queued) = (1, 1)).await;
    runner.start(start("sleep 1000")).await;
    runner.start(start("sleep 1000")).await;
    let refused = runner.tasks.start(runner.session, op(), start("true")).await.unwrap_err();
    assert_eq!((refused.code, refused.retryable), (ProblemCode::TooMany, true));
    runner.tasks.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_closed_unless_asked_for() {
    let runner = Runner::new().await;
    assert_eq!(runner.finish(start("cat; echo end")).await.1.head, "end\n");
    let task = runner.start(start("sleep 1000")).await;
    let refused = runner.tasks.send_input(&task.id, "x".into(), false).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Conflict);
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn input_reaches_the_program_and_ends() {
    let runner = Runner::new().await;
    let task = runner.start(Start { stdin: true, ..start("read a; echo \"got $a\"; cat; echo end") }).await;
    runner.tasks.send_input(&task.id, "one\ntw".into(), false).await.unwrap();
    runner.tasks.send_input(&task.id, "o\n".into(), true).await.unwrap();
    assert_eq!(runner.end(&task.id).await.1.head, "got one\ntwo\nend\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_nobody_reads_does_not_wait_for_ever() {
    let runner = Runner::with(|config| config.limits.input_wait = Duration::from_millis(200)).await;
    let task = runner.start(Start { stdin: true, ..start("sleep 1000") }).await;
    let text = "x".repeat(64 * 1024);
    runner.tasks.send_input(&task.id, text.clone(), false).await.unwrap();
    let refused = runner.tasks.send_input(&task.id, text, false).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::TooMany);
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_three_descriptors_and_signals_at_their_defaults() {
    let runner = Runner::new().await;
    // The fourth is `ls` reading the folder.
    assert_eq!(runner.finish(start("ls /proc/self/fd | tr '\\n' ' '")).await.1.head, "0 1 2 3 ");
    let signals = runner.finish(start("grep -E '^Sig(Blk|Ign)' /proc/self/status")).await.1.head;
    for line in signals.lines() {
        let set = u64::from_str_radix(line.split_ascii_whitespace().nth(1).unwrap(), 16).unwrap();
        // Two signals of the C library's own, 32 and 33, are ignored in whatever it spawns.
        assert_eq!(set & 0x7fff_ffff, 0, "{signals}");
    }
    assert_eq!(signals.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_no_terminal_and_ask_nobody() {
    let runner = Runner::new().await;
    let (_, terminal) = runner.finish(start("(: </dev/tty) 2>&1 || true")).await;
    assert!(terminal.head.contains("No such device"), "{}", terminal.head);
    let (_, variables) = runner.finish(start("echo \"$TERM $PAGER $CI\"")).await;
    assert_eq!(variables.head, "dumb cat 1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_split_between_chunks_is_one() {
    let runner = Runner::new().await;
    let (_, preview) = runner.finish(start("printf 'caf\\303'; sleep 0.2; printf '\\251\\n'")).await;
    assert_eq!(preview.head, "caf\u{e9}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_bounded_and_counted() {
    let runner = Runner::new().await;
    let (task, preview) = runner.finish(start("yes 0123456 | head -c 50000000")).await;
    let kept = 16 * 1024 * 1024;
    assert_eq!((task.output_bytes, task.omitted_bytes), (50_000_000, 50_000_000 - kept));
    assert!(preview.head.starts_with("0123456\n") && preview.tail.ends_with("0123456\n"));
    let gap = runner.tasks.read_output(&task.id, 2_000_000, 16).await.unwrap();
    assert_eq!((gap.from, gap.omitted_to), (50_000_000 - 15 * 1024 * 1024, gap.from));
    let last = runner.tasks.read_output(&task.id, 50_000_000 - 8, 100).await.unwrap();
    assert_eq!(last.data.0, b"0123456\n");
    assert_eq!(runner.tasks.stats().kept_bytes, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_the_output_is_watched() {
    let runner = Runner::new().await;
    let task = runner.start(Start { stdin: true, ..start("cat") }).await;
    let mut length = runner.tasks.output_length(&task.id).unwrap();
    runner.tasks.send_input(&task.id, "hello".into(), true).await.unwrap();
    tokio::time::timeout(PATIENCE, length.wait_for(|length| *length == 5)).await.unwrap().unwrap();
    assert_eq!(runner.tasks.read_output(&task.id, 1, 3).await.unwrap().data.0, b"ell");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_gives_lines_or_matches() {
    let runner = Runner::new().await;
    let (task, _) = runner.finish(start("seq 100; printf '\\033[31mred\\033[0m\\n'")).await;
    let look = |tail, grep: Option<&str>| {
        runner.tasks.check(runner.session, Some(task.id.clone()), tail, grep.map(Into::into), 1_000)
    };
    assert_eq!(look(Some(2), None).await.unwrap()[0].text.head, "100\nred\n");
    let found = look(Some(1), Some("^[19]0$")).await.unwrap().remove(0);
    assert_eq!((found.text.head.as_str(), found.matches), ("90: 90\n", Some(2)));
    assert_eq!(look(None, Some("[")).await.unwrap_err().code, ProblemCode::Malformed);
    assert_eq!(runner.tasks.check(runner.session, None, None, None, 1_000).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreground_task_goes_to_the_background_once_by_time() {
    let runner = Runner::new().await;
    // Time is what is tested; a busy machine may need more of it until the command prints.
    for (round, foreground_ms) in [100, 1_000, 10_000].into_iter().enumerate() {
        let command = format!("echo begun; while [ ! -e go{round} ]; do sleep 0.02; done");
        let task = runner.start(Start { foreground_ms: Some(foreground_ms), ..start(&command) }).await;
        assert!(task.foreground);
        until("it goes to the background", || !runner.tasks.get(&task.id).unwrap().foreground).await;
        fs::write(runner.workspace().join(format!("go{round}")), "").unwrap();
        assert!(!runner.end(&task.id).await.0.foreground);
        let kinds = runner.kinds().await;
        assert_eq!(kinds.len(), 2 * (round + 1), "once each: {kinds:?}");
        match &kinds[2 * round..] {
            [one, end] if one == "backgrounded by Time: begun\n" && end == "ended" => return,
            other => assert_eq!(other, ["backgrounded by Time: ", "ended"], "{kinds:?}"),
        }
    }
    panic!("it printed nothing in ten seconds");
}

const UNTIL_GO: &str = "while [ ! -e go ]; do sleep 0.02; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_foreground_task_goes_to_the_background_on_request() {
    let runner = Runner::new().await;
    let task = runner.start(Start { foreground_ms: Some(60_000), ..start(UNTIL_GO) }).await;
    assert!(!runner.tasks.background(&task.id).await.unwrap().foreground);
    assert!(!runner.tasks.background(&task.id).await.unwrap().foreground);
    fs::write(runner.workspace().join("go"), "").unwrap();
    assert!(!runner.end(&task.id).await.0.foreground);
    assert_eq!(runner.kinds().await, ["backgrounded by Request: ", "ended"]);
    assert_eq!(runner.tasks.background(&task.id).await.unwrap_err().code, ProblemCode::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreground_task_that_ends_was_never_in_the_background() {
    let runner = Runner::new().await;
    let foreground = |command| Start { foreground_ms: Some(60_000), ..start(command) };
    let (task, _) = runner.finish(foreground("true")).await;
    assert!(task.foreground);
    assert!(runner.tasks.get(&task.id).unwrap().foreground);
    let missing = Start { folder: Some("missing".into()), ..foreground("true") };
    assert!(runner.finish(missing).await.0.foreground, "also if it could not be started");
    assert_eq!(runner.kinds().await, ["ended", "ended"]);
    let runner = runner.restart().await;
    assert!(runner.tasks.get(&task.id).unwrap().foreground, "also in another life");
    assert!(!runner.finish(start("true")).await.0.foreground);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_nothing_behind() {
    let runner = Runner::new().await;
    let task = runner.start(start("setsid sleep 1000 & sleep 1001")).await;
    until("two processes", || living(&task.id).len() >= 2).await;
    let stat = fs::read_to_string(format!("/proc/{}/stat", task.pid.unwrap())).unwrap();
    let agent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().to_owned();
    assert!(std::process::Command::new("kill").args(["-KILL", &agent]).status().unwrap().success());
    let (task, _) = runner.end(&task.id).await;
    assert!(matches!(task.state, TaskState::Lost { .. }), "{task:?}");
    assert_eq!(living(&task.id), Vec::<u32>::new());
    assert_eq!(runner.finish(start("echo still")).await.1.head, "still\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_ends_all_with_grace_and_refuses_more() {
    let runner = Runner::with(|config| config.limits.running = 1).await;
    let running = runner.start(start("trap 'echo bye; exit' TERM; while :; do sleep 0.05; done")).await;
    let queued = runner.start(start("true")).await;
    until("two processes", || living(&running.id).len() >= 2).await;
    runner.tasks.shutdown(Duration::from_secs(5)).await;
    let by_runner = |task: &shared::TaskId| {
        matches!(runner.tasks.get(task).unwrap().state, TaskState::Stopped { by: Party::Runner, .. })
    };
    assert!(by_runner(&running.id) && by_runner(&queued.id), "{:?}", runner.tasks.list());
    let output = runner.tasks.read_output(&running.id, 0, 100).await.unwrap().data.0;
    assert!(output.ends_with(b"bye\n"), "{output:?}");
    let refused = runner.tasks.start(runner.session, op(), start("true")).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Stopping);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_all_end_once() {
    let runner = Runner::with(|config| config.limits.running = 16).await;
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(runner.start(start(&format!("echo {number}; exit {}", number % 3))).await.id);
    }
    for (number, id) in ids.iter().enumerate() {
        let (task, preview) = runner.end(id).await;
        assert_eq!(preview.head, format!("{number}\n"));
        let code = i32::try_from(number % 3).unwrap();
        let expected = if code == 0 { TaskState::Completed } else { TaskState::Failed { code } };
        assert_eq!(task.state, expected);
    }
    let events = runner.events().await;
    assert_eq!(events.len(), 100);
    assert!(events.iter().all(|event| matches!(event, TaskEvent::Ended { .. })));
}
