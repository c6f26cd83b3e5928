//! Every target on mangled seeds, in the ordinary test suite.
//!
//! `MEANWHILE_SEED` plays one run again, and `MEANWHILE_FUZZ` says how many inputs each target gets (a slow
//! one fewer).

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]
#![expect(clippy::print_stdout, reason = "a seed that is printed can be played again")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{TARGETS, Target};

const INPUTS: u64 = 5_000;
/// What parsers look for.
const TOKENS: [&str; 22] = [
    "\r\n",
    "\n\n",
    "\0",
    "..",
    "/",
    "%2f",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "null",
    "-1",
    "18446744073709551616",
    "1e999",
    "\u{1b}[",
    "\u{1b}]",
    "\u{9b}",
    "Host: evil:1\r\n",
    "CREDENTIAL",
    "data: ",
    "\u{feff}",
];

/// The same choices for the same seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// One to six changes, so that most of what a parser expects stays.
    fn mangled(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            let end = at + self.below((input.len() - at).min(64) + 1);
            match self.below(8) {
                0 if at < input.len() => input[at] = self.byte(),
                1 if at < input.len() => input[at] ^= 1 << self.below(8),
                2 => drop(input.drain(at..end)),
                3 => input.truncate(at),
                4 => {
                    let word = TOKENS[self.below(TOKENS.len())];
                    input.splice(at..end, word.bytes());
                }
                5 => {
                    let piece = input[at..end].repeat(1 + self.below(40));
                    input.splice(at..at, piece);
                }
                6 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    input.splice(at..end, other[from..].iter().copied());
                }
                _ => {
                    let byte = self.byte();
                    input.insert(at, byte);
                }
            }
        }
        input
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn hold(target: &Target) {
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.run)(seed);
    }
    let inputs = (number("MEANWHILE_FUZZ").unwrap_or(INPUTS) / u64::from(target.weight)).max(20);
    let first = number("MEANWHILE_SEED");
    let begin = first.or_else(|| number("MEANWHILE_FIRST_SEED"));
    let begin = begin.unwrap_or_else(|| u64::from(std::process::id()) << 32);
    for seed in begin..begin + if first.is_some() { 1 } else { inputs } {
        let input = Chance(seed).mangled(&seeds);
        let held = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_ok();
        let text = String::from_utf8_lossy(&input);
        assert!(held, "{} fails: MEANWHILE_SEED={seed}, on {text:?}", target.name);
    }
    println!("{}: {inputs} inputs", target.name);
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            hold(TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap());
        })*

        const NAMED: &[&str] = &[$(stringify!($name)),*];
    };
}

targets!(
    socket_frames,
    agent_wire,
    exit_files,
    log_entries,
    gate,
    relay,
    files,
    store,
    output_for_models,
    output_for_people,
    model_stream
);

/// Nobody is forgotten: here, or among libFuzzer's programs.
#[test]
fn every_target_is_run_here_and_has_a_program() {
    let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(all, NAMED);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/coverage/");
    let manifest = std::fs::read_to_string(format!("{folder}Cargo.toml")).unwrap();
    for name in all {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in coverage/Cargo.toml");
        let program = std::fs::read_to_string(format!("{folder}targets/{name}.rs")).unwrap();
        assert!(program.contains(&format!("fuzz::run(\"{name}\"")), "{name}");
    }
}

/// Each kind of record that old logs hold is among what is mangled.
#[test]
fn the_seeds_of_entries_are_of_every_kind() {
    let seeds = (TARGETS.iter().find(|target| target.name == "log_entries").unwrap().seeds)();
    let kind = |seed: &Vec<u8>| {
        let entry: serde_json::Value = serde_json::from_slice(seed).unwrap();
        entry["record"].as_str().unwrap().to_owned()
    };
    let kinds: std::collections::BTreeSet<_> = seeds.iter().map(kind).collect();
    assert!(kinds.len() >= 20, "{kinds:?}");
}

/// Otherwise what must hold of those who get in would hold of nobody.
#[test]
fn every_seed_of_the_gate_gets_in() {
    let gate = TARGETS.iter().find(|target| target.name == "gate").unwrap();
    for seed in (gate.seeds)() {
        assert!(fuzz::gets_in(&seed), "{}", String::from_utf8_lossy(&seed));
    }
}
