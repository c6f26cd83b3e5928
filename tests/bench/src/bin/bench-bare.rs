//! The limit: starts a shell with a command and waits for its end, and nothing else, so many times, so many
//! at once.
//!
//! `bench-bare WIDTH COUNT SHELL COMMAND` prints the seconds that all of them took. Each of WIDTH threads
//! starts one, waits for it, and starts the next. The standard library starts programs by `posix_spawn` where
//! nothing needs more, as here: nobody reads what the command prints, nobody keeps anything, nobody is told.

use std::env;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [width, count, shell, command] = arguments.as_slice() else { return ExitCode::FAILURE };
    let (Ok(width), Ok(count)) = (width.parse::<usize>(), count.parse()) else { return ExitCode::FAILURE };
    let left = AtomicI64::new(count);
    let began = Instant::now();
    let good = thread::scope(|scope| {
        let threads: Vec<_> = (0..width).map(|_| scope.spawn(|| work(&left, shell, command))).collect();
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    let written = writeln!(io::stdout(), "{}", began.elapsed().as_secs_f64());
    if good && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(left: &AtomicI64, shell: &str, command: &str) -> bool {
    while left.fetch_sub(1, Ordering::Relaxed) > 0 {
        let status = Command::new(shell)
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return false;
        }
    }
    true
}
