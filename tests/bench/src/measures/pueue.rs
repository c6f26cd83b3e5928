//! The same commands through pueue, whose interface is a command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Bench;
use crate::figures::{number, rate};
use crate::report::Row;

const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon of its own.
struct Daemon {
    child: Child,
    client: PathBuf,
    place: TempDir,
}

/// One row a width.
pub(super) async fn throughput(bench: &Bench, folder: &Path, command: &str) -> anyhow::Result<Vec<Row>> {
    let mut daemon = Daemon::start(bench, folder).await?;
    let mut rows = Vec::new();
    for (width, count) in [(1, 10), (8, 60), (64, 200)] {
        let count = if bench.quick { 4 } else { count };
        daemon.client(&["parallel", &width.to_string()]).await?;
        let began = Instant::now();
        for _ in 0..count {
            daemon.client(&["add", "--", command]).await?;
        }
        daemon.client(&["wait", "--quiet"]).await?;
        let rate = rate(count, began.elapsed());
        daemon.client(&["clean"]).await?;
        rows.push(Row {
            what: format!("pueue, {width} at once, for comparison"),
            ours: "—".into(),
            baseline: format!("{} /s", number(rate)),
            ..Row::default()
        });
    }
    daemon.child.kill().await?;
    Ok(rows)
}

impl Daemon {
    async fn start(bench: &Bench, folder: &Path) -> anyhow::Result<Self> {
        let place = TempDir::with_prefix_in("pueue-", &bench.scratch)?;
        let home = place.path().display();
        let config = place.path().join("pueue.yml");
        fs::write(
            &config,
            format!(
                "shared:\n  pueue_directory: {home}/data\n  runtime_directory: {home}\n  use_unix_socket: true\n  unix_socket_path: {home}/s\n\
                 client: {{}}\ndaemon: {{}}\n"
            ),
        )?;
        let child = Command::new(folder.join("pueued"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("pueued cannot be started; `cargo install pueue --locked --root target/pueue` puts it into target/pueue/bin")?;
        let daemon = Self { child, client: folder.join("pueue"), place };
        let end = Instant::now() + Duration::from_secs(10);
        while daemon.client(&["status"]).await.is_err() {
            ensure!(Instant::now() < end, "pueued does not answer");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(daemon)
    }

    async fn client(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let saying = Command::new(&self.client)
            .arg("--config")
            .arg(self.place.path().join("pueue.yml"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        let status = timeout(PATIENCE, saying).await.context("pueue hangs")??;
        ensure!(status.success(), "pueue {}: {status}", arguments.join(" "));
        Ok(())
    }
}
