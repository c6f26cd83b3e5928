//! Builds a runner and shuts it down.
//!
//! [`run`] owns everything that lives as long as the process: it is given a bound socket, the settings and
//! the held state folder, makes the services ([`App`]) and the transports over them, says when it is ready,
//! and returns once it is told to stop and all has ended: no more connections, sockets closed with 1001,
//! tasks ended with grace.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::get;
use exec::confine::{Confine, ConfineError};
use exec::{homes, host};
use reqwest::Url;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::app::App;
use crate::auth::Clients;
use crate::config::{Config, DEFAULT_ANTHROPIC};
use crate::control;
use crate::files::{self, Files};
use crate::http::gate::{Gate, SOCKET_PATH};
use crate::http::headers::Policy;
use crate::http::{Http, ROUTES, accept};
use crate::identity::{Identity, IdentityError};
use crate::limits::Limits;
use crate::pairing::Pairing;
use crate::relay::Relay;
use crate::sessions::Operations;
use crate::sessions::hub::Hub;
use crate::state_dir::StateDir;
use crate::store::{Store, StoreError};
use crate::tasks::{Tasks, TasksConfig, TasksError};
use crate::ws::{self, Sockets};

/// How long connections may take to end once the runner stops.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// How long requests under way may take after that.
const REQUEST_TIME: Duration = Duration::from_secs(2);

/// Why a runner could not begin.
#[derive(Debug, Error)]
pub(crate) enum RunError {
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

/// Every route beside the page's files: its method, its path as the router writes it (`{name}` for a part,
/// `{*name}` for the rest), and whether it is for everybody.
pub fn routes() -> impl Iterator<Item = (Method, &'static str, bool)> {
    let socket = (Method::GET, SOCKET_PATH, false);
    ROUTES.into_iter().map(|route| (route.method, route.path, route.public)).chain([socket])
}

/// Runs until `stop`. `ready` is called once connections are accepted, with a link that pairs.
///
/// # Errors
/// Why it could not begin.
pub(crate) async fn run(
    listener: TcpListener,
    config: Config,
    state: StateDir,
    stop: CancellationToken,
    ready: impl FnOnce(&str),
) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    let limits = Limits::default().with_running(config.max_running.into());
    let grace = limits.grace;
    let upstream = origin(&config.anthropic.base);
    let connect = [DEFAULT_ANTHROPIC, &upstream].into_iter().chain(config.connect.iter().map(String::as_str));
    let policy = Policy::new(connect);
    let dev_origins = config.dev_origins.clone();
    let (app, confine) = services(address, config, &state, limits).await?;
    let app = Arc::new(app);
    let gate = Gate::new(address.ip(), address.port(), &dev_origins, app.clients.clone());
    let sockets = Sockets { app: Arc::clone(&app), open: TaskTracker::new(), requests: TaskTracker::new() };
    let socket = Router::new().route(SOCKET_PATH, get(ws::upgrade)).with_state(sockets.clone());
    let http = Arc::new(Http::new(Arc::clone(&app), gate, policy, socket));
    let control = match control::bind(state.path()) {
        Ok(listener) => {
            Some(AbortOnDropHandle::new(tokio::spawn(control::serve(listener, Arc::clone(&app)))))
        }
        Err(error) => {
            tracing::warn!(
                "`meanwhile pair` and `meanwhile clients` will not work: there is no control socket in {}: {error}",
                state.path().display()
            );
            None
        }
    };
    ready(&app.pairing_link(None)?);
    let connections = TaskTracker::new();
    let answer = move |request| {
        let http = Arc::clone(&http);
        async move { http.answer(request).await }
    };
    accept::serve(listener, accept::Bounds::default(), answer, stop, connections.clone()).await;

    tracing::info!("Stopping.");
    drop(control);
    app.hub.stop();
    connections.close();
    sockets.open.close();
    let closed = tokio::time::timeout(CLOSE_TIME, async {
        connections.wait().await;
        sockets.open.wait().await;
    });
    if closed.await.is_err() {
        tracing::warn!("Some connections did not end in time.");
    }
    app.tasks.shutdown(grace).await;
    if let Some(confine) = confine {
        confine.clean();
    }
    sockets.requests.close();
    if tokio::time::timeout(REQUEST_TIME, sockets.requests.wait()).await.is_err() {
        tracing::warn!("Some requests did not end in time.");
    }
    Ok(())
}

/// The services, from the store up.
async fn services(
    address: SocketAddr,
    config: Config,
    state: &StateDir,
    limits: Limits,
) -> Result<(App, Option<Confine>), RunError> {
    let open_files = exec::raise_open_files();
    let identity = Identity::open(state.path())?;
    let store = Store::open(state)?;
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
        program: host::program()?,
        shell: None,
        open_files,
        confine: confine.clone(),
        limits,
    };
    let wide = files::wide(&config.workspace, &homes(std::env::var_os("HOME").as_deref()));
    if let Some(warning) = &wide {
        tracing::warn!("{warning} Start the runner in a project's folder, or name one with --workspace DIR.");
    }
    let files = Files::open_as(&config.workspace, wide.clone())?;
    let app = App {
        identity,
        clients,
        pairing: Pairing::default(),
        hub: Hub::default(),
        relay: Relay::new(config.anthropic),
        tasks: Tasks::open(tasks, store.clone()).await?,
        operations: Operations::open(store, files.clone()).await?,
        files,
        workspace: config.workspace.to_string_lossy().into_owned(),
        workspace_short: short(&config.workspace),
        wide,
        confined,
        url: page_url(address),
    };
    Ok((app, confine))
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
