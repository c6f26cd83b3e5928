//! What a newcomer reads when something is missing or wrongly spelt: the real `xtask`, on a machine that has
//! only these few programs.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// A machine: a folder with scripts, which goes with the test.
struct Machine(PathBuf);

/// How a command ended, and its output, standard error first.
struct Outcome {
    success: bool,
    text: String,
}

impl Machine {
    fn new(name: &str, scripts: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("meanwhile-xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, script) in scripts {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        }
        Self(folder)
    }

    fn runs(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).env_clear().env("PATH", &self.0);
        for (variable, program) in [("CARGO", "cargo"), ("RUSTC", "rustc"), ("CHROMIUM", "chromium")] {
            command.env(variable, self.0.join(program));
        }
        let output = command.output().unwrap();
        Outcome {
            success: output.status.success(),
            text: String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap(),
        }
    }

    /// It must fail, and say all of this.
    #[track_caller]
    fn refuses(&self, args: &[&str], all: &[&str]) {
        let outcome = self.runs(args);
        assert!(!outcome.success, "{}", outcome.text);
        for part in all {
            assert!(outcome.text.contains(part), "no {part:?} in: {}", outcome.text);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A compiler that knows nothing of WebAssembly, and one that does.
const NO_WASM: (&str, &str) = ("rustc", "echo /nowhere");
const WASM: (&str, &str) = ("rustc", "echo /");

#[test]
fn the_help_names_every_command() {
    let machine = Machine::new("help", &[]);
    for args in [&["help"][..], &["--help"], &["-h"]] {
        let outcome = machine.runs(args);
        assert!(outcome.success);
        for command in ["run", "test", "tidy", "build", "dev", "dist", "conformance", "bench", "help"] {
            assert!(outcome.text.contains(&format!("\n  {command}")), "{command}: {}", outcome.text);
        }
    }
    machine.refuses(&[], &["Usage: cargo xtask <COMMAND>"]);
}

#[test]
fn what_is_spelt_wrongly_is_named() {
    let machine = Machine::new("spelling", &[]);
    machine.refuses(&["tset"], &["there is no command `tset`", "cargo xtask help"]);
    machine.refuses(&["test", "--only", "fmd"], &["there is no step `fmd`", "--list"]);
    machine.refuses(&["dist", "now"], &["now"]);
    machine.refuses(&["build", "--fast"], &["--fast"]);
}

#[test]
fn a_target_that_cannot_be_added_is_named() {
    let advice = "https://rustup.rs";
    Machine::new("no-rustup", &[NO_WASM]).refuses(&["build"], &["wasm32-unknown-unknown is missing", advice]);
    Machine::new("no-network", &[NO_WASM, ("rustup", "exit 1")])
        .refuses(&["build"], &["`rustup target add wasm32-unknown-unknown` failed", "network"]);
    Machine::new("no-rustc", &[]).refuses(&["build"], &["rustc could not be started", advice]);
}

#[test]
fn a_target_that_can_be_added_is() {
    let rustup = ("rustup", "echo \"$*\" > \"${0%/*}/calls\"");
    let machine = Machine::new("rustup", &[NO_WASM, rustup, ("cargo", "exit 1")]);
    machine.refuses(&["build"], &["Adding the Rust target", "cargo build", "failed"]);
    assert_eq!(fs::read_to_string(machine.0.join("calls")).unwrap(), "target add wasm32-unknown-unknown\n");
}

#[test]
fn a_browser_that_is_named_and_not_there_is_said_to_be_so() {
    Machine::new("browser", &[WASM])
        .refuses(&["test", "--only", "wasm"], &["CHROMIUM is", "where no file is"]);
}

#[test]
fn live_reload_says_how_to_get_trunk_and_how_to_do_without() {
    let machine = Machine::new("no-trunk", &[WASM]);
    machine.refuses(&["dev"], &["cargo install trunk", "cargo xtask run"]);
    machine.refuses(&["dev", "--port", "1"], &["leave --port out"]);
}

#[test]
fn a_build_that_fails_ends_every_command() {
    let machine = Machine::new("no-build", &[WASM, ("cargo", "echo 'error: no linker' >&2; exit 101")]);
    for args in [&["run"][..], &["dist"], &["build"], &["build", "--dist"]] {
        machine.refuses(args, &["error: no linker", "failed"]);
    }
}

#[test]
fn conformance_names_what_it_leaves_out_and_what_to_install() {
    let outcome = Machine::new("conformance", &[("node", "echo v20.15.0")]).runs(&["conformance"]);
    for suite in ["recorded streams", "through our relay", "aimock"] {
        let line = outcome.text.lines().find(|line| line.contains("Left out") && line.contains(suite));
        assert!(line.is_some_and(|line| line.contains("there is no npm; install npm")), "{}", outcome.text);
    }
    assert!(outcome.text.contains("0 passed, 0 failed"), "{}", outcome.text);
}
