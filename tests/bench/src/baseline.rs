//! The baselines as programs: started, waited for, read.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{Bench, arguments};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(300);
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/thread_per_task.py");

/// What a program prints. The limit of its time is a fault, its status is not: the Python form ends by
/// killing its group.
async fn printed(program: &Path, arguments: Vec<OsString>) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.with_context(|| format!("{} hangs", program.display()))?;
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(!text.trim().is_empty(), "{} failed with {}", program.display(), output.status);
    Ok(text)
}

/// Starts a command so many times, so many at once, and waits for each; how long all took.
pub(crate) async fn bare(
    bench: &Bench,
    width: usize,
    count: usize,
    shell: &str,
    command: &str,
) -> anyhow::Result<Duration> {
    let given = arguments([&width.to_string(), &count.to_string(), shell, command]);
    let text = printed(&bench.programs.join("bench-bare"), given).await?;
    Ok(Duration::from_secs_f64(text.trim().parse()?))
}

/// The Python form's measure of this name.
pub(crate) async fn python<const N: usize>(arguments: [&str; N]) -> anyhow::Result<Value> {
    let mut all = crate::arguments([PYTHON]);
    all.extend(arguments.map(OsString::from));
    Ok(serde_json::from_str(&printed(Path::new("python3"), all).await?)?)
}
