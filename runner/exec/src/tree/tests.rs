//! Trees as they are, and as a table of all processes shows them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::system::{Stat, Table};
use super::*;
use crate::tag::Worn;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

/// What passes for an agent if its program is called so, with a process below it that is of the task, whose
/// number it gives. It ends both once it is told.
fn agent(task: &str, program: &Path) -> (Child, Member) {
    let worn = Worn::new(task);
    let script = "sleep 1000 & echo $!; read told; kill -KILL $!; wait";
    let mut command = Command::new(program);
    command.arg0("meanwhile __agent").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut agent = command.spawn().unwrap();
    drop(worn);
    let mut line = String::new();
    BufReader::new(agent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (agent, Member::with_number(pid(line.trim().parse().unwrap())))
}

/// A shell by the name of an agent's program.
fn program() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("meanwhile");
    std::fs::copy("/bin/sh", &program).unwrap();
    (folder, program)
}

fn unique(name: &str) -> String {
    format!("{name} {}", std::process::id())
}

#[test]
fn what_an_earlier_agent_ends_is_waited_for_and_it_itself_too() {
    let task = unique("waited for");
    let (_folder, program) = program();
    let (mut agent, member) = agent(&task, &program);
    let (mut word, root) = (agent.stdin.take().unwrap(), agent.id());
    let told = thread::spawn(move || {
        // Time is what is tested: what is not waited for is over by then.
        thread::sleep(Duration::from_millis(500));
        word.write_all(b"\n").unwrap();
        agent.wait().unwrap();
    });
    let left = end_tagged(&Tags::new([task.as_str()]), PATIENCE);
    assert_eq!(motion(member), Motion::Still, "it lives");
    assert_eq!(motion(Member::with_number(pid(root))), Motion::Still, "its agent lives");
    assert!(left.is_empty(), "{left:?}");
    told.join().unwrap();
}

#[test]
fn what_no_agent_ends_in_time_is_named_with_its_task() {
    let (one, two) = (unique("one"), unique("two"));
    let (_folder, program) = program();
    let (mut agent, member) = agent(&two, &program);
    let left = end_tagged(&Tags::new([one.as_str(), two.as_str()]), Duration::from_millis(200));
    agent.kill().unwrap();
    agent.wait().unwrap();
    let [(task, processes)] = &left[..] else { panic!("{left:?}") };
    assert_eq!((task, processes.len(), processes[0].pid), (&two, 1, member.number()), "{left:?}");
    // Nobody watches over it any more.
    assert!(kill_tagged(&Tags::new([two.as_str()]), false).is_empty());
    assert_eq!(motion(member), Motion::Still);
}

#[test]
fn a_command_that_is_called_like_an_agent_is_none() {
    for watched in [true, false] {
        let task = unique("called");
        let (mut other, member) = agent(&task, Path::new("/bin/sh"));
        let begun = Instant::now();
        assert!(kill_tagged(&Tags::new([task.as_str()]), watched).is_empty());
        assert_eq!(motion(member), Motion::Still);
        other.wait().unwrap();
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn nothing_is_below_a_number_that_another_has() {
    let mut parent = Command::new("/bin/sh").args(["-c", "sleep 1000 & sleep 1000"]).spawn().unwrap();
    let member = Member::with_number(pid(parent.id()));
    let begun = Instant::now();
    while below(member).len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "it starts nothing");
        thread::sleep(Duration::from_millis(1));
    }
    let other = Member::known(member.pid, member.start + 1);
    assert!(!other.is_there() && below(other).is_empty());
    signal(&[other], &[Signal::KILL]);
    assert_eq!(parent.try_wait().unwrap(), None, "it was another");
    signal(&below(member), &[Signal::KILL]);
    parent.wait().unwrap();
}

/// How often this thread has read anything so far.
fn reads() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    told.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// A script or make that calls itself: each process was looked at once for each that is above it.
#[test]
fn a_deep_tree_is_read_as_often_as_a_wide_one() {
    const DEPTH: u64 = 1_000;
    let task = unique("deep");
    let folder = tempfile::tempdir().unwrap();
    let script = "if [ $1 -gt 0 ]; then sh deep $(($1 - 1)); else echo ready; sleep 1000; fi; :";
    std::fs::write(folder.path().join("deep"), script).unwrap();
    let worn = Worn::new(&task);
    let mut command = Command::new("sh");
    command.args(["deep", &DEPTH.to_string()]).current_dir(folder.path()).stdout(Stdio::piped());
    let mut root = command.spawn().unwrap();
    drop(worn);
    BufReader::new(root.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let others = std::fs::read_dir("/proc").unwrap().count() as u64;
    let before = reads();
    let left = kill_tagged(&Tags::new([task.as_str()]), true);
    let count = reads() - before;
    root.wait().unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(count < (DEPTH + others) * 100, "{count} reads of {others}");
}

/// A process that calls itself, or a script or make that does.
#[test]
fn a_deep_tree_is_walked_once() {
    const DEPTH: i32 = 100_000;
    let stat = |parent| Stat { alive: true, stopped: false, waits: false, parent, start: 1 };
    // From its middle on it bears its own number as its parent's once, as when numbers are read one after
    // another.
    let table = Table::of((1..=DEPTH).map(|pid| (pid, stat(if pid == 7 { DEPTH } else { pid - 1 }))));
    let found = table.below([1]);
    assert_eq!(found.len(), 5);
    assert_eq!(table.below([7]).len(), usize::try_from(DEPTH - 6).unwrap(), "a ring ends, too");
}
