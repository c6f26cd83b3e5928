//! The harness itself: that it sees what it is there for.

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
            .filter(|process| commands.iter().any(|command| process::descendants(*process).contains(command)))
            .collect();
        (!commands.is_empty() && !parents.is_empty()).then_some(parents)
    })
    .await;
    let signal = |process: &Pid, signal| kill_process(*process, signal).expect("it is this test's own");
    for agent in &agents {
        signal(agent, Signal::STOP);
    }
    signal(&runner.pid(), Signal::KILL);
    for agent in &agents {
        signal(agent, Signal::KILL);
    }
    runner
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
