//! Fetching with npm and pip, as they are configured on this machine, into folders that later runs find again.
//!
//! Versions are pinned. A folder is named by its versions, filled under another name and renamed when it is complete, so that
//! whatever is found is whole. Every program has a bounded time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use crate::{cargo, say};

const SDK: &str = "1.11.0";
const AIMOCK: &str = "1.43.0";
/// The source distribution, since only it holds the recorded streams.
const PYTHON_SDK: &str = "2.10.0";

/// How long one fetch may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The oldest Node.js that the packages take: major and minor version.
const OLDEST_NODE: (u32, u32) = (20, 15);

/// Makes sure that Node.js is new enough.
pub(super) fn check_node(node: &Path) -> anyhow::Result<()> {
    let output = cargo::command(node).arg("--version").output().context("node could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = version(&text).with_context(|| format!("node --version says no version: {text:?}"))?;
    let (major, minor) = OLDEST_NODE;
    ensure!(
        version >= OLDEST_NODE,
        "{} has version {}; install Node.js {major}.{minor} or newer from https://nodejs.org",
        node.display(),
        text.trim()
    );
    Ok(())
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The official SDK for JavaScript and aimock. Returns the folder that holds their `node_modules`.
pub(super) fn packages(npm: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    once(folder, &format!("packages-{SDK}-{AIMOCK}"), |place| {
        say::step(format_args!("Fetching @anthropic-ai/sdk {SDK} and @copilotkit/aimock {AIMOCK} with npm"));
        let wanted = json!({
            "private": true,
            "dependencies": { "@anthropic-ai/sdk": SDK, "@copilotkit/aimock": AIMOCK },
        });
        fs::write(place.join("package.json"), wanted.to_string())?;
        let mut command = cargo::command(npm);
        command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
        finish(command.current_dir(place))
    })
}

/// The streams that the official SDK for Python tests itself with. Returns the folder that holds them.
pub(super) fn streams(pip: &Path, tar: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let place = once(folder, &format!("streams-{PYTHON_SDK}"), |place| {
        say::step(format_args!("Fetching the source of anthropic {PYTHON_SDK} with pip"));
        let mut command = cargo::command(pip);
        command
            .args(["download", "--no-deps", "--no-binary", "anthropic", "--disable-pip-version-check"])
            .arg(format!("anthropic=={PYTHON_SDK}"));
        finish(command.current_dir(place))?;
        let name = format!("anthropic-{PYTHON_SDK}");
        let mut command = cargo::command(tar);
        command.arg("-xzf").arg(format!("{name}.tar.gz")).arg(format!("{name}/tests/lib/streaming/fixtures"));
        finish(command.current_dir(place))
    })?;
    Ok(place.join(format!("anthropic-{PYTHON_SDK}/tests/lib/streaming/fixtures")))
}

/// The folder of this name, filled now if it is not there yet.
fn once(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let whole = folder.join(name);
    if !whole.is_dir() {
        let part = folder.join(format!("{name}.part"));
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part).with_context(|| format!("{} cannot be made", part.display()))?;
        fill(&part)?;
        fs::rename(&part, &whole)?;
    }
    Ok(whole)
}

/// Runs a command to its end, and ends it when it takes too long.
fn finish(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            bail!(
                "{program} took longer than {} seconds; try again with a better network",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(50));
    };
    ensure!(status.success(), "{program} failed, as it says above; it needs the network once");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_compared_as_numbers() {
        assert_eq!(version("v20.20.2\n"), Some((20, 20)));
        assert!(version("v20.9.0") < Some(OLDEST_NODE) && version("v22.1.0") > Some(OLDEST_NODE));
        assert_eq!(version("20"), None);
    }

    #[test]
    fn what_is_found_is_whole() {
        let folder = std::env::temp_dir().join(format!("meanwhile-fetch-{}", std::process::id()));
        let fill = |text: &'static str, fails: bool| {
            once(&folder, "thing", |place| {
                fs::write(place.join(text), text)?;
                ensure!(!fails, "no network");
                Ok(())
            })
        };
        assert!(fill("half", true).is_err());
        let place = fill("whole", false).unwrap();
        assert!(place.join("whole").is_file() && !place.join("half").exists());
        assert_eq!(fill("again", true).unwrap(), place);
        fs::remove_dir_all(&folder).unwrap();
    }
}
