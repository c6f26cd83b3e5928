//! The harness itself: that it sees what it is there for.

use std::fs;

use e2e::process;
use e2e::runner::Runner;
use e2e::stage::play;
use e2e::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::socket::Socket;

/// A runner that dies with the supervisor of its task, so that the command goes on without either.
async fn leaves_a_process() -> Runner {
    let word = format!("meanwhile-left-{}", uuid::Uuid::new_v4());
    let runner = Runner::start().await;
    let client = runner.pair().await;
    let mut socket = Socket::open(client.address.port(), &client.credential).await;
    socket.hello(json!({"session": uuid::Uuid::new_v4()})).await;
    socket.start(&format!("while :; do sleep 0.1; done # {word}")).await;
    let agents = wait::until("the command runs", || {
        let commands = process::holding(&word);
        let parents: Vec<Pid> = process::descendants(runner.pid())
            .into_iter()
            // A shell that is just forking has itself below it.
            .filter(|process| !commands.contains(process))
            .filter(|process| commands.iter().any(|command| process::descendants(*process).contains(command)))
            .collect();
        (!commands.is_empty() && !parents.is_empty()).then_some(parents)
    })
    .await;
    let signal = |process: &Pid, signal| kill_process(*process, signal).expect("it is this test's own");
    // Neither may act on the other's death: a stopped agent would be woken by its runner's.
    signal(&runner.pid(), Signal::STOP);
    wait::until("all of its threads stand still", || stands_still(runner.pid()).then_some(())).await;
    for agent in &agents {
        signal(agent, Signal::KILL);
    }
    signal(&runner.pid(), Signal::KILL);
    runner
}

fn stands_still(process: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['T', 't']))
    })
}

#[test]
#[should_panic(expected = "left processes")]
fn a_process_that_a_runner_left_fails_its_test() {
    play(async { drop(leaves_a_process().await) });
}

#[test]
#[should_panic(expected = "left processes")]
fn a_process_that_a_runner_left_fails_its_test_before_the_next_runner_ends_it() {
    play(async { leaves_a_process().await.start_again().await });
}
