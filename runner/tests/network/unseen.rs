//! What other programs of the same user see of a runner: nothing of its memory, and no key.
//!
//! The administrator sees all of it, so this is tried as an ordinary user, whom only root can become.

use uuid::Uuid;

use crate::support::{Runner, Socket, binary, left_out};

const KEY: &str = "sk-planted-2291";

/// A runner of an ordinary user, with a key in its environment.
async fn of_an_ordinary_user() -> Option<Runner> {
    let folder = crate::support::folder();
    let lines = format!("export HOME=/ ANTHROPIC_BASE_URL=http://127.0.0.1:9 ANTHROPIC_API_KEY={KEY}");
    if !rustix::process::geteuid().is_root() {
        return Some(Runner::start_after(folder, &["bash"], &lines, binary()).await);
    }
    if !std::process::Command::new("setpriv").arg("--version").output().is_ok_and(|it| it.status.success()) {
        left_out("setpriv is not installed, and root sees everything");
        return None;
    }
    Some(Runner::start_as_user(folder, &lines).await)
}

async fn told(socket: &mut Socket, command: &str) -> String {
    let task = socket.start(command).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    ended["event"]["excerpt"]["head"].as_str().unwrap().to_owned()
}

/// Nobody asked about it: a command that a person allowed may look at whatever the kernel lets it.
#[tokio::test]
async fn neither_memory_nor_environment_of_the_runner_can_be_read_by_its_user() {
    let Some(runner) = of_an_ordinary_user().await else { return };
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome["relay"], serde_json::json!(["anthropic"]), "it has the key");
    let pid = runner.child.id().unwrap();
    // Its own are there to be read, so what follows shows something.
    let opens = |pid: &str, file: &str| format!("( : < /proc/{pid}/{file} ) 2>/dev/null && echo opened");
    for file in ["environ", "mem", "maps", "fd/1", "cwd"] {
        assert_eq!(told(&mut socket, &opens("$$", file)).await, "opened\n", "{file} of its own");
    }
    for (whose, pid) in [("the runner", pid.to_string()), ("a supervisor", "$PPID".to_owned())] {
        for file in [
            "environ", "mem", "maps", "smaps", "auxv", "io", "fd", "fd/0", "fd/1", "cwd", "root", "exe",
            "syscall",
        ] {
            assert_eq!(told(&mut socket, &opens(&pid, file)).await, "", "{file} of {whose}");
        }
    }
    if cfg!(target_arch = "x86_64") {
        let attach = format!("command -v perl >/dev/null && perl -e 'print syscall(101, 16, {pid}, 0, 0)'");
        let told = told(&mut socket, &attach).await;
        assert!(["", "-1"].contains(&&*told), "a debugger got in: {told}");
    }
    let all = "cat /proc/*/environ /proc/*/cmdline /proc/*/task/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'sk-plan[t]ed'; ps axeww | grep -c 'sk-plan[t]ed'";
    assert_eq!(told(&mut socket, all).await, "0\n0\n");
    assert!(!runner.log().contains(KEY));
}
