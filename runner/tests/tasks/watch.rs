//! What the runner notices of a running task: the ports that it listens on, and that it seems to wait for
//! input.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use runner::tasks::TasksConfig;
use shared::protocol::Start;
use shared::task::{Party, Task, TaskState};

use crate::common::{Runner, living, start, until};

/// The program that listens: this very one. `at` is the address, and the file `close` in its folder makes it
/// give it up.
#[test]
#[ignore = "only as a process of another test"]
fn listener() {
    let Ok(at) = std::env::var("LISTENER_AT") else { return };
    let listener = TcpListener::bind(at).unwrap();
    println!("\nport {}", listener.local_addr().unwrap().port());
    while !Path::new("close").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(listener);
    std::thread::sleep(Duration::from_secs(1_000));
}

/// A command that listens.
pub(crate) fn listens(at: &str) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "LISTENER_AT={at} exec {} --exact watch::listener --ignored --nocapture --test-threads 1",
        program.display()
    )
}

fn port(task: &Task) -> Option<u16> {
    task.last_line.strip_prefix("port ")?.parse().ok()
}

/// A loopback address that nobody else uses, so that nobody takes a port of it meanwhile.
fn own() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 83, high, low.max(1))
}

async fn listening(runner: &Runner) -> (Task, u16) {
    // Under another session, where a process group would not find it.
    let listens = listens(&format!("{}:0", own()));
    let task = runner.start(start(&format!("setsid sh -c '{listens}' & wait"))).await;
    until("it listens", || port(&runner.tasks.get(&task.id).unwrap()).is_some()).await;
    let port = port(&runner.tasks.get(&task.id).unwrap()).unwrap();
    (task, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_shown_to_those_who_are_connected() {
    let runner = Runner::new().await;
    let _connected = runner.tasks.changes();
    let (task, port) = listening(&runner).await;
    let other = runner.start(start("sleep 1000")).await;
    until("the port is seen", || runner.tasks.get(&task.id).unwrap().ports == [port]).await;
    assert_eq!(runner.tasks.get(&other.id).unwrap().ports, Vec::<u16>::new());
    let stopped = runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert_eq!((stopped.ports, stopped.ports_held), (vec![], vec![]));
    assert!(TcpListener::bind((own(), port)).is_ok(), "it is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_for_nobody_but_a_check_does() {
    let runner = Runner::new().await;
    let (task, port) = listening(&runner).await;
    // Time is what is tested: longer than the first looks would take.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(runner.tasks.get(&task.id).unwrap().ports, Vec::<u16>::new());
    let checked = runner.tasks.check(runner.session, None, None, None, 100).await.unwrap();
    assert_eq!(checked[0].task.ports, [port]);
    assert_eq!(runner.tasks.get(&task.id).unwrap().ports, [port]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_given_up_goes_from_the_list() {
    let runner = Runner::new().await;
    let _connected = runner.tasks.changes();
    let task = runner.start(start(&listens("127.0.0.1:0"))).await;
    until("the port is seen", || runner.tasks.get(&task.id).unwrap().ports.len() == 1).await;
    std::fs::write(runner.workspace().join("close"), "").unwrap();
    until("it has gone", || runner.tasks.get(&task.id).unwrap().ports.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_left_behind_still_listens_and_says_so() {
    let runner = Runner::new().await;
    let command = "& while [ ! -e go ]; do sleep 0.01; done";
    let task = runner.start(start(&format!("sh -c '{}' {command}", listens("127.0.0.1:0")))).await;
    until("it listens", || port(&runner.tasks.get(&task.id).unwrap()).is_some()).await;
    std::fs::write(runner.workspace().join("go"), "").unwrap();
    let (ended, _) = runner.end(&task.id).await;
    let port = port(&ended).unwrap();
    assert_eq!((ended.state.clone(), ended.ports.as_slice()), (TaskState::Completed, &[port][..]));
    assert_eq!(ended.remaining_processes.len(), 1, "{ended:?}");
    let stopped = runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert_eq!((stopped.ports, stopped.ports_held), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_still_held_after_the_stop_is_named_with_its_holder() {
    let runner = Runner::new().await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    // A stop does not wait long for its look at the ports, so on a busy machine it may come to nothing.
    let mut tries = 0;
    let (task, stopped) = loop {
        tries += 1;
        // Another listener of the same port, on another address, as a server behind the same port would be.
        let task = runner.start(start(&listens(&format!("127.0.0.2:{port}")))).await;
        until("it listens", || self::port(&runner.tasks.get(&task.id).unwrap()).is_some()).await;
        let stopped = runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
        assert_eq!(living(&task.id), Vec::<u32>::new());
        if !stopped.ports_held.is_empty() || tries == 20 {
            break (task, stopped);
        }
    };
    let [held_port] = stopped.ports_held.as_slice() else { panic!("{stopped:?}") };
    let holder = held_port.by.as_ref().expect("it is this process");
    assert_eq!((held_port.port, holder.pid), (port, std::process::id()));
    let runner = runner.restart().await;
    assert_eq!(runner.tasks.get(&task.id).unwrap().ports_held, stopped.ports_held, "it is remembered");
}

fn quick(config: &mut TasksConfig) {
    config.limits.prompt_quiet = Duration::from_millis(300);
}

fn waits(runner: &Runner, task: &Task) -> bool {
    runner.tasks.get(&task.id).unwrap().waits_for_input
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_task_that_asks_is_flagged_until_it_is_answered() {
    let runner = Runner::with(quick).await;
    let command =
        "printf 'Name: '; read name; sleep 1; printf 'Age of %s? ' $name; read age; echo done; sleep 1000";
    let task = runner.start(Start { stdin: true, ..start(command) }).await;
    until("it asks", || waits(&runner, &task)).await;
    runner.tasks.send_input(&task.id, "Ada\n".into(), false).await.unwrap();
    until("it is answered", || !waits(&runner, &task)).await;
    // It computes for a while behind the same last line; that is no question any more.
    let length = runner.tasks.output_length(&task.id).unwrap();
    let before = *length.borrow();
    until("it prints", || {
        assert!(*length.borrow() > before || !waits(&runner, &task));
        *length.borrow() > before
    })
    .await;
    until("it asks again", || waits(&runner, &task)).await;
    runner.tasks.send_input(&task.id, "36\n".into(), true).await.unwrap();
    until("it went on", || runner.tasks.get(&task.id).unwrap().last_line.ends_with("done")).await;
    assert!(!waits(&runner, &task));
    runner.tasks.stop(&task.id, Party::User, true).await.unwrap();
    assert!(!runner.end(&task.id).await.0.waits_for_input);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_and_closed_inputs_are_not_flagged() {
    let runner = Runner::with(quick).await;
    let closed = runner.start(start("printf 'Name: '; sleep 1000")).await;
    let listening = runner.start(Start { stdin: true, ..start("echo listening; sleep 1000") }).await;
    // Time is what is tested: several times the quiet that a question needs.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(!waits(&runner, &closed) && !waits(&runner, &listening));
}
