//! Calls of cargo and rustup: in the workspace's root, with a clean environment, and knowing what was built.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

const WASM: &str = "wasm32-unknown-unknown";

/// The folder that holds the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the workspace")
}

/// A command that runs in the workspace's root, without the variables that cargo gave to this process: they
/// describe `xtask`, and crates that watch them would be compiled anew with every change of caller.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    clean(&mut command);
    command
}

/// Takes away the variables that `cargo run` sets for the program that it runs.
pub(crate) fn clean(command: &mut Command) {
    let starts = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    for (name, _) in env::vars_os() {
        if starts.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds with these arguments and returns the file of the binary target `name`, as an absolute path.
pub(crate) fn build(name: &str, args: &[&str]) -> anyhow::Result<PathBuf> {
    let output = cargo()
        .arg("build")
        .args(args)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    ensure!(output.status.success(), "cargo build {} failed", args.join(" "));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find_map(|message| binary(&message, name))
        .map(|file| root().join(file))
        .with_context(|| format!("cargo built no binary `{name}`"))
}

/// The file of a binary, if this is cargo's message about having built it.
fn binary(message: &Value, name: &str) -> Option<PathBuf> {
    let target = &message["target"];
    let is_binary = target["kind"].as_array()?.iter().any(|kind| kind == "bin");
    if message["reason"] != "compiler-artifact" || target["name"] != name || !is_binary {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    let wasm = files.map(PathBuf::from).find(|file| file.extension().is_some_and(|end| end == "wasm"));
    wasm.or_else(|| message["executable"].as_str().map(PathBuf::from))
}

/// Makes sure that the compiler can build for WebAssembly, and adds the target if rustup can.
pub(crate) fn ensure_wasm_target() -> anyhow::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = command(rustc)
        .args(["--print", "target-libdir", "--target", WASM])
        .output()
        .context("rustc could not be started; install Rust from https://rustup.rs")?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    eprintln!("==> Adding the Rust target {WASM}");
    let Ok(status) = command("rustup").args(["target", "add", WASM]).stdout(Stdio::null()).status() else {
        bail!(
            "the Rust target {WASM} is missing, and there is no rustup to add it: \
             install Rust from https://rustup.rs, or your system's package of Rust's standard library for {WASM}"
        );
    };
    ensure!(status.success(), "`rustup target add {WASM}` failed; it needs the network once");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_the_binary_among_messages() {
        let message = json!({
            "reason": "compiler-artifact", "target": { "name": "meanwhile", "kind": ["bin"] },
            "filenames": ["/t/debug/meanwhile"], "executable": "/t/debug/meanwhile",
        });
        assert_eq!(binary(&message, "meanwhile"), Some(PathBuf::from("/t/debug/meanwhile")));
        assert_eq!(binary(&message, "other"), None);
        let wasm = json!({
            "reason": "compiler-artifact", "target": { "name": "frontend", "kind": ["bin"] },
            "filenames": ["/t/page/frontend.js", "/t/page/frontend.wasm"], "executable": null,
        });
        assert_eq!(binary(&wasm, "frontend"), Some(PathBuf::from("/t/page/frontend.wasm")));
        assert_eq!(binary(&json!({ "reason": "build-finished", "success": true }), "meanwhile"), None);
    }
}
