//! An agent at the other end of a pipe, where output, input and credit are frames.

use std::path::Path;
use std::process::Stdio;

use exec::frames::{self, Exited, FromAgent, Run, ToAgent, VERSION};
use exec::local::SUBCOMMAND;
use exec::stream::Remote;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::common::{PATIENCE, gone, until};

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
        task: "00000001".into(),
        shell: "/bin/sh".into(),
        command: command.into(),
        folder: folder.to_string_lossy().into_owned(),
        env: Vec::new(),
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

#[tokio::test]
async fn the_end_of_the_stream_ends_the_tree() {
    let mut agent = Agent::new().await;
    let pid = agent.run("sleep 1000", false).await;
    let Agent { mut process, remote, .. } = agent;
    drop(remote);
    timeout(PATIENCE, process.wait()).await.expect("the agent lives on").unwrap();
    until("the tree has ended", || gone(pid)).await;
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
    let mut said = Vec::new();
    let mut reader = process.stdout.take().unwrap();
    timeout(PATIENCE, reader.read_to_end(&mut said)).await.expect("it does not end").unwrap();
    assert!(matches!(frames::decode(&mut said), Ok(Some(FromAgent::Hello { version: VERSION }))));
    assert!(said.is_empty() && !folder.path().join("ran").exists());
}
