//! The loop, and what each thing that it hears leads to.

use std::collections::HashSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::carry::Carried;
use super::link::Link;
use super::reap::Reaped;
use super::run::{Last, Mode, Running};
use super::start::start;
use super::stop::ROUND;
use crate::clock::since_boot;
use crate::exhaustion::exhausted;
use crate::frames::{Failure, FromAgent, Run, ToAgent, VERSION, check_version};
use crate::tag::{Tags, Worn};
use crate::{limits, sockets, tree};

/// Signals that the agent catches and drops: it must outlive them, and what it starts must find them at their
/// defaults, which a caught signal returns to and an inherited "ignore" does not. SIGCHLD is caught, too, and
/// wakes it.
const CAUGHT: [i32; 13] = {
    use signal_hook::consts::{
        SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
        SIGUSR1, SIGUSR2,
    };
    [
        SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
        SIGUSR1, SIGUSR2,
    ]
};

/// The entry: the first argument after `__agent` is the soft limit of open files that commands get.
#[must_use]
pub fn main() -> ExitCode {
    match Agent::new().and_then(Agent::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Agent {
    link: Link,
    /// Readable when a child has died.
    deaths: UnixStream,
    /// Whether the runner has said hello.
    met: bool,
    running: Option<Running>,
    /// How the newest main process ended, to be written if the runner dies.
    last: Option<Last>,
    /// The newest run's tag, until nothing of it is left and its end is saved: the runner's next life waits
    /// for whoever has it.
    worn: Option<Worn>,
    /// Whether the runner has died.
    alone: bool,
    /// Whether more may be dead than one look has taken.
    more: bool,
}

/// What `poll` has found.
struct Ready {
    frames: bool,
    died: bool,
    output: bool,
    input: bool,
    /// Whether the runner takes something.
    taken: bool,
}

impl Agent {
    fn new() -> io::Result<Self> {
        let link = Link::take()?;
        // A leader of a session already, if a person started it from a script: harmless.
        let _leads_already = rustix::process::setsid();
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{
                DumpableBehavior, Signal, getpid, set_child_subreaper, set_dumpable_behavior,
                set_parent_process_death_signal,
            };
            // No command that it starts may look into it, or change it: it may serve another session's next.
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            set_child_subreaper(Some(getpid()))?;
            // An agent that its own command has stopped must go on to see that the runner has died. It does
            // no harm that this comes when the thread ends that started it.
            set_parent_process_death_signal(Some(Signal::CONT))?;
        }
        for signal in CAUGHT {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        let (deaths, told) = UnixStream::pair()?;
        deaths.set_nonblocking(true)?;
        told.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, told)?;
        if let Some(soft) = std::env::args().nth(2).and_then(|soft| soft.parse().ok()) {
            limits::restore_open_files(soft);
        }
        Ok(Self {
            link,
            deaths,
            met: false,
            running: None,
            last: None,
            worn: None,
            alone: false,
            more: false,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        self.link.send(&[&FromAgent::Hello { version: VERSION }]);
        while !self.alone || self.running.is_some() {
            let ready = self.wait()?;
            // Ends come before what is said: a stop must not reach a number that was given away.
            if ready.died {
                self.forget_deaths();
                self.reap();
            }
            if ready.taken {
                self.link.flush();
            }
            if ready.frames && self.hear().is_err() {
                self.lose_runner();
            }
            self.carry(ready.output, ready.input);
            self.on_time();
        }
        Ok(())
    }

    /// Waits until something happens or is due.
    fn wait(&self) -> io::Result<Ready> {
        let due = if self.more { Some(Instant::now()) } else { self.due() };
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let carried = self.running.as_ref().and_then(|running| running.carried.as_ref());
        let output = carried.and_then(Carried::output).filter(|_| !self.link.is_long());
        let input = carried.and_then(Carried::input);
        let mut descriptors = vec![PollFd::new(&self.deaths, PollFlags::IN)];
        let runner = (!self.alone).then(|| self.link.readable());
        descriptors.extend(runner.map(|runner| PollFd::from_borrowed_fd(runner, PollFlags::IN)));
        let at_output = descriptors.len();
        descriptors.extend(output.map(|output| PollFd::from_borrowed_fd(output, PollFlags::IN)));
        let at_input = descriptors.len();
        descriptors.extend(input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::OUT)));
        let at_taken = descriptors.len();
        let taken = if self.alone { None } else { self.link.writable() };
        descriptors.extend(taken.map(|taken| PollFd::from_borrowed_fd(taken, PollFlags::OUT)));
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |at: usize| descriptors.get(at).is_some_and(|found| !found.revents().is_empty());
        Ok(Ready {
            died: ready(0) || self.more,
            frames: runner.is_some() && ready(1),
            output: output.is_some() && ready(at_output),
            input: input.is_some() && ready(at_input),
            taken: taken.is_some() && ready(at_taken),
        })
    }

    fn due(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let (at, wanted) = running.look;
        let looks = wanted && !self.link.is_long();
        running.due().into_iter().chain(looks.then_some(at)).min()
    }

    fn forget_deaths(&self) {
        let mut bytes = [0; 64];
        // Each byte is a death, or several; which, the system tells.
        while matches!(io::Read::read(&mut &self.deaths, &mut bytes), Ok(count) if count > 0) {}
    }

    // ---- what the runner says ----

    fn hear(&mut self) -> io::Result<()> {
        if !self.link.read()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((frame, descriptors)) = self.link.next()? {
            let Self { running, link, .. } = self;
            match (frame, running) {
                (ToAgent::Hello { version, frames }, _) => {
                    check_version(version)?;
                    link.agree(frames)?;
                    self.met = true;
                }
                (_, _) if !self.met => return Err(io::Error::other("whoever asks has not said hello")),
                (ToAgent::Run(run), None) => self.run(&run, descriptors),
                (ToAgent::Run(_), Some(_)) => {
                    return Err(io::Error::other("a run before the end of another"));
                }
                (ToAgent::Stop { grace_ms: 0 }, Some(running)) => running.kill(),
                (ToAgent::Stop { grace_ms }, Some(running)) => running.ask(Duration::from_millis(grace_ms)),
                (ToAgent::Freeze(freeze), running) => {
                    let frozen = running.as_mut().is_some_and(|running| running.freeze(freeze));
                    link.send(&[&FromAgent::Frozen(frozen)]);
                }
                (ToAgent::Saved, _) => {
                    self.last = None;
                    self.let_go();
                }
                (ToAgent::Input { data, eof }, Some(Running { carried: Some(carried), .. })) => {
                    carried.take(&data.0, eof, link)?;
                }
                (ToAgent::Credit(more), Some(Running { carried: Some(carried), .. })) => carried.credit(more),
                (ToAgent::Ping, _) => link.send(&[&FromAgent::Pong]),
                (ToAgent::Look, running) => {
                    let members = running.as_ref().map(|running| tree::members(Some(running.pid)));
                    let members = members.unwrap_or_default();
                    let (processes, ports) = (tree::describe(&members), sockets::ports_of(&members));
                    link.send(&[&FromAgent::Seen { processes, ports }]);
                }
                (ToAgent::Holders(ports), _) => {
                    link.send(&[&FromAgent::Holders(sockets::ports_held(&ports))]);
                }
                (ToAgent::Sweep { tasks, watched }, _) => {
                    let tags = Tags::new(tasks.iter().map(String::as_str));
                    link.send(&[&FromAgent::Swept(tree::kill_tagged(&tags, watched))]);
                }
                // It came too late.
                (ToAgent::Stop { .. } | ToAgent::Input { .. } | ToAgent::Credit(_), _) => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, run: &Run, descriptors: Vec<std::os::fd::OwnedFd>) {
        let begun = since_boot();
        // One after the other: what was there before the first is put back.
        self.worn = None;
        self.worn = Some(Worn::new(&run.task));
        let carried = if self.link.carries_descriptors() {
            Ok((None, descriptors))
        } else {
            Carried::new(run.stdin, &mut self.link).map(|(carried, ends)| (Some(carried), ends))
        };
        let started = carried
            .map_err(|error| Failure {
                message: format!("It was not started: its pipes cannot be made ({error})."),
                transient: exhausted(&error).is_some(),
            })
            .and_then(|(carried, ends)| Ok((start(run, ends)?, carried)));
        match started {
            Ok(((pid, witness), carried)) => {
                self.running = Some(Running {
                    pid,
                    begun,
                    exit_file: run.exit_file.clone(),
                    // As frames it is read here.
                    witness: witness.filter(|_| carried.is_none()),
                    mode: Mode::Free,
                    ended: false,
                    unsent: None,
                    empty: false,
                    look: (Instant::now(), false),
                    frozen: HashSet::new(),
                    carried,
                });
                self.link.send(&[&FromAgent::Started { pid: pid.as_raw_nonzero().get().unsigned_abs() }]);
            }
            Err(failure) => {
                self.worn = None;
                self.link.send(&[&FromAgent::Failed(failure)]);
            }
        }
    }

    /// The tag goes with the last that is to be said of its task.
    fn let_go(&mut self) {
        if self.running.is_none() && self.last.is_none() {
            self.worn = None;
        }
    }

    fn lose_runner(&mut self) {
        self.alone = true;
        if let Some(last) = self.last.take() {
            last.leave();
        }
        if let Some(running) = &mut self.running {
            running.carried = None;
            running.kill();
        }
        // Some may have died meanwhile.
        self.reap();
    }

    // ---- ends ----

    fn reap(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Reaped { main, any, all, more } = running.reap();
        self.more = more;
        let alone = cfg!(target_os = "linux") && all;
        if let Some((mut exited, last)) = main {
            running.ended = true;
            if let Some(carried) = &mut running.carried {
                carried.close_input();
            }
            if !self.alone {
                self.last = Some(last);
            }
            // What is being ended does not remain, though some of it may take a moment longer than its main
            // process.
            if !alone && !exited.asked {
                exited.remaining = tree::describe(&tree::members(Some(running.pid)));
            }
            running.unsent = Some(exited);
        } else if any && running.ended && !all {
            running.look.1 = true;
        }
        running.empty |= all;
        if any {
            running.kill_again();
        }
        if !running.empty
            && let Some(exited) = running.unsent.take()
        {
            self.link.send(&[&FromAgent::Exited(exited)]);
        }
        self.on_time();
    }

    /// Output and input that go as frames.
    fn carry(&mut self, output: bool, input: bool) {
        let Self { link, running, .. } = self;
        let Some(carried) = running.as_mut().and_then(|running| running.carried.as_mut()) else { return };
        if output {
            carried.send(link);
        }
        if input {
            carried.pass(link);
        }
    }

    /// Does what is due.
    fn on_time(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.on_time(&mut self.link);
        if running.empty {
            return self.finish();
        }
        let now = Instant::now();
        let (at, wanted) = running.look;
        // A runner that takes nothing is told the newest once it does.
        if !wanted || at > now || self.link.is_long() {
            return;
        }
        self.link.send(&[&FromAgent::Remaining(tree::describe(&tree::members(Some(running.pid))))]);
        // A wide tree whose processes end one by one takes a fifth of a processor, not all of one; and
        // however small it is, everybody who looks on is told of each change.
        let idle = if running.mode == Mode::Free { (now.elapsed() * 4).max(ROUND) } else { Duration::ZERO };
        running.look = (now + idle, false);
    }

    /// Nobody is left; once all output is sent the run is over.
    fn finish(&mut self) {
        let Some(running) = &mut self.running else { return };
        // Where there is no subreaper, the rest of the group can only be looked at now and then.
        if cfg!(not(target_os = "linux")) && !tree::members(Some(running.pid)).is_empty() {
            running.look = (Instant::now() + ROUND, true);
            running.kill_again();
            return;
        }
        let link = &mut self.link;
        if running.carried.as_mut().is_some_and(|carried| link.is_long() || !carried.send(link)) {
            // A task ends with its process, however slowly its output is taken.
            if let Some(exited) = running.unsent.take() {
                self.link.send(&[&FromAgent::Exited(exited)]);
            }
            return;
        }
        let exited = running.unsent.take().map(FromAgent::Exited);
        self.running = None;
        self.let_go();
        self.link.send(&exited.iter().chain([&FromAgent::Empty]).collect::<Vec<_>>());
    }
}
