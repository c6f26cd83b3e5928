//! The shim: `meanwhile __shim`, one small process above each running task.
//!
//! Its descriptor 0 is a socket to the runner (see [`wire`]). It leads a session without a terminal and is a subreaper,
//! so that every process a command starts, however it hides, stays below it and is reaped by it. Two threads: *main*
//! starts the shell as leader of a group of its own and then blocks in `wait` until nothing is left to wait for;
//! *control* blocks on the socket and on the deadline of a stop, and holds the tree or lets it go on. When the socket
//! ends, the runner has died: how the newest leader ended is left in a file, should that not have been saved, and the
//! tree is killed. A shim whose tree is empty serves the next run, so a task costs no start of a program but its own.
//!
//! Why killing ends: KILL goes to all members; whoever escapes was forked by one of them just before, becomes a child of
//! the shim at the latest when that one is reaped, and every reaping is followed by another round.

mod ends;
mod reap;
mod start;
pub(crate) mod tag;
mod tree;
pub(crate) mod wire;

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustix::process::{Pid, Signal};

use crate::clock::since_boot;
use ends::{readable, receive};
use shared::task::Process;
pub(crate) use start::lack;
use start::start;
use tag::Tags;
use wire::{Exited, FromShim, Run, ToShim};

/// Between two rounds of KILL when no reaping calls for one.
const ROUND: Duration = Duration::from_millis(100);
/// Rounds of STOP. What does not stand still then waits for a device, and does once that answers.
const ROUNDS: usize = 200;
/// Looks that find nothing before nothing is there.
const QUIET_ROUNDS: u32 = 3;
/// How long KILL is given before what still lives is reported.
const STUCK: Duration = Duration::from_secs(10);
/// Signals that the shim catches and drops: it must outlive them, and what it starts must find them at their defaults,
/// which a caught signal returns to and an inherited "ignore" does not.
const CAUGHT: [i32; 14] = {
    use signal_hook::consts::{
        SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
        SIGTTOU, SIGUSR1, SIGUSR2,
    };
    [
        SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
        SIGTTOU, SIGUSR1, SIGUSR2,
    ]
};

/// What a stop has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nobody asked.
    Free,
    /// TERM was sent; KILL follows at this moment.
    Asked(Instant),
    /// KILL is being sent since this moment.
    Killing { since: Instant, told: bool },
}

struct State {
    mode: Mode,
    leader: Option<Pid>,
    /// Whether a run is on, from its frame to its last process.
    busy: bool,
}

struct Shared {
    state: Mutex<State>,
    /// How the newest leader ended, to be written if the runner dies.
    last: Mutex<Option<Last>>,
    control: Mutex<UnixStream>,
}

/// How a leader ended, and where to write it.
struct Last {
    record: String,
    exited: Exited,
    at: Instant,
    /// Whether somebody still read its output then; not known of one with an open input.
    read: Option<bool>,
}

/// The leader of a run, from its start to its end.
struct Leader<'a> {
    pid: Pid,
    begun: Duration,
    /// Where its end goes if the runner dies.
    record: &'a str,
    /// Its output's pipe; none with an open input.
    witness: Option<OwnedFd>,
}

type Job = (Run, Vec<OwnedFd>);

/// Looks at the command lines once more: a process that was listed just after its fork may be another program by now.
pub(crate) fn name_again(processes: &mut [Process]) {
    for process in processes {
        tree::name_again(process);
    }
}

/// The processes alive below one, such as a shim.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    let root = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let below = root.map(tree::below).unwrap_or_default();
    below.into_iter().map(tree::Member::number).collect()
}

/// Processes for people.
pub(crate) fn described(pids: &[u32]) -> Vec<Process> {
    let mut processes: Vec<_> =
        pids.iter().map(|pid| Process { pid: *pid, command: String::new() }).collect();
    name_again(&mut processes);
    processes
}

/// Lets a shim of this process go on, should it have been stopped.
pub(crate) fn wake(shim: u32) {
    if let Some(pid) = i32::try_from(shim).ok().and_then(Pid::from_raw) {
        tree::wake(pid);
    }
}

/// Kills whatever is below a shim of this process, and lets the shim go on.
pub(crate) fn kill_below(shim: u32) {
    let Some(pid) = i32::try_from(shim).ok().and_then(Pid::from_raw) else { return };
    // As for those that bear a mark.
    for _ in 0..100 {
        let below = tree::below(pid);
        if below.is_empty() {
            break;
        }
        tree::signal(&below, &[Signal::KILL]);
        thread::sleep(Duration::from_millis(10));
    }
    tree::wake(pid);
}

/// Kills, in the runner itself, whatever has one of the tags: the last resort when shims were killed. Gives what could
/// not be killed. Without `watched`, what has a shim above it is left to that: it may be another runner's, over a copy of
/// the same store.
pub(crate) fn kill_tagged(tags: &Tags, watched: bool) -> Vec<Process> {
    let mut quiet = 0;
    // Each round may free others that were being forked; a hundred rounds end even a vicious tree.
    for _ in 0..100 {
        let tagged = tree::tagged(tags, watched);
        // One that is just being forked may be missed by a look.
        quiet = if tagged.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            return Vec::new();
        }
        tree::signal(&tagged, &[Signal::KILL]);
        thread::sleep(Duration::from_millis(10));
    }
    tree::describe(&tree::tagged(tags, watched))
}

/// The entry: the first argument after `__shim` is the soft limit of open files that commands get.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // From here on descriptor 0 is not the socket, which no command must inherit.
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    // A leader of a session already, if a person started it from a script: harmless.
    let _leads_already = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        // No command that it starts may look into it, or change it: it may serve another session's next.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // A shim that its own command has stopped must go on to see that the runner has died. It does no harm that this
        // comes when the thread ends that started it.
        rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
    }
    for signal in CAUGHT {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    if let Some(soft) = std::env::args().nth(2).and_then(|soft| soft.parse().ok()) {
        crate::limits::restore_open_files(soft);
    }

    let shared = Arc::new(Shared {
        state: Mutex::new(State { mode: Mode::Free, leader: None, busy: false }),
        last: Mutex::default(),
        control: Mutex::new(control.try_clone()?),
    });
    let (jobs, receiver) = mpsc::channel();
    let listener = Arc::clone(&shared);
    thread::Builder::new().name("control".into()).stack_size(256 * 1024).spawn(move || {
        listener.listen(control, &jobs);
        listener.leave_record();
        listener.kill();
        drop(jobs);
    })?;
    shared.work(&receiver);
    Ok(())
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn say(&self, frame: &FromShim) {
        self.say_all(&[frame]);
    }

    /// Says several things at once, so that the runner wakes once.
    fn say_all(&self, frames: &[&FromShim]) {
        let bytes: Vec<u8> = frames.iter().filter_map(|frame| wire::encode(frame).ok()).flatten().collect();
        // A runner that has died is noticed by the thread that reads.
        let _dead = self.control.lock().write_all(&bytes);
    }

    // ---- main ----

    fn work(&self, jobs: &Receiver<Job>) {
        while let Ok((run, descriptors)) = jobs.recv() {
            let begun = since_boot();
            match start(&run, descriptors) {
                Ok((pid, witness)) => {
                    self.state().leader = Some(pid);
                    self.say(&FromShim::Started { pid: pid.as_raw_nonzero().get().unsigned_abs() });
                    // A stop that came before the start found nobody.
                    self.go_on_stopping(true);
                    let last = self.reap(Leader { pid, begun, record: &run.record, witness });
                    self.rest();
                    let frames = last.iter().chain([&FromShim::Empty]);
                    self.say_all(&frames.collect::<Vec<_>>());
                }
                Err(failure) => {
                    self.rest();
                    self.say(&FromShim::Failed(failure));
                }
            }
        }
    }

    fn rest(&self) {
        *self.state() = State { mode: Mode::Free, leader: None, busy: false };
    }

    /// Another round of what a stop has come to.
    fn go_on_stopping(&self, first: bool) {
        let (mode, leader) = {
            let state = self.state();
            (state.mode, state.leader)
        };
        match mode {
            Mode::Asked(_) if first => tree::signal(&tree::members(leader), &[Signal::TERM, Signal::CONT]),
            Mode::Free | Mode::Asked(_) => {}
            Mode::Killing { .. } => tree::signal(&tree::members(leader), &[Signal::KILL]),
        }
    }

    // ---- control ----

    /// Until the socket ends.
    fn listen(&self, mut control: UnixStream, jobs: &Sender<Job>) {
        let mut deadline = None;
        loop {
            match readable(&control, deadline) {
                Ok(true) => {
                    let Ok(Some((frame, descriptors))) = receive(&mut control) else { return };
                    match frame {
                        ToShim::Run(run) => {
                            self.state().busy = true;
                            if jobs.send((*run, descriptors)).is_err() {
                                return;
                            }
                        }
                        ToShim::Stop { grace_ms: 0 } => self.kill(),
                        ToShim::Stop { grace_ms } => self.ask(Duration::from_millis(grace_ms)),
                        ToShim::Hold(hold) => {
                            self.hold(hold);
                            self.say(&FromShim::Held(hold));
                        }
                        ToShim::Saved => self.saved(),
                    }
                }
                Ok(false) => {}
                Err(_) => return,
            }
            deadline = self.next_step();
        }
    }

    fn ask(&self, grace: Duration) {
        let leader = {
            let mut state = self.state();
            if !state.busy || state.mode != Mode::Free {
                return;
            }
            state.mode = Mode::Asked(Instant::now() + grace);
            state.leader
        };
        tree::signal(&tree::members(leader), &[Signal::TERM, Signal::CONT]);
    }

    /// Stops the tree where it is, or lets it go on. A process that is being forked while its parent is stopped is found
    /// in the next round; one that is stopped forks no more.
    fn hold(&self, hold: bool) {
        let leader = {
            let state = self.state();
            if !state.busy || state.mode != Mode::Free {
                return;
            }
            state.leader
        };
        if !hold {
            // Children first: a parent that waits must not see them stopped.
            let mut members = tree::members(leader);
            members.reverse();
            return tree::signal(&members, &[Signal::CONT]);
        }
        for _ in 0..ROUNDS {
            let members = tree::members(leader);
            let moving: Vec<_> = members.into_iter().filter(|member| !tree::stands_still(*member)).collect();
            if moving.is_empty() {
                return;
            }
            tree::signal(&moving, &[Signal::STOP]);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(&self) {
        let leader = {
            let mut state = self.state();
            if !state.busy {
                return;
            }
            if !matches!(state.mode, Mode::Killing { .. }) {
                state.mode = Mode::Killing { since: Instant::now(), told: false };
            }
            state.leader
        };
        tree::signal(&tree::members(leader), &[Signal::KILL]);
    }

    /// Does what is due and gives the moment of what is due next.
    fn next_step(&self) -> Option<Instant> {
        let (mode, leader) = {
            let state = self.state();
            (state.mode, state.leader)
        };
        let now = Instant::now();
        match mode {
            Mode::Free => None,
            Mode::Asked(at) if at > now => Some(at),
            Mode::Asked(_) => {
                self.kill();
                Some(now + ROUND)
            }
            Mode::Killing { since, told } => {
                let left = tree::members(leader);
                tree::signal(&left, &[Signal::KILL]);
                if told {
                    return Some(now + STUCK);
                }
                // What is dead and not yet reaped needs no more than time.
                if left.is_empty() || now < since + STUCK {
                    return Some(now + ROUND);
                }
                if let Mode::Killing { told, .. } = &mut self.state().mode {
                    *told = true;
                }
                self.say(&FromShim::Stuck(tree::describe(&left)));
                Some(now + STUCK)
            }
        }
    }
}
