//! What a step comes to: commands that are run to their end, and the results that test runners report in their output.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// How many tests a step ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Those that said that they could not be made here.
    pub(crate) left_out: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            write!(f, "{} left out, ", self.left_out)?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

pub(crate) enum Outcome {
    Ran(Counts),
    /// Left out, for this reason.
    Skipped(String),
}

/// A command that ended with a failure, and what its tests reported before.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) Counts);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.failed {
            0 => write!(f, "the command failed"),
            1 => write!(f, "1 test failed"),
            many => write!(f, "{many} tests failed"),
        }
    }
}

impl std::error::Error for Failed {}

/// Runs a command to its end, passes its output through, and counts what test runners report in it.
pub(crate) fn command(command: &mut Command) -> anyhow::Result<Outcome> {
    watch(command, &mut io::stdout())
}

fn watch(command: &mut Command, through: &mut impl Write) -> anyhow::Result<Outcome> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let mut output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if output.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        through.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        counts.left_out += u64::from(text.contains(LEFT_OUT));
        if let Some(Counts { passed, failed, .. }) = counts_in(&text) {
            counts.passed += passed;
            counts.failed += failed;
        }
    }
    through.flush()?;
    // Their harness has them among those that passed.
    counts.passed = counts.passed.saturating_sub(counts.left_out);
    let status = child.wait()?;
    if !status.success() || counts.failed > 0 {
        return Err(Failed(counts).into());
    }
    Ok(Outcome::Ran(counts))
}

/// How a test says, past the harness that keeps what passing tests print, that it cannot be made on this system.
const LEFT_OUT: &str = "LEFT OUT: ";

/// The counts in a line such as `test result: ok. 3 passed; 0 failed; …`.
fn counts_in(line: &str) -> Option<Counts> {
    let (_, result) = line.split_once("test result: ")?;
    let number = |word: &str| {
        let (before, _) = result.split_once(word)?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    Some(Counts { passed: number(" passed;")?, failed: number(" failed;")?, left_out: 0 })
}

/// A step without tests has not shown anything.
pub(crate) fn at_least_one(outcome: Outcome) -> anyhow::Result<Outcome> {
    if let Outcome::Ran(counts) = outcome {
        ensure!(counts.passed > 0, "no test was run");
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_both_test_runners_are_counted() {
        let native =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(counts_in(native), Some(Counts { passed: 12, ..Counts::default() }));
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 filtered out; finished in 0.1s";
        assert_eq!(counts_in(bad), Some(Counts { passed: 3, failed: 2, left_out: 0 }));
        assert_eq!(counts_in("test tests::one ... ok"), None);
        assert_eq!(counts_in("a test says: 3 passed; 4 failed;"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_command_is_judged_by_its_status_and_by_its_tests() {
        let shell = |script: &str| watch(Command::new("sh").args(["-c", script]), &mut io::sink());
        let counts = |outcome: anyhow::Result<Outcome>| match outcome {
            Ok(Outcome::Ran(counts)) => Ok(counts),
            Ok(Outcome::Skipped(why)) => panic!("skipped: {why}"),
            Err(error) => Err(error.downcast::<Failed>().unwrap().0),
        };
        let line = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        let good = |passed| Counts { passed, ..Counts::default() };
        assert_eq!(counts(shell(&format!("{line}; {line}"))), Ok(good(4)));
        assert_eq!(counts(shell(&format!("{line}; exit 3"))), Err(good(2)));
        let told = counts(shell(&format!("echo 'LEFT OUT: only root may'; {line}")));
        assert_eq!(told, Ok(Counts { left_out: 1, ..good(1) }));
        assert_eq!(told.unwrap().to_string(), "1 left out, 1 passed, 0 failed");
        let bad = "echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'";
        assert_eq!(counts(shell(bad)), Err(Counts { failed: 1, ..Counts::default() }));
        assert!(at_least_one(Outcome::Ran(Counts::default())).is_err());
    }
}
