//! Against software that is not ours: the official SDK's streams and client, and aimock. Started by `cargo
//! xtask conformance`.
//!
//! What runs: the cases of the suites that are named, or of all, one after the other. A case returns what it
//! did, in words; a panic is its failure. What was fetched is named in `CONFORMANCE_NODE`,
//! `CONFORMANCE_PACKAGES` and `CONFORMANCE_STREAMS`; without the first two nothing is run. The last line is
//! counted as that of any test runner.

mod aimock;
mod node;
mod sdk;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A check: its name, and what it did in words.
struct Case {
    name: &'static str,
    run: fn() -> String,
}

const SUITES: &[(&str, &[Case])] =
    &[("streams", streams::CASES), ("sdk", sdk::CASES), ("aimock", aimock::CASES)];

#[expect(clippy::print_stdout, reason = "this is a test runner")]
fn main() -> ExitCode {
    if !node::is_there() {
        println!("Left out: `cargo xtask conformance` fetches what this needs, and starts it.");
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    let (mut passed, mut failed) = (0, 0);
    for (suite, cases) in SUITES {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == suite) {
            continue;
        }
        for case in *cases {
            let began = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(case.run));
            let took = began.elapsed().as_secs_f64();
            if let Ok(did) = outcome {
                passed += 1;
                println!("ok      {suite}: {}: {did} ({took:.1} s)", case.name);
            } else {
                failed += 1;
                println!("FAILED  {suite}: {} ({took:.1} s); why stands above", case.name);
            }
        }
    }
    let word = if failed == 0 && passed > 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed;");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
