//! An agent at the other end of a pipe, where output, input and credit are frames.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use exec::frames::{self, Exited, FrameBuffer, FromAgent, Run, ToAgent, VERSION};
use exec::local::SUBCOMMAND;
use exec::stream::Remote;
use shared::task::PortHeld;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::common::{PATIENCE, is_dead, until};
use crate::watch::listens;

/// More than pipes hold.
const MUCH: u64 = 64 * 1024 * 1024;

struct Agent {
    process: Child,
    remote: Remote<ChildStdout, ChildStdin>,
    folder: TempDir,
    output: Vec<u8>,
}

fn spawned(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .arg(SUBCOMMAND)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Agent {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = spawned(folder.path());
        let (reader, writer) = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
        let remote = Remote::meet(reader, writer).await.unwrap();
        Self { process, remote, folder, output: Vec::new() }
    }

    async fn send(&mut self, frame: ToAgent) {
        self.remote.send(&frame).await.unwrap();
    }

    async fn run(&mut self, command: &str, stdin: bool) -> u32 {
        self.send(run(self.folder.path(), command, stdin)).await;
        loop {
            let frame = self.next().await;
            if let FromAgent::Started { pid } = frame {
                return pid;
            }
            assert!(matches!(frame, FromAgent::Credit(_)), "{frame:?}");
        }
    }

    /// The next frame; output is put together.
    async fn next(&mut self) -> FromAgent {
        let frame = timeout(PATIENCE, self.remote.receive()).await.expect("nothing comes").unwrap();
        let frame = frame.expect("the agent has died");
        if let FromAgent::Output { offset, data } = &frame {
            assert_eq!(*offset, self.output.len() as u64, "output is missing");
            self.output.extend_from_slice(&data.0);
        }
        frame
    }

    /// How the run ends, once nothing is left of it.
    async fn ended(&mut self) -> Exited {
        let mut exited = None;
        loop {
            let frame = self.next().await;
            if let FromAgent::Exited(end) = frame {
                assert!(exited.replace(end).is_none(), "it ended twice");
            } else if matches!(frame, FromAgent::Empty) {
                return exited.expect("it is empty before it has ended");
            }
        }
    }
}

fn run(folder: &Path, command: &str, stdin: bool) -> ToAgent {
    ToAgent::Run(Box::new(Run {
        task: folder.to_string_lossy().into_owned(),
        shell: "/bin/sh".into(),
        command: command.into(),
        folder: folder.to_string_lossy().into_owned(),
        stdin,
        read_only: None,
        writable: None,
        exit_file: folder.join("exit").to_string_lossy().into_owned(),
    }))
}

#[tokio::test]
async fn output_comes_whole_and_never_more_than_there_is_credit_for() {
    let mut agent = Agent::new().await;
    agent.run("seq 20000; exit 3", false).await;
    let (mut credit, mut exited) = (0, None);
    loop {
        if agent.output.len() == credit {
            credit += 1000;
            agent.send(ToAgent::Credit(1000)).await;
        }
        let frame = agent.next().await;
        if let FromAgent::Exited(end) = frame {
            exited = Some(end);
        } else if matches!(frame, FromAgent::Empty) {
            break;
        }
        assert!(agent.output.len() <= credit, "{} of {credit}", agent.output.len());
    }
    let expected = (1..=20_000).fold(String::new(), |text, line| text + &format!("{line}\n"));
    assert_eq!(String::from_utf8(agent.output.clone()).unwrap(), expected);
    assert_eq!(exited.unwrap().code, Some(3));
    // It serves the next.
    agent.output.clear();
    agent.send(ToAgent::Saved).await;
    agent.run("echo again", false).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    assert_eq!(agent.ended().await.code, Some(0));
    assert_eq!(agent.output, b"again\n");
}

#[tokio::test]
async fn input_reaches_the_command_as_far_as_there_is_credit_for_it() {
    let mut agent = Agent::new().await;
    agent.send(run(agent.folder.path(), "cat", true)).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    let text: Vec<u8> = (0..300_000_u32).map(|number| b'a' + u8::try_from(number % 26).unwrap()).collect();
    let (mut sent, mut credit, mut exited) = (0, 0, None);
    loop {
        let more = credit.min(text.len() - sent);
        if more > 0 {
            let data = text[sent..sent + more].to_vec().into();
            sent += more;
            credit -= more;
            agent.send(ToAgent::Input { data, eof: sent == text.len() }).await;
        }
        let frame = agent.next().await;
        if let FromAgent::Credit(more) = frame {
            credit += usize::try_from(more).unwrap();
        } else if let FromAgent::Exited(end) = frame {
            exited = Some(end);
        } else if matches!(frame, FromAgent::Empty) {
            break;
        }
    }
    assert_eq!(agent.output, text);
    assert_eq!(exited.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_tree_is_frozen_thawed_and_ended() {
    let mut agent = Agent::new().await;
    agent.run("sleep 1000 & sleep 1000", false).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    for frozen in [true, false] {
        agent.send(ToAgent::Freeze(frozen)).await;
        assert!(matches!(agent.next().await, FromAgent::Frozen(is) if is == frozen));
    }
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    let exited = agent.ended().await;
    assert_eq!((exited.code, exited.asked), (None, true));
}

/// Whoever takes what it says is heard all the same, however much that is.
#[tokio::test]
async fn output_without_end_keeps_no_stop_from_being_heard() {
    let mut agent = Agent::new().await;
    agent.run("yes", false).await;
    agent.send(ToAgent::Credit(u64::MAX)).await;
    while agent.output.len() < 1024 * 1024 {
        agent.next().await;
    }
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    let ended = async { while !matches!(agent.next().await, FromAgent::Exited(_)) {} };
    timeout(Duration::from_secs(10), ended).await.expect("it is not heard");
}

/// As over a laptop that sleeps, or a window that is full.
#[tokio::test]
async fn a_runner_that_takes_nothing_keeps_no_tree_from_being_ended() {
    let mut agent = Agent::new().await;
    let pid = agent.run("trap '' TERM; while :; do echo much; done", false).await;
    agent.send(ToAgent::Credit(u64::MAX)).await;
    while agent.output.len() < 1024 * 1024 {
        agent.next().await;
    }
    agent.send(ToAgent::Stop { grace_ms: 500 }).await;
    until("it is killed, though nobody reads", || is_dead(pid)).await;
    assert!(agent.ended().await.asked);
}

#[tokio::test]
async fn an_agent_that_is_asked_whether_it_lives_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = spawned(folder.path());
    let (mut reader, mut writer) = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
    for frame in [ToAgent::Hello { version: VERSION, frames: true }, ToAgent::Ping] {
        writer.write_all(&frames::encode(&frame).unwrap()).await.unwrap();
    }
    let mut received = FrameBuffer::default();
    let answered = async {
        loop {
            match received.take_frame().unwrap() {
                Some(FromAgent::Pong) => return,
                Some(_) => {}
                None => assert!(reader.read_buf(received.space()).await.unwrap() > 0, "it ends"),
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("it says nothing");
}

/// The letter of a process's state.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[tokio::test]
async fn a_thaw_lets_nothing_go_on_that_its_command_has_stopped() {
    let mut agent = Agent::new().await;
    let pid = agent.run("sleep 1000 & kill -STOP $!; echo $!; sleep 1000", false).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    while !agent.output.ends_with(b"\n") {
        agent.next().await;
    }
    let stopped = String::from_utf8(agent.output.clone()).unwrap().trim().parse().unwrap();
    until("it is stopped", || state(stopped) == 'T').await;
    for frozen in [true, false] {
        agent.send(ToAgent::Freeze(frozen)).await;
        assert!(matches!(agent.next().await, FromAgent::Frozen(is) if is == frozen));
    }
    until("it goes on", || state(pid) == 'S').await;
    assert_eq!(state(stopped), 'T');
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    agent.ended().await;
}

#[tokio::test]
async fn what_is_being_ended_is_not_said_to_be_frozen() {
    let mut agent = Agent::new().await;
    agent
        .run("trap 'while :; do sleep 0.01; done' TERM; echo ready; while :; do sleep 0.01; done", false)
        .await;
    agent.send(ToAgent::Credit(MUCH)).await;
    while agent.output != b"ready\n" {
        agent.next().await;
    }
    agent.send(ToAgent::Stop { grace_ms: 600_000 }).await;
    agent.send(ToAgent::Freeze(true)).await;
    let FromAgent::Frozen(frozen) = agent.next().await else { panic!("it was asked") };
    assert!(!frozen);
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    assert!(agent.ended().await.asked);
}

/// What is told of it goes to everybody who looks on.
#[tokio::test]
async fn what_is_left_behind_is_looked_at_ten_times_a_second_at_most() {
    const LOOKS: u32 = 10;
    let mut agent = Agent::new().await;
    // Each of these becomes the agent's own, which so hears of its death.
    agent.run("(while :; do (/bin/true &); done) & exit 0", false).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    while !matches!(agent.next().await, FromAgent::Exited(_)) {}
    while !matches!(agent.next().await, FromAgent::Remaining(_)) {}
    let begun = std::time::Instant::now();
    for _ in 0..LOOKS {
        while !matches!(agent.next().await, FromAgent::Remaining(_)) {}
    }
    assert!(begun.elapsed() >= LOOKS * Duration::from_millis(95), "{:?}", begun.elapsed());
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    while !matches!(agent.next().await, FromAgent::Empty) {}
}

/// By that the runner's next life finds it, and waits until it has said how its command ended.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_agent_bears_the_tag_of_its_run_until_that_is_saved() {
    let mut agent = Agent::new().await;
    let limits = format!("/proc/{}/limits", agent.process.id().unwrap());
    let tag = || {
        let limits = std::fs::read_to_string(&limits).unwrap();
        limits.lines().find(|line| line.starts_with("Max realtime timeout")).unwrap().to_owned()
    };
    let before = tag();
    for _ in 0..2 {
        agent.run("true", false).await;
        agent.send(ToAgent::Credit(MUCH)).await;
        agent.ended().await;
        assert_ne!(tag(), before);
        agent.send(ToAgent::Saved).await;
        until("the tag is gone", || tag() == before).await;
    }
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_tree() {
    let mut agent = Agent::new().await;
    let pid = agent.run("sleep 1000", false).await;
    let Agent { mut process, remote, .. } = agent;
    drop(remote);
    timeout(PATIENCE, process.wait()).await.expect("the agent lives on").unwrap();
    until("the tree has ended", || is_dead(pid)).await;
}

/// Its output fits into the pipe, so nobody holds it up.
#[tokio::test]
async fn an_end_does_not_wait_for_its_output_to_be_taken() {
    let mut agent = Agent::new().await;
    agent.run("echo much; exit 4", false).await;
    let FromAgent::Exited(exited) = agent.next().await else { panic!("it has ended") };
    assert_eq!((exited.code, agent.output.len()), (Some(4), 0));
    agent.send(ToAgent::Credit(MUCH)).await;
    while !matches!(agent.next().await, FromAgent::Empty) {}
    assert_eq!(agent.output, b"much\n");
}

#[tokio::test]
async fn an_agent_says_what_is_alive_and_who_listens_where() {
    let mut agent = Agent::new().await;
    agent.run(&format!("{} & sleep 1000", listens("127.0.0.1:0")), false).await;
    let (processes, port) = loop {
        agent.send(ToAgent::Look).await;
        let FromAgent::Seen { processes, ports } = agent.next().await else { panic!("it was asked") };
        if let [port] = ports[..] {
            break (processes, port);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(processes.iter().any(|process| process.command == "sleep 1000"), "{processes:?}");
    agent.send(ToAgent::Holders(BTreeSet::from([port]))).await;
    let FromAgent::Holders(holders) = agent.next().await else { panic!("it was asked") };
    let [PortHeld { port: held, by: Some(holder) }] = &holders[..] else { panic!("{holders:?}") };
    assert_eq!(*held, port);
    assert!(processes.iter().any(|process| process.pid == holder.pid), "{holders:?} {processes:?}");
    agent.send(ToAgent::Stop { grace_ms: 0 }).await;
    agent.send(ToAgent::Credit(MUCH)).await;
    agent.ended().await;
    agent.send(ToAgent::Look).await;
    let FromAgent::Seen { processes, ports } = agent.next().await else { panic!("it was asked") };
    assert!(processes.is_empty() && ports.is_empty());
}

#[tokio::test]
async fn what_outlived_its_agent_is_ended_by_another() {
    let mut agent = Agent::new().await;
    let pid = agent.run("sleep 1000", false).await;
    agent.process.kill().await.unwrap();
    let mut other = Agent::new().await;
    let sweep = |task: &str| ToAgent::Sweep { tasks: vec![task.into()], watched: true };
    other.send(sweep("of nobody")).await;
    assert!(matches!(other.next().await, FromAgent::Swept(left) if left.is_empty()));
    assert!(!is_dead(pid), "it was somebody else's");
    other.send(sweep(&agent.folder.path().to_string_lossy())).await;
    assert!(matches!(other.next().await, FromAgent::Swept(left) if left.is_empty()));
    assert!(is_dead(pid));
}

/// What `sshd` gives a program: one socket for both ways. It could carry descriptors, and must not be asked
/// to.
#[tokio::test]
async fn a_socket_carries_frames_if_they_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .arg(SUBCOMMAND)
        .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
        .stdout(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let (reader, writer) = UnixStream::from_std(ours).unwrap().into_split();
    let mut remote = Remote::meet(reader, writer).await.unwrap();
    remote.send(&run(folder.path(), "echo here", false)).await.unwrap();
    remote.send(&ToAgent::Credit(MUCH)).await.unwrap();
    let mut output = Vec::new();
    loop {
        let frame = timeout(PATIENCE, remote.receive()).await.expect("nothing comes").unwrap().unwrap();
        if let FromAgent::Output { data, .. } = frame {
            output.extend_from_slice(&data.0);
        } else if matches!(frame, FromAgent::Empty) {
            break;
        }
    }
    assert_eq!(output, b"here\n");
    drop(remote);
    timeout(PATIENCE, process.wait()).await.expect("the agent lives on").unwrap();
}

#[tokio::test]
async fn another_version_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = spawned(folder.path());
    let mut writer = process.stdin.take().unwrap();
    for frame in
        [ToAgent::Hello { version: VERSION + 1, frames: true }, run(folder.path(), "echo ran >ran", false)]
    {
        writer.write_all(&frames::encode(&frame).unwrap()).await.unwrap();
    }
    let mut received = FrameBuffer::default();
    let mut reader = process.stdout.take().unwrap();
    timeout(PATIENCE, reader.read_to_end(received.space())).await.expect("it does not end").unwrap();
    assert!(matches!(received.take_frame(), Ok(Some(FromAgent::Hello { version: VERSION }))));
    assert!(received.is_empty() && !folder.path().join("ran").exists());
}

#[test]
fn what_is_longer_than_a_frame_may_be_is_not_written() {
    let long = |bytes| ToAgent::Sweep { tasks: vec!["x".repeat(bytes)], watched: false };
    assert!(frames::encode(&long(frames::MAX_FRAME - 100)).is_ok());
    let refused = frames::encode(&long(frames::MAX_FRAME)).map(|bytes| bytes.len()).unwrap_err();
    assert!(refused.to_string().contains("too long"), "{refused}");
}
