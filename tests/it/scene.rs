//! What most tests begin with: a runner, a scripted model behind its relay, and a session that asks nobody.

use agent::settings::Provider;
use e2e::delivered;
use e2e::fake_anthropic::{Answer, FakeAnthropic, Request};
use e2e::native_shell::{Session, auto};
use e2e::process;
use e2e::runner::{Client, Options, Runner};
use e2e::wait;
use rustix::process::Pid;
use shared::task::Task;

/// The parts. They end in this order: the session, the runner, the model.
pub(crate) struct Scene {
    pub(crate) session: Session,
    pub(crate) client: Client,
    pub(crate) runner: Runner,
    pub(crate) model: FakeAnthropic,
}

impl Scene {
    /// With these answers, one a request.
    pub(crate) async fn steps(steps: impl IntoIterator<Item = Answer>) -> Self {
        Self::with(FakeAnthropic::steps(steps).await).await
    }

    /// With answers as the closure says.
    pub(crate) async fn by(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::with(FakeAnthropic::by(script).await).await
    }

    async fn with(model: FakeAnthropic) -> Self {
        let runner = Runner::with(Options::default().relay(&model)).await;
        let client = runner.pair().await;
        let session = Session::open(&client, auto(Provider::Relay)).await;
        Self { session, client, runner, model }
    }

    /// A file's text, once it is there.
    pub(crate) async fn file(&self, name: &str) -> String {
        let path = self.runner.workspace().join(name);
        wait::until(name, || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty())).await
    }

    /// Lets a command that waits for this file go on.
    pub(crate) fn release(&self, name: &str) {
        std::fs::write(self.runner.workspace().join(name), "go\n").expect("the workspace can be written");
    }

    /// The one task whose command holds this.
    pub(crate) fn task(&self, word: &str) -> Task {
        let view = self.session.view();
        view.task(word)
            .unwrap_or_else(|| panic!("no task with {word:?};\n{}", self.session.describe()))
            .clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            delivered::check(&self.session.log(), &self.model.requests());
        }
    }
}

/// A command that runs until the test writes the file, then says `done`, and a word by which its end is known
/// in what the model is sent. It gives up after a minute, so that nothing is left.
pub(crate) fn until_file(name: &str) -> String {
    let word = delivered::word();
    format!(
        "n=0; while [ ! -e {name} ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done; echo done {name} {word}"
    )
}

/// Waits until a running task's process has ended, seen from outside.
pub(crate) async fn gone(task: &Task) {
    let pid = task.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let pid = pid.expect("a running task has a process");
    wait::until("a task's process has ended", || (!process::lives(pid)).then_some(())).await;
}
