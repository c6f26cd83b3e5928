//! From a command line to a running runner, and back to an exit code.
//!
//! Order: settings, log, state folder and its lock, socket, [`server::run`]. Whatever fails on the way is one
//! sentence on standard error and exit code 1. The first Ctrl-C or TERM stops with grace, a second one at
//! once.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use exec::host;
use shared::{Problem, Timestamp, shown};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::{Cli, CliOptions, ClientsAction, Command, Serve};
use crate::clock::now;
use crate::config::{self, Config, ConfigError};
use crate::control::{self, Answer, Ask, ControlError};
use crate::http::headers::SERVER_NAME;
use crate::keys;
use crate::qr;
use crate::server::{self, RunError};
use crate::state_dir::{StateDir, StateDirError};
use crate::terminal;

#[derive(Debug, Error)]
enum LaunchError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{}", occupied_message(*.0, *.1))]
    Occupied(SocketAddr, bool),
    #[error("{0} cannot be listened on: {1}. Choose another with --host or --port.")]
    Bind(SocketAddr, io::Error),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Refused(Problem),
    #[error("The runner could not set itself up: {0}.")]
    System(io::Error),
}

fn occupied_message(address: SocketAddr, ours: bool) -> String {
    let port = address.port();
    if ours {
        format!(
            "Port {port} is occupied by a Meanwhile that already runs here, for another workspace or state folder. Choose another \
             with --port N, or any free one with --port 0; or open that one: run `meanwhile pair` in its workspace."
        )
    } else {
        format!(
            "Port {port} is occupied by another program. Choose another with --port N, or any free one with --port 0."
        )
    }
}

/// Does what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    if cli.command.is_none() {
        keys::hide();
    }
    match cli.command {
        None => conclude(serve(&cli.options, cli.serve)),
        Some(Command::Pair { qr }) => conclude(ask(&cli.options, &Ask::Pair, qr)),
        Some(Command::Clients { action: None | Some(ClientsAction::List) }) => {
            conclude(ask(&cli.options, &Ask::Clients, false))
        }
        Some(Command::Clients { action: Some(ClientsAction::Add { name }) }) => {
            conclude(ask(&cli.options, &Ask::Add { name }, false))
        }
        Some(Command::Clients { action: Some(ClientsAction::Revoke { client }) }) => {
            conclude(ask(&cli.options, &Ask::Revoke { client }, false))
        }
    }
}

/// Asks a runner, and prints its answer; a link with its code if `qr`, or if a person reads it.
fn ask(options: &CliOptions, ask: &Ask, qr: bool) -> Result<ExitCode, LaunchError> {
    let (_, state_dir) = config::resolve(options)?;
    let mut output = io::stdout().lock();
    let terminal = output.is_terminal();
    match control::ask(&state_dir, ask)? {
        Answer::Link { url } => {
            let code = if qr || terminal { qr::code(&url, terminal) } else { None };
            writeln!(output, "{url}").and_then(|()| match code {
                Some(code) => write!(output, "\n{code}"),
                None => Ok(()),
            })
        }
        Answer::Clients { clients } if clients.is_empty() => writeln!(output, "Nobody is paired."),
        Answer::Clients { clients } => clients.iter().try_for_each(|(client, tabs)| {
            let (paired, seen) = (ago(client.created), ago(client.seen));
            let by = client.paired_by.map(|by| format!(" by {by}")).unwrap_or_default();
            let kind = if client.is_page { "" } else { "has a credential, " };
            let name = shown::line(&client.name);
            writeln!(
                output,
                "{}  {name}  {kind}paired {paired}{by}, seen {seen}, {tabs} connected",
                client.id
            )
        }),
        // For scripts the credential is all.
        Answer::Added { client, credential } => writeln!(output, "{credential}").and_then(|()| {
            writeln!(
                io::stderr(),
                "This is the credential of {client}, and it is told once. `meanwhile clients revoke {client}` takes it back."
            )
        }),
        Answer::Revoked { client, others } => {
            let more = match others {
                0 => String::new(),
                1 => " The client that it had paired is refused too.".to_owned(),
                _ => format!(" The {others} clients that it had paired are refused too."),
            };
            writeln!(output, "Client {client} is refused from now on; its connections are closed.{more}")
        }
        Answer::Problem { problem } => return Err(LaunchError::Refused(problem)),
    }
    .map_err(LaunchError::System)?;
    Ok(ExitCode::SUCCESS)
}

/// How long ago something was, for people.
fn ago(then: Timestamp) -> String {
    let seconds = now().since(then) / 1000;
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn conclude(result: Result<ExitCode, impl Display>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "meanwhile: {}", shown::block(&error.to_string()));
        ExitCode::FAILURE
    })
}

/// How long a thread that waits for blocking work stays: as long as the runner.
const BLOCKING_THREADS_STAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn serve(options: &CliOptions, flags: Serve) -> Result<ExitCode, LaunchError> {
    let config = Config::new(options, flags)?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(terminal::Log)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(config.log.clone());
    // Only a second subscriber is an error, and then the first one does.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    // Asked before the first listener for signals replaces the answer.
    let nohup = host::ignores_hang_up();
    let state = StateDir::open(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(BLOCKING_THREADS_STAY)
        .build()
        .map_err(LaunchError::System)?;
    // Where no further one can be made, what blocks waits for this one; without any, tokio panics.
    runtime.spawn_blocking(|| {});
    let result = runtime.block_on(async {
        let listener = bind(SocketAddr::new(config.host, config.port)).await?;
        let stop = CancellationToken::new();
        let open = config.open;
        let workspace = shown::line(&config.workspace.display().to_string());
        let running =
            server::run(listener, config, state, stop.clone(), move |link| show_link(link, open, &workspace));
        tokio::pin!(running);
        tokio::select! {
            ended = running.as_mut() => return ended.map(|()| ExitCode::SUCCESS).map_err(LaunchError::from),
            asked = signalled(nohup) => asked.map_err(LaunchError::System)?,
        }
        stop.cancel();
        tokio::select! {
            ended = running => ended.map(|()| ExitCode::SUCCESS).map_err(LaunchError::from),
            asked = signalled(nohup) => asked.map(|()| ExitCode::from(130)).map_err(LaunchError::System),
        }
    });
    runtime.shutdown_background();
    result
}

async fn bind(address: SocketAddr) -> Result<TcpListener, LaunchError> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let ours = tokio::task::spawn_blocking(move || is_meanwhile(address)).await.unwrap_or(false);
            Err(LaunchError::Occupied(address, ours))
        }
        Err(error) => Err(LaunchError::Bind(address, error)),
    }
}

/// Whether the server at an address is a Meanwhile.
fn is_meanwhile(address: SocketAddr) -> bool {
    let ask = || -> io::Result<String> {
        let time = Duration::from_millis(500);
        let mut stream = TcpStream::connect_timeout(&address, time)?;
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        write!(stream, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", address.port())?;
        let mut head = Vec::new();
        stream.take(4096).read_to_end(&mut head)?;
        Ok(String::from_utf8_lossy(&head).to_ascii_lowercase())
    };
    ask().is_ok_and(|head| head.lines().any(|line| line.trim() == format!("server: {SERVER_NAME}")))
}

/// Says where the page is. The link alone goes to standard output.
fn show_link(link: &str, open: bool, workspace: &str) {
    let mut output = io::stdout();
    let _ = writeln!(output, "{link}").and_then(|()| output.flush());
    if !open {
        return;
    }
    let _ = writeln!(
        io::stderr(),
        "Meanwhile runs for {workspace}. The link above pairs one browser, once, within ten minutes; `meanwhile pair` makes \
         another. Ctrl-C stops it."
    );
    let link = link.to_owned();
    // A thread of its own: some openers return only when the browser ends.
    std::thread::spawn(move || {
        let mut options = webbrowser::BrowserOptions::new();
        options.with_suppress_output(true);
        if webbrowser::open_browser_with_options(webbrowser::Browser::Default, &link, &options).is_err() {
            tracing::info!("No browser could be opened. Open the link by hand.");
        }
    });
}

async fn signalled(nohup: bool) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv(), if !nohup => {}
    }
    Ok(())
}
