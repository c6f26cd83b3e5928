//! The command line: what can be said, and where else it can be said.
//!
//! Flags win over environment variables, these over the configuration file, that over defaults. Keys of model
//! providers have no flags, since other users of a machine can read a process's arguments.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};

/// Where the page is, unless told.
pub const DEFAULT_PORT: u16 = 8757;
/// How many commands run at once, unless told.
pub const DEFAULT_RUNNING: u16 = 128;
/// How many may be allowed to: each costs the runner four descriptors and the system at least two processes.
pub const MAX_RUNNING: u16 = 10_000;
/// What is logged, unless told.
pub const DEFAULT_LOG: &str = "info";
const AFTER_HELP: &str = "\
Keys of model providers, from the environment (or from [anthropic] in the configuration file):
  ANTHROPIC_API_KEY   The key that the relay uses. It is sent to no page and given to no command;
                      on Linux it is in no process's environment once the runner runs.
                      Without it there is the demo model, and pages may use their own key.
  ANTHROPIC_BASE_URL  Where the relay sends requests [default: https://api.anthropic.com]

The configuration file, in TOML; every line is optional:
  workspace = \"/home/me/project\"
  port = 8757
  host = \"127.0.0.1\"
  open = false
  state_dir = \"/home/me/.local/state/meanwhile/project\"
  log = \"info\"
  dev_origins = [\"http://127.0.0.1:8080\"]
  connect = [\"http://127.0.0.1:11434\"]
  max_running = 128
  confine = true
  writable = [\"/home/me/.cargo\"]
  [anthropic]
  api_key = \"…\"       # only in a file that nobody else may read: chmod 600
  base_url = \"https://api.anthropic.com\"

Commands that the page starts run as you, in the workspace, and only paired browsers may start them. A \
pairing link is good for ten minutes and for one browser; `meanwhile pair` prints another, and `meanwhile \
clients` lists who is paired.

A flag wins over a variable, that over the file. Exit codes: 0 after Ctrl-C or TERM, 1 if it could not start or \
failed, 2 for a wrong command line, 130 if a second signal cut the end short.";

/// An agent in the browser, with a shell here. Serves the page, runs its commands, and tells it when they
/// end.
#[derive(Parser)]
#[command(name = "meanwhile", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = false)]
pub struct Cli {
    #[command(flatten)]
    pub options: CliOptions,
    #[command(flatten)]
    pub serve: Serve,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Which runner is meant; also for the subcommands.
#[derive(Args)]
pub struct CliOptions {
    /// Where commands run and files lie [default: the current folder]
    #[arg(long, value_name = "DIR", env = "MEANWHILE_WORKSPACE", hide_env_values = true, global = true)]
    pub workspace: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DIR",
        env = "MEANWHILE_STATE_DIR",
        hide_env_values = true,
        global = true,
        help = "Where the runner keeps its store, its logs and its lock [default: one per workspace under \
                  $XDG_STATE_HOME/meanwhile]"
    )]
    pub state_dir: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        env = "MEANWHILE_CONFIG",
        hide_env_values = true,
        global = true,
        help = "The configuration file [default: $XDG_CONFIG_HOME/meanwhile/config.toml, if it is there]"
    )]
    pub config: Option<PathBuf>,
}

/// How to serve.
#[derive(Args)]
pub struct Serve {
    #[arg(long, value_name = "N", env = "MEANWHILE_PORT", hide_env_values = true,
          help = format!("The port; 0 takes any free one, an occupied one is an error [default: {DEFAULT_PORT}]"))]
    pub port: Option<u16>,
    /// The address to listen on; only loopback [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "MEANWHILE_HOST", hide_env_values = true)]
    pub host: Option<IpAddr>,
    /// Do not open a browser, and print the pairing link as the only line on standard output
    #[arg(long, env = "MEANWHILE_NO_OPEN", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub no_open: Option<bool>,
    #[arg(long, value_name = "FILTER", env = "MEANWHILE_LOG", hide_env_values = true,
          help = format!("What to log to standard error: off, error, warn, info, debug, trace, or by module as in \
                          warn,runner::ws=debug [default: {DEFAULT_LOG}]"))]
    pub log: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        env = "MEANWHILE_DEV_ORIGIN",
        hide_env_values = true,
        value_delimiter = ',',
        help = "Another origin whose pages may talk to the runner, for working on the page: such as \
                  http://127.0.0.1:8080, where `trunk serve` runs. May be given more than once"
    )]
    pub dev_origin: Vec<String>,
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "MEANWHILE_CONNECT",
        hide_env_values = true,
        value_delimiter = ',',
        help = "Another model server that the page may call directly, such as http://127.0.0.1:11434. May be given \
                  more than once"
    )]
    pub connect: Vec<String>,
    #[arg(long, value_name = "N", env = "MEANWHILE_MAX_RUNNING", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_RUNNING)),
          help = format!("How many commands run at once, at most half of them for one conversation; further ones wait in a \
                          queue [default: {DEFAULT_RUNNING}]"))]
    pub max_running: Option<u16>,
    /// Let commands write only to the workspace and a temporary folder of their own (TMPDIR), not wherever
    /// you may. Linux only (Landlock); an older kernel leaves something open, which is said at the start and
    /// in the page
    #[arg(long, env = "MEANWHILE_CONFINE", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub confine: Option<bool>,
    /// With --confine: another folder or file that commands may write to, such as ~/.cargo. May be given more
    /// than once
    #[arg(
        long,
        value_name = "PATH",
        env = "MEANWHILE_WRITABLE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub writable: Vec<PathBuf>,
    /// Allow an address that is not loopback. DANGER: the runner is a shell. There is no encryption: whoever
    /// is on the network reads all that is said, can take a connection over, and then RUNS COMMANDS AS YOU;
    /// and browsers on other machines pair only over https. Use an SSH tunnel instead (ssh -L
    /// 8757:127.0.0.1:8757 HOST)
    #[arg(long)]
    pub dangerously_expose: bool,
}

/// Other things to do than serve.
#[derive(Subcommand)]
pub enum Command {
    /// Print a fresh pairing link for the runner of this workspace, and in a terminal its QR code
    Pair {
        /// Print the QR code also when standard output is no terminal
        #[arg(long)]
        qr: bool,
    },
    /// List the paired browsers and programs of the runner of this workspace, add a program, or revoke one
    Clients {
        #[command(subcommand)]
        action: Option<ClientsAction>,
    },
}

/// What to do with clients.
#[derive(Subcommand)]
pub enum ClientsAction {
    /// List them
    List,
    /// Make a program a client, and print its credential: for scripts, curl, and libraries that use the relay
    Add {
        /// What the list shows for it
        name: String,
    },
    /// Refuse a client and all that it has paired from now on, and close their connections
    Revoke {
        /// Its id, or the beginning of it, from the list
        client: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent_and_the_help_names_every_variable() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for word in [
            "MEANWHILE_WORKSPACE",
            "MEANWHILE_STATE_DIR",
            "MEANWHILE_CONFIG",
            "MEANWHILE_PORT",
            "MEANWHILE_HOST",
            "MEANWHILE_NO_OPEN",
            "MEANWHILE_LOG",
            "MEANWHILE_DEV_ORIGIN",
            "MEANWHILE_CONNECT",
            "MEANWHILE_MAX_RUNNING",
            "MEANWHILE_CONFINE",
            "MEANWHILE_WRITABLE",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "8757",
            "pair",
            "clients",
        ] {
            assert!(help.contains(word), "{word} is missing in {help}");
        }
    }

    #[test]
    fn the_switch_can_be_said_with_and_without_a_value() {
        let no_open =
            |arguments: &[&str]| Cli::try_parse_from(arguments).map(|cli| cli.serve.no_open).ok().flatten();
        assert_eq!(no_open(&["meanwhile", "--no-open"]), Some(true));
        assert_eq!(no_open(&["meanwhile", "--no-open=false"]), Some(false));
        assert!(Cli::try_parse_from(["meanwhile", "--no-open", "clients", "revoke", "1234"]).is_ok());
    }
}
