//! A runner from its first breath to its last.
//!
//! [`run`] owns everything that lives as long as the process: it is given a bound socket, the settings and the held
//! state folder, says when it is ready, and returns once it is told to stop and all has ended: no more connections,
//! sockets closed with 1001, tasks ended with grace.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shared::Timestamp;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Clients;
use crate::config::Config;
use crate::http::gate::Gate;
use crate::http::headers::Policy;
use crate::http::{self, accept};
use crate::pairing::Pairing;
use crate::socket::hub::Hub;
use crate::state_dir::StateDir;

/// How long connections may take to end once the runner stops.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Everything that requests and sockets share.
pub struct Runner {
    /// The checks before every route.
    pub gate: Gate,
    /// The headers of every answer.
    pub policy: Policy,
    /// Who is paired.
    pub clients: Clients,
    /// The open codes.
    pub pairing: Pairing,
    /// Who is connected.
    pub hub: Hub,
    /// Where commands run.
    pub workspace: String,
    /// Where the page is: `http://127.0.0.1:8757`.
    pub url: String,
}

impl Runner {
    /// A link with a fresh code.
    ///
    /// # Errors
    /// If the system's random source fails.
    pub fn pairing_link(&self) -> Result<String, getrandom::Error> {
        Ok(format!("{}/#pair={}", self.url, self.pairing.open_code()?.expose()))
    }
}

/// Why a runner ended otherwise than by being told to.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("The system's random source failed: {0}.")]
    Random(#[from] getrandom::Error),
    #[error("The socket could not be asked for its address: {0}.")]
    Address(#[from] io::Error),
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
    let clients = Clients::new();
    let _ = &state;
    let runner = Arc::new(Runner {
        gate: Gate::new(address.ip(), address.port(), &config.dev_origins, clients.clone()),
        policy: Policy::new(config.connect.iter().map(String::as_str)),
        clients,
        pairing: Pairing::default(),
        hub: Hub::default(),
        workspace: config.workspace.to_string_lossy().into_owned(),
        url: page_url(address),
    });
    ready(&runner.pairing_link()?);
    let connections = TaskTracker::new();
    let router = http::router(Arc::clone(&runner));
    let answer = move |request| http::answer(Arc::clone(&runner), router.clone(), request);
    accept::serve(listener, answer, stop, connections.clone()).await;
    connections.close();
    let _ = tokio::time::timeout(CLOSE_TIME, connections.wait()).await;
    Ok(())
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
