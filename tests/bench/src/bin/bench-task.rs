//! What measured commands do.
//!
//! `stamp MS` sleeps, then writes the monotonic clock in nanoseconds as its last act. `flood BYTES` writes
//! lines as fast as they are taken. `pour BYTES` writes so many a second, in tenths, for ever. `tick MS`
//! writes a line now and then, for ever.

use std::env;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::write;
use rustix::stdio::stdout;
use rustix::time::{ClockId, clock_gettime};

/// Bytes of one `write`.
const BLOCK: usize = 64 * 1024;
const LINE: &[u8] = b"a line of output such as a compiler or a test run prints, about eighty characters\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, number] = arguments.as_slice() else { return ExitCode::FAILURE };
    let Ok(number) = number.parse::<u64>() else { return ExitCode::FAILURE };
    let block: Vec<u8> = LINE.iter().copied().cycle().take(BLOCK).collect();
    let done = match what.as_str() {
        "stamp" => {
            sleep(Duration::from_millis(number));
            let now = clock_gettime(ClockId::Monotonic);
            all(format!("{}\n", now.tv_sec * 1_000_000_000 + now.tv_nsec).as_bytes())
        }
        "flood" => flood(&block, number),
        "pour" => repeat(Duration::from_millis(100), || flood(&block, number / 10)),
        "tick" => repeat(Duration::from_millis(number), || all(LINE)),
        _ => false,
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn flood(block: &[u8], mut bytes: u64) -> bool {
    while bytes > 0 {
        let part = usize::try_from(bytes).unwrap_or(usize::MAX).min(block.len());
        if !all(&block[..part]) {
            return false;
        }
        bytes -= part as u64;
    }
    true
}

fn repeat(pause: Duration, work: impl Fn() -> bool) -> bool {
    while work() {
        sleep(pause);
    }
    false
}

fn all(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
