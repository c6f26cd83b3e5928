//! Node and what was fetched for it. Its programs get a clean environment, a bounded time, and end with what
//! started them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::wait;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Whether there is anything to run.
pub(crate) fn is_there() -> bool {
    env::var_os("CONFORMANCE_NODE").is_some() && env::var_os("CONFORMANCE_PACKAGES").is_some()
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask conformance`"))
}

/// Where the packages lie.
pub(crate) fn packages() -> PathBuf {
    variable("CONFORMANCE_PACKAGES").into()
}

/// Where the recorded streams lie.
pub(crate) fn streams() -> PathBuf {
    variable("CONFORMANCE_STREAMS").into()
}

/// Node with this script, in a home of its own, ended when dropped.
pub(crate) fn command(script: &Path, home: &TempDir) -> Command {
    let mut command = Command::new(variable("CONFORMANCE_NODE"));
    command.env_clear();
    for name in ["PATH", "SYSTEMROOT"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("HOME", home.path()).env("CONFORMANCE_PACKAGES", packages()).arg(script);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A home without anybody's settings.
pub(crate) fn home() -> TempDir {
    TempDir::with_prefix("meanwhile-conformance-").expect("there is a temporary folder")
}

/// Runs one of our own scripts to its end, and takes the JSON that it prints.
pub(crate) async fn script(name: &str, argument: &str, environment: &[(&str, OsString)]) -> Value {
    let home = home();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance").join(name);
    let mut command = command(&path, &home);
    command.arg(argument).envs(environment.iter().map(|(name, value)| (name, value)));
    let output = wait::soon(name, command.output()).await.expect("node starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {argument}: {}: {errors}", output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{name} {argument} printed no JSON ({error}): {errors}"))
}
