//! The runner that is measured: the binary, with a folder of its own on the disk that the build is on.

use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use testkit::http;
use testkit::runner::{Runner as Process, command, folder_in, place};

use crate::Bench;

/// A runner that runs.
pub(crate) struct Runner {
    process: Process,
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) credential: String,
    /// Since its program was started.
    pub(crate) began: Instant,
}

impl Runner {
    /// Starts one with these further arguments, and pairs with it.
    pub(crate) async fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let mut runner = Self::launch(bench, folder_in(&bench.scratch), arguments).await;
        runner.credential = runner.process.pair().await;
        runner
    }

    /// Stops it and starts it again over the same state; the credential stays good.
    pub(crate) async fn start_again(self, bench: &Bench, arguments: &[&str]) -> Self {
        let Self { process, credential, .. } = self;
        let runner = Self::launch(bench, process.stop().await, arguments).await;
        Self { credential, ..runner }
    }

    async fn launch(bench: &Bench, folder: TempDir, arguments: &[&str]) -> Self {
        let mut command = command(&bench.runner);
        place(&mut command, folder.path());
        command.args(["--port", "0", "--no-open", "--log", "warn"]).args(arguments);
        let began = Instant::now();
        let process = Process::launch(command, folder).await;
        let pid = process.pid.as_raw_nonzero().get().unsigned_abs();
        Self { pid, port: process.port, process, credential: String::new(), began }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        drop(self.process.stop().await);
    }

    /// A GET; the answer must be good.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.credential);
        let answer = http::ask(self.port, &format!("GET {path}"), &[("Authorization", &bearer)], "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }
}
