//! Starting a command: its shell with the pipes, confined if it is to be, and a message why not.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::exhaustion::exhausted;
use crate::frames::{Failure, Run};
use crate::tag::VARIABLE;
use crate::{confine, sandbox};

/// Bytes that one argument may have: `MAX_ARG_STRLEN` on Linux is 128 KiB with the closing zero.
const ARGUMENT: usize = 128 * 1024 - 1;

/// Starts the main process, which inherits the tag that this one wears, and gives a copy of its output by
/// which can be seen whether somebody reads that. Not of a run with an open input: the end of that may end
/// it, too.
pub(super) fn start(run: &Run, descriptors: Vec<OwnedFd>) -> Result<(Pid, Option<OwnedFd>), Failure> {
    let mut descriptors = descriptors.into_iter();
    let missing = || Failure { message: "The runner sent no pipe for the output.".into(), transient: false };
    let output = descriptors.next().ok_or_else(missing)?;
    let error = output.try_clone().map_err(|error| explain(run, &error))?;
    let witness =
        if run.stdin { None } else { Some(output.try_clone().map_err(|error| explain(run, &error))?) };
    let input = match descriptors.next().filter(|_| run.stdin) {
        Some(input) => Stdio::from(input),
        None => Stdio::null(),
    };
    let mut command = match &run.read_only {
        None => Command::new(&run.shell),
        Some(read_only) => {
            let mut command = sandbox::command(&run.shell, &read_only.spec);
            command.envs(read_only.env.iter().map(|(name, value)| (name, value)));
            command
        }
    };
    command.arg("-c");
    if run.command.len() <= ARGUMENT {
        command.arg(&run.command);
    } else {
        // Put together again by the shell itself, which then forgets the pieces.
        let pieces = pieces(&run.command);
        let names = (1..=pieces.len()).fold(String::new(), |names, number| names + &format!("${{{number}}}"));
        command.arg(format!("eval \"set --; {names}\"")).arg(&run.shell).args(pieces);
    }
    command
        .current_dir(&run.folder)
        .env(VARIABLE, &run.task)
        .stdin(input)
        .stdout(output)
        .stderr(error)
        .process_group(0);
    let child = match &run.writable {
        None => command.spawn(),
        // Rights are given up for good, by one thread and those that it starts.
        Some(writable) => thread::scope(|scope| {
            let confined = thread::Builder::new().spawn_scoped(scope, || {
                confine::restrict(writable).map_err(|reason| Failure {
                    message: format!("It was not started: {reason}."),
                    transient: false,
                })?;
                Ok(command.spawn())
            });
            let failed =
                || Failure { message: "It was not started: confining it failed.".into(), transient: false };
            match confined {
                Ok(confined) => confined.join().unwrap_or_else(|_| Err(failed())),
                // Threads are short, as processes are.
                Err(error) => Ok(Err(error)),
            }
        })?,
    }
    .map_err(|error| explain(run, &error))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| Failure {
        message: "The system gave a process number that is none.".into(),
        transient: false,
    })?;
    Ok((pid, witness))
}

/// Cuts at character borders.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let most = ARGUMENT.min(text.len());
        let border = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(most);
        let (piece, rest) = text.split_at(border);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

/// A missing folder and a missing shell give the same error, so both are looked at.
fn explain(run: &Run, error: &io::Error) -> Failure {
    let failure = |message, transient| Failure { message, transient };
    if let Some(message) = exhausted(error) {
        return failure(message, true);
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::TOOBIG) => failure(
            format!(
                "The command and the environment are longer than the system allows ({error}). Put the command into a file and run that."
            ),
            false,
        ),
        _ => match fs::metadata(&run.folder) {
            Err(error) => failure(format!("The folder {} cannot be used: {error}.", run.folder), false),
            Ok(folder) if !folder.is_dir() => failure(format!("{} is not a folder.", run.folder), false),
            Ok(_) => match fs::metadata(&run.shell) {
                Err(error) => failure(format!("The shell {} cannot be used: {error}.", run.shell), false),
                Ok(shell) if !shell.is_file() || shell.permissions().mode() & 0o111 == 0 => {
                    failure(format!("The shell {} is not a program that can be run.", run.shell), false)
                }
                Ok(_) => failure(
                    format!("The shell {} could not be started in {}: {error}.", run.shell, run.folder),
                    false,
                ),
            },
        },
    }
}
