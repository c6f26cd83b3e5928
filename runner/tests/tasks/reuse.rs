//! A command changes nothing for the next one, and what stands by for it leaves nothing behind.

use shared::protocol::{Sandbox, Start};

use crate::common::{Runner, start, until};

const FACTS: &str = "ulimit -Ha; nice; grep -E '^(Cpus|Mems)_allowed:|^Seccomp:|^NoNewPrivs:' /proc/self/status; \
    cat /proc/self/oom_score_adj; umask; ps -o pgid= -p $$ | grep -c .";

/// What a command may do to its parent, which is of its own user.
const CHANGES: [&str; 5] = [
    "prlimit --pid $PPID --fsize=1000:1000 --nofile=10:10 --core=0:0 --cpu=5:5",
    "renice -n 15 -p $PPID",
    "taskset -p 1 $PPID",
    "echo 1000 > /proc/$PPID/oom_score_adj",
    "chrt --idle -p 0 $PPID",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_its_parent_changes_no_later_one() {
    for sandbox in [None, Some(Sandbox::ReadOnly)] {
        let runner = Runner::new().await;
        let (_, before) = runner.finish(start(FACTS)).await;
        assert!(before.head.contains("file size"), "{before:?}");
        for change in CHANGES {
            runner.finish(Start { sandbox, ..start(change) }).await;
        }
        for _ in 0..20 {
            let (_, after) = runner.finish(start(FACTS)).await;
            assert_eq!(after.head, before.head, "{sandbox:?}");
        }
        let (_, long) = runner.finish(start("head -c 5000 /dev/zero > f && wc -c < f")).await;
        assert_eq!(long.head.trim(), "5000", "{sandbox:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_started_commands_leaves_no_file_once_their_ends_are_saved() {
    let runner = Runner::new().await;
    for n in 0..30 {
        let sandbox = (n % 2 == 0).then_some(Sandbox::ReadOnly);
        runner.finish(Start { sandbox, ..start("echo a") }).await;
    }
    let logs = runner.workspace().with_file_name("state").join("logs");
    assert!(logs.is_dir());
    until("none is left", || {
        std::fs::read_dir(&logs)
            .unwrap()
            .all(|file| file.unwrap().path().extension().is_none_or(|extension| extension != "exit"))
    })
    .await;
}
