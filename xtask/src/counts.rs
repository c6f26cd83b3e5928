//! What a step comes to: commands that are run to their end, and the results that test runners report in
//! their output.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// How a test says, past the harness that keeps what passing tests print, that it cannot be made on this
/// system.
const LEFT_OUT: &str = "LEFT OUT: ";

/// How many checks a step made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Those that could not be made here.
    pub(crate) left_out: u64,
}

impl Counts {
    /// One check that cannot be made, and why.
    pub(crate) fn left_out(why: impl fmt::Display) -> Self {
        eprintln!("    Left out: {why}");
        Self { left_out: 1, ..Self::default() }
    }

    /// A step without tests has not shown anything.
    pub(crate) fn at_least_one(self) -> anyhow::Result<Self> {
        ensure!(self.passed + self.failed > 0, "no test was run");
        Ok(self)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.left_out += other.left_out;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            write!(f, "{} left out, ", self.left_out)?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a command to its end, passes its output through, and counts what test runners report in it.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Counts> {
    watch(command, &mut io::stdout())
}

fn watch(command: &mut Command, through: &mut impl Write) -> anyhow::Result<Counts> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let mut output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        through.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        counts.left_out += u64::from(text.contains(LEFT_OUT));
        counts += counts_in(&text).unwrap_or_default();
        line.clear();
    }
    through.flush()?;
    // Their harness has them among those that passed.
    counts.passed = counts.passed.saturating_sub(counts.left_out);
    // A check that fails without a count, such as the format, is one failure.
    if !child.wait()?.success() {
        counts.failed = counts.failed.max(1);
    }
    Ok(counts)
}

/// The counts in a line such as `test result: ok. 3 passed; 0 failed; …`.
fn counts_in(line: &str) -> Option<Counts> {
    let (_, result) = line.split_once("test result: ")?;
    let number = |word: &str| result.split_once(word)?.0.split_whitespace().next_back()?.parse().ok();
    Some(Counts { passed: number(" passed;")?, failed: number(" failed;")?, left_out: 0 })
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
        let shell = |script: &str| watch(Command::new("sh").args(["-c", script]), &mut io::sink()).unwrap();
        let line = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        let good = |passed| Counts { passed, ..Counts::default() };
        assert_eq!(shell(&format!("{line}; {line}")), good(4));
        assert_eq!(shell(&format!("{line}; exit 3")), Counts { failed: 1, ..good(2) });
        let told = shell(&format!("echo 'LEFT OUT: only root may'; {line}"));
        assert_eq!(told, Counts { left_out: 1, ..good(1) });
        assert_eq!(told.to_string(), "1 left out, 1 passed, 0 failed");
        let bad = "echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'";
        assert_eq!(shell(bad), Counts { failed: 1, ..Counts::default() });
        assert_eq!(shell(&format!("{bad}; exit 1")), Counts { failed: 1, ..Counts::default() });
        assert!(Counts::default().at_least_one().is_err());
        assert!(Counts { left_out: 1, ..Counts::default() }.at_least_one().is_err());
    }
}
