//! A runner from its first breath to its last.
//!
//! [`run`] owns everything that lives as long as the process: it is given a bound socket, the settings and the held
//! state folder, says when it is ready, and returns once it is told to stop and all has ended: no more connections,
//! sockets closed with 1001, tasks ended with grace.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use shared::protocol::Confined;
use shared::{ClientId, Timestamp};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::auth::Clients;
use crate::config::{Config, DEFAULT_ANTHROPIC};
use crate::confine::{Confine, ConfineError};
use crate::control;
use crate::files::{Files, asks};
use crate::homes::homes;
use crate::http::gate::Gate;
use crate::http::headers::Policy;
use crate::http::{self, accept};
use crate::identity::{Identity, IdentityError};
use crate::limits::{self, Limits};
use crate::pairing::Pairing;
use crate::relay::Relay;
use crate::socket::hub::Hub;
use crate::socket::operations::Operations;
use crate::state_dir::StateDir;
use crate::store::{Store, StoreError};
use crate::tasks::{Tasks, TasksConfig, TasksError};

/// How long connections may take to end once the runner stops.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// How long requests under way may take after that.
const REQUEST_TIME: Duration = Duration::from_secs(2);

/// Everything that requests and sockets share.
pub struct Runner {
    /// The checks before every route.
    pub gate: Gate,
    /// The headers of every answer.
    pub policy: Policy,
    /// By what pages know it.
    pub identity: Identity,
    /// Who is paired.
    pub clients: Clients,
    /// The open codes.
    pub pairing: Pairing,
    /// Who is connected.
    pub hub: Hub,
    /// Calls models.
    pub relay: Relay,
    /// Runs commands.
    pub tasks: Tasks,
    /// Reads and writes files.
    pub files: Files,
    /// What is under way, and what was done.
    pub operations: Operations,
    /// The sockets' tasks.
    pub sockets: TaskTracker,
    /// The requests' tasks.
    pub requests: TaskTracker,
    /// Where commands run.
    pub workspace: String,
    /// The same with the home folder as `~`.
    pub workspace_short: String,
    /// What the workspace is, if so much lies in it that each change of a file is to be allowed.
    pub wide: Option<String>,
    /// How commands are confined, if they are.
    pub confined: Option<Confined>,
    /// Where the page is: `http://127.0.0.1:8757`.
    pub url: String,
}

impl Runner {
    /// A link with a fresh code, for a client or for a person at the runner.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub fn pairing_link(&self, by: Option<ClientId>) -> Result<String, getrandom::Error> {
        Ok(format!("{}/#pair={}", self.url, self.pairing.open_code(by)?.expose()))
    }

    /// Revokes a client and all that it has paired: their sockets, requests and codes end. Gives who they were; if the
    /// store cannot be written they are good again after a restart.
    pub async fn revoke(&self, client: ClientId) -> (Vec<ClientId>, Result<(), StoreError>) {
        let mut fallen = Vec::new();
        let written = self.clients.revoke(client, now(), |gone| {
            fallen = gone.to_vec();
            self.pairing.forget(gone);
            self.hub.revoke(gone);
        });
        let written = written.await;
        (fallen, written)
    }
}

/// Why a runner could not begin.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("The system's random source failed: {0}.")]
    Random(#[from] getrandom::Error),
    #[error("The runner could not set itself up: {0}.")]
    System(#[from] io::Error),
    #[error("The store cannot be used: {0}.")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("Commands cannot be run: {0}.")]
    Tasks(#[from] TasksError),
    #[error("--confine: {0}.")]
    Confine(#[from] ConfineError),
}

/// Runs until `stop`. `ready` is called once connections are accepted, with a link that pairs.
///
/// # Errors
/// Why it could not begin.
pub async fn run(
    listener: TcpListener,
    config: Config,
    state: StateDir,
    stop: CancellationToken,
    ready: impl FnOnce(&str),
) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    let open_files = limits::raise_open_files();
    let limits = Limits::default().with_running(config.max_running.into());
    let grace = limits.grace;
    let identity = Identity::open(state.path())?;
    let store = Store::open(&state)?;
    if let Some(warning) = store.warning() {
        tracing::warn!("{warning}");
    }
    let clients = Clients::open(store.clone()).await?;
    let (confine, confined) = match config.confine {
        Some(named) => {
            let (confine, confined) = Confine::new(&config.workspace, state.path(), named)?;
            tracing::info!("Commands may write only to {}.", confined.writable.join(", "));
            for gap in &confined.gaps {
                tracing::warn!("{gap}");
            }
            (Some(confine), Some(confined))
        }
        None => (None, None),
    };
    let tasks = TasksConfig {
        workspace: config.workspace.clone(),
        program: own_program()?,
        shell: None,
        secret: Vec::new(),
        open_files,
        confine: confine.clone(),
        limits,
    };
    let wide = asks::wide(&config.workspace, &homes(std::env::var_os("HOME").as_deref()));
    if let Some(words) = &wide {
        tracing::warn!("{words} Start the runner in a project's folder, or name one with --workspace DIR.");
    }
    let files = Files::open_as(&config.workspace, wide.clone())?;
    let upstream = origin(&config.anthropic.base);
    let connect = [DEFAULT_ANTHROPIC, &upstream].into_iter().chain(config.connect.iter().map(String::as_str));
    let runner = Arc::new(Runner {
        gate: Gate::new(address.ip(), address.port(), &config.dev_origins, clients.clone()),
        policy: Policy::new(connect),
        identity,
        clients,
        pairing: Pairing::default(),
        hub: Hub::default(),
        relay: Relay::new(config.anthropic),
        tasks: Tasks::open(tasks, store.clone()).await?,
        operations: Operations::open(store.clone(), files.clone()).await?,
        files,
        sockets: TaskTracker::new(),
        requests: TaskTracker::new(),
        workspace: config.workspace.to_string_lossy().into_owned(),
        workspace_short: short(&config.workspace),
        wide,
        confined,
        url: page_url(address),
    });
    let control = match control::bind(state.path()) {
        Ok(listener) => {
            Some(AbortOnDropHandle::new(tokio::spawn(control::serve(listener, Arc::clone(&runner)))))
        }
        Err(error) => {
            tracing::warn!(
                "`meanwhile pair` and `meanwhile clients` will not work: there is no control socket in {}: {error}",
                state.path().display()
            );
            None
        }
    };
    ready(&runner.pairing_link(None)?);
    let connections = TaskTracker::new();
    let router = http::router(Arc::clone(&runner));
    let shared = Arc::clone(&runner);
    let answer = move |request| http::answer(Arc::clone(&shared), router.clone(), request);
    accept::serve(listener, accept::Bounds::default(), answer, stop, connections.clone()).await;

    tracing::info!("Stopping.");
    drop(control);
    runner.hub.stop();
    connections.close();
    runner.sockets.close();
    let closed = tokio::time::timeout(CLOSE_TIME, async {
        connections.wait().await;
        runner.sockets.wait().await;
    });
    if closed.await.is_err() {
        tracing::warn!("Some connections did not end in time.");
    }
    runner.tasks.shutdown(grace).await;
    if let Some(confine) = confine {
        confine.clean();
    }
    runner.requests.close();
    if tokio::time::timeout(REQUEST_TIME, runner.requests.wait()).await.is_err() {
        tracing::warn!("Some requests did not end in time.");
    }
    Ok(())
}

/// A folder with the home folder as `~`.
fn short(folder: &Path) -> String {
    let home = etcetera::home_dir().ok();
    match home.and_then(|home| folder.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => folder.display().to_string(),
    }
}

/// The origin of an upstream, as the page's policy names it.
fn origin(base: &str) -> String {
    Url::parse(base).map_or_else(|_| DEFAULT_ANTHROPIC.to_owned(), |url| url.origin().ascii_serialization())
}

/// The address for people. A wildcard is reached at the loopback address.
fn page_url(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{port}"),
        IpAddr::V4(ip) => format!("http://{ip}:{port}"),
        IpAddr::V6(ip) => format!("http://[{ip}]:{port}"),
    }
}

/// The time by the system's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The running program, for the shims. On Linux by the name that stays right when the file is replaced by a newer one meanwhile:
/// that one's shims would speak another language.
fn own_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}
