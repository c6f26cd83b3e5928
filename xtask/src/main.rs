//! `cargo xtask`: builds, runs, tests, measures and packs Meanwhile, each with its own set-up.
//!
//! One process per command line. It reads the command, then calls cargo and the libraries linked here, one
//! after the other, in the workspace's root. It says what it does on standard error; standard output belongs
//! to results and to the programs that it starts. It owns `target/site` (the built page) and `dist`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

mod bench;
mod browser;
mod cargo;
mod conformance;
mod counts;
mod dev;
mod dist;
mod page;
mod run;
mod test;

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
  tidy             Only the rules about the tree itself: the shape of files, imports, documents, licences.
  conformance      Only the checks against software that is not ours: the official SDK, aimock.
  faults [NAME…]   Take repairs out of the agent and see that the simulation finds each. Minutes.
  build            Build the page into target/site.
                     --dist          small, as `dist` ships it; takes four times as long
  dev [ARGS…]      Live reload: Trunk in front of a runner. ARGS go to the runner.
  dist             Pack one self-contained, optimised binary into dist/.
  bench            Measure the optimised runner beside baselines, and write docs/benchmarks.md.
                     --quick         small amounts, which show that it works, not how fast
                     --only NAME     only this measure (may be repeated); a wrong name lists them
                     --pueue FOLDER  pueue too, whose programs are in FOLDER
  help             This text.
";

fn main() -> ExitCode {
    command(lexopt::Parser::from_env()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn command(mut args: lexopt::Parser) -> anyhow::Result<ExitCode> {
    let name = match args.next()? {
        Some(Value(name)) => name.string()?,
        Some(Short('h') | Long("help")) => String::from("help"),
        Some(argument) => return Err(argument.unexpected().into()),
        None => {
            eprintln!("{HELP}");
            return Ok(ExitCode::FAILURE);
        }
    };
    match name.as_str() {
        "run" => run::run(args.raw_args()?.collect()),
        "dev" => dev::start(args.raw_args()?.collect()),
        "bench" => bench::run(args.raw_args()?.collect()),
        "faults" => test::faults(&args.raw_args()?.collect::<Vec<_>>()),
        "test" => Ok(test::run(&test::Options::parse(args)?)),
        "build" => {
            let (profile, more) = match args.next()? {
                Some(Long("dist")) => ("page-dist", args.next()?),
                more => ("page", more),
            };
            more.map_or(Ok(()), |argument| Err(argument.unexpected()))?;
            page::build(profile)
        }
        "tidy" | "conformance" | "dist" => {
            args.next()?.map_or(Ok(()), |argument| Err(argument.unexpected()))?;
            if name == "dist" {
                return dist::run();
            }
            let only = lexopt::Parser::from_args(["--only", &name]);
            Ok(test::run(&test::Options::parse(only)?))
        }
        "help" => {
            eprintln!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command `{other}`; `cargo xtask help` names them"),
    }
}
