//! `sandbox-exec`, which is part of macOS, with a profile. A system that is neither that nor Linux has none,
//! so that nothing can be held to reading there.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::limit::limit;
use super::profile;
use super::spec::Spec;

const SANDBOX_EXEC: &str = "/usr/bin/sandbox-exec";

/// This program.
pub(super) fn program() -> &'static OsStr {
    static PROGRAM: OnceLock<OsString> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::current_exe().map_or_else(|_| "meanwhile".into(), OsString::from))
}

/// The shell under the profile.
pub(super) fn held(spec: &Spec, shell: &OsStr) -> Result<Command, String> {
    let mut command = Command::new(SANDBOX_EXEC);
    command.arg("-p").arg(profile::text(spec)?).arg(shell);
    Ok(command)
}

/// Tries whether this system holds it.
///
/// # Errors
/// Why not, as part of a sentence.
pub fn tried(spec: &Spec) -> Result<(), String> {
    // It may list the workspace, and must not make a file outside.
    let probe = std::env::temp_dir().join(format!("meanwhile-probe-{}", std::process::id()));
    let mut command = held(spec, OsStr::new("/bin/sh"))?;
    let script = "test -r / || exit 3; : 2>/dev/null > \"$0\" && exit 4; exit 0";
    let status = command
        .args(["-c", script])
        .arg(&probe)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("{SANDBOX_EXEC} could not be run: {error}"))?;
    if probe.exists() {
        // It is empty.
        let _stays = std::fs::remove_file(&probe);
        return Err(format!("{SANDBOX_EXEC} did not hold a command to reading"));
    }
    if status.success() { Ok(()) } else { Err(format!("{SANDBOX_EXEC} failed: {status}")) }
}
