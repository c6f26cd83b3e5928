//! What a panic leads to: the end of the process.
//!
//! A thread that unwinds would leave the others behind with what it was to do undone: a task without an end,
//! a store without its thread, a lock whose owner is no more. A process that has died is understood by all
//! who are left: agents end their trees, and the next life tells what was lost.

use std::panic;
use std::process;

/// From here on a panic of any thread ends the process, after it was told as ever.
pub fn end_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        tell(info);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_panic_anywhere_ends_the_process() {
        let mut other = Command::new(std::env::current_exe().unwrap());
        other.args(["--exact", "--ignored", "--nocapture", "panic::tests::where_a_task_panics"]);
        let output = other.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.signal().is_some() && told.contains("on purpose"), "{output:?}");
    }

    #[test]
    #[ignore = "only as a process of another test"]
    fn where_a_task_panics() {
        end_on_panic();
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let failed = runtime.block_on(async { tokio::spawn(async { panic!("on purpose") }).await });
        assert!(failed.is_err());
    }

    #[test]
    fn the_program_begins_with_it() {
        let main = include_str!("main.rs");
        let (_, body) = main.split_once("fn main() -> ExitCode {\n").unwrap();
        assert!(body.trim_start().starts_with("runner::panic::end_on_panic();"), "{body:.80}");
    }
}
