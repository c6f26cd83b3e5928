//! The way in for other processes of the same user: a Unix socket in the state folder.
//!
//! The folder is closed to others (0700), and the socket too (0600), so whoever can connect is us. One
//! request a connection, one line of JSON each way. That is how `meanwhile pair` and `meanwhile clients`
//! reach the runner without a credential. The lock of the folder is held before the socket is made, so a
//! socket that is there already is dead.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{ClientId, Problem, ProblemCode};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::auth::Client;
use crate::clock::now;

const NAME: &str = "control";
/// The longest line of a request.
const MAX_LINE: u64 = 4096;
/// The longest line of an answer: a list of all clients.
const MAX_ANSWER: u64 = 256 * 1024;
/// How long either side waits for the other.
const TIME: Duration = Duration::from_secs(5);
/// The most connections at once.
const MAX_CONNECTIONS: usize = 8;

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// For a fresh pairing link.
    Pair,
    /// For the list of clients.
    Clients,
    /// To make a program a client.
    Add {
        /// What it is called.
        name: String,
    },
    /// To revoke a client and all that it has paired.
    Revoke {
        /// Its id or the beginning of it.
        client: String,
    },
}

/// What is answered. Without `Debug`: it holds codes and credentials.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A link that pairs.
    Link {
        /// It.
        url: String,
    },
    /// The clients.
    Clients {
        /// The oldest first, each with the number of its connections.
        clients: Vec<(Client, usize)>,
    },
    /// A program's credential, which is told once.
    Added {
        /// Its id.
        client: ClientId,
        /// What it shows.
        credential: String,
    },
    /// Done.
    Revoked {
        /// Who it was.
        client: ClientId,
        /// How many it had paired.
        others: usize,
    },
    /// It cannot be done.
    Problem {
        /// Why.
        problem: Problem,
    },
}

/// Why a runner could not be asked.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error(
        "No runner is running for this workspace (looked in {}). Start one with `meanwhile`, or name the right one with --workspace \
         DIR or --state-dir DIR.",
        .0.display()
    )]
    NotRunning(PathBuf),
    #[error("The runner did not answer: {0}. Is it of another version?")]
    Broken(io::Error),
}

/// Asks the runner that holds a state folder.
///
/// # Errors
/// There is none, or it does not answer.
pub(crate) fn ask(state_dir: &Path, ask: &Ask) -> Result<Answer, ControlError> {
    let mut stream = UnixStream::connect(state_dir.join(NAME))
        .map_err(|_| ControlError::NotRunning(state_dir.to_owned()))?;
    let mut talk = || -> io::Result<Answer> {
        stream.set_read_timeout(Some(TIME))?;
        stream.set_write_timeout(Some(TIME))?;
        let mut line = serde_json::to_string(ask)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        BufReader::new(io::Read::take(&stream, MAX_ANSWER)).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    talk().map_err(ControlError::Broken)
}

/// Makes the socket.
///
/// # Errors
/// If the system refuses, also because the path is too long for a socket.
pub(crate) fn bind(state_dir: &Path) -> io::Result<UnixListener> {
    let path = state_dir.join(NAME);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: UnixListener, app: Arc<App>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = Arc::clone(&app);
                tokio::spawn(async move {
                    if let Ok(Err(error)) = tokio::time::timeout(TIME, talk(stream, &app)).await {
                        tracing::debug!("A conversation over the control socket broke off: {error}");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("The control socket cannot accept: {error}. Trying again.");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
}

async fn talk(mut stream: tokio::net::UnixStream, app: &App) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(MAX_LINE)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => answer(app, ask).await,
        Err(error) => {
            Err(Problem::new(ProblemCode::Malformed, format!("The request could not be read: {error}.")))
        }
    };
    let mut text = serde_json::to_string(&answer.unwrap_or_else(|problem| Answer::Problem { problem }))?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await
}

async fn answer(app: &App, ask: Ask) -> Result<Answer, Problem> {
    match ask {
        Ask::Pair => {
            let url = app.pairing_link(None).map_err(|error| {
                Problem::retryable(
                    ProblemCode::System,
                    format!("The system's random source failed: {error}."),
                )
            })?;
            Ok(Answer::Link { url })
        }
        Ask::Clients => {
            let clients = app.clients.list().into_iter();
            Ok(Answer::Clients {
                clients: clients.map(|client| (client.clone(), app.hub.tabs_of(client.id))).collect(),
            })
        }
        Ask::Add { name } => {
            let (client, credential) = app.clients.add(&name, None, now()).await?;
            Ok(Answer::Added { client, credential: credential.expose().to_owned() })
        }
        Ask::Revoke { client } => {
            let wanted = client.trim().to_ascii_lowercase();
            let mut fitting = app
                .clients
                .list()
                .into_iter()
                .map(|client| client.id)
                .filter(|id| id.to_string().starts_with(&wanted));
            let (Some(id), None) = (fitting.next().filter(|_| !wanted.is_empty()), fitting.next()) else {
                let message = format!(
                    "Not exactly one client's id begins with {client:?}. `meanwhile clients` lists them."
                );
                return Err(Problem::new(ProblemCode::NotFound, message));
            };
            let (fallen, written) = app.revoke(id).await;
            match written {
                Ok(()) => Ok(Answer::Revoked { client: id, others: fallen.len().saturating_sub(1) }),
                Err(error) => Err(Problem::new(
                    ProblemCode::System,
                    format!(
                        "Client {id} is refused from now on, but the store failed, so revoke it again after a restart: {error}."
                    ),
                )),
            }
        }
    }
}
