//! Measures the optimised runner beside baselines, in the same run, and writes `docs/benchmarks.md`.
//!
//! What runs: one measure after the other, each with a runner of its own (the real binary, the real store on
//! the real disk), a client over the real socket, and commands that are real processes. Where there is a
//! baseline, its rounds and the runner's take turns, so that whatever else the machine does meets both;
//! figures are medians. One thread does everything on the client's side, but for the pages that are only
//! there to be many.

mod baseline;
mod client;
mod figures;
mod machine;
mod measures;
mod process;
mod report;
mod runner;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use lexopt::prelude::*;

use crate::machine::Machine;
use crate::measures::MEASURES;
use crate::report::Report;

/// What the command line asks for.
struct Options {
    /// The binary `meanwhile`.
    runner: PathBuf,
    /// Where to write the table, if everything was measured; nowhere without.
    out: Option<PathBuf>,
    only: Vec<String>,
    quick: bool,
    pueue: Option<PathBuf>,
}

/// What a measure may use.
struct Bench {
    /// The binary `meanwhile`.
    runner: PathBuf,
    /// The folder with the programs of this package.
    programs: PathBuf,
    /// Where runners keep their state: on the disk that the build is on.
    scratch: PathBuf,
    /// Small amounts: shows that everything works, not how fast.
    quick: bool,
    /// The folder with `pueue` and `pueued`, if they are to be measured.
    pueue: Option<PathBuf>,
}

impl Bench {
    /// One of two amounts.
    const fn amount(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// A command line for one of the programs that measured commands run.
    fn task(&self, arguments: &str) -> String {
        format!("'{}' {arguments}", self.programs.join("bench-task").display())
    }
}

fn main() -> ExitCode {
    match options(lexopt::Parser::from_env()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: lexopt::Parser) -> anyhow::Result<Options> {
    let (mut runner, mut out, mut only, mut quick, mut pueue) = (None, None, Vec::new(), false, None);
    while let Some(argument) = args.next()? {
        match argument {
            Long("runner") => runner = Some(PathBuf::from(args.value()?)),
            Long("out") => out = Some(PathBuf::from(args.value()?)),
            Long("only") => only.push(args.value()?.string()?),
            Long("quick") => quick = true,
            Long("pueue") => pueue = Some(PathBuf::from(args.value()?)),
            Long(_) | Short(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
    if let Some(stray) = only.iter().find(|only| !names.contains(&only.as_str())) {
        bail!("there is no measure `{stray}`; there are {}", names.join(", "));
    }
    let runner = runner.context("name the runner's binary with --runner; `cargo xtask bench` does")?;
    let out = out.filter(|_| only.is_empty() && !quick);
    Ok(Options { runner, out, only, quick, pueue })
}

fn run(options: Options) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("this program's own file")?;
    let programs = own.parent().context("it lies in a folder")?.to_owned();
    let scratch = programs.parent().context("cargo's folders are nested")?.join("bench");
    std::fs::create_dir_all(&scratch)?;
    let bench = Bench {
        runner: std::path::absolute(&options.runner)?,
        programs,
        scratch,
        quick: options.quick,
        pueue: options.pueue,
    };
    let chosen =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| only.as_str() == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::new(Machine::look(&bench.scratch)?);
    for measure in MEASURES.iter().filter(|measure| chosen(measure.name)) {
        print_line(format_args!("==> {}: {}", measure.name, measure.what));
        let section = runtime
            .block_on((measure.run)(&bench))
            .with_context(|| format!("the measure `{}`", measure.name))?;
        print_line(section.as_text());
        report.sections.push(section);
    }
    report.machine.finish();
    if let Some(out) = options.out {
        std::fs::write(&out, report.as_markdown())
            .with_context(|| format!("{} cannot be written", out.display()))?;
        print_line(format_args!("Written to {}", out.display()));
    }
    let (met, missed) = report.verdicts();
    print_line(format_args!("{met} targets met, {missed} missed"));
    Ok(())
}

/// A line to the person at the terminal. A terminal that has gone is no reason to stop.
fn print_line(line: impl std::fmt::Display) {
    let _gone = writeln!(io::stdout(), "{line}");
}

/// Arguments for a command.
fn arguments<const N: usize>(arguments: [&str; N]) -> Vec<OsString> {
    arguments.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_to_measure() {
        let parse = |more: &[&str]| {
            let all = ["--runner", "r", "--out", "o"].iter().chain(more);
            options(lexopt::Parser::from_args(all))
        };
        let all = parse(&[]).unwrap();
        assert!(all.only.is_empty() && !all.quick && all.pueue.is_none() && all.out == Some("o".into()));
        let some = parse(&["--only", MEASURES[0].name, "--only=output", "--pueue", "p"]).unwrap();
        assert_eq!(
            (some.only, some.pueue),
            (vec![MEASURES[0].name.into(), "output".into()], Some("p".into()))
        );
        assert_eq!((some.out, parse(&["--quick"]).unwrap().out), (None, None), "a part is not written down");
        assert!(parse(&["--fast"]).is_err() && parse(&["--only", "outputs"]).is_err());
    }
}
