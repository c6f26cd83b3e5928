//! Ways to start the binary: each test has a runner of its own.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
pub(crate) use testkit::http::Answer;
pub(crate) use testkit::left_out;
pub(crate) use testkit::runner::folder;
pub(crate) use testkit::socket::Socket;
use testkit::{runner, wait};
use tokio::process::Command;

/// How long anything may take on a busy machine.
pub(crate) const SOON: Duration = wait::PATIENCE;

/// Where the binary is.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_meanwhile"))
}

/// The binary, with nothing of this process's settings.
pub(crate) fn meanwhile() -> Command {
    runner::command(binary())
}

/// The same, after lines for a shell that runs as `program`.
fn meanwhile_after(program: &[&str], lines: &str, binary: &Path) -> Command {
    let mut command = runner::command(program[0]);
    command.args(&program[1..]).arg("-c").arg(format!("{lines}\nexec \"$0\" \"$@\"")).arg(binary);
    command
}

/// A runner that runs.
pub(crate) struct Runner(runner::Runner);

impl Deref for Runner {
    type Target = runner::Runner;

    fn deref(&self) -> &runner::Runner {
        &self.0
    }
}

impl DerefMut for Runner {
    fn deref_mut(&mut self) -> &mut runner::Runner {
        &mut self.0
    }
}

impl Runner {
    /// With `--port 0 --no-open` and these arguments.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    /// And these variables.
    pub(crate) async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_in(folder(), arguments, variables).await
    }

    /// As people start it: it opens a browser.
    pub(crate) async fn start_opening(variables: &[(&str, &str)]) -> Self {
        Self::start_as(meanwhile(), folder(), &["--port", "0"], variables).await
    }

    /// With so many descriptors and no more, and as few threads as on a small machine, since they take
    /// descriptors, too.
    pub(crate) async fn start_with_files(files: u32) -> Self {
        let lines = format!("export TOKIO_WORKER_THREADS=2; ulimit -n {files}");
        Self::start_after(folder(), &["sh"], &lines, binary()).await
    }

    /// After lines for a shell that runs as `program`.
    pub(crate) async fn start_after(folder: TempDir, program: &[&str], lines: &str, binary: &Path) -> Self {
        let command = meanwhile_after(program, lines, binary);
        Self::start_as(command, folder, &["--port", "0", "--no-open"], &[]).await
    }

    /// After lines for `bash`, as a user whom nobody else is; only root can start it so.
    #[cfg(target_os = "linux")]
    pub(crate) async fn start_as_user(folder: TempDir, lines: &str) -> Self {
        let user = 1_000_000 + std::process::id();
        // It may not see where the binary was built.
        let copy = folder.path().join("meanwhile");
        std::fs::copy(binary(), &copy).unwrap();
        for path in [folder.path(), &folder.path().join("workspace"), &folder.path().join("home")] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
        let user = user.to_string();
        let program = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "bash"];
        Self::start_after(folder, &program, lines, &copy).await
    }

    /// In a folder that may hold an earlier runner's state.
    pub(crate) async fn start_in(folder: TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = [&["--port", "0", "--no-open"], arguments].concat();
        Self::start_as(meanwhile(), folder, &arguments, variables).await
    }

    /// The same, where an earlier one listened.
    pub(crate) async fn start_at(folder: TempDir, port: u16) -> Self {
        Self::start_as(meanwhile(), folder, &["--port", &port.to_string(), "--no-open"], &[]).await
    }

    async fn start_as(
        mut command: Command,
        folder: TempDir,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        runner::place(&mut command, folder.path());
        command.args(arguments).env("MEANWHILE_LOG", "debug").envs(variables.iter().copied());
        Self(runner::Runner::launch(command, folder).await)
    }

    /// Its folder, for another one.
    pub(crate) fn into_folder(self) -> TempDir {
        self.0.folder
    }

    /// Ends it and keeps its folder.
    pub(crate) async fn stop(self) -> TempDir {
        self.0.stop().await
    }

    /// What a subcommand says about this runner.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let mut command = meanwhile();
        runner::place(&mut command, self.folder.path());
        let output = command.args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }
}
