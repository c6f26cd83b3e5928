//! `cargo xtask`: builds, runs, tests, measures and packs Meanwhile, each with its own set-up.
//!
//! One process per command line. It reads the command, then calls cargo and the libraries linked here, one
//! after the other, in the workspace's root. It says what it does on standard error; standard output belongs
//! to the programs that it starts. It owns `target/site` (the built page), `target/page-cache` and `dist`.

mod bench;
mod browser;
mod cargo;
#[cfg(test)]
mod circles;
mod conformance;
#[cfg(test)]
mod deny;
mod dev;
mod dist;
mod faults;
mod outcome;
mod page;
mod run;
mod say;
mod test;
#[cfg(test)]
mod tidy;

use std::process::ExitCode;

use anyhow::bail;
use lexopt::prelude::*;

const HELP: &str = "\
Builds, runs, tests and packs Meanwhile. Each command sets up what it needs, or says what to install.

Usage: cargo xtask <COMMAND>

Commands:
  run [ARGS…]      Build the page and the runner, and start the runner on the current folder.
                   Everything after `run` goes to it: see `cargo xtask run --help`.
  test             All checks: format, lints, documentation, tests, the page in a real browser.
                     --only STEP     only this step (may be repeated)
                     --list          name the steps
                     --keep-going    go on after a failed step
  build            Build the page into target/site.
                     --dev           in seconds, but large
  dev [ARGS…]      Live reload: Trunk in front of a runner. ARGS go to the runner.
  dist             Pack one self-contained, optimised binary into dist/.
  faults [NAME…]   Take repairs out of the core and see that the simulation finds each. Minutes.
  conformance      Check against software that is not ours: the official SDK, aimock.
  bench            Measure the optimised runner beside baselines, and write docs/benchmarks.md.
                     --quick         small amounts, which show that it works, not how fast
                     --only NAME     only this measure (may be repeated); a wrong name lists them
                     --pueue         pueue too, which is compiled into target/bench-tools
  help             This text.
";

fn main() -> ExitCode {
    match command(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            say::line(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn command(mut args: lexopt::Parser) -> anyhow::Result<ExitCode> {
    let Some(argument) = args.next()? else {
        say::line(HELP);
        return Ok(ExitCode::FAILURE);
    };
    let name = match argument {
        Value(name) => name.string()?,
        Short('h') | Long("help") => String::from("help"),
        Short(_) | Long(_) => return Err(argument.unexpected().into()),
    };
    match name.as_str() {
        "run" => run::run(args.raw_args()?.collect()),
        "dev" => dev::start(args.raw_args()?.collect()),
        "test" => Ok(test::run(&test::Options::parse(args)?)),
        "build" => {
            let mut profile = page::Profile::Page;
            while let Some(argument) = args.next()? {
                match argument {
                    Long("dev") => profile = page::Profile::PageDev,
                    Long(_) | Short(_) | Value(_) => return Err(argument.unexpected().into()),
                }
            }
            page::build(profile)?;
            Ok(ExitCode::SUCCESS)
        }
        "dist" => {
            nothing_more(args)?;
            dist::run()?;
            Ok(ExitCode::SUCCESS)
        }
        "bench" => bench::run(&bench::Options::parse(args)?),
        "faults" => {
            let names = args.raw_args()?.map(|name| name.to_string_lossy().into_owned());
            faults::run(&names.collect::<Vec<_>>())
        }
        "conformance" => {
            nothing_more(args)?;
            conformance::command()
        }
        "help" => {
            say::line(HELP);
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command `{other}`; `cargo xtask help` names them"),
    }
}

fn nothing_more(mut args: lexopt::Parser) -> anyhow::Result<()> {
    match args.next()? {
        Some(argument) => Err(argument.unexpected().into()),
        None => Ok(()),
    }
}
